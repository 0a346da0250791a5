/**
 * The command line as a user runs it: each command in a process of its own, judged by its output, its
 * exit status and what it leaves behind.
 */
import assert from "node:assert/strict";
import {
  type CommandOptions,
  type Running,
  runPortico,
  startPortico,
  usualEnvironment,
} from "./support/command.ts";
import { eventually } from "./support/gateway.ts";
import { testWith } from "./support/needs.ts";
import { freePort, tempFolder, writeScript } from "./support/peers.ts";

/** Writes a table whose folders are its own; gives its name. */
async function writeTable(folder: string, routes: string, server = ""): Promise<string> {
  const file = `${folder}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `server:
  listen: 127.0.0.1:0
  runDir: ${folder}/run
  spoolDir: ${folder}/spool
  accessLog: off
${server}
routes:
${routes}
`,
  );
  return file;
}

const HELLO = "  - {path: /, respond: hello}";

async function bodyOf(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

/** A request over a Unix socket. */
async function overSocket(path: string, target: string): Promise<string> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  return await (await fetch(`http://localhost${target}`, { client })).text();
}

Deno.test("--help and --version answer on standard output", async () => {
  const help = await runPortico(["--help"]);
  assert.deepEqual([help.code, help.err], [0, ""]);
  for (const word of ["serve", "check", "routes", "explain", "flags", "--listen", "--watch"]) {
    assert.match(help.out, new RegExp(`^ .*${word}`, "m"));
  }
  assert.deepEqual(await runPortico(["serve", "-h"]), help);
  const version = await runPortico(["--version"]);
  assert.deepEqual([version.code, version.out], [0, "portico 0.1.0\n"]);
});

Deno.test("a wrong command line is told on standard error, with status 2", async () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    "frobnicate": /Unknown command "frobnicate"/,
    "constructor": /Unknown command "constructor"/,
    "serve --nonsense": /--nonsense/,
    "check extra": /check takes no operand "extra"/,
    "serve --listen nowhere": /Cannot read "nowhere" as an address/,
    "serve --config": /--config/,
    "explain": /explain takes a URL/,
    "explain GET / more": /explain takes a URL/,
    "explain nothing": /Cannot read "nothing" as a URL/,
  };
  await Promise.all(
    Object.entries(wrong).map(async ([line, message]) => {
      const { code, out, err } = await runPortico(line.split(" "));
      assert.deepEqual([code, out], [2, ""], line);
      assert.match(err, message);
      assert.match(err, /Try --help/);
    }),
  );
});

Deno.test("a missing file is a fault at its first character", async () => {
  for (const command of ["check", "serve", "routes", "flags"]) {
    const { code, out, err } = await runPortico([command, "--config", "/nowhere/routes.yaml"]);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /^\/nowhere\/routes\.yaml:1:1: Cannot find this file/);
  }
});

Deno.test("./routes.yaml is the table unless another is named", async () => {
  await using folder = await tempFolder();
  const missing = await runPortico(["check"], { cwd: folder.path });
  assert.match(missing.err, /^\.\/routes\.yaml:1:1: /);
  await writeTable(folder.path, HELLO);
  const found = await runPortico(["check"], { cwd: folder.path });
  assert.deepEqual(found, {
    code: 0,
    signal: null,
    out: "./routes.yaml: fine, 1 route\n",
    err: "",
  });
});

