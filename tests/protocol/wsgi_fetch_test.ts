import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientGone } from "../../lib/errors.ts";
import type { Exchange } from "../../lib/exchange.ts";
import type { Application, FieldPair } from "../../lib/protocol/wsgi.ts";
import type { Answer } from "../../lib/protocol/wsgi_draw.ts";
import { type FetchHandler, fromFetch, toFetch } from "../../lib/protocol/wsgi_fetch.ts";
import { FetchCall } from "../../lib/protocol/wsgi_fetch_call.ts";
import { validator } from "../../lib/protocol/wsgi_validator.ts";
import { exchangeOf } from "../support/exchange.ts";
import {
  answerOf,
  bodyOf,
  bytes,
  listOf,
  pieces,
  PLAIN,
  type Setting,
  settle,
  sourceOf,
  Stage,
  textOf,
} from "../support/wsgi_call.ts";

type Fetch = (request: Request) => Response | Promise<Response>;

/** The Request that a handler is given for a setting, by way of an environ. */
async function requestFor(setting: Setting): Promise<Request> {
  let seen: Request | undefined;
  const handler: FetchHandler = {
    fetch: (request) => {
      seen = request;
      return new Response(null, { status: 204 });
    },
  };
  await answerOf(validator(fromFetch(handler)), setting);
  assert(seen !== undefined);
  return seen;
}

/** What a handler answers, by way of an application between two validators. */
function answerFrom(fetch: Fetch, setting?: Setting): Promise<Answer> {
  return answerOf(validator(fromFetch({ fetch })), setting);
}

const URLS = 'PEP 3333 "URL Reconstruction"';

Deno.test(`fromFetch() gives the public URL (${URLS})`, async () => {
  const cases: [Setting, string][] = [
    [{ exchange: { authority: "example.org:8080" } }, "http://example.org:8080/"],
    [{ exchange: { scheme: "https", query: "a=b&c" } }, "https://example.org/?a=b&c"],
    [{ mount: { scriptName: "/app", pathInfo: "/x y" } }, "http://example.org/app/x%20y"],
    [{ mount: { scriptName: "", pathInfo: "/caf\xc3\xa9?" } }, "http://example.org/caf%C3%A9%3F"],
    [{ mount: { scriptName: "/a", pathInfo: "/\\..\\b" } }, "http://example.org/a/%5C..%5Cb"],
    [{ exchange: { query: "q=\xc3\xa9" } }, "http://example.org/?q=%C3%A9"],
  ];
  for (const [setting, expected] of cases) {
    assert.equal((await requestFor(setting)).url, expected);
  }
});

Deno.test("fromFetch() gives method, headers and body of the request", async () => {
  const headers = new Headers({ "content-type": "text/plain", "x-a": "b", cookie: "c=d" });
  const request = await requestFor({
    exchange: { method: "PUT", headers },
    body: bodyOf(pieces("one", "two"), 6),
  });
  assert.equal(request.method, "PUT");
  assert.deepEqual(
    Object.fromEntries(request.headers),
    {
      "content-length": "6",
      "content-type": "text/plain",
      cookie: "c=d",
      host: "example.org",
      "x-a": "b",
    },
  );
  assert.equal(await request.text(), "onetwo");
});

Deno.test("fromFetch() gives a body as it comes, without waiting for more", async () => {
  const gate = Promise.withResolvers<void>();
  const chunks = pieces("first", "second");
  const body = {
    ...bodyOf([]),
    read: async () => {
      if (chunks.length === 1) await gate.promise;
      return chunks.shift();
    },
  };
  const answer = await answerFrom(
    ({ body }) => new Response(body),
    { exchange: { method: "POST" }, body },
  );
  const source = sourceOf(answer);
  assert.deepEqual(await source.read(), bytes("first"));
  gate.resolve();
  assert.deepEqual(await listOf(source), ["second"]);
});

Deno.test("fromFetch() tells of the client and the route as Deno.serve does", async () => {
  let told: unknown;
  const handler: FetchHandler = {
    fetch(_request, info) {
      told = info;
      return new Response("x");
    },
  };
  await answerOf(fromFetch(handler), { mount: { params: { id: "7" } } });
  assert.deepEqual(told, {
    remoteAddr: { transport: "tcp", hostname: "192.0.2.9", port: 4000 },
    params: { id: "7" },
    requestId: "id-1",
  });
});

