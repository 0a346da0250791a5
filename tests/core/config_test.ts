import assert from "node:assert/strict";
import fc from "fast-check";
import { parseTable } from "../../lib/config/load.ts";
import type { RouteConfig, Table } from "../../lib/config/table.ts";
import { ConfigError, type Fault } from "../../lib/errors.ts";
import * as kinds from "../support/fake_kinds.ts";

const SOURCE = { file: "conf/routes.yaml", folder: "/srv/app" };

function parse(text: string): Table {
  return parseTable(text, SOURCE, kinds);
}

/** The first route of a file that holds it alone. */
function route(fields: string): RouteConfig {
  const [first] = parse(`routes:\n  - path: /\n    ${fields.replaceAll("\n", "\n    ")}\n`).routes;
  assert.ok(first !== undefined);
  return first;
}

function faultsOf(text: string): readonly Fault[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, error instanceof Error ? error.stack : String(error));
    return error.faults;
  }
  return [];
}

/** A table that uses every key there is. */
const FULL = `# A table with everything.
server:
  listen:
    - 127.0.0.1:8080
    - "[::1]:8080"
    - unix:run/portico.sock
  trustedProxies: [10.0.0.0/8, fd00::/8, 192.0.2.1, unix]
  workers: 3
  maxRequestBody: 16MiB
  bodyIdleTimeout: 0s
  bodyMinRate: 1KiB
  drainTimeout: 1.5s
  accessLog: off
  dev: true
  spoolDir: ../spool
  spoolQuota: 1000
  runDir: ./run/
routes:
  - path: /git/*
    host: "*.Example.org"
    methods: [GET, POST]
    name: git
    maxRequestBody: 1GiB
    timeout: 2m
    firstByteTimeout: 500ms
    onAbort: finish
    maxReplyHead: 128KiB
    requestBody: stream
    headers:
      set:
        X-Frame-Options: DENY
        Link: [</a>; rel=a, "</b>; rel=b"]
        X-Retries: 3
      remove: [Server]
    run:
      root: ./cgi-bin
      args: [--verbose]
      env: &env {VERSION: 1.10, DEBUG: true, EMPTY: ""}
      interpreters: {.py: python3 -u, .pl: [perl, -w]}
  - path: "/users/:id"
    dial: {connect: [unix:/run/a.sock, "localhost:9000"], pool: 3}
  - {path: /*, host: 127.0.0.1, respond: {body: hello, status: 404, env: *env}}
`;

Deno.test("parseTable() fills in the server's defaults", () => {
  const { server } = parse("routes: [{path: /, respond: hi}]");
  assert.deepEqual(server, {
    listen: [{ transport: "tcp", hostname: "127.0.0.1", port: 8080 }],
    trustedProxies: [],
    workers: 1,
    maxRequestBody: 64 * 2 ** 20,
    bodyIdleTimeoutMs: 30_000,
    bodyMinRate: 256,
    drainTimeoutMs: 30_000,
    sendTimeoutMs: 60_000,
    drainDelayMs: 0,
    stallTimeoutMs: 30_000,
    accessLog: "combined",
    dev: false,
    spoolDir: "/tmp/portico-spool",
    spoolQuota: 2 ** 30,
    runDir: server.runDir,
  });
});

Deno.test("parseTable() reads every key of the server, names resolved from the file's folder", () => {
  assert.deepEqual(parse(FULL).server, {
    listen: [
      { transport: "tcp", hostname: "127.0.0.1", port: 8080 },
      { transport: "tcp", hostname: "::1", port: 8080 },
      { transport: "unix", path: "/srv/app/run/portico.sock" },
    ],
    trustedProxies: ["10.0.0.0/8", "fd00::/8", "192.0.2.1", "unix"],
    workers: 3,
    maxRequestBody: 16 * 2 ** 20,
    bodyIdleTimeoutMs: 0,
    bodyMinRate: 1024,
    drainTimeoutMs: 1500,
    sendTimeoutMs: 60_000,
    drainDelayMs: 0,
    stallTimeoutMs: 30_000,
    accessLog: "off",
    dev: true,
    spoolDir: "/srv/spool",
    spoolQuota: 1000,
    runDir: "/srv/app/run",
  });
});

