import assert from "node:assert/strict";
import * as v from "valibot";
import { parseTable } from "../../lib/config/load.ts";
import { ClientGone, ConfigError, GatewayError } from "../../lib/errors.ts";
import type { Exchange, Mount, Reply } from "../../lib/exchange.ts";
import type { Context, RouteSummary, Service } from "../../lib/handler.ts";
import { wsgi } from "../../lib/handlers/wsgi.ts";
import { sizeBody } from "../../lib/io/body.ts";
import { Spool } from "../../lib/io/spool.ts";
import { events as fetchEvents } from "../apps/wsgi_fetch.ts";
import { closed } from "../apps/wsgi_file.ts";
import { events } from "../apps/wsgi_stream.ts";
import { byteStreamOf, silentStream } from "../support/byte_stream.ts";
import { exchangeOf } from "../support/exchange.ts";
import { eventually, rawExchange, withGateway } from "../support/gateway.ts";
import { MemoryLog } from "../support/service_log.ts";
import { listOf, settle } from "../support/wsgi_call.ts";

const APPS = new URL("../apps", import.meta.url).pathname;
const PLACE = { folder: APPS, runDir: "/tmp", spoolDir: "/tmp" };
const MOUNT: Mount = { scriptName: "", pathInfo: "/", params: {} };

type Fields = Parameters<typeof wsgi.open>[0];

interface Opened extends AsyncDisposable {
  readonly log: MemoryLog;
  ask(exchange?: Partial<Exchange>): Promise<Reply>;
}