Deno.test("fromFetch() keeps status, reason, and fields that repeat; not those of a connection", async () => {
  const headers: [string, string][] = [
    ["content-type", "text/plain"],
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
    ["connection", "close"],
    ["x-latin", "caf\xe9"],
  ];
  const seen: string[] = [];
  const answer = await answerOf((environ, start) => {
    const inner = fromFetch({
      fetch: () => new Response("x", { status: 418, headers, statusText: "Tea" }),
    });
    return inner(
      environ,
      (status, fields, excInfo) => (seen.push(status), start(status, fields, excInfo)),
    );
  });
  assert.deepEqual(seen, ["418 Tea"]);
  assert.deepEqual(answer.head.headers, headers.filter(([name]) => name !== "connection"));
});

Deno.test("fromFetch() gives a body in memory as one array, and streams all else", async () => {
  const whole = ["text", bytes("text"), new URLSearchParams("a=b"), JSON.stringify({ a: 1 })];
  for (const body of whole) {
    assert((await answerFrom(() => new Response(body))).body instanceof Uint8Array);
  }
  const never = new ReadableStream({ pull: () => new Promise(() => {}) });
  const waiting = await answerFrom(() => new Response(never));
  assert(!(waiting.body instanceof Uint8Array), "the head goes out before there is a body");
  waiting.body.cancel(new ClientGone());
});

Deno.test("fromFetch() cancels a body that nobody reads to its end", async () => {
  const reasons: unknown[] = [];
  const stream = () =>
    new ReadableStream({
      pull: (controller) => controller.enqueue(bytes("x".repeat(1000))),
      cancel: (reason) => void reasons.push(reason),
    });
  const source = sourceOf(await answerFrom(() => new Response(stream())));
  await source.read();
  source.cancel(new ClientGone());
  await settle();
  await answerFrom(() => new Response(stream()), { exchange: { method: "HEAD" } });
  await settle();
  assert.equal(reasons.length, 2);
});

Deno.test("fromFetch() tells the handler when the client has gone", async () => {
  const stage = new Stage();
  let aborted = false;
  const answering = stage.run(fromFetch({
    fetch: (request) =>
      new Promise((_, reject) =>
        request.signal.addEventListener("abort", () => {
          aborted = true;
          reject(request.signal.reason);
        })
      ),
  }));
  stage.exchange.lifeline.cut(new ClientGone());
  await assert.rejects(async () => await answering, ClientGone);
  assert(aborted);
});

Deno.test("fromFetch() answers 500 to what is no Response, and 405 to what no Request can be", async () => {
  for (const value of [undefined, null, "text", Promise.resolve(1)]) {
    await assert.rejects(answerFrom(() => value as unknown as Response), {
      status: 500,
      failure: "application-error",
    });
  }
  const setting = { exchange: { method: "TRACE" } };
  await assert.rejects(answerFrom(() => new Response("x"), setting), { status: 405 });
  await assert.rejects(answerFrom(() => Response.error()), { status: 500 });
  await assert.rejects(
    answerFrom(() => new Response("x", { headers: { "x-evil": "a\x07b" } })),
    { status: 500 },
  );
});

/** Tells its environ's strings, and gives back the body. */
const echo: Application = async (environ, start) => {
  const body = await environ["wsgi.input"].read();
  const told = Object.entries(environ).filter(([, value]) => typeof value === "string");
  start("200 OK", [...PLAIN, [
    "X-Environ",
    encodeURIComponent(JSON.stringify(Object.fromEntries(told))),
  ]]);
  return [body];
};

async function environBy(fetch: Fetch, request: Request): Promise<Record<string, string>> {
  const { headers } = await fetch(request);
  return JSON.parse(decodeURIComponent(headers.get("x-environ") ?? ""));
}

