/** Applications in Python as the table describes them: what is taken, what is refused, what it takes to run. */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { wsgi } from "../../lib/handlers/wsgi.ts";
import { runPortico, startPortico } from "../support/command.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

/** What the configuration says of a route. */
function faultsOf(fields: string): string[] {
  const text = `routes:\n  - path: /*\n    wsgi: ${fields}\n`;
  try {
    parseTable(text, { file: "t.yaml", folder: "/srv" }, { wsgi });
    return [];
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
}

Deno.test("wsgi takes applications in Python by file, and by module and name", () => {
  const names = [
    "./app.py",
    "./app.py:application",
    "a b/my-app.py:site.app",
    "package.module:app",
  ];
  for (const app of [...names, "app:app", "/srv/x.py"]) {
    assert.deepEqual(faultsOf(`"${app}"`), [], app);
  }
  const fields =
    "python: ./.venv/bin/python, processes: {min: 1, max: 4}, idleTimeout: 5s, threads: 2, " +
    "path: [lib], env: {A: 1}, maxRequests: 10, startTimeout: 5s, stopTimeout: 1s, user: www-data, " +
    "group: www-data, guard: false, validate: true";
  assert.deepEqual(faultsOf(`{app: ./app.py, ${fields}}`), []);
});

const FAULTS: Readonly<Record<string, string>> = {
  "app.module":
    '3:11: Cannot read "app.module" as a module: write a TypeScript module, ./app.ts or ' +
    "./app.ts:name, or for Python ./app.py:name or package.module:name",
  "{app: ./app.py, middleware: [./a.ts]}": "3:11: Cannot put middleware in TypeScript around an " +
    "application in Python: wrap it in Python, and leave out middleware",
  "{app: ./app.py, isolate: worker}":
    "3:11: Cannot isolate an application in Python further: it has " +
    "processes of its own. Leave out isolate",
  "{app: ./app.ts, threads: 2}":
    "3:11: Cannot use threads here: it is for applications in Python. " +
    "Leave it out",
  "{app: ./app.ts, python: python3}":
    "3:11: Cannot use python here: it is for applications in Python. " +
    "Leave it out",
  "{app: ./app.py, processes: 2, idleTimeout: 5s}":
    "3:11: Cannot end what idles of a fixed number: " +
    "write processes as {min, max}",
  "{app: ./app.py, processes: 0}":
    "3:38: Cannot read 0 as a count: write a whole number, 1 or more",
  "{app: ./app.py, threads: many}":
    '3:36: Cannot read "many" as a count: write a whole number, 1 or more',
};
for (const [fields, fault] of Object.entries(FAULTS)) {
  Deno.test(`wsgi refuses ${fields}`, () => assert.deepEqual(faultsOf(fields), [fault]));
}

async function writeSite(folder: string): Promise<string> {
  const file = `${folder}/routes.yaml`;
  await Deno.writeTextFile(
    `${folder}/app.py`,
    `def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read() and b"body" or b"none"]
`,
  );
  await Deno.writeTextFile(
    file,
    `server: {listen: "127.0.0.1:0", runDir: ./run, spoolDir: ./spool, accessLog: off}
routes:
  - {path: /*, wsgi: {app: ./app.py, python: /usr/bin/python3, processes: 2, maxRequests: 50}}
`,
  );
  return file;
}

testWith(["python3"], "flags are just enough for an application in Python", async () => {
  await using folder = await tempFolder();
  const file = await writeSite(folder.path);
  const { out } = await runPortico(["flags", "-c", file]);
  const flags = out.trim().split(" ");
  assert.ok(flags.includes("--allow-run=/usr/bin/python3,sh"), out);
  assert.doesNotMatch(out, /app\.py/, "the application is its interpreter's to read");
  await using running = await startPortico(["-c", file], { flags });
  assert.equal(await (await fetch(running.base)).text(), "none");
  const body = new Uint8Array(2 ** 21);
  assert.equal(await (await fetch(running.base, { method: "POST", body })).text(), "body");
  running.signal("SIGTERM");
  const { code, err } = await running.ended;
  assert.deepEqual([code, err], [0, ""]);
});

Deno.test("explain tells of an application in Python without running it", async () => {
  await using folder = await tempFolder();
  const file = await writeSite(folder.path);
  await Deno.remove(`${folder.path}/app.py`);
  const { code, out } = await runPortico(["explain", "-c", file, "--json", "/a/b?c=d"]);
  assert.equal(code, 0, out);
  assert.match(out, /"QUERY_STRING": ?"c=d"/);
  assert.match(out, /called by \/usr\/bin\/python3: processes 2, threads 1/);
  assert.match(out, /app\.py does not exist/);
});