Deno.test("check and serve print every fault, each at its place", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/faulty.yaml`;
  await Deno.writeTextFile(
    file,
    `server:
  drainTimeout: soon
routes:
  - path: /a
    repsond: hello
  - path: /b
    respond: hello
    redirect: /a
  - path: /c(
    respond: hello
  - path: /d
    cgi: {script: x, timeout: -1, args: no list}
`,
  );
  const places = ["2:17", "5:5", "8:5", "9:", "12:", "12:"];
  for (const command of ["check", "serve", "routes", "flags", "explain"]) {
    const operands = command === "explain" ? ["/a"] : [];
    const { code, out, err } = await runPortico([command, ...operands, "-c", file]);
    assert.deepEqual([code, out], [1, ""], command);
    const lines = err.trimEnd().split("\n");
    assert.equal(lines.length, places.length, err);
    lines.forEach((line, i) => assert.ok(line.startsWith(`${file}:${places[i]}`), line));
    assert.match(err, /Cannot read "soon" as a duration/);
    assert.match(err, /respond/);
  }
});

Deno.test("check needs to read the file and nothing else, and warns of what can never match", async () => {
  await using folder = await tempFolder();
  const file = await writeTable(
    folder.path,
    `  - {path: /a/*, respond: first}
  - {path: /a/:id, respond: never}
  - {path: /run, cgi: ./missing.sh}
  - {path: /php/*, fastcgi: {spawn: [/no/such/program, "{socket}"], root: nowhere}}`,
  );
  const options: CommandOptions = { flags: ["--no-prompt", `--allow-read=${file}`] };
  const { code, out, err } = await runPortico(["check", "-c", file], options);
  assert.deepEqual([code, out], [0, `${file}: fine, 4 routes\n`]);
  assert.match(err, /^.*routes\.yaml:9:\d+: warning: route "\/a\/:id" can never match: "\/a\/\*"/);
  assert.equal(err.trimEnd().split("\n").length, 1);
});

Deno.test("routes prints the table, for people and for programs", async () => {
  await using folder = await tempFolder();
  const file = await writeTable(
    folder.path,
    `  - {path: /a/*, host: "*.example.org", methods: [GET, PUT], name: first, cgi: {root: /srv/cgi}}
  - {path: /b, redirect: /a}`,
  );
  const plain = await runPortico(["routes", "-c", file]);
  assert.deepEqual(plain.out.trimEnd().split("\n").map((line) => line.split(/ {2,}/)), [
    ["#", "PATH", "HOST", "METHODS", "KIND", "TARGET"],
    ["0", "/a/*", "*.example.org", "GET,PUT", "cgi", "/srv/cgi/"],
    ["1", "/b", "*", "*", "redirect", "/a"],
  ]);
  const json = await runPortico(["routes", "--json", "-c", file]);
  assert.deepEqual([plain.code, json.code, plain.err, json.err], [0, 0, "", ""]);
  assert.deepEqual(JSON.parse(json.out), [
    {
      index: 0,
      name: "first",
      path: "/a/*",
      host: "*.example.org",
      methods: ["GET", "PUT"],
      kind: "cgi",
      target: "/srv/cgi/",
      line: 8,
    },
    {
      index: 1,
      name: "/b",
      path: "/b",
      host: null,
      methods: null,
      kind: "redirect",
      target: "/a",
      line: 9,
    },
  ]);
});

Deno.test("explain tells the route, the mount and the environ, and runs nothing", async (t) => {
  await using folder = await tempFolder();
  const { path } = folder;
  await Deno.mkdir(`${path}/cgi/sub`, { recursive: true });
  await writeScript(`${path}/cgi/sub/run.sh`, `#!/bin/sh\ntouch ${path}/ran\n`);
  await writeScript(`${path}/one.sh`, `#!/bin/sh\ntouch ${path}/ran\n`);
  const file = await writeTable(
    path,
    `  - {path: "/users/:id", respond: hello}
  - {path: /go, redirect: /elsewhere}
  - {path: /one/*, methods: [POST], cgi: {script: ./one.sh, env: {MODE: x}, passEnv: [SHOWN]}}
  - {path: /cgi/*, cgi: {root: cgi}}
  - {path: /php/*, fastcgi: {connect: "unix:/nowhere.sock", root: /srv/php}}
  - {path: /app/*, fastcgi: {spawn: [touch, "${path}/ran", "{socket}"]}}
  - {path: /gone/*, cgi: {root: missing}}
  - {path: /only, host: a.example, respond: hello}`,
    "  trustedProxies: [127.0.0.1]",
  );
  const ask = (...args: string[]) =>
    runPortico(["explain", "-c", file, ...args], { env: { SHOWN: "ö" } });
  const json = async (...args: string[]) => {
    const { code, out, err } = await ask("--json", ...args);
    assert.deepEqual([code, err], [0, ""]);
    return JSON.parse(out);
  };

  await t.step("for people", async () => {
    const { code, out, err } = await ask("POST", "/one/a%20b?q=1");
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, /^POST \/one\/a%20b\?q=1\nRoute 2 "\/one\/\*" in line 10 /);
    assert.match(out, new RegExp(`^cgi ${path}/one\\.sh$`, "m"));
    assert.match(out, /^SCRIPT_NAME=\/one {2}PATH_INFO=\/a b$/m);
    for (const line of ["QUERY_STRING=q=1", "MODE=x", "SHOWN=ö", "REQUEST_METHOD=POST"]) {
      assert.ok(out.split("\n").includes(line), `${line} in\n${out}`);
    }
  });

  await t.step("the same for programs", async () => {
    const told = await json("POST", "/one/a%20b?q=1");
    assert.deepEqual(told.route, { index: 2, name: "/one/*", path: "/one/*" });
    assert.equal(told.kind, "cgi");
    assert.equal(told.target, `${path}/one.sh`);
    assert.deepEqual([told.scriptName, told.pathInfo], ["/one", "/a b"]);
    assert.deepEqual(told.passedOver, [
      { index: 0, name: "/users/:id", because: "path" },
      { index: 1, name: "/go", because: "path" },
    ]);
    assert.deepEqual([told.environ.PATH_INFO, told.environ.SHOWN], ["/a b", "ö"]);
  });

  await t.step("each kind", async () => {
    const user = await json("/users/7");
    assert.deepEqual([user.kind, user.params], ["respond", { id: "7" }]);
    const go = await json("/go");
    assert.deepEqual([go.kind, go.target], ["redirect", "/elsewhere"]);
    const script = await json("/cgi/sub/run.sh/more");
    assert.equal(script.target, `${path}/cgi/sub/run.sh`);
    assert.deepEqual([script.scriptName, script.pathInfo], ["/cgi/sub/run.sh", "/more"]);
    const php = await json("/php/a/b.php/c");
    assert.equal(php.target, "unix:/nowhere.sock");
    assert.equal(php.environ.SCRIPT_FILENAME, "/srv/php/a/b.php");
    assert.deepEqual([php.scriptName, php.pathInfo], ["/php/a/b.php", "/c"]);
    const app = await json("/app/x");
    assert.deepEqual([app.scriptName, app.environ.PATH_INFO], ["/app", "/x"]);
  });

  await t.step("what would fail", async () => {
    assert.match((await json("/cgi/none.sh")).notes.join(), /would answer 404/);
    assert.match((await json("/gone/x.sh")).notes.join(), /does not exist/);
    const unmatched = await json("/nowhere");
    assert.deepEqual([unmatched.status, unmatched.route], [404, undefined]);
    const wrong = await json("DELETE", "/one/x");
    assert.equal(wrong.status, 405);
    assert.match(wrong.reason, /POST/);
    assert.deepEqual(
      wrong.passedOver.filter(({ because }: { because: string }) => because !== "path"),
      [
        { index: 2, name: "/one/*", because: "method" },
        { index: 7, name: "a.example/only", because: "host" },
      ],
    );
    assert.equal((await json("/a%zz")).status, 400);
    assert.equal((await json("/a%00")).status, 400);
    assert.match((await ask("/nowhere")).out, /^GET \/nowhere\nAnswers 404: /);
  });

  await t.step("request fields, the host and trusted proxies count", async () => {
    assert.equal((await json("/only")).status, 404);
    assert.equal((await json("-H", "Host: a.example", "/only")).kind, "respond");
    const { environ } = await json(
      ...[
        "-H",
        "X-Own: 1",
        "-H",
        "X-Own: 2",
        "-H",
        "Proxy: evil",
        "-H",
        "X-Forwarded-For: 192.0.2.7",
      ],
      ...["-H", "X-Forwarded-Proto: https", "http://b.example:81/cgi/sub/run.sh"],
    );
    assert.equal(environ.HTTP_X_OWN, "1, 2");
    assert.equal(environ.HTTP_PROXY, undefined);
    assert.equal(environ.HTTP_HOST, "b.example:81");
    assert.equal(environ.SERVER_NAME, "b.example");
    assert.deepEqual([environ.REMOTE_ADDR, environ.HTTPS], ["192.0.2.7", "on"]);
    for (const bad of ["no colon", "bad name: x", ": x", "X: \0"]) {
      assert.equal((await ask("-H", bad.replace("\0", "\n"), "/go")).code, 2, bad);
    }
  });

  await assert.rejects(Deno.stat(`${path}/ran`), Deno.errors.NotFound);
});

Deno.test("serve listens on every --listen in place of the file's, and says where", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const file = await writeTable(path, HELLO);
  const args = ["-c", file, "--listen", "127.0.0.1:0", "-l", "unix:own.sock", "-l", "127.0.0.1:0"];
  await using running = await startPortico(args, { listeners: 3, cwd: path });
  const [first = "", socket = "", second = ""] = running.addresses;
  assert.match(first, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(socket, `unix:${path}/own.sock`);
  assert.notEqual(first, second);
  assert.deepEqual(await Promise.all([bodyOf(first), bodyOf(second)]), ["hello", "hello"]);
  assert.equal(await overSocket(`${path}/own.sock`, "/"), "hello");
  const { mode } = await Deno.stat(`${path}/own.sock`);
  assert.equal((mode ?? 0) & 0o777, 0o660);
  running.signal("SIGTERM");
  const { code, out } = await running.ended;
  assert.equal(code, 0);
  assert.deepEqual(out.trimEnd().split("\n").map((line) => line.slice(0, 22)), [
    "portico: listening on ",
    "portico: listening on ",
    "portico: listening on ",
  ]);
  await assert.rejects(Deno.lstat(`${path}/own.sock`), Deno.errors.NotFound);
});

/** A route whose program says that it runs, and answers a while later. */
async function slowTable(folder: string): Promise<string> {
  const answer = "printf 'Content-Type: text/plain\\n\\nwhole'";
  await writeScript(
    `${folder}/slow.sh`,
    `#!/bin/sh\ntouch ${folder}/started\nsleep 1.5\n${answer}\n`,
  );
  return await writeTable(folder, `${HELLO}\n  - {path: /slow, cgi: ./slow.sh}`);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} lets a running request end, takes no more, and exits with 0`, async () => {
    await using folder = await tempFolder();
    const file = await slowTable(folder.path);
    await using running = await startPortico(["serve", "-c", file]);
    const { base } = running;
    const slow = fetch(`${base}/slow`);
    const exists = (name: string) => Deno.stat(name).then(() => true, () => false);
    await eventually(() => exists(`${folder.path}/started`));
    running.signal(signal);
    await eventually(() => bodyOf(base).then(() => false, () => true), 1200, "no more connections");
    const response = await slow;
    assert.deepEqual([response.status, await response.text()], [200, "whole"]);
    const { code, err } = await running.ended;
    assert.deepEqual([code, err], [0, ""]);
  });
}

Deno.test("the drain has an end: what runs on then is cut", async () => {
  await using folder = await tempFolder();
  await writeScript(
    `${folder.path}/hang.sh`,
    `#!/bin/sh\ntouch ${folder.path}/started\nexec sleep 60`,
  );
  const routes = "  - {path: /, cgi: ./hang.sh}";
  const file = await writeTable(folder.path, routes, "  drainTimeout: 300ms");
  await using running = await startPortico(["-c", file]);
  const hanging = fetch(running.base).then(async (response) => {
    await response.body?.cancel();
    return response.status;
  }, () => 0);
  await eventually(() => Deno.stat(`${folder.path}/started`).then(() => true, () => false));
  const start = performance.now();
  running.signal("SIGTERM");
  const { code, err } = await running.ended;
  assert.equal(code, 0);
  assert.ok(performance.now() - start < 4000);
  assert.match(err, /status=503 failure=shutting-down/);
  assert.doesNotMatch(err, /Uncaught|Unhandled/);
  assert.ok([0, 503].includes(await hanging));
});