Deno.test("parseTable() takes one worker for each core by the word auto", () => {
  const { server } = parse("{server: {workers: auto}, routes: [{path: /, respond: hi}]}");
  assert.equal(server.workers, navigator.hardwareConcurrency);
});

Deno.test("parseTable() reads every key of a route", () => {
  const [git] = parse(FULL).routes;
  assert.deepEqual(git, {
    index: 0,
    name: "git",
    path: "/git/*",
    host: "*.example.org",
    methods: ["GET", "POST"],
    key: "run",
    kind: kinds.run,
    fields: {
      root: "./cgi-bin",
      args: ["--verbose"],
      env: { VERSION: "1.10", DEBUG: "true", EMPTY: "" },
      interpreters: { ".py": ["python3", "-u"], ".pl": ["perl", "-w"] },
    },
    options: {
      path: "/git/*",
      maxRequestBody: 2 ** 30,
      timeoutMs: 120_000,
      firstByteTimeoutMs: 500,
      onAbort: "finish",
      maxReplyHead: 128 * 2 ** 10,
      requestBody: "stream",
    },
    headers: {
      set: [
        ["X-Frame-Options", "DENY"],
        ["Link", "</a>; rel=a"],
        ["Link", "</b>; rel=b"],
        ["X-Retries", "3"],
      ],
      remove: ["Server"],
    },
    line: 19,
    column: 5,
  });
});

Deno.test("parseTable() fills in a route's defaults, the body limit from the server", () => {
  const table = parse("server: {maxRequestBody: 5}\nroutes: [{path: /a, respond: hi}]");
  assert.deepEqual(table.routes[0]?.options, {
    path: "/a",
    maxRequestBody: 5,
    timeoutMs: undefined,
    firstByteTimeoutMs: 60_000,
    onAbort: "kill",
    maxReplyHead: 65_536,
    requestBody: undefined,
  });
  assert.deepEqual(table.routes[0]?.headers, { set: [], remove: [] });
});

Deno.test("parseTable() keeps the file's name, the folder and each route's place", () => {
  const { file, folder, routes } = parse(FULL);
  assert.deepEqual({ file, folder }, SOURCE);
  assert.deepEqual(
    routes.map(({ index, line, column }) => [index, line, column]),
    [[0, 19, 5], [1, 40, 5], [2, 42, 5]],
  );
});

Deno.test("parseTable() names the run folder after the file's absolute path, short and stable", () => {
  const runDir = (file: string, folder: string) =>
    parseTable("routes: [{path: /, respond: hi}]", { file, folder }, kinds).server.runDir;
  const first = runDir("routes.yaml", "/srv/app");
  assert.match(first, /^\/tmp\/portico-[0-9a-f]{8}$/);
  assert.equal(runDir("conf/../routes.yaml", "/srv/app/"), first);
  assert.notEqual(runDir("routes.yaml", "/srv/app2"), first);
  assert.notEqual(runDir("other.yaml", "/srv/app"), first);
});

Deno.test("parseTable() gives routes without a name their host and path, numbered where need be", () => {
  const { routes } = parse(`
routes:
  - {path: /a, respond: hi}
  - {path: /a, respond: hi, host: b.org}
  - {path: /a, respond: hi, methods: [POST]}
  - {path: /b, respond: hi, name: "/a #3"}
  - {path: /a, respond: hi}
`);
  assert.deepEqual(routes.map(({ name }) => name), ["/a", "b.org/a", "/a #2", "/a #3", "/a #4"]);
});