Deno.test('toFetch() gives the application an environ (PEP 3333 "environ Variables")', async () => {
  const request = new Request("https://example.org:8443/app/caf%C3%A9/x?a=%20b", {
    method: "POST",
    body: "hello",
    headers: { "x-a": "b", "content-length": "5" },
  });
  const fetch = toFetch(validator(echo), { scriptName: "/app", env: { STAGE: "test" } });
  const environ = await environBy(
    (one) => fetch(one, { remoteAddr: { hostname: "192.0.2.7", port: 9 } }),
    request,
  );
  const expected = {
    REQUEST_METHOD: "POST",
    SCRIPT_NAME: "/app",
    PATH_INFO: "/caf\xc3\xa9/x",
    QUERY_STRING: "a=%20b",
    SERVER_NAME: "example.org",
    SERVER_PORT: "8443",
    HTTP_HOST: "example.org:8443",
    HTTPS: "on",
    CONTENT_LENGTH: "5",
    CONTENT_TYPE: "text/plain;charset=UTF-8",
    HTTP_X_A: "b",
    REMOTE_ADDR: "192.0.2.7",
    REMOTE_PORT: "9",
    STAGE: "test",
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(environ[name], value, name);
});

Deno.test("toFetch() hands on what a fromFetch() around it knows", async () => {
  let seen: unknown[] = [];
  const application: Application = (environ, start) => {
    seen = [environ.REMOTE_ADDR, environ["REMOTE_PORT"], environ["wsgiorg.routing_args"]];
    seen.push(environ["portico.request_id"]);
    start("200 OK", PLAIN);
    return [];
  };
  await answerOf(fromFetch({ fetch: toFetch(application) }), { mount: { params: { id: "7" } } });
  assert.deepEqual(seen, ["192.0.2.9", "4000", [[], { id: "7" }], "id-1"]);
});

Deno.test("toFetch() leaves what lies outside its mount at the root", async () => {
  const fetch = toFetch(echo, { scriptName: "/app" });
  for (const [path, script, info] of [["/app", "/app", ""], ["/apple", "", "/apple"]]) {
    const environ = await environBy(fetch, new Request(`http://a${path}`));
    assert.deepEqual([environ["SCRIPT_NAME"], environ["PATH_INFO"]], [script, info]);
  }
});

Deno.test("toFetch() streams, and closes the application's result when the reader leaves", async () => {
  const ends: string[] = [];
  const fetch = toFetch(async function* (_environ, start) {
    start("200 OK", PLAIN);
    try {
      for (;;) yield await Promise.resolve(bytes("tick"));
    } finally {
      ends.push("finally");
    }
  });
  const reader = (await fetch(new Request("http://a/"))).body!.getReader();
  assert.deepEqual((await reader.read()).value, bytes("tick"));
  await reader.cancel();
  await settle();
  assert.deepEqual(ends, ["finally"]);
});

Deno.test("toFetch() ends with its request's signal, before and after the head", async () => {
  const ends: string[] = [];
  const fetch = toFetch(async function* (environ, start) {
    start("200 OK", PLAIN);
    const gone = new Promise<void>((resolve) =>
      environ["portico.signal"].addEventListener("abort", () => resolve())
    );
    try {
      if (environ.PATH_INFO === "/late") yield bytes("first");
      await gone;
    } finally {
      ends.push(environ.PATH_INFO);
    }
  });
  for (const path of ["/early", "/late"]) {
    const leaving = new AbortController();
    const answering = fetch(new Request(`http://a${path}`, { signal: leaving.signal }));
    if (path === "/early") {
      leaving.abort();
      await assert.rejects(answering, ClientGone);
    } else {
      const response = await answering;
      leaving.abort();
      await assert.rejects(response.text(), ClientGone);
    }
    await settle();
  }
  assert.deepEqual(ends, ["/early", "/late"]);
});

Deno.test("toFetch() rejects with what the application fails with", async () => {
  const failing = toFetch(() => {
    throw new RangeError("as asked");
  });
  await assert.rejects(failing(new Request("http://a/")), { failure: "application-error" });
  const breaking = toFetch(function* (_environ, start) {
    start("200 OK", PLAIN);
    yield bytes("so far");
    throw new Error("broken off");
  });
  const response = await breaking(new Request("http://a/"));
  await assert.rejects(response.text(), /broken off/);
});

Deno.test("toFetch() sends no body with HEAD, 204, 205 and 304", async () => {
  for (const status of ["204 No Content", "205 Reset Content", "304 Not Modified"]) {
    const response = await toFetch((_environ, start) => (start(status, []), []))(
      new Request("http://a/"),
    );
    assert.equal(response.body, null);
    assert.equal(response.status, Number(status.slice(0, 3)));
  }
  const head = await toFetch((_environ, start) => (start("200 OK", PLAIN), pieces("four")))(
    new Request("http://a/", { method: "HEAD" }),
  );
  assert.equal(head.body, null);
  assert.equal(head.headers.get("content-length"), "4");
});

const STATUSES = fc.constantFrom("200 OK", "201 Created", "302 Found", "404 Not Found", "503 Busy");
const NAMES = fc.constantFrom("x-a", "x-b", "set-cookie", "location", "etag", "cache-control");
// Headers trims blanks at the ends of a value.
const VALUES = fc.string({ unit: fc.constantFrom(...'abc=;"/\xe9 1'), maxLength: 12 })
  .map((text) => text.trim());
const BODIES = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 5 });

