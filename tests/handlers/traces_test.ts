/**
 * Traces of a real gateway, as a collector receives them: what is told of a request, how programs of every
 * kind join, whose traces are taken up, and what becomes of it all when the collector is not there.
 */
import assert from "node:assert/strict";
import { type Collector, type Span, startCollector } from "../support/collector.ts";
import { readExposition, valueOf } from "../support/exposition.ts";
import {
  eventually,
  rawExchange,
  type TestGateway,
  TESTS,
  withGateway,
} from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";
import { serveClosing } from "../upstreams/closing_responder.ts";
import { serveFastcgiProbe } from "../upstreams/fastcgi_probe.ts";
import { ENVIRON, formatPlay, OK } from "../upstreams/play.ts";
import { serveRaw } from "../upstreams/raw_origin.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Settings {
  readonly traces?: Fields;
  readonly server?: Fields;
}

/** Looks at what the collector has when the gateway has stopped, and has sent all. */
type Afterwards = () => void | Promise<void>;

/** Serves routes while their traces go to a collector, which is asked after. */
async function traced(
  routes: readonly Fields[],
  body: (gateway: TestGateway, collector: Collector) => Promise<Afterwards | void>,
  settings: Settings = {},
): Promise<void> {
  await using collector = startCollector();
  const later: Afterwards[] = [];
  await withGateway(tableOf(collector, routes, settings), async (gateway) => {
    const afterwards = await body(gateway, collector);
    if (afterwards) later.push(afterwards);
  });
  for (const afterwards of later) await afterwards();
}

function tableOf(
  { base }: Collector,
  routes: readonly Fields[],
  { traces = {}, server = {} }: Settings = {},
): string {
  const all = { accessLog: "json", ...server, traces: { endpoint: base, ...traces } };
  const lines = Object.entries(all).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
  return `server:\n${lines.join("\n")}\nadmin: {listen: "127.0.0.1:0"}\nroutes: ${
    JSON.stringify(routes)
  }\n`;
}

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const FROM_CLIENT = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: "vendor=x" };

async function textOf(url: string, headers: Record<string, string> = {}): Promise<string> {
  return await (await fetch(url, { headers })).text();
}

/** The environ that a program tells of, with whatever stands between its variables. */
function variableOf(text: string, name: string): string | undefined {
  return new RegExp(`(?:^|[\\0\\n{,"])${name}(?:=|": ?")([^\\0\\n"]*)`).exec(text)?.[1];
}

function isWithin(inner: Span, outer: Span): boolean {
  return outer.start <= inner.start && inner.start <= inner.end && inner.end <= outer.end;
}

Deno.test("a request has a span by the conventions for HTTP servers", async () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  await traced(
    [{ path: "/a/:id", name: "things", respond: "hello" }],
    async ({ base }, collector) => {
      const init = { headers: { "user-agent": 'a "quoted\\' } };
      await (await fetch(`${base}/a/%C3%A9?secret=1`, init)).text();
      const { server, below } = await collector.request("/a/%C3%A9");
      const { port } = new URL(base);
      const { "client.port": clientPort, "portico.request.id": id, ...attributes } =
        server.attributes;
      assert.deepEqual(attributes, {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "http.route": "/a/:id",
        "portico.route": "things",
        "portico.kind": "respond",
        "portico.upstream": "200",
        "url.scheme": "http",
        "url.path": "/a/%C3%A9",
        "client.address": "127.0.0.1",
        "server.address": "127.0.0.1",
        "server.port": Number(port),
        "user_agent.original": 'a "quoted\\',
      });
      assert.ok(Number(clientPort) > 0 && String(id).length > 0);
      assert.equal(server.name, "GET /a/:id");
      assert.equal(server.kind, 2);
      assert.equal(server.parentSpanId, undefined);
      assert.equal(server.failed, false);
      assert.equal(below.size, 0);
      assert.equal(server.resource["service.name"], "portico");
      const after = BigInt(Date.now() + 1) * 1_000_000n;
      // The clock may have been off by what it is allowed to be.
      assert.ok(before - 10_000_000n < server.start && server.start <= server.end);
      assert.ok(server.end < after + 10_000_000n);
      assert.equal(collector.posts[0]?.path, "/v1/traces");
    },
  );
});