Deno.test("parseTable() reads a short form as the kind's field for it", () => {
  assert.deepEqual(route("respond: hi").fields, { body: "hi" });
  assert.deepEqual(route('respond: ""').fields, { body: "" });
  assert.deepEqual(route("respond: |\n  two\n  lines").fields, { body: "two\nlines\n" });
  assert.deepEqual(route("dial: localhost:9000").fields, {
    connect: [{ transport: "tcp", hostname: "localhost", port: 9000 }],
  });
});

Deno.test("parseTable() keeps the spelling of what stands for text", () => {
  const { fields } = route(
    "run: {script: a, env: {A: 1.10, B: 007, C: 1e3, D: yes, E: 0x1F, F: True}}",
  );
  assert.deepEqual(fields, {
    script: "a",
    env: { A: "1.10", B: "007", C: "1e3", D: "yes", E: "0x1F", F: "True" },
  });
});

Deno.test("parseTable() reads hosts in the form in which requests have them", () => {
  const hosts = {
    "Git.Example.ORG": "git.example.org",
    "::1": "[::1]",
    "[2001:DB8::1]": "[2001:db8::1]",
  };
  for (const [written, read] of Object.entries(hosts)) {
    assert.equal(route(`respond: hi\nhost: "${written}"`).host, read);
  }
});

Deno.test("parseTable() resolves aliases and merge keys; a map's own keys win, then the first source", () => {
  const { routes } = parse(`
routes:
  - &a {path: /a, respond: {status: 201}, timeout: 1s, name: a}
  - <<: *a
    path: /b
    name: b
  - <<: [{path: /c, name: c}, *a]
`);
  const seen = routes.map((
    { path, name, fields, options },
  ) => [path, name, fields, options.timeoutMs]);
  assert.deepEqual(seen, [
    ["/a", "a", { status: 201 }, 1000],
    ["/b", "b", { status: 201 }, 1000],
    ["/c", "c", { status: 201 }, 1000],
  ]);
});

Deno.test("parseTable() reads a quoted << as an ordinary key", () => {
  assert.deepEqual(route('run: {script: a, interpreters: {"<<": b}}').fields, {
    script: "a",
    interpreters: { "<<": ["b"] },
  });
});

Deno.test("parseTable() reads JSON, directives, document markers, CRLF and a byte order mark", () => {
  const files = [
    '{"routes": [{"path": "/", "respond": {"body": "hi"}}]}',
    "%YAML 1.2\n---\nroutes: [{path: /, respond: hi}]\n...\n",
    "\ufeffroutes:\r\n  - path: /\r\n    respond: hi\r\n",
    "routes: [{path: !!str /, ! respond: hi,},]",
  ];
  for (const text of files) assert.deepEqual(parse(text).routes[0]?.fields, { body: "hi" }, text);
});

Deno.test("parseTable() reads yes and off as text, also under a YAML 1.1 directive", () => {
  const { server, routes } = parse(
    "%YAML 1.1\n---\nserver: {accessLog: off}\nroutes: [{path: /, respond: yes}]",
  );
  assert.equal(server.accessLog, "off");
  assert.deepEqual(routes[0]?.fields, { body: "yes" });
});

Deno.test("parseTable() lets nothing of the file reach the prototypes of objects", () => {
  faultsOf(
    "routes: [{path: /, respond: {env: {__proto__: {polluted: yes}}}}]\n__proto__: {polluted: yes}",
  );
  assert.equal("polluted" in {}, false);
});

Deno.test("parseTable() finds kinds by own names only, also in a registry with a prototype", () => {
  const registry = Object.create({ ghost: kinds.run }, {
    respond: { value: kinds.respond, enumerable: true },
  });
  const load = () => parseTable("routes: [{path: /, ghost: a}]", SOURCE, registry);
  assert.throws(load, /Unknown key "ghost"/);
});