/** Opens a route as the gateway does, with nothing else around it. */
async function open(app: string, more: Partial<Fields> = {}, dev = false): Promise<Opened> {
  const log = new MemoryLog();
  const fields = v.parse(wsgi.schema, { app, ...more });
  const service = await wsgi.open(fields, { ...contextOf(log), dev });
  return {
    log,
    ask: (exchange) => ask(service, exchange),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

const ROUTES: readonly RouteSummary[] = Object.freeze([]);

function contextOf(log: MemoryLog): Context {
  return {
    place: PLACE,
    route: "test",
    options: {
      path: "/*",
      maxRequestBody: 1000,
      timeoutMs: undefined,
      firstByteTimeoutMs: undefined,
      onAbort: "kill",
      maxReplyHead: 65_536,
      requestBody: undefined,
    },
    routes: ROUTES,
    dev: false,
    passesOn: false,
    log,
    sizeBody: (exchange) =>
      sizeBody(exchange, { mode: "stream", max: 1000, spool: new Spool("/tmp", 0) }),
    share: () => Promise.reject(new Error("Nothing is shared here")),
  };
}

async function ask(service: Service, changes: Partial<Exchange> = {}): Promise<Reply> {
  const exchange = exchangeOf(changes);
  const outcome = await service.serve(exchange, { ...MOUNT, pathInfo: exchange.path });
  assert.equal(outcome.type, "reply");
  return outcome;
}

async function bytesOf({ body }: Reply): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  if (body instanceof Uint8Array) return body;
  for (let part = await body?.read(); part !== undefined; part = await body?.read()) {
    parts.push(part);
  }
  return await new Blob(parts).bytes();
}

async function textOf(reply: Reply): Promise<string> {
  return reply.body === null ? "" : (await listOf(reply.body)).join("");
}

/** Why a route cannot be opened. */
async function refusal(app: string, middleware?: string[]): Promise<string> {
  try {
    await open(app, middleware === undefined ? {} : { middleware });
  } catch (error) {
    assert(error instanceof Error);
    return error.message;
  }
  throw new Error(`${app} was opened`);
}

function fieldOf(reply: Reply, name: string): string[] {
  return reply.headers.filter(([field]) => field === name).map(([, value]) => value);
}

Deno.test("wsgi calls a module's default export, without a promise", async () => {
  await using route = await open("./wsgi_basic.ts", { env: { STAGE: "test" } });
  const reply = await route.ask({ path: "/a", query: "b=c", headers: new Headers({ "x-y": "z" }) });
  assert.equal(reply.status, 200);
  assert.deepEqual(fieldOf(reply, "X-App"), ["default"]);
  const environ = JSON.parse(await textOf(reply));
  assert.equal(environ.PATH_INFO, "/a");
  assert.equal(environ.QUERY_STRING, "b=c");
  assert.equal(environ.HTTP_X_Y, "z");
  assert.equal(environ.STAGE, "test");
  assert.equal(environ["portico.request_id"], "id-1");
  const service = await wsgi.open({ app: "./wsgi_basic.ts" }, contextOf(new MemoryLog()));
  assert(!(service.serve(exchangeOf(), MOUNT) instanceof Promise));
});

Deno.test("wsgi finds exports by name, default, or application", async () => {
  await using named = await open("./wsgi_basic.ts:grumble");
  assert.equal((await named.ask()).status, 200);
  await using absolute = await open(`${APPS}/wsgi_layered.ts`);
  assert.equal((await absolute.ask()).status, 200);
});

Deno.test('wsgi puts middleware around in order, the module\'s own inside (PEP 3333 "Middleware")', async () => {
  await using route = await open("./wsgi_layered.ts", {
    middleware: ["./wsgi_layered.ts:layer", "wsgi_basic.ts:outer", "wsgi_basic.ts:inner"],
  });
  const reply = await route.ask();
  assert.deepEqual(fieldOf(reply, "X-Layer"), ["own innermost", "own outermost", "route"]);
  assert.deepEqual(fieldOf(reply, "X-Trail"), ["outer inner", "outer inner"]);
});

Deno.test('wsgi streams the request body to wsgi.input (PEP 3333 "Input and Error Streams")', async () => {
  await using route = await open("./wsgi_basic.ts:shout");
  const encoder = new TextEncoder();
  const body = byteStreamOf(encoder.encode("one\nt"), encoder.encode("wo"));
  const headers = new Headers({ "transfer-encoding": "chunked" });
  const reply = await route.ask({ method: "POST", body, headers });
  assert.equal(await textOf(reply), "ONE\nTWO");
});

Deno.test("wsgi tells CONTENT_LENGTH where it is known, and lets go of a body that is not read", async () => {
  await using route = await open("./wsgi_basic.ts");
  let cancelled = false;
  const body = silentStream(() => void (cancelled = true));
  const headers = new Headers({ "content-length": "12" });
  const reply = await route.ask({ method: "POST", body, headers });
  assert.equal(JSON.parse(await textOf(reply)).CONTENT_LENGTH, "12");
  assert.equal(cancelled, true);
});

Deno.test("wsgi answers 413 when the application reads more than the route allows", async () => {
  await using route = await open("./wsgi_basic.ts:shout");
  const body = byteStreamOf(new Uint8Array(600), new Uint8Array(600));
  const asked = route.ask({ method: "POST", body, headers: new Headers({ "x-chunked": "1" }) });
  await assert.rejects(asked, { status: 413, failure: "body-too-large" });
});

Deno.test('wsgi writes wsgi.errors to the log, line by line (PEP 3333 "Input and Error Streams")', async () => {
  await using route = await open("./wsgi_basic.ts:grumble");
  await route.ask({ id: "id-5" });
  assert.deepEqual(route.log.lines, ["id-5: one", "id-5: two \u2713", "id-5: thr", "id-5: ee"]);
});

Deno.test('wsgi answers 500 when the application throws, and says where (PEP 3333 "Error Handling")', async () => {
  await using route = await open("./wsgi_basic.ts:grumble");
  const failure = await route.ask({ path: "/fail" }).catch((error: unknown) => error);
  assert(failure instanceof GatewayError);
  assert.equal(failure.status, 500);
  assert.equal(failure.failure, "application-error");
  assert.match(failure.message, /^RangeError: as asked\n.*wsgi_basic\.ts:\d+:\d+/);
  assert.equal(route.log.lines.at(-1), "id-1: ee");
});

const LENGTH = 'PEP 3333 "Handling the Content-Length Header"';

Deno.test(`wsgi cuts what exceeds Content-Length, and says so (${LENGTH})`, async () => {
  for (const form of ["array", "set"]) {
    await using route = await open("./wsgi_basic.ts:dishonest");
    assert.equal(await textOf(await route.ask({ path: `/4/${form}` })), "abcd");
    assert.match(route.log.notices.join(), /exceeds its Content-Length 4/);
  }
});

Deno.test(`wsgi aborts what ends before Content-Length (${LENGTH})`, async () => {
  for (const form of ["array", "set"]) {
    await using route = await open("./wsgi_basic.ts:dishonest");
    const reply = await route.ask({ path: `/9/${form}` });
    await assert.rejects(textOf(reply), { failure: "body-short" });
  }
});

Deno.test(`wsgi sends what keeps its Content-Length (${LENGTH})`, async () => {
  for (const form of ["array", "set"]) {
    await using route = await open("./wsgi_basic.ts:dishonest");
    assert.equal(await textOf(await route.ask({ path: `/6/${form}` })), "abcdef");
    assert.deepEqual(route.log.notices, []);
  }
});

Deno.test("wsgi answers HEAD without a body", async () => {
  await using route = await open("./wsgi_basic.ts:dishonest");
  const reply = await route.ask({ method: "HEAD", path: "/6/array" });
  assert.equal(reply.body, null);
  assert.deepEqual(fieldOf(reply, "Content-Length"), ["6"]);
});

Deno.test("wsgi cannot open a module that is missing, and says which", async () => {
  assert.match(
    await refusal("./wsgi_none.ts"),
    /^Cannot import \/.*wsgi_none\.ts: Module not found/,
  );
});

Deno.test("wsgi cannot open a module that fails, and says where", async () => {
  const message = await refusal("./wsgi_failing.ts");
  assert.match(message, /^Cannot import \/.*wsgi_failing\.ts: TypeError: .*'rows'/);
  assert.match(message, / at file:\/\/\/.*wsgi_failing\.ts:4:\d+$/);
});

Deno.test("wsgi cannot open a module that does not parse, and says where", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, "export default (\n  const 5;\n");
  const message = await refusal(file);
  assert.match(message, /^Cannot import \//);
  assert(message.includes(`${file}:2:`), message);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(message, /\x1b/);
  await Deno.remove(file);
});