/** Asks a kind for its environ or headers with a trace of the client's, and checks that it joins. */
async function checkJoins(
  route: Fields,
  { name = "HTTP_TRACEPARENT", state = "HTTP_TRACESTATE", headers = {} }: {
    name?: string;
    state?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<Map<string, Span>> {
  let found = new Map<string, Span>();
  await traced([{ path: "/p/*", ...route }], async ({ base }, collector) => {
    const told = await textOf(`${base}/p/x`, { ...FROM_CLIENT, ...headers });
    return async () => {
      const { server, below } = await collector.request("/p/x");
      assert.equal(server.traceId, TRACE, told);
      assert.equal(server.parentSpanId, PARENT);
      const names = name.startsWith("HTTP_")
        ? [[name, state], ["TRACEPARENT", "TRACESTATE"]]
        : [[name, state]];
      for (const [parent = "", vendor = ""] of names) {
        assert.equal(variableOf(told, parent), `00-${TRACE}-${server.spanId}-01`, told);
        assert.equal(variableOf(told, vendor), "vendor=x", told);
      }
      for (const span of below.values()) {
        assert.ok(isWithin(span, server), span.name);
        assert.deepEqual([span.traceId, span.kind, span.failed], [TRACE, 1, false]);
      }
      found = below;
    };
  }, { traces: { acceptFrom: "everybody" } });
  return found;
}

Deno.test("a CGI program joins the trace, and its start has a span", async () => {
  const below = await checkJoins({ cgi: `${TESTS}/apps/cgi/environ.sh` });
  assert.ok(below.has("spawn") && below.has("first_byte"));
});

Deno.test("a FastCGI application joins the trace, and connecting to it has a span", async () => {
  await using temp = await tempFolder();
  await using _probe = serveFastcgiProbe(`${temp.path}/s`);
  const below = await checkJoins({ fastcgi: `unix:${temp.path}/s` }, {
    headers: { "X-Play": formatPlay([OK, ENVIRON]) },
  });
  assert.deepEqual([...below.keys()].sort(), ["connect", "first_byte"]);
});

Deno.test("SCGI and uwsgi applications join the trace", async () => {
  for (const kind of ["scgi", "uwsgi"] as const) {
    await using responder = await serveClosing(kind, async (call) => {
      const variables = [...call.variables].map(([name, value]) => `${name}=${value}\n`);
      await call.write(`Status: 200 OK\r\n\r\n${variables.join("")}`);
    });
    const below = await checkJoins({ [kind]: responder.address });
    assert.ok(below.has("connect") && below.has("first_byte"));
  }
});

Deno.test("a WSGI application joins the trace, in the gateway and in a worker", async () => {
  const app = "./apps/wsgi_basic.ts";
  const below = await checkJoins({ wsgi: app });
  // An answer that is there at once had nobody to wait for.
  assert.deepEqual([...below.keys()], []);
  const isolated = await checkJoins({ wsgi: { app, isolate: "worker" } });
  assert.deepEqual([...isolated.keys()], ["first_byte"]);
});

testWith(["python3"], "a WSGI application in Python joins the trace", async () => {
  await using temp = await tempFolder();
  await Deno.writeTextFile(
    `${temp.path}/app.py`,
    `def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    texts = [f"{k}={v}\\n" for k, v in environ.items() if isinstance(v, str)]
    return ["".join(texts).encode("latin-1")]
`,
  );
  await checkJoins({ wsgi: `${temp.path}/app.py:application` });
});

Deno.test("a fetch handler joins the trace, in the gateway and in a worker", async () => {
  await using temp = await tempFolder();
  const app = `${temp.path}/app.ts`;
  await Deno.writeTextFile(
    app,
    `export default { fetch: ({ headers }: Request) => Response.json(Object.fromEntries(headers)) };`,
  );
  const names = { name: "traceparent", state: "tracestate" };
  await checkJoins({ wsgi: app }, names);
  await checkJoins({ wsgi: { app, isolate: "worker" } }, names);
});

Deno.test("an HTTP origin joins the trace", async () => {
  await using origin = serveRaw(async (request, reply) => {
    const fields = ["traceparent", "tracestate"].map((name) => `${name}=${request.all(name)}\n`);
    const body = fields.join("");
    await reply.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  });
  const below = await checkJoins({ proxy: origin.url }, {
    name: "traceparent",
    state: "tracestate",
  });
  assert.deepEqual([...below.keys()].sort(), ["connect", "first_byte"]);
});

Deno.test("a cache's fetch belongs to the request that it is for; a hit asks nobody", async () => {
  await using origin = serveRaw(async (request, reply) => {
    const body = request.all("traceparent").join();
    const head = `cache-control: max-age=60\r\ncontent-length: ${body.length}`;
    await reply.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`);
  });
  await traced([{ path: "/*", proxy: origin.url, cache: true }], async ({ base }, collector) => {
    const first = await textOf(`${base}/one`);
    assert.equal(await textOf(`${base}/one`), first);
    return () => {
      const all = collector.spans.filter(({ kind }) => kind === 2);
      const below = (of: Span | undefined) =>
        collector.spans.filter(({ parentSpanId }) => parentSpanId === of?.spanId)
          .map(({ name }) => name).sort();
      assert.equal(all.length, 2);
      assert.deepEqual(below(all.find(({ spanId }) => first.includes(spanId))), [
        "connect",
        "first_byte",
      ]);
      assert.deepEqual(below(all.find(({ spanId }) => !first.includes(spanId))), []);
    };
  });
});

Deno.test("waiting, a body that comes and one that goes have spans of their own", async () => {
  await using temp = await tempFolder();
  const script = await writeScript(
    `${temp.path}/slow.sh`,
    "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: text/plain\\n\\n'\necho one\nsleep 0.2\necho two\n",
  );
  const routes = [{ path: "/slow/*", cgi: { script, maxProcesses: 1 } }];
  await traced(routes, async ({ base }, collector) => {
    const ask = async (path: string) => {
      const response = await fetch(`${base}${path}`, { method: "POST", body: "x".repeat(1000) });
      assert.equal(await response.text(), "one\ntwo\n");
    };
    await Promise.all([ask("/slow/1"), ask("/slow/2")]);
    const requests = await Promise.all(
      ["/slow/1", "/slow/2"].map((path) => collector.request(path)),
    );
    const names = ["first_byte", "request_body", "response_body", "spawn"];
    const [waited, other] = requests.toSorted((a, b) => b.below.size - a.below.size);
    assert.deepEqual([...waited?.below.keys() ?? []].sort(), [...names, "queue"].sort());
    assert.deepEqual([...other?.below.keys() ?? []].sort(), names);
    for (const { server, below } of requests) {
      assert.equal(server.attributes["http.request.body.size"], 1000);
      assert.equal(server.attributes["process.exit.code"], 0);
      const of = (name: string) => below.get(name) ?? assert.fail(name);
      assert.ok(of("response_body").end - of("response_body").start > 100_000_000n);
      assert.ok(of("first_byte").end <= of("response_body").start);
      for (const span of below.values()) assert.ok(isWithin(span, server), span.name);
    }
  });
});

Deno.test("what the gateway answers in a program's stead is told with its cause", async () => {
  await using temp = await tempFolder();
  const die = await writeScript(`${temp.path}/die.sh`, "#!/bin/sh\nexit 3\n");
  const cut = await writeScript(
    `${temp.path}/cut.sh`,
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nabc'\nsleep 0.1\nkill -9 $$\n",
  );
  await using own = serveRaw((_, reply) =>
    reply.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
  );
  const routes = [
    { path: "/die", cgi: die },
    { path: "/cut", cgi: cut },
    { path: "/missing", cgi: `${temp.path}/missing.sh` },
    {
      path: "/gone",
      fastcgi: { connect: `unix:${temp.path}/nobody.sock`, pool: { retryWindow: "10ms" } },
    },
    { path: "/own", proxy: own.url },
  ];
  await traced(routes, async ({ base, port }, collector) => {
    const cases = [
      ["/die", 502, "no-output", true, ["first_byte no-output"]],
      ["/cut", 200, "script-died", true, ["response_body script-died"]],
      ["/missing", 502, "script-missing", true, ["spawn script-missing"]],
      ["/gone", 502, "connect-refused", true, ["connect connect-refused"]],
      ["/own", 503, "503", true, []],
      // A client's mistake is no error of the server's (HTTP conventions, "Status").
      ["/nothing", 404, "no-route", false, []],
    ] as const;
    for (const [path] of cases) {
      await fetch(base + path).then((response) => response.text()).catch(() => {});
    }
    const head = "BREW /pot HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n";
    assert.equal((await rawExchange(port, head)).status, 400);
    return async () => {
      for (const [path, status, failure, failed, phases] of cases) {
        const { server, below } = await collector.request(path);
        assert.equal(server.attributes["http.response.status_code"], status, path);
        assert.equal(server.attributes["error.type"], failure, path);
        assert.equal(server.failed, failed, path);
        const bad = [...below.values()].filter((span) => span.failed);
        const told = bad.map(({ name, attributes }) => `${name} ${attributes["error.type"]}`);
        assert.deepEqual(told, phases, path);
      }
      const { server } = await collector.request("/pot");
      assert.equal(server.name, "HTTP");
      assert.equal(server.attributes["http.request.method"], "_OTHER");
      assert.equal(server.attributes["http.request.method_original"], "BREW");
      assert.equal(server.attributes["error.type"], "bad-host");
    };
  });
});

Deno.test("a stranger's trace is not taken up, a trusted proxy's is, unless the table says so", async () => {
  await using origin = serveRaw(async (request, reply) => {
    const body = `${request.all("traceparent")};${request.all("tracestate")}`;
    await reply.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  });
  const check = async (acceptFrom: string, trustedProxies: string[], isTaken: boolean) => {
    await traced([{ path: "/*", proxy: origin.url }], async ({ base }, collector) => {
      const told = await textOf(`${base}/p`, FROM_CLIENT);
      return async () => {
        const { server } = await collector.request("/p");
        assert.equal(server.traceId === TRACE, isTaken, acceptFrom);
        assert.equal(server.parentSpanId, isTaken ? PARENT : undefined);
        const state = isTaken ? "vendor=x" : "";
        assert.equal(told, `00-${server.traceId}-${server.spanId}-01;${state}`);
      };
    }, { traces: { acceptFrom }, server: { trustedProxies } });
  };
  await check("trustedProxies", [], false);
  await check("trustedProxies", ["127.0.0.1"], true);
  await check("everybody", [], true);
  await check("nobody", ["127.0.0.1"], false);
});

/** Of the requests that were recorded. */
function pathsOf({ spans }: Collector): unknown[] {
  return spans.filter(({ kind }) => kind === 2).map(({ attributes }) => attributes["url.path"]);
}

Deno.test("a share of the traces is recorded; a caller's decision goes before it", async () => {
  const routes = [{ path: "/*", wsgi: "./apps/wsgi_basic.ts" }];
  const flags = (text: string) => variableOf(text, "TRACEPARENT")?.slice(-2);
  const traces = { acceptFrom: "everybody", sampleRatio: 0 };
  await traced(routes, async ({ base }, collector) => {
    assert.equal(flags(await textOf(`${base}/never`)), "00");
    assert.equal(flags(await textOf(`${base}/asked`, FROM_CLIENT)), "01");
    return () => assert.deepEqual(pathsOf(collector), ["/asked"]);
  }, { traces });
  await traced(routes, async ({ base }, collector) => {
    const not = { traceparent: `00-${TRACE}-${PARENT}-00` };
    assert.equal(flags(await textOf(`${base}/not`, not)), "00");
    assert.equal(flags(await textOf(`${base}/always`)), "01");
    return () => assert.deepEqual(pathsOf(collector), ["/always"]);
  }, { traces: { ...traces, sampleRatio: 1 } });
  await traced(routes, async ({ base }, collector) => {
    const all = await Promise.all(Array.from({ length: 200 }, () => textOf(base)));
    const recorded = all.filter((text) => flags(text) === "01").length;
    // Of 200 at one half, fewer than 60 or more than 140 come once in 10^8 runs.
    assert.ok(recorded >= 60 && recorded <= 140, String(recorded));
    return () => assert.equal(pathsOf(collector).length, recorded);
  }, { traces: { sampleRatio: 0.5 } });
});

async function spanCounts(
  { admin }: TestGateway,
): Promise<(outcome: string) => number | undefined> {
  const families = readExposition(await textOf(`${admin}/metrics`), "plain");
  return (outcome) => valueOf(families, "portico_trace_spans_total", { outcome });
}

Deno.test("a collector that is down or slow delays no request, and nothing is lost in a short while", async () => {
  await traced([{ path: "/*", respond: "hello" }], async (gateway, collector) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    collector.respond = async () => {
      await released;
      return new Response(null, { status: 503 });
    };
    for (let i = 0; i < 20; i++) assert.equal(await textOf(`${gateway.base}/${i}`), "hello");
    await eventually(() => collector.posts.length === 1);
    for (let i = 20; i < 40; i++) assert.equal(await textOf(`${gateway.base}/${i}`), "hello");
    release();
    await eventually(async () => (await gateway.log()).includes("answers 503"));
    collector.respond = null;
    await eventually(() => collector.spans.length === 40);
    await eventually(async () => (await spanCounts(gateway))("exported") === 40);
    const count = await spanCounts(gateway);
    assert.deepEqual([count("dropped"), count("refused")], [0, 0]);
    const log = await gateway.log();
    assert.equal(log.split("Cannot send traces").length, 2);
    assert.equal(log.split("Traces go to").length, 2);
  });
});

Deno.test("spans that the collector would not have are counted", async () => {
  await traced([{ path: "/*", respond: "hello" }], async (gateway, collector) => {
    collector.respond = () => Response.json({ partialSuccess: { rejectedSpans: "1" } });
    await textOf(`${gateway.base}/one`);
    await textOf(`${gateway.base}/two`);
    await eventually(async () => {
      const count = await spanCounts(gateway);
      return (count("exported") ?? 0) + (count("refused") ?? 0) === 2;
    });
    assert.equal((await spanCounts(gateway))("refused"), collector.posts.length);
  });
});

Deno.test("what there is no room for is dropped and counted", async () => {
  await traced([{ path: "/*", respond: "hello" }], async (gateway, collector) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    collector.respond = async () => {
      await released;
      return new Response(null, { status: 400 });
    };
    const ask = async () => {
      for (let i = 0; i < 700; i++) await textOf(gateway.base);
    };
    await Promise.all(Array.from({ length: 4 }, ask));
    const dropped = (await spanCounts(gateway))("dropped") ?? 0;
    // A span is about a kilobyte; eight batches of a quarter of a megabyte wait, and one is on its way.
    assert.ok(dropped > 200 && dropped < 2000, String(dropped));
    release();
    await eventually(async () => (await spanCounts(gateway))("refused") === 2800 - dropped);
  }, { server: { accessLog: "off" } });
});

Deno.test("spans that wait are sent when the server stops; one that nobody takes holds it up briefly", async () => {
  await using collector = startCollector();
  const table = tableOf(collector, [{ path: "/*", respond: "hello" }]);
  await withGateway(table, async ({ base }) => void await textOf(`${base}/last`));
  assert.ok(collector.spans.some(({ attributes }) => attributes["url.path"] === "/last"));
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  collector.respond = async () => {
    await released;
    return new Response(null, { status: 503 });
  };
  const began = performance.now();
  await withGateway(table, async ({ base }) => void await textOf(`${base}/lost`));
  assert.ok(performance.now() - began < 9000, "longer than a collector may hold it up");
  release();
});

Deno.test("a reload keeps what waits, and may turn traces on and off", async () => {
  await using collector = startCollector();
  const routes = [{ path: "/*", respond: "hello" }];
  const on = tableOf(collector, routes);
  const off = on.replace(/^ {2}traces:.*\n/m, "");
  await withGateway(off, async ({ base, reload }) => {
    await textOf(`${base}/before`);
    await reload(on);
    await textOf(`${base}/one`);
    await reload(on.replace("hello", "hallo"));
    await textOf(`${base}/two`);
    await reload(off);
    await textOf(`${base}/after`);
  });
  assert.deepEqual(pathsOf(collector), ["/one", "/two"]);
});

Deno.test("the collector gets its fields from the environment, and nobody else does", async () => {
  const variable = "PORTICO_TEST_OTLP_HEADERS";
  const traces = { headers: { env: variable }, serviceName: "edge" };
  const routes = [{ path: "/*", respond: "hello" }];
  await assert.rejects(
    traced(routes, async () => {}, { traces }),
    /set the variable PORTICO_TEST_OTLP_HEADERS/,
  );
  Deno.env.set(variable, "Authorization=Bearer%20s3cret, X-Tenant = 7");
  try {
    await traced(routes, async ({ base, log }, collector) => {
      await textOf(`${base}/a`);
      const { server } = await collector.request("/a");
      assert.equal(server.resource["service.name"], "edge");
      const { headers } = collector.posts[0] ?? assert.fail("no post");
      assert.equal(headers.get("authorization"), "Bearer s3cret");
      assert.equal(headers.get("x-tenant"), "7");
      assert.ok(!(await log()).includes("s3cret"));
    }, { traces });
  } finally {
    Deno.env.delete(variable);
  }
});

Deno.test("without traces a client's own trace fields pass as any others do", async () => {
  await withGateway(
    "routes: [{path: /*, wsgi: ./apps/wsgi_basic.ts}]",
    async ({ base }) => {
      const told = await textOf(`${base}/x`, FROM_CLIENT);
      assert.equal(variableOf(told, "HTTP_TRACEPARENT"), FROM_CLIENT.traceparent);
      assert.equal(variableOf(told, "TRACEPARENT"), undefined);
    },
  );
});