/** Serves a table that answers "first", for tests that replace it. */
async function startFirst(folder: string, ...args: string[]): Promise<[string, Running]> {
  const file = await writeTable(folder, "  - {path: /, respond: first}");
  return [file, await startPortico(["-c", file, ...args])];
}

Deno.test("SIGHUP puts a good table in place, and keeps the old one against a faulty one", async () => {
  await using folder = await tempFolder();
  const [file, running] = await startFirst(folder.path);
  await using _stopped = running;
  const { base } = running;
  assert.equal(await bodyOf(base), "first");
  await writeTable(folder.path, "  - {path: /, respond: second}");
  running.signal("SIGHUP");
  await eventually(async () => await bodyOf(base) === "second");
  await writeTable(folder.path, "  - {path: /, respnd: third}");
  running.signal("SIGHUP");
  await eventually(() => running.err().includes("the table stays as it was"));
  assert.ok(running.err().includes(`\n${file}:8:`), running.err());
  assert.equal(await bodyOf(base), "second");
  // Faultless, but not to be opened.
  await writeTable(folder.path, "  - {path: /*, cgi: {root: ./missing}}");
  running.signal("SIGHUP");
  await eventually(() => /stays as it was: Cannot open .*:8: .*missing/.test(running.err()));
  assert.equal(await bodyOf(base), "second");
  await Deno.remove(file);
  running.signal("SIGHUP");
  await eventually(() => running.err().includes("Cannot find this file"));
  assert.equal(await bodyOf(base), "second");
  await writeTable(folder.path, "  - {path: /, respond: fourth}");
  running.signal("SIGHUP");
  await eventually(async () => await bodyOf(base) === "fourth");
});