Deno.test("wsgi cannot open a module without an application, and says what it exports", async () => {
  const cases: [string, RegExp][] = [
    ["./wsgi_basic.ts:nope", /exports no application as nope: it exports .*default, .*shout/],
    [
      "./wsgi_layered.ts:notMiddleware",
      /exports no application: notMiddleware is no function, and has no fetch\(\)/,
    ],
  ];
  for (const [app, expected] of cases) assert.match(await refusal(app), expected);
});

Deno.test("wsgi cannot open with middleware that is none, and says which", async () => {
  const cases: [string, RegExp][] = [
    ["./wsgi_layered.ts:notMiddleware", /exports no middleware: notMiddleware is no function/],
    ["./wsgi_layered.ts:nope", /exports no middleware as nope/],
    ["./wsgi_layered.ts:nothing", /wsgi_layered\.ts:nothing returns no application but undefined/],
    ["./wsgi_layered.ts", /exports no middleware: middleware is no function/],
  ];
  for (const [layer, expected] of cases) {
    assert.match(await refusal("./wsgi_basic.ts", [layer]), expected);
  }
});

/** What the configuration says of a route. */
function faultsOf(route: string): string[] {
  try {
    parseTable(`routes:\n  - {path: /*, ${route}}\n`, { file: "t.yaml", folder: "/srv" }, { wsgi });
    return [];
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.faults.map(({ message }) => message);
  }
}

Deno.test("wsgi takes modules by file, and by file and name", () => {
  for (
    const app of ["./app.ts", "app.js", "/srv/app.mts:name", "../a b/app.tsx:$x", "./app.py.ts"]
  ) {
    assert.deepEqual(faultsOf(`wsgi: "${app}"`), [], app);
  }
  assert.deepEqual(faultsOf("wsgi: {app: ./a.ts, middleware: [./b.ts:c], env: {A: 1}}"), []);
});

Deno.test("wsgi refuses what names no module, and fields that it does not have", () => {
  for (const app of ["./app", "./app.rb", "./app.ts:", "./app.ts:a-b", "./app.ts:1"]) {
    assert.match(faultsOf(`wsgi: "${app}"`).join(), /^Cannot read ".*" as a module: write/, app);
  }
  assert.match(faultsOf("wsgi: {app: ./a.ts, middleware: [./b.rb]}").join(), /b\.rb/);
  assert.match(faultsOf("wsgi: {app: ./a.ts, isolated: true}").join(), /Unknown key "isolated"/);
  assert.match(faultsOf("wsgi: {middleware: []}").join(), /Missing key "app"/);
});