Deno.test("an application is the same after a trip through fetch and back", async () => {
  const fields = fc.uniqueArray(fc.tuple(NAMES, VALUES), { selector: ([name]) => name });
  const form = fc.constantFrom("array", "sync", "async", "stream", "write");
  await fc.assert(
    fc.asyncProperty(STATUSES, fields, BODIES, form, async (status, list, body, how) => {
      const application = ((_environ, start) => {
        const write = start(status, [["content-type", "a/b"], ...list]);
        if (how === "array") return body;
        if (how === "sync") return new Set(body);
        if (how === "async") {
          return (async function* () {
            for (const piece of body) yield await Promise.resolve(piece);
          })();
        }
        if (how === "stream") return ReadableStream.from(body);
        for (const piece of body) write(piece);
        return [];
      }) as Application;
      const direct = await answerOf(application);
      const travelled = await answerOf(
        validator(fromFetch({ fetch: toFetch(validator(application)) })),
      );
      assert.equal(travelled.head.status, direct.head.status);
      assert.deepEqual(sorted(travelled), sorted(direct));
      assert.deepEqual(await textOf(travelled), await textOf(direct));
    }),
    { numRuns: 200 },
  );
});

/** Fields in the order of their names: the platform's Headers knows no other. */
function sorted({ head }: Answer): readonly FieldPair[] {
  return head.headers.map(([name, value]): FieldPair => [name, value])
    .sort(([one], [other]) => one < other ? -1 : one > other ? 1 : 0);
}

Deno.test("a request is the same after a trip through WSGI and back", async () => {
  const method = fc.constantFrom("GET", "POST", "PUT", "DELETE", "OPTIONS");
  const path = fc.array(fc.string({ unit: fc.constantFrom(..."abc %\u00e9+~"), maxLength: 4 }), {
    maxLength: 3,
  });
  const data = fc.uint8Array({ maxLength: 100 });
  await fc.assert(
    fc.asyncProperty(method, path, data, VALUES, async (how, parts, body, value) => {
      const place = parts.filter((part) => part !== "").map(encodeURIComponent).join("/");
      const request = () =>
        new Request(`http://example.org/${place}?q=${encodeURIComponent(value)}`, {
          method: how,
          headers: { "x-a": value },
          ...(how === "GET" ? {} : { body: new Uint8Array(body) }),
        });
      const seen: Request[] = [];
      const fetch: Fetch = async (one) => {
        seen.push(one);
        return new Response(await one.bytes());
      };
      const response = await toFetch(validator(fromFetch({ fetch })))(request());
      const [got] = seen;
      assert(got !== undefined);
      assert.equal(got.method, how);
      assert.equal(decodeURIComponent(got.url), decodeURIComponent(request().url));
      assert.equal(got.headers.get("x-a"), value);
      assert.deepEqual(await response.bytes(), how === "GET" ? bytes("") : new Uint8Array(body));
    }),
    { numRuns: 200 },
  );
});

/** Calls a handler as the server does where something looks at its answers. */
async function callFetch(fetch: Fetch, exchange: Partial<Exchange> = {}): Promise<Answer> {
  const mount = { scriptName: "", pathInfo: "/", params: {} };
  const answer = await new FetchCall(exchangeOf(exchange), mount, null, false).run({ fetch });
  assert("head" in answer);
  return answer;
}

/** Calls a handler as the server does where nothing stands around it. */
function passOn(fetch: Fetch, exchange: Partial<Exchange> = {}) {
  const request = new Request("http://example.org/a");
  const plain = { request, target: "/a", path: "/a", query: "", sent: Promise.resolve() };
  const mount = { scriptName: "", pathInfo: "/", params: {} };
  return new FetchCall(exchangeOf({ ...plain, ...exchange }), mount, null, true).run({ fetch });
}

Deno.test("a Response that nothing needs a look at goes out as it is, at once", async () => {
  const response = new Response("text", { status: 201, headers: { "x-a": "b" } });
  const answer = passOn(() => response);
  assert("response" in answer);
  assert.equal(answer.response, response);
  assert.equal(await response.text(), "text", "its body was left alone");
  const later = await passOn(() => Promise.resolve(new Response("late")));
  assert("response" in later);
});