Deno.test("--watch reloads when the file changes, also when an editor replaces it", async () => {
  await using folder = await tempFolder();
  const [file, running] = await startFirst(folder.path, "--watch");
  await using _stopped = running;
  const { base } = running;
  await writeTable(folder.path, "  - {path: /, respond: written}");
  await eventually(async () => await bodyOf(base) === "written");
  const text = await Deno.readTextFile(file);
  await Deno.writeTextFile(`${file}.new`, text.replace("written", "replaced"));
  await Deno.rename(`${file}.new`, file);
  await eventually(async () => await bodyOf(base) === "replaced");
  await Deno.writeTextFile(file, "routes: [");
  await eventually(() => running.err().includes("the table stays as it was"));
  assert.equal(await bodyOf(base), "replaced");
});

Deno.test("a socket left by a killed gateway is replaced, one in use is not", async () => {
  await using folder = await tempFolder();
  const socket = `${folder.path}/g.sock`;
  const file = await writeTable(folder.path, HELLO);
  const args = ["-c", file, "--listen", `unix:${socket}`];
  const killed = await startPortico(args);
  killed.signal("SIGKILL");
  await killed.ended;
  assert.ok((await Deno.lstat(socket)).isSocket);
  await using running = await startPortico(args);
  assert.equal(await overSocket(socket, "/"), "hello");
  const second = await runPortico(args);
  assert.deepEqual([second.code, second.out], [1, ""]);
  assert.match(second.err, /^portico: Cannot listen on unix:.*g\.sock: another process does\n$/);
  assert.equal(await overSocket(socket, "/"), "hello");
  running.signal("SIGTERM");
  assert.equal((await running.ended).code, 0);
});