Deno.test("wsgi needs to read the folders of its modules", () => {
  const fields = v.parse(wsgi.schema, { app: "./a/app.ts:x", middleware: ["/b/layer.ts"] });
  const needs = wsgi.permissions(
    fields,
    { ...PLACE, folder: "/srv" },
    contextOf(new MemoryLog()).options,
  );
  assert.deepEqual(needs.map(({ name, value }) => [name, value]), [
    ["read", "/srv/a"],
    ["read", "/b"],
  ]);
});

Deno.test("wsgi opens with no more than the permissions it asks for", async () => {
  const [need] = wsgi.permissions(
    { app: "./wsgi_basic.ts" },
    PLACE,
    contextOf(new MemoryLog()).options,
  );
  const granted = await openIn([`--allow-read=${need?.value}`]);
  assert.equal(granted, "opened\n");
  const refused = await openIn([]);
  assert.match(
    refused,
    /Cannot import .*wsgi_basic\.ts: Requires read access to ".*wsgi_basic\.ts"/,
  );
});

/** Opens the test application in a runtime with these flags; gives what it says. */
async function openIn(flags: readonly string[]): Promise<string> {
  const script = `
    import { wsgi } from ${JSON.stringify(new URL("../../lib/handlers/wsgi.ts", import.meta.url))};
    const place = { folder: ${JSON.stringify(APPS)} };
    await wsgi.open({ app: "./wsgi_basic.ts" }, { place, routes: [], log: {} })
      .then(() => console.log("opened"), (error) => console.log(error.message));`;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--quiet", "--config", config, ...flags, "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(script));
  await input.close();
  return new TextDecoder().decode((await child.output()).stdout);
}

Deno.test("wsgi explains what an application would receive, without running it", async () => {
  const question = {
    place: PLACE,
    route: contextOf(new MemoryLog()).options,
    exchange: exchangeOf({ headers: new Headers({ "x-y": "z" }) }),
    mount: { ...MOUNT, scriptName: "/app", pathInfo: "/x" },
  };
  const fields = { app: "./wsgi_failing.ts", env: { STAGE: "test" } };
  const told = await wsgi.explain(fields, question);
  assert.equal(told.target, `${APPS}/wsgi_failing.ts`);
  assert.equal(told.environ["SCRIPT_NAME"], "/app");
  assert.equal(told.environ["HTTP_X_Y"], "z");
  assert.equal(told.environ["STAGE"], "test");
  assert.deepEqual(told.notes, []);
  const missing = await wsgi.explain({ app: "./wsgi_none.ts" }, question);
  assert.deepEqual(missing.notes, [`${APPS}/wsgi_none.ts does not exist`]);
});

Deno.test("wsgi validates where it is told to, and by default under server.dev", async () => {
  const app = "./wsgi_faulty.ts";
  await using asTold = await open(app, { validate: true });
  await assert.rejects(asTold.ask(), { failure: "wsgi-field-name-end", status: 500 });
  await using inDev = await open(app, {}, true);
  await assert.rejects(inDev.ask(), { failure: "wsgi-field-name-end" });
  await using notInDev = await open(app, { validate: false }, true);
  assert.equal((await notInDev.ask()).status, 200);
  await using byDefault = await open(app);
  assert.equal((await byDefault.ask()).status, 200);
  assert.deepEqual(faultsOf("wsgi: {app: ./a.ts, validate: yes please}"), [
    'Cannot read "yes please" as a switch: write true or false',
  ]);
});

Deno.test("wsgi validates at every border: a fault is found next to who made it", async () => {
  const layers = ["./wsgi_faulty.ts:correcting", "portico:timing"];
  await using route = await open("./wsgi_faulty.ts", { middleware: layers, validate: true });
  await assert.rejects(route.ask(), { failure: "wsgi-field-name-end" });
  await using outer = await open("./wsgi_basic.ts", {
    middleware: ["portico:cors", "./wsgi_faulty.ts:careless"],
    validate: true,
  });
  await assert.rejects(outer.ask(), { failure: "wsgi-write-missing" });
});