Deno.test("parseTable() refuses nesting without end instead of running out of stack", () => {
  const brackets = faultsOf(`routes: ${"[".repeat(100_000)}`);
  assert.deepEqual(brackets.map(({ line, message }) => [line, message]), [
    [1, "Cannot nest lists and maps this deep: write them flatter"],
  ]);
  const closed = faultsOf(`routes: ${"[".repeat(70)}${"]".repeat(70)}`);
  assert.deepEqual(closed.map(({ column, message }) => [column, message]), [
    [72, "Cannot nest lists and maps deeper than 64: write them flatter"],
  ]);
  assert.equal(faultsOf("- ".repeat(2000)).length, 1);
});

Deno.test("parseTable() reports faults of all parts at once, in the order of the file", () => {
  const places = faultsOf(`
routes:
  - {path: "(", respond: hi}
  - {path: /a, respond: hi, timeout: soon}
  - {path: /b}
server: {dev: maybe}
`).map(({ file, line, column }) => `${file}:${line}:${column}`);
  assert.deepEqual(places, [
    "conf/routes.yaml:3:12",
    "conf/routes.yaml:4:38",
    "conf/routes.yaml:5:5",
    "conf/routes.yaml:6:15",
  ]);
});

/** Whether the fault stands on a character of the text, or at the end of one of its lines. */
function isInside({ line, column }: Fault, text: string): boolean {
  const found = text.split("\n")[line - 1];
  return found !== undefined && column >= 1 && column <= found.length + 1;
}

/** Judges whatever the text is: a table, or faults that lie inside. */
function assertJudged(text: string): void {
  for (const fault of faultsOf(text)) {
    assert.ok(isInside(fault, text), `${fault.line}:${fault.column} lies outside`);
    assert.match(fault.message, /^[A-Z][^\n]*[^.\n]$/);
  }
}

interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: string;
}

const edit = fc.record<Edit>({
  at: fc.nat({ max: FULL.length }),
  remove: fc.nat({ max: 12 }),
  insert: fc.oneof(
    fc.constantFrom(
      ..."[]{}:,-&*!|>'\"%@`#? \n\t~<",
      "- ",
      ": ",
      "*env",
      "&env ",
      "<<: ",
      "\r\n",
      "\u0000",
    ),
    fc.constantFrom(
      "null",
      "true",
      "3",
      "1GiB",
      "soon",
      "path: /",
      "__proto__",
      "timeout",
      "\n  - ",
      "é",
    ),
    fc.string({ unit: "binary", maxLength: 4 }),
  ),
});

Deno.test("parseTable() judges any mutation of a good file, with every fault inside it", () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const mutate = (text: string, { at, remove, insert }: Edit) =>
        text.slice(0, at) + insert + text.slice(at + remove);
      assertJudged(edits.reduce(mutate, FULL).replace(/^\ufeff/, ""));
    }),
    { numRuns: 400 },
  );
});

Deno.test("parseTable() judges any text made of what YAML gives a meaning to", () => {
  const unit = fc.constantFrom(
    ..."[]{}:,-&*!|>'\"%@`#? \n\tax1/~<",
    "\n  ",
    "a: ",
    "- ",
    "routes:",
  );
  fc.assert(fc.property(fc.string({ unit, maxLength: 40 }), assertJudged), { numRuns: 1000 });
});

Deno.test("parseTable() places a bad scalar wherever it stands", () => {
  const scalars = [
    ...FULL.matchAll(/(?<=: )(?:16MiB|1\.5s|off|true|1GiB|2m|500ms|finish|128KiB|stream)$/gm),
  ];
  assert.equal(scalars.length, 10);
  for (const { index, 0: scalar } of scalars) {
    const [fault, ...others] = faultsOf(
      FULL.slice(0, index) + "wrong" + FULL.slice(index + scalar.length),
    );
    const before = FULL.slice(0, index).split("\n");
    assert.deepEqual(others, []);
    assert.equal(fault?.line, before.length);
    assert.equal(fault?.column, (before.at(-1)?.length ?? 0) + 1);
  }
});
