/**
 * What a start costs, told by what it loads: the modules that serving a table takes, and none of what other
 * tables would. They are read from the runtime's own record of a gateway that has answered (coverage).
 */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "./support/command.ts";
import { eventually } from "./support/gateway.ts";
import { tempFolder } from "./support/peers.ts";

const REPOSITORY = new URL("..", import.meta.url).href;

/** The modules, by path or as `npm:name`, of a gateway with this one route that has answered. */
async function loadedBy(route: string): Promise<readonly string[]> {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  const record = `${folder.path}/loaded`;
  await Deno.writeTextFile(file, `server: {listen: "127.0.0.1:0"}\nroutes: [${route}]\n`);
  const { out } = await runPortico(["flags", "-c", file]);
  const words = out.trim().replace(/(127\.0\.0\.1):0\b/, "$1").split(" ");
  const flags = [...words, `--coverage=${record}`, `--allow-write=${record}`];
  const running = await startPortico(["-c", file], { flags });
  try {
    const response = await fetch(running.base);
    await response.body?.cancel();
  } finally {
    await running[Symbol.asyncDispose]();
  }
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(record)) {
    if (!name.endsWith(".json")) continue;
    const { url } = JSON.parse(await Deno.readTextFile(`${record}/${name}`));
    names.add(nameOf(url));
  }
  return [...names].sort();
}

function nameOf(url: string): string {
  if (url.startsWith(REPOSITORY)) return url.slice(REPOSITORY.length);
  return url.replace(/^.*\/registry\.[^/]+\/((?:@[^/]+\/)?[^/]+)\/.*$/, "npm:$1");
}

/** What every gateway takes. */
const IO = [
  ...["deno_server", "dial", "layers", "listener", "own_program", "reserve", "route_service"],
  "shortage",
].map((name) => `lib/io/${name}.ts`);

const LIST = "lib/commands/first_modules.ts";

/** The modules that the list names. */
async function listed(): Promise<readonly string[]> {
  const text = await Deno.readTextFile(new URL(LIST, REPOSITORY));
  const names = Array.from(text.matchAll(/^import "(\..+)";$/gm), ([, name = ""]) => name);
  return names.map((name) => new URL(name, REPOSITORY + LIST).href).map(nameOf);
}

Deno.test("serve loads the kinds that its table names, and what these need", async () => {
  const loaded = await loadedBy("{path: /, respond: hello}");
  const below = (folder: string) => loaded.filter((name) => name.startsWith(folder));
  assert.deepEqual(below("lib/handlers/"), ["lib/handlers/mod.ts", "lib/handlers/respond.ts"]);
  assert.deepEqual(below("npm:"), ["npm:valibot", "npm:yaml"]);
  assert.deepEqual(below("lib/io/"), IO);
  for (const folder of ["draft", "deploy", "import", "middleware", "welcome", "workers"]) {
    assert.deepEqual(below(`lib/${folder}/`), []);
  }
  const words = ["check", "command", "command_line", "grants", "mod", "options", "serve", "settled"]
    .concat("switches");
  assert.deepEqual(
    below("lib/commands/").filter((name) => name !== LIST),
    words.map((name) => `lib/commands/${name}.ts`),
  );
  const observing = ["contain", "line_writer", "log", "log_file", "survey"];
  assert.deepEqual(below("lib/observe/"), observing.map((name) => `lib/observe/${name}.ts`));
});

Deno.test("the list of first modules names what a start loads at once, and nothing else", async () => {
  const named = await listed();
  // Those that main.ts names beside the list, and the kind itself.
  const others = ["main.ts", LIST, "lib/commands/command_line.ts", "lib/handlers/mod.ts"]
    .concat("lib/io/own_program.ts", "lib/handlers/respond.ts");
  const loaded = await loadedBy("{path: /, respond: hello}");
  const wanted = loaded.filter((name) => !name.startsWith("npm:") && !others.includes(name));
  assert.deepEqual(named.toSorted(), wanted);
});

Deno.test("serve loads what takes bodies with a kind that takes them", async () => {
  const loaded = await loadedBy("{path: /, respond: hello}, {path: /a, proxy: http://127.0.0.1:9}");
  assert.ok(loaded.includes("lib/io/body.ts"));
});

Deno.test("serve loads a route's layers and guards with the route that wants them", async () => {
  const loaded = await loadedBy("{path: /, respond: hello, cache: true, conditional: true}");
  const more = ["lib/io/cache.ts", "lib/io/conditional.ts", "npm:http-cache-semantics"];
  assert.deepEqual(more.filter((name) => !loaded.includes(name)), []);
  const others = ["lib/io/basic_auth.ts", "lib/io/authorizer.ts", "lib/io/compression.ts"];
  assert.deepEqual(others.filter((name) => loaded.includes(name)), []);
});

Deno.test("a reload loads a kind that the start had no use for, which takes no permission", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  const write = (route: string) =>
    Deno.writeTextFile(file, `server: {listen: "127.0.0.1:0"}\nroutes: [{path: /, ${route}}]\n`);
  await write("respond: hello");
  const { out } = await runPortico(["flags", "-c", file]);
  const flags = out.trim().replace(/(127\.0\.0\.1):0\b/, "$1").split(" ");
  await using running = await startPortico(["-c", file], { flags });
  const status = async () => {
    const response = await fetch(running.base, { redirect: "manual" });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await status(), 200);
  await write("redirect: /elsewhere");
  running.signal("SIGHUP");
  await eventually(async () => await status() === 308, 15_000);
  assert.equal(running.err().includes("allow-read"), false);
});