Deno.test("the validator finds nothing in any application of these tests", async () => {
  const cases: [app: string, exchange?: Partial<Exchange>][] = [
    ["./wsgi_basic.ts"],
    ["./wsgi_basic.ts:shout", { method: "POST" }],
    ["./wsgi_basic.ts:grumble"],
    ["./wsgi_basic.ts:dishonest", { path: "/6/array" }],
    ["./wsgi_basic.ts:dishonest", { path: "/6/set" }],
    ["./wsgi_layered.ts"],
    ["../../lib/welcome/app.ts"],
    ["./wsgi_file.ts"],
    ["./wsgi_fetch.ts"],
    ["./wsgi_fetch.ts:site"],
  ];
  const builtIn = ["portico:timing", "portico:cors", "portico:methodOverride", "portico:gzip"];
  const env = { FILE: new URL(import.meta.url).pathname };
  for (const [app, exchange] of cases) {
    for (const middleware of [[], ["portico:validator"], builtIn]) {
      await using route = await open(app, { middleware, validate: true, env });
      const headers = new Headers({ "accept-encoding": "gzip", "transfer-encoding": "chunked" });
      const body = exchange?.method === "POST" ? byteStreamOf(new Uint8Array(9)) : null;
      const reply = await route.ask({ headers, body, ...exchange });
      if (reply.body !== null) await listOf(reply.body);
      await settle();
      const said = [...route.log.lines, ...route.log.notices].filter((line) =>
        line.includes("validator") && !line.includes("should have a Content-Type")
      );
      assert.deepEqual(said, [], `${app} in ${middleware}`);
    }
  }
});

Deno.test("the validator finds nothing in endless applications, nor in how they end", async () => {
  for (const app of ["./wsgi_stream.ts", "../../lib/welcome/ticks.ts", "./wsgi_fetch.ts:ticks"]) {
    await using route = await open(app, { middleware: ["portico:gzip"], validate: true });
    const { body } = await route.ask({ headers: new Headers({ "accept-encoding": "gzip" }) });
    assert(body !== null && !(body instanceof Uint8Array));
    assert((await body.read())?.length, app);
    body.cancel(new ClientGone());
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual([...route.log.lines, ...route.log.notices], [], app);
  }
});

Deno.test("wsgi knows its own middleware by name, and says what there is", async () => {
  const zipped = { middleware: ["portico:gzip"], env: { FILE: new URL(import.meta.url).pathname } };
  await using route = await open("./wsgi_basic.ts", zipped);
  const reply = await route.ask({ headers: new Headers({ "accept-encoding": "gzip" }) });
  assert.deepEqual(fieldOf(reply, "Vary"), ["Accept-Encoding"]);
  assert.deepEqual(faultsOf("wsgi: {app: ./a.ts, middleware: [portico:gzip, ./b.ts]}"), []);
  for (const name of ["portico:gzp", "portico:basicAuth", "portico:", "portico:./a.ts"]) {
    const [message = "", ...more] = faultsOf(`wsgi: {app: ./a.ts, middleware: ["${name}"]}`);
    assert(message.startsWith(`Cannot find the middleware "${name}": there are portico:cors, `));
    assert.deepEqual(more, []);
  }
  const needs = wsgi.permissions(
    { app: "./app.ts", ...zipped },
    PLACE,
    contextOf(new MemoryLog()).options,
  );
  assert.equal(needs.length, 1, "what comes with Portico is not read from the disk");
});

Deno.test("wsgi mounts an object with fetch(), and gives it a Request", async () => {
  await using route = await open("./wsgi_fetch.ts");
  const reply = await route.ask({
    method: "POST",
    target: "/a%20b?c=d",
    path: "/a b",
    query: "c=d",
    scheme: "https",
    headers: new Headers({ "x-a": "b", "x-forwarded-for": "1.2.3.4" }),
    withholds: (name) => name === "x-forwarded-for",
    body: byteStreamOf(new TextEncoder().encode("hello")),
  });
  assert.equal(reply.status, 201);
  assert.deepEqual(fieldOf(reply, "set-cookie"), ["a=1", "b=2"]);
  assert(reply.body instanceof Uint8Array, "a body in memory goes out with its length");
  assert.deepEqual(JSON.parse(await textOf(reply)), {
    method: "POST",
    url: "https://example.org/a%20b?c=d",
    headers: { host: "example.org", "x-a": "b" },
    body: "hello",
    remoteAddr: { transport: "tcp", hostname: "192.0.2.9", port: 4000 },
    params: {},
    requestId: "id-1",
  });
  await using site = await open("./wsgi_fetch.ts:site");
  assert.equal(await textOf(await site.ask()), "this is there");
});