Deno.test("a file in the place of the socket is left alone", async () => {
  await using folder = await tempFolder();
  const file = await writeTable(folder.path, HELLO);
  const precious = `${folder.path}/precious`;
  await Deno.writeTextFile(precious, "data");
  const { code, out, err } = await runPortico(["-c", file, "--listen", `unix:${precious}`]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^portico: Cannot listen on unix:.*precious: a file of that name exists\n$/);
  assert.equal(await Deno.readTextFile(precious), "data");
});

Deno.test("an address in use is named, and nothing else stays open", async () => {
  await using folder = await tempFolder();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const socket = `${folder.path}/g.sock`;
  const file = await writeTable(folder.path, HELLO);
  const args = ["-c", file, "-l", `unix:${socket}`, "-l", `127.0.0.1:${port}`];
  const { code, out, err } = await runPortico(args);
  assert.deepEqual([code, out], [1, ""]);
  assert.equal(err, `portico: Cannot listen on 127.0.0.1:${port}: another process does\n`);
  await assert.rejects(Deno.lstat(socket), Deno.errors.NotFound);
});

Deno.test("a program that cannot start is a clear end with status 1", async () => {
  await using folder = await tempFolder();
  const program = await writeScript(`${folder.path}/app`, "#!/bin/sh\necho no luck >&2\nexit 3\n");
  const routes =
    `  - {path: /*, fastcgi: {spawn: {command: ["${program}", "{socket}"], processes: 2}}}`;
  const file = await writeTable(folder.path, routes);
  const { code, out, err } = await runPortico(["-c", file]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^portico: Cannot open .*routes\.yaml:8: route "\/\*" \(fastcgi\): /m);
  assert.match(err, /exited with code 3 before it was ready: no luck/);
});