Deno.test("a Response with a field that is the server's, or a promise, is looked at", async () => {
  const fields = [
    ["x-sendfile", "/etc/passwd"],
    ["x-accel-redirect", "/a"],
    ["connection", "close"],
    ["content-length", "4"],
    ["x-a", "tab\tted"],
  ];
  for (const [name = "", value = ""] of fields) {
    const answer = await Promise.try(() =>
      passOn(() => new Response("text", { headers: { [name]: value } }))
    ).catch((error: Error) => error);
    assert(!("response" in answer), name);
  }
  assert("head" in await passOn(() => new Response("text"), { method: "HEAD" }), "HEAD");
  assert("head" in await passOn(() => new Response("text"), { sent: undefined }), "nobody tells");
  assert("head" in await passOn(() => new Response("text"), { target: "/b" }), "another request");
});

async function givenTo(
  exchange: Partial<Exchange>,
): Promise<Request> {
  const seen: Request[] = [];
  await callFetch((request) => (seen.push(request), new Response("x")), exchange);
  const [request] = seen;
  assert(request !== undefined);
  return request;
}

Deno.test("a handler mounted by itself gets the very request, where that is true", async () => {
  const request = new Request("http://example.org/a?b");
  const plain = { request, target: "/a?b", path: "/a", query: "b" };
  assert.equal(await givenTo(plain), request);
  const rewritten: Partial<Exchange>[] = [
    { scheme: "https" },
    { authority: "public.example" },
    { target: "/%61?b" },
    {
      withholds: (name) => name === "x-forwarded-for",
      headers: new Headers({ "x-forwarded-for": "1" }),
    },
  ];
  for (const change of rewritten) {
    const given = await givenTo({ ...plain, ...change });
    assert.notEqual(given, request);
    const { scheme = "http", authority = "example.org", target = "/a?b" } = change;
    assert.equal(given.url, `${scheme}://${authority}${target === "/%61?b" ? "/a?b" : target}`);
    assert.equal(given.headers.get("x-forwarded-for"), null);
  }
});

Deno.test("a handler reads the path that the router has matched, and no other", async () => {
  const cases: [target: string, path: string, url: string][] = [
    ["/a/../admin", "/admin", "/admin"],
    ["/x/%2e%2e/admin", "/admin", "/admin"],
    ["//admin", "/admin", "/admin"],
    ["/x\\..\\admin", "/x\\..\\admin", "/x%5C..%5Cadmin"],
    ["/a%2Fb", "/a\u0100b", "/a%2Fb"],
    ["/caf%c3%a9", "/caf\xc3\xa9", "/caf%C3%A9"],
    ["/caf\xc3\xa9", "/caf\xc3\xa9", "/caf%C3%A9"],
  ];
  for (const [target, path, url] of cases) {
    const { pathname } = new URL((await givenTo({ target, path })).url);
    assert.equal(pathname, url, target);
  }
});

Deno.test("a handler mounted by itself is cut with the lifeline, and its Response cancelled", async () => {
  const exchange = exchangeOf();
  const late = Promise.withResolvers<Response>();
  let signal: AbortSignal | undefined;
  const answering = callFetch((request) => {
    signal = request.signal;
    return late.promise;
  }, exchange);
  exchange.lifeline.cut(new ClientGone());
  await assert.rejects(answering, ClientGone);
  assert(signal?.aborted);
  let cancelled = false;
  late.resolve(new Response(new ReadableStream({ cancel: () => void (cancelled = true) })));
  await settle();
  assert(cancelled);
});

Deno.test("a handler mounted by itself answers as an application does", async () => {
  const { head, body } = await callFetch(() => new Response("text", { status: 201 }));
  assert.equal(head.status, 201);
  assert.deepEqual(body, bytes("text"));
  for (
    const fetch of [() => Promise.reject(new Error("as asked")), () => {
      throw new Error("as asked");
    }]
  ) {
    await assert.rejects(callFetch(fetch), { status: 500, failure: "application-error" });
  }
});

Deno.test("a body that is read after its head is ended with the client", async () => {
  const ends: string[] = [];
  const exchange = exchangeOf();
  let signal: AbortSignal | undefined;
  const answer = await callFetch((request) => {
    signal = request.signal;
    return new Response(
      new ReadableStream({
        pull: async (controller) => {
          await settle();
          controller.enqueue(bytes("tick"));
        },
        cancel: () => void ends.push("cancel"),
      }),
    );
  }, exchange);
  const source = sourceOf(answer);
  assert.deepEqual(await source.read(), bytes("tick"));
  source.cancel(new ClientGone());
  await settle();
  assert.deepEqual(ends, ["cancel"]);
  assert(signal?.aborted);
});