Deno.test("wsgi puts middleware around an object with fetch() as well", async () => {
  await using route = await open("./wsgi_fetch.ts", {
    middleware: ["portico:timing", "./wsgi_layered.ts:layer"],
  });
  const reply = await route.ask({ path: "/x", query: "y" });
  assert.deepEqual(fieldOf(reply, "X-Layer"), ["route"]);
  assert.match(fieldOf(reply, "Server-Timing").join(), /^app;dur=/);
  assert.equal(JSON.parse(await textOf(reply)).url, "http://example.org/x?y");
});

Deno.test("wsgi answers 413 when a fetch handler reads more than the route allows", async () => {
  await using route = await open("./wsgi_fetch.ts");
  const body = byteStreamOf(new Uint8Array(600), new Uint8Array(600));
  const asked = route.ask({ method: "POST", body, headers: new Headers({ "x-chunked": "1" }) });
  await assert.rejects(asked, { status: 413 });
});

Deno.test("wsgi says where a fetch handler failed", async () => {
  await using route = await open("./wsgi_fetch.ts:failing");
  const failure = await route.ask().catch((error: unknown) => error);
  assert(failure instanceof GatewayError);
  assert.match(failure.message, /^RangeError: as asked\n.*wsgi_fetch\.ts:\d+:\d+/);
});

Deno.test("wsgi ends a fetch handler's work with the client, before and after the head", async () => {
  const table = "routes:\n  - {path: /ticks, wsgi: './apps/wsgi_fetch.ts:ticks'}\n" +
    "  - {path: /waiting, wsgi: './apps/wsgi_fetch.ts:waiting'}\n";
  await withGateway(table, async ({ base }) => {
    fetchEvents.length = 0;
    const leaving = new AbortController();
    const response = await fetch(`${base}/ticks`, { signal: leaving.signal });
    const reader = response.body?.getReader();
    assert.match(new TextDecoder().decode((await reader?.read())?.value), /^tick 0/);
    leaving.abort();
    await reader?.closed.catch(() => {});
    await eventually(() => fetchEvents.length === 1);
    const early = new AbortController();
    const asked = fetch(`${base}/waiting`, { signal: early.signal });
    setTimeout(() => early.abort(), 50);
    await asked.catch(() => {});
    await eventually(() => fetchEvents.length === 2);
    assert.deepEqual(fetchEvents, ["cancel", "abort"]);
  });
});

Deno.test("wsgi passes on a fetch handler's Response, and tells of one that broke off", async () => {
  const table = "routes:\n  - {path: /site, wsgi: './apps/wsgi_fetch.ts:site'}\n" +
    "  - {path: /breaking, wsgi: './apps/wsgi_fetch.ts:breaking'}\n" +
    "  - {path: /timed, timeout: 1m, wsgi: './apps/wsgi_fetch.ts:site'}\n";
  await withGateway(table, async ({ base, access, log }) => {
    for (const path of ["/site", "/timed"]) {
      const response = await fetch(base + path);
      assert.equal(response.headers.get("content-type"), "text/plain;charset=UTF-8");
      assert.equal(await response.text(), "this is there");
    }
    await assert.rejects(fetch(`${base}/breaking`).then((response) => response.text()));
    await eventually(async () => (await access()).split("\n").length === 4);
    // Whose bodies nobody looks at, their bytes nobody counts.
    assert.match(await access(), /"GET \/site HTTP\/1.1" 200 - /);
    assert.match(await access(), /"GET \/timed HTTP\/1.1" 200 13 /);
    assert.match(await access(), /"GET \/breaking HTTP\/1.1" 200 - /);
    assert.match(await log(), /The body of an answer failed: half is all/);
  });
});

const FILES = 'PEP 3333 "Optional Platform-Specific File Handling"';

Deno.test(`wsgi sends a file with its length, from where it stands (${FILES})`, async () => {
  closed.length = 0;
  const FILE = await Deno.makeTempFile();
  const content = crypto.getRandomValues(new Uint8Array(60_000));
  for (let block = 0; block < 10; block++) await Deno.writeFile(FILE, content, { append: true });
  for (const [SKIP, length] of [["0", 600_000], ["599999", 1], ["600000", 0]] as const) {
    await using route = await open("./wsgi_file.ts", { env: { FILE, SKIP } });
    const reply = await route.ask();
    assert.deepEqual(fieldOf(reply, "Content-Length"), [String(length)]);
    assert.equal((await bytesOf(reply)).length, length);
  }
  await using bare = await open("./wsgi_file.ts:bare", { env: { FILE } });
  const whole = await bytesOf(await bare.ask());
  assert.deepEqual(whole.subarray(-60_000), content);
  await using head = await open("./wsgi_file.ts", { env: { FILE } });
  const headReply = await head.ask({ method: "HEAD" });
  assert.deepEqual(fieldOf(headReply, "Content-Length"), ["600000"]);
  await settle();
  assert.deepEqual(closed, ["file", "file", "file", "file"]);
  await Deno.remove(FILE);
});