Deno.test("a gateway that is stopped while it starts leaves no program behind", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const program = await writeScript(
    `${path}/app`,
    `#!/bin/sh\necho $$ >${path}/pid.new; mv ${path}/pid.new ${path}/pid\nexec sleep 60\n`,
  );
  const routes =
    `  - {path: /*, fastcgi: {spawn: {command: ["${program}", "{socket}"], startTimeout: 1s}}}`;
  const file = await writeTable(path, routes);
  const starting = runPortico(["-c", file]);
  // The started one is only reached by its process id: tell it by that of its program's parent.
  const pid = () => Deno.readTextFile(`${path}/pid`).then(Number, () => 0);
  await eventually(async () => await pid() > 0);
  const stat = await Deno.readTextFile(`/proc/${await pid()}/stat`);
  Deno.kill(Number(stat.split(" ")[3]), "SIGTERM");
  assert.notEqual((await starting).signal, "SIGTERM");
  await assert.rejects(Deno.stat(`/proc/${await pid()}`), Deno.errors.NotFound);
});

Deno.test("two gateways that serve the same file do not disturb each other", async () => {
  await using folder = await tempFolder();
  const program = new URL("../lib/welcome/fastcgi.ts", import.meta.url).pathname;
  const command = `[deno, run, --no-prompt, -A, ${program}, "{socket}"]`;
  const file = await writeTable(folder.path, `  - {path: /*, fastcgi: {spawn: ${command}}}`);
  await using first = await startPortico(["-c", file]);
  const second = await startPortico(["-c", file]);
  assert.match(await bodyOf(second.base), /request number 1/);
  second.signal("SIGTERM");
  assert.equal((await second.ended).code, 0);
  assert.match(await bodyOf(first.base), /request number 1/);
});

Deno.test("output in a pipe is plain", async () => {
  await using folder = await tempFolder();
  const file = await writeTable(folder.path, `${HELLO}\n  - {path: /a/:x, cgi: /bin/true}`);
  for (const args of [["routes"], ["explain", "/a/1"], ["explain", "/none"], ["check"]]) {
    const { out, err } = await runPortico([...args, "-c", file]);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(out + err, /\x1b/);
  }
});

testWith(["script"], "output on a terminal is coloured unless NO_COLOR is set", async () => {
  await using folder = await tempFolder();
  const file = await writeTable(folder.path, HELLO);
  const main = new URL("../main.ts", import.meta.url).pathname;
  const onTerminal = async (env: Record<string, string>) => {
    const line = `'${Deno.execPath()}' run -A '${main}' routes -c '${file}'`;
    const { stdout } = await new Deno.Command("script", {
      args: ["-qec", line, "/dev/null"],
      clearEnv: true,
      env: { ...usualEnvironment(), TERM: "xterm", ...env },
      stdin: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  };
  // deno-lint-ignore no-control-regex
  const colour = /\x1b\[1m#/;
  assert.match(await onTerminal({}), colour);
  assert.doesNotMatch(await onTerminal({ NO_COLOR: "1" }), colour);
});

Deno.test("serve writes an access line a request on standard output, if asked to", async () => {
  await using folder = await tempFolder();
  const port = freePort();
  const file = `${folder.path}/routes.yaml`;
  const table = (log: string) =>
    `server: {listen: "127.0.0.1:${port}", accessLog: ${log}}\nroutes: [{path: /, respond: hi}]\n`;
  await Deno.writeTextFile(file, table("combined"));
  await using running = await startPortico(["-c", file]);
  assert.equal(running.base, `http://127.0.0.1:${port}`);
  await bodyOf(`${running.base}/?a=b`);
  await eventually(() => / "GET \/\?a=b HTTP\/1\.1" 200 2 /.test(running.out()));
  await Deno.writeTextFile(file, table("json"));
  running.signal("SIGHUP");
  await eventually(() => running.err().includes("Reloaded"));
  await bodyOf(`${running.base}/?c=d`);
  await eventually(() => running.out().includes('"target":"/?c=d"'));
  running.signal("SIGTERM");
  const last = (await running.ended).out.trimEnd().split("\n").at(-1) ?? "";
  assert.equal(JSON.parse(last).status, 200);
});
