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

/** What none of the parts takes that every gateway has. */
const IO = [
  ...["body", "body_reader", "collect_body", "deno_server", "dial", "incoming_body", "layers"],
  ...["listener", "own_program", "pace"],
  ...["password_thread", "reserve", "route_service", "shortage", "spool", "tls_files"],
].map((name) => `lib/io/${name}.ts`);

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
    .concat("switches", "watch");
  assert.deepEqual(below("lib/commands/"), words.map((name) => `lib/commands/${name}.ts`));
  assert.ok(!loaded.includes("lib/observe/status_page.ts"));
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