Deno.test(`wsgi aborts a file that shrinks, and cuts one that grows (${FILES})`, async () => {
  const FILE = await Deno.makeTempFile();
  for (const [size, expected] of [[100_000, "body-short"], [900_000, 600_000]] as const) {
    await Deno.writeFile(FILE, new Uint8Array(600_000));
    await using route = await open("./wsgi_file.ts", { env: { FILE } });
    const reply = await route.ask();
    await Deno.truncate(FILE, size);
    if (typeof expected === "string") await assert.rejects(bytesOf(reply), { failure: expected });
    else assert.equal((await bytesOf(reply)).length, expected);
    await settle();
  }
  await Deno.remove(FILE);
});

Deno.test(`wsgi sends what claims to be an empty file to its end (${FILES})`, async () => {
  await using route = await open("./wsgi_file.ts", { env: { FILE: "/proc/self/status" } });
  const reply = await route.ask();
  assert.deepEqual(fieldOf(reply, "Content-Length"), []);
  assert.match(new TextDecoder().decode(await bytesOf(reply)), /^Name:/);
});

const STREAM = "routes:\n  - {path: /*, wsgi: ./apps/wsgi_stream.ts}\n";

Deno.test("wsgi ends a stream's work when the client leaves", async () => {
  await withGateway(STREAM, async ({ base }) => {
    events.length = 0;
    const leaving = new AbortController();
    const response = await fetch(`${base}/ticks`, { signal: leaving.signal });
    const reader = response.body?.getReader();
    assert.match(new TextDecoder().decode((await reader?.read())?.value), /^tick 0/);
    leaving.abort();
    await reader?.closed.catch(() => {});
    await eventually(() => events.length === 2);
    assert.deepEqual(events, ["abort", "finally /ticks"]);
  });
});

Deno.test("wsgi cuts the connection when the application fails after the head", async () => {
  await withGateway(STREAM, async ({ port, log }) => {
    const reply = await rawExchange(port, "GET /break HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(reply.status, 200);
    assert.equal(reply.closed, true);
    assert.equal(reply.body, "6\r\nso far\r\n", "no last chunk: the answer is not whole");
    assert.match(await log(), /failure=application-error: answer cut short: Error: broken off/);
  });
});

const HTTP = 'PEP 3333 "Other HTTP Features"';

Deno.test(`wsgi adds what HTTP requires and the application left out (${HTTP})`, async () => {
  await withGateway("routes:\n  - {path: /*, wsgi: ./apps/wsgi_basic.ts}\n", async ({ port }) => {
    const reply = await rawExchange(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert.match(reply.head, /^date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/im);
    assert.match(reply.head, /^content-length: \d+$/im);
    // HTTP/1.0 knows no chunks: what has no length ends with the connection.
    const old = await rawExchange(port, "POST /3/set HTTP/1.0\r\nHost: a\r\n\r\n");
    assert.equal(old.closed, true);
    assert.doesNotMatch(old.head, /transfer-encoding/i);
  });
});

Deno.test(`wsgi lets no application see Expect and chunks (${HTTP})`, async () => {
  await withGateway(
    "routes:\n  - {path: /*, wsgi: './apps/wsgi_basic.ts:shout'}\n",
    async ({ port }) => {
      const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n" +
        "Transfer-Encoding: chunked\r\n\r\n";
      const reply = await rawExchange(port, `${head}3\r\none\r\n4\r\n\ntwo\r\n0\r\n\r\n`);
      assert.match(reply.head, /^HTTP\/1\.1 100 Continue/);
      assert.match(reply.body, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(reply.body, /\r\n\r\nONE\nTWO$/);
    },
  );
});

Deno.test("wsgi streams each piece at once", async () => {
  await withGateway(STREAM, async ({ base }) => {
    const started = performance.now();
    const response = await fetch(`${base}/ticks`);
    const reader = response.body?.getReader();
    for (let piece = 0; piece < 3; piece++) await reader?.read();
    assert(performance.now() - started < 2000);
    await reader?.cancel();
  });
});
