import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../../lib/errors.ts";
import type { Application, Environ, Middleware, StartResponse } from "../../lib/protocol/wsgi.ts";
import { validator } from "../../lib/protocol/wsgi_validator.ts";
import { bodyOf, bytes, listOf, pieces, PLAIN, settle, Stage } from "../support/wsgi_call.ts";

type Loose = (
  environ: Environ,
  start: (...args: unknown[]) => (...args: unknown[]) => unknown,
) => unknown;

/** One seeded fault: the rule that it breaks, and who breaks it. */
interface Seed {
  /** The failure's name without `wsgi-`, or what is written to wsgi.errors. */
  readonly finds: string | RegExp;
  readonly application?: Loose;
  /** Stands between two validators. */
  readonly middleware?: (application: Application) => Loose;
  /** Damage done to the environ, on the server's side. */
  readonly environ?: (environ: Record<string, unknown>) => void;
  readonly method?: string;
}

/** A stage that keeps what is written to wsgi.errors. */
class Watched extends Stage {
  readonly said: string[] = [];
  override write(text?: string): void {
    this.said.push(String(text));
  }
}

const fine: Loose = (_environ, start) => {
  start("200 OK", [["Content-Type", "text/plain"]]);
  return pieces("fine");
};

/** All that the validator finds: names of failures, and lines of wsgi.errors. */
async function findings(
  seed: Omit<Seed, "finds">,
): Promise<{ failures: string[]; said: string[] }> {
  const body = bodyOf([bytes("one\ntwo\n")], 8);
  const stage = new Watched({ exchange: { method: seed.method ?? "POST" }, body });
  seed.environ?.(stage.environ);
  const failures: string[] = [];
  try {
    const inner = validator((seed.application ?? fine) as Application);
    const whole = seed.middleware === undefined
      ? inner
      : validator(seed.middleware(inner) as Application);
    const answer = await stage.run(whole);
    await listOf(answer.body);
  } catch (error) {
    assert(error instanceof GatewayError, String(error));
    assert.equal(error.status, 500);
    assert.match(error.message, /\(PEP 3333, "[^"]+"\)$/, "a breach cites its section");
    failures.push(error.failure.replace(/^wsgi-/, ""));
  }
  await settle();
  return { failures, said: [...stage.said, ...stage.notices] };
}

/** The application `start_response(...)s` with these arguments and sends nothing. */
function starting(...args: unknown[]): Loose {
  return (_environ, start) => {
    start(...args);
    return [];
  };
}

function withField(name: unknown, value: unknown, status = "200 OK"): Loose {
  return starting(status, [["Content-Type", "text/plain"], [name, value]]);
}

/** The application returns this. */
function returning(result: unknown): Loose {
  return (_environ, start) => {
    start("200 OK", PLAIN);
    return result;
  };
}

/** The application does this with its environ before it answers. */
function using(use: (environ: Environ) => unknown): Loose {
  return async (environ, start) => {
    await use(environ);
    start("200 OK", PLAIN);
    return [];
  };
}

function setting(name: string, value: unknown): (environ: Record<string, unknown>) => void {
  return (environ) => void (environ[name] = value);
}

function without(name: string): (environ: Record<string, unknown>) => void {
  return (environ) => void delete environ[name];
}

const input = (environ: Environ) => environ["wsgi.input"] as unknown as Record<string, Loosest>;
const errors = (environ: Environ) => environ["wsgi.errors"] as unknown as Record<string, Loosest>;
type Loosest = (...args: unknown[]) => Promise<unknown>;

/** A stream whose reads give this, as a faulty server's or middleware's. */
function inputOf(value: unknown): (environ: Record<string, unknown>) => void {
  const give = () => Promise.resolve(value);
  const stream = {
    read: give,
    readline: give,
    readlines: give,
    [Symbol.asyncIterator]: async function* () {
      yield await give();
    },
  };
  return setting("wsgi.input", stream);
}

async function* three(): AsyncGenerator<Uint8Array> {
  for (const piece of pieces("a", "b", "c", "d", "e")) yield await Promise.resolve(piece);
}

const streamer: Loose = (_environ, start) => {
  start("200 OK", PLAIN);
  return three();
};

const SEEDS: Readonly<Record<string, Seed>> = {
  // The environ: the server's faults, or a middleware's.
  "a class as environ": {
    finds: "environ-type",
    middleware: (app) => (environ, start) =>
      app(Object.assign(new (class Environment {})(), environ) as never, start as StartResponse),
  },
  "a map as environ": {
    finds: "environ-type",
    middleware: (app) => (environ, start) =>
      app(new Map(Object.entries(environ)) as never, start as StartResponse),
  },
  "an array as environ": {
    finds: "environ-type",
    middleware: (app) => (_environ, start) => app([] as never, start as StartResponse),
  },
  "a frozen environ": { finds: "environ-frozen", environ: Object.freeze },
  "no REQUEST_METHOD": { finds: "environ-missing", environ: without("REQUEST_METHOD") },
  "no SERVER_NAME": { finds: "environ-missing", environ: without("SERVER_NAME") },
  "no SERVER_PORT": { finds: "environ-missing", environ: without("SERVER_PORT") },
  "no SERVER_PROTOCOL": { finds: "environ-missing", environ: without("SERVER_PROTOCOL") },
  "no wsgi.version": { finds: "environ-missing", environ: without("wsgi.version") },
  "no wsgi.input": { finds: "environ-missing", environ: without("wsgi.input") },
  "no wsgi.errors": { finds: "environ-missing", environ: without("wsgi.errors") },
  "no wsgi.run_once": { finds: "environ-missing", environ: without("wsgi.run_once") },
  "HTTP_CONTENT_TYPE": { finds: "environ-field", environ: setting("HTTP_CONTENT_TYPE", "a/b") },
  "HTTP_CONTENT_LENGTH": { finds: "environ-field", environ: setting("HTTP_CONTENT_LENGTH", "1") },
  "HTTP_PROXY (httpoxy)": { finds: "environ-field", environ: setting("HTTP_PROXY", "evil") },
  "no QUERY_STRING": { finds: /has no QUERY_STRING/, environ: without("QUERY_STRING") },
  "an extension in upper case": {
    finds: /"Portico\.Thing" should be lower case/,
    environ: setting("Portico.Thing", 1),
  },
  "null for what is not known": { finds: "environ-string", environ: setting("AUTH_TYPE", null) },
  "a number as a variable": { finds: "environ-string", environ: setting("SERVER_PORT", 80) },
  "text in place of bytes": { finds: "environ-latin1", environ: setting("PATH_INFO", "/\u20ac") },
  "another version": { finds: "environ-version", environ: setting("wsgi.version", [2, 0]) },
  "a version as text": { finds: "environ-version", environ: setting("wsgi.version", "1.0") },
  "an odd scheme": { finds: "environ-scheme", environ: setting("wsgi.url_scheme", "HTTP") },
  "an input without readline": {
    finds: "environ-input",
    environ: setting("wsgi.input", { read() {}, readlines() {}, [Symbol.asyncIterator]() {} }),
  },
  "an input that is a web stream": {
    finds: "environ-input",
    environ: setting("wsgi.input", new ReadableStream()),
  },
  "errors without writelines": {
    finds: "environ-errors",
    environ: setting("wsgi.errors", { write() {}, flush() {} }),
  },
  "1 as a switch": { finds: "environ-boolean", environ: setting("wsgi.multithread", 1) },
  "a file_wrapper that is none": {
    finds: "environ-file-wrapper",
    environ: setting("wsgi.file_wrapper", true),
  },
  "a method that is no token": {
    finds: "environ-request-method",
    environ: setting("REQUEST_METHOD", "GET /"),
  },
  "an unknown method": {
    finds: /REQUEST_METHOD is "BREW"/,
    environ: setting("REQUEST_METHOD", "BREW"),
  },
  "a SCRIPT_NAME without slash": {
    finds: "environ-script-name",
    environ: setting("SCRIPT_NAME", "app"),
  },
  'a SCRIPT_NAME of "/"': { finds: "environ-script-name", environ: setting("SCRIPT_NAME", "/") },
  "a PATH_INFO without slash": { finds: "environ-path-info", environ: setting("PATH_INFO", "x") },
  "neither SCRIPT_NAME nor PATH_INFO": { finds: "environ-path", environ: without("PATH_INFO") },
  "a CONTENT_LENGTH of two": {
    finds: "environ-content-length",
    environ: setting("CONTENT_LENGTH", "5, 5"),
  },
  "an empty SERVER_NAME": { finds: "environ-server-name", environ: setting("SERVER_NAME", "") },
  "a SERVER_PORT by name": {
    finds: "environ-server-port",
    environ: setting("SERVER_PORT", "http"),
  },
  "a SERVER_PROTOCOL alone": {
    finds: "environ-server-protocol",
    environ: setting("SERVER_PROTOCOL", "1.1"),
  },
  "an HTTP_HOST with a path": { finds: "environ-host", environ: setting("HTTP_HOST", "a/b") },

  // start_response.
  "start_response with one argument": { finds: "start-arguments", application: starting("200 OK") },
  "start_response with four arguments": {
    finds: "start-arguments",
    application: starting("200 OK", PLAIN, null, 1),
  },
  "a number as status": { finds: "status-type", application: starting(200, PLAIN) },
  "a status of two digits": { finds: "status-digits", application: starting("20 OK", PLAIN) },
  "a status without number": { finds: "status-number", application: starting("Yes OK", PLAIN) },
  "a status that cannot be": { finds: "status-range", application: starting("099 Low", PLAIN) },
  "an interim status": { finds: "status-range", application: starting("103 Early Hints", PLAIN) },
  "a line break in the status": {
    finds: "status-characters",
    application: starting("200 OK\r\nX: y", PLAIN),
  },
  "a status without reason": {
    finds: /should have a reason/,
    application: starting("200 ", PLAIN),
  },
  "Headers as headers": {
    finds: "fields-type",
    application: starting("200 OK", new Headers({ a: "b" })),
  },
  "an object as headers": { finds: "fields-type", application: starting("200 OK", { a: "b" }) },
  "a header as text": { finds: "field-type", application: starting("200 OK", ["a: b"]) },
  "a header of three": { finds: "field-pair", application: starting("200 OK", [["a", "b", "c"]]) },
  "a number as a header's name": { finds: "field-name-type", application: withField(1, "x") },
  "a number as a header's value": { finds: "field-value-type", application: withField("Age", 5) },
  "a header named Status": { finds: "field-status", application: withField("status", "200") },
  "a colon in a name": { finds: "field-name-mark", application: withField("X-A:", "b") },
  "a line break in a name": { finds: "field-name-mark", application: withField("X\nB", "b") },
  "a space in a name": { finds: "field-name", application: withField("X A", "b") },
  "a name that begins with a digit": { finds: "field-name", application: withField("1X", "b") },
  "a name that ends in _": { finds: "field-name-end", application: withField("X_", "b") },
  "a line break in a value": {
    finds: "field-value-control",
    application: withField("Location", "/a\r\nSet-Cookie: b=c"),
  },
  "a NUL in a value": { finds: "field-value-control", application: withField("X-A", "a\0b") },
  "text past U+00FF in a value": {
    finds: "field-value-latin1",
    application: withField("X-Price", "5 \u20ac"),
  },
  "a hop-by-hop header": {
    finds: "field-hop-by-hop",
    application: withField("Transfer-Encoding", "chunked"),
  },
  "Connection: close": { finds: "field-hop-by-hop", application: withField("Connection", "close") },
  "text as excInfo": { finds: "start-exc-info", application: starting("500 Oops", PLAIN, "why") },
  "a second start without its reason": {
    finds: "start-twice",
    application: (_environ, start) => {
      start("200 OK", PLAIN);
      start("201 Created", PLAIN);
      return [];
    },
  },
  "a second start after one that was refused": {
    finds: "start-twice",
    application: (_environ, start) => {
      assert.throws(() => start("OK", PLAIN));
      start("200 OK", PLAIN);
      return [];
    },
  },
  "a middleware that drops excInfo": {
    finds: "start-twice",
    application: (_environ, start) => {
      start("200 OK", PLAIN);
      start("500 Oops", PLAIN, new Error("late"));
      return [];
    },
    middleware: (app) => (environ, start) =>
      app(environ, (status, headers) => start(status, headers) as never),
  },
  "a Content-Type on 304": {
    finds: "field-content-type",
    application: starting("304 Not Modified", PLAIN),
  },
  "no Content-Type on 200": {
    finds: /should have a Content-Type/,
    application: starting("200 OK", []),
  },
  "Content-Length twice": {
    finds: "length-twice",
    application: starting("200 OK", [...PLAIN, ["Content-Length", "0"], ["content-length", "0"]]),
  },
  "a Content-Length that is no number": {
    finds: "length-number",
    application: withField("Content-Length", "-1"),
  },
  "Content-Length on 204": {
    finds: "length-none",
    application: starting("204 No Content", [["Content-Length", "0"]]),
  },
  "a middleware whose start_response gives no write()": {
    finds: "write-missing",
    middleware: (app) => (environ, start) =>
      app(environ, (...args) => void start(...args) as never),
  },

  // write().
  "write() of text": {
    finds: "write-bytes",
    application: (_environ, start) => {
      start("200 OK", PLAIN)("text");
      return [];
    },
  },
  "write() of two": {
    finds: "write-arguments",
    application: (_environ, start) => {
      start("200 OK", PLAIN)(bytes("a"), bytes("b"));
      return [];
    },
  },
  "write() past Content-Length": {
    finds: "length-long",
    application: (_environ, start) => {
      start("200 OK", [...PLAIN, ["Content-Length", "3"]])(bytes("four"));
      return [];
    },
  },

  // wsgi.input.
  "read() with two arguments": {
    finds: "input-arguments",
    application: using((environ) => input(environ)["read"]?.(1, 2)),
  },
  "read() of a size that is text": {
    finds: "input-size",
    application: using((environ) => input(environ)["read"]?.("5")),
  },
  "readline() of half a byte": {
    finds: "input-size",
    application: using((environ) => input(environ)["readline"]?.(0.5)),
  },
  "two reads at once": {
    finds: "input-overlap",
    application: using((environ) => Promise.all([1, 2].map(() => input(environ)["read"]?.(4)))),
  },
  "an input that gives text": {
    finds: "input-bytes",
    environ: inputOf("text"),
    application: using((environ) => environ["wsgi.input"].read(4)),
  },
  "an input that gives more than asked": {
    finds: "input-long",
    environ: inputOf(bytes("too long")),
    application: using((environ) => environ["wsgi.input"].read(4)),
  },
  "an input whose lines are several": {
    finds: "input-line",
    environ: inputOf(bytes("one\ntwo\n")),
    application: using((environ) => environ["wsgi.input"].readline()),
  },
  "an input whose readlines() is no array": {
    finds: "input-lines",
    environ: inputOf(bytes("one\ntwo\n")),
    application: using((environ) => environ["wsgi.input"].readlines()),
  },
  "an input whose readlines() gives text": {
    finds: "input-bytes",
    environ: inputOf(["one\n"]),
    application: using((environ) => environ["wsgi.input"].readlines()),
  },
  "an input whose iteration gives text": {
    finds: "input-bytes",
    environ: inputOf("one\n"),
    application: using((environ) => environ["wsgi.input"][Symbol.asyncIterator]().next()),
  },
  "closing the input": {
    finds: "input-close",
    application: using((environ) => input(environ)["close"]?.()),
  },

  // wsgi.errors.
  "bytes for wsgi.errors": {
    finds: "errors-text",
    application: using((environ) => errors(environ)["write"]?.(bytes("x"))),
  },
  "an error for wsgi.errors": {
    finds: "errors-text",
    application: using((environ) => errors(environ)["write"]?.(new Error("x"))),
  },
  "two texts for wsgi.errors": {
    finds: "errors-arguments",
    application: using((environ) => errors(environ)["write"]?.("a", "b")),
  },
  "one text for writelines()": {
    finds: "errors-lines",
    application: using((environ) => errors(environ)["writelines"]?.("text")),
  },
  "closing wsgi.errors": {
    finds: "errors-close",
    application: using((environ) => errors(environ)["close"]?.()),
  },

  // The result.
  "no result": { finds: "result-missing", application: returning(undefined) },
  "null as result": { finds: "result-missing", application: returning(null) },
  "a promise of nothing": { finds: "result-missing", application: returning(Promise.resolve()) },
  "text as result": { finds: "result-string", application: returning("text") },
  "bare bytes as result": { finds: "result-bytes", application: returning(bytes("text")) },
  "a bare buffer as result": { finds: "result-bytes", application: returning(new ArrayBuffer(1)) },
  "a Response as result": { finds: "result-iterable", application: returning(new Response("x")) },
  "a function as result": { finds: "result-iterable", application: returning(() => []) },
  "an array of text": { finds: "piece-type", application: returning(["text"]) },
  "a generator of text": { finds: "piece-type", application: returning(new Set(["text"])) },
  "no start_response with an array": {
    finds: "piece-unstarted",
    application: () => pieces("x"),
  },
  "no start_response at all": { finds: "start-missing", application: () => [] },
  "a value before start_response": {
    finds: "piece-unstarted",
    application: function* (_environ, start) {
      yield bytes("");
      start("200 OK", PLAIN);
    },
  },
  "fewer bytes than promised": {
    finds: "length-short",
    application: (_environ, start) => {
      start("200 OK", [...PLAIN, ["Content-Length", "9"]]);
      return new Set(pieces("four"));
    },
  },
  "fewer bytes than promised, in an array": {
    finds: "length-short",
    application: (_environ, start) => {
      start("200 OK", [...PLAIN, ["Content-Length", "9"]]);
      return pieces("four");
    },
  },
  "more bytes than promised": {
    finds: "length-long",
    application: (_environ, start) => {
      start("200 OK", [...PLAIN, ["Content-Length", "3"]]);
      return new Set(pieces("ab", "cd"));
    },
  },
  "a body with 204": {
    finds: "piece-bodyless",
    application: (_environ, start) => {
      start("204 No Content", []);
      return pieces("x");
    },
  },
  "a middleware that changes the body and keeps Content-Length": {
    finds: "length-long",
    application: (_environ, start) => {
      start("200 OK", [...PLAIN, ["Content-Length", "4"]]);
      return pieces("four");
    },
    middleware: (app) => (environ, start) => {
      const result = app(environ, start as StartResponse) as Uint8Array[];
      return [...result, ...pieces("!")];
    },
  },
  "a middleware that iterates twice": {
    finds: "result-iterated-twice",
    application: streamer,
    middleware: (app) =>
      async function* (environ, start) {
        const result = await app(environ, start as StartResponse);
        for await (const _ of result) break;
        yield* result;
      },
  },
  "a middleware that iterates after close()": {
    finds: "result-after-close",
    application: streamer,
    middleware: (app) =>
      async function* (environ, start) {
        const result = await app(environ, start as StartResponse);
        await result.close?.();
        yield* result;
      },
  },
  "a middleware that closes twice": {
    finds: "result-closed-twice",
    application: streamer,
    middleware: (app) =>
      async function* (environ, start) {
        const result = await app(environ, start as StartResponse);
        yield* result;
        await result.close?.();
        await result.close?.();
      },
  },
  "a middleware that asks before the last value came": {
    finds: "result-overlap",
    application: streamer,
    middleware: (app) => async (environ, start) => {
      const result = await app(environ, start as StartResponse) as AsyncIterable<Uint8Array>;
      const iterator = result[Symbol.asyncIterator]();
      await Promise.all([iterator.next(), iterator.next()]);
      return [];
    },
  },
  "a middleware that never closes": {
    finds: /was not closed/,
    application: streamer,
    middleware: (app) =>
      async function* (environ, start) {
        yield* await app(environ, start as StartResponse);
      },
  },
  "a middleware that collects the whole answer": {
    finds: "piece-waits",
    application: streamer,
    middleware: (app) =>
      async function* (environ, start) {
        const result = await app(environ, start as StartResponse);
        const all: Uint8Array[] = [];
        for await (const piece of result) all.push(piece);
        await result.close?.();
        yield* all;
      },
  },
  "a middleware that passes on a bare function's arguments": {
    finds: "arguments",
    middleware: (app) => (environ, start) => (app as Loosest)(environ, start, "more"),
  },
  "a middleware that passes no start_response": {
    finds: "start-callable",
    middleware: (app) => (environ) => app(environ, undefined as never),
  },
};

for (const [name, { finds, ...seed }] of Object.entries(SEEDS)) {
  Deno.test(`the validator finds ${name}`, async () => {
    const { failures, said } = await findings(seed);
    if (typeof finds === "string") assert.deepEqual(failures, [finds], said.join());
    else assert.match(said.join(), finds, failures.join());
  });
}

Deno.test("the catalogue of seeded faults has more than 60, of some 60 rules", () => {
  const rules = new Set(Object.values(SEEDS).map(({ finds }) => String(finds)));
  assert(Object.keys(SEEDS).length >= 60, String(Object.keys(SEEDS).length));
  assert(rules.size >= 60, String(rules.size));
});

Deno.test("the validator refuses what is no application", () => {
  for (const value of [undefined, null, { fetch() {} }, "app"]) {
    assert.throws(() => validator(value as never), { failure: "wsgi-application" });
  }
});

Deno.test("the validator tells each finding once", async () => {
  const application = validator(starting("200 OK", []) as Application);
  const said: string[] = [];
  for (let call = 0; call < 3; call++) {
    const stage = new Watched();
    await stage.run(application);
    said.push(...stage.said);
  }
  assert.equal(said.length, 1);
  assert.match(said.join(), /^validator: .*\n$/);
});

Deno.test("the validator closes a result that it refuses", async () => {
  let closed = 0;
  for (const result of [["text"], { 0: bytes("a"), length: 1 }]) {
    const application = returning(Object.assign(result, { close: () => closed++ }));
    await findings({ application });
  }
  assert.equal(closed, 2);
});

/** Correct applications, each as simple or as odd as the contract allows. */
const CORRECT: Readonly<Record<string, Loose>> = {
  "an array": fine,
  "an empty array": returning([]),
  "a set": returning(new Set(pieces("a", "b"))),
  "a promise of an array": (_environ, start) => Promise.resolve(fine(_environ, start)),
  "a generator that starts late": function* (_environ, start) {
    start("200 OK", PLAIN);
    yield bytes("");
    yield bytes("x");
  },
  "an asynchronous generator": streamer,
  "a web stream": (_environ, start) => {
    start("200 OK", PLAIN);
    return new Response("streamed").body;
  },
  "an iterable with close()": (_environ, start) => {
    start("200 OK", PLAIN);
    return { [Symbol.iterator]: () => pieces("a").values(), close() {} };
  },
  "an array with close()": (_environ, start) => {
    start("200 OK", PLAIN);
    return Object.assign(pieces("a", "b"), { close() {} });
  },
  "write()": async (_environ, start) => {
    await start("200 OK", [...PLAIN, ["Content-Length", "2"]])(bytes("a"));
    return pieces("b");
  },
  "a corrected head": (_environ, start) => {
    start("200 OK", [...PLAIN, ["Content-Length", "100"]]);
    start("500 Oops", PLAIN, new Error("why"));
    return pieces("oops");
  },
  "304 with what it knows": starting("304 Not Modified", [["ETag", '"a"'], [
    "Content-Length",
    "5",
  ]]),
  "204": starting("204 No Content", []),
  "a body that is read in every way": using(async (environ) => {
    const stream = environ["wsgi.input"];
    assert.deepEqual(await stream.read(1), bytes("o"));
    assert.deepEqual(await stream.readline(), bytes("ne\n"));
    assert.deepEqual(await stream.readline(2), bytes("tw"));
    for await (const line of stream) assert.deepEqual(line, bytes("o\n"));
    assert.deepEqual(await stream.readlines(), []);
    assert.equal((await stream.read()).length, 0);
  }),
  "text for wsgi.errors": using((environ) => {
    environ["wsgi.errors"].write("caf\u00e9 \u2713\n");
    environ["wsgi.errors"].writelines(["a", "b"]);
    environ["wsgi.errors"].flush();
  }),
};

for (const [name, application] of Object.entries(CORRECT)) {
  Deno.test(`the validator finds nothing in ${name}`, async () => {
    for (const method of ["POST", "HEAD"]) {
      const { failures, said } = await findings({ application, method });
      assert.deepEqual(failures, []);
      assert.deepEqual(said.filter((text) => text.startsWith("validator")), []);
    }
  });
}

/** Correct middleware, between two validators. */
const LAYERS: Readonly<Record<string, Middleware>> = {
  "one that passes everything on": (app) => (environ, start) => app(environ, start),
  "one that adds a header": (app) => (environ, start) =>
    app(environ, (status, headers, excInfo) => start(status, [...headers, ["X-A", "b"]], excInfo)),
  "one that maps values": (app) =>
    async function* (environ, start) {
      const result = await app(environ, start);
      try {
        for await (const piece of result) yield piece.slice();
      } finally {
        await result.close?.();
      }
    },
  "one that pipes through web streams": (app) => async (environ, start) => {
    const result = await app(environ, start);
    const stream = ReadableStream.from(result).pipeThrough(new TransformStream());
    return Object.assign(stream, { close: () => result.close?.() });
  },
  "one that calls the application twice": (app) => async (environ, start) => {
    const first = await app(environ, start);
    await first.close?.();
    return await app(environ, (status, headers) => start(status, headers, new Error("again")));
  },
};

for (const [name, middleware] of Object.entries(LAYERS)) {
  Deno.test(`the validator finds nothing in middleware: ${name}`, async () => {
    for (const application of [fine, streamer, CORRECT["a web stream"]]) {
      if (application === undefined) continue;
      const { failures, said } = await findings({
        application,
        middleware: (app) => middleware(app) as unknown as Loose,
      });
      assert.deepEqual(failures, []);
      assert.deepEqual(said.filter((text) => text.startsWith("validator")), []);
    }
  });
}

Deno.test("an answer is the same with the validator and without", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 6 });
  const form = fc.constantFrom("array", "sync", "async");
  await fc.assert(fc.asyncProperty(chunks, form, async (list, how) => {
    const application = ((_environ: Environ, start: StartResponse) => {
      start("201 Created", [...PLAIN, ["X-A", "b"]]);
      if (how === "array") return list;
      return how === "sync" ? new Set(list) : ReadableStream.from(list);
    }) as Application;
    const answers = await Promise.all([application, validator(application)].map(async (app) => {
      const { head, body } = await new Stage().run(app);
      return { head, whole: body instanceof Uint8Array, text: (await listOf(body)).join() };
    }));
    assert.deepEqual(answers[0], answers[1]);
  }));
});
