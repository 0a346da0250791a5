import assert from "node:assert/strict";
import { ClientGone, GatewayError } from "../../lib/errors.ts";
import type { Application } from "../../lib/protocol/wsgi.ts";
import {
  answerOf,
  bytes,
  listOf,
  pieces,
  PLAIN,
  settle,
  sourceOf,
  Stage,
  textOf,
} from "../support/wsgi_call.ts";

const DETAILS = 'PEP 3333 "Specification Details"';
const BUFFERING = 'PEP 3333 "Buffering and Streaming"';

/** Yields pieces and takes down what becomes of it. */
class Watched implements Iterable<Uint8Array> {
  readonly events: string[] = [];
  readonly #texts: readonly string[];
  constructor(...texts: string[]) {
    this.#texts = texts;
  }
  *[Symbol.iterator](): Generator<Uint8Array, void, undefined> {
    try {
      for (const text of this.#texts) {
        this.events.push(text);
        if (text === "throw") throw new Error("in the middle");
        yield bytes(text);
      }
    } finally {
      this.events.push("finally");
    }
  }
  close(): void {
    this.events.push("close");
  }
}

/** The same, with a wait before each piece. */
class WatchedLater implements AsyncIterable<Uint8Array> {
  readonly #inner: Watched;
  constructor(inner: Watched) {
    this.#inner = inner;
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (const piece of this.#inner) {
      await Promise.resolve();
      yield piece;
    }
  }
  close(): void {
    this.#inner.close();
  }
}

/** An application that returns just this. */
function returning(result: unknown, status = "200 OK"): Application {
  return ((_environ: unknown, start: Parameters<Application>[1]) => {
    start(status, PLAIN);
    return result;
  }) as Application;
}

Deno.test("an array is answered at once, without a promise, as one piece with its length", () => {
  const stage = new Stage();
  const answer = stage.run(returning(pieces("one ", "two")));
  assert(!(answer instanceof Promise));
  assert.deepEqual(answer.body, bytes("one two"));
  assert.equal(stage.released, 1);
});

Deno.test("a single piece is not copied", async () => {
  const [piece = bytes("")] = pieces("whole");
  assert.equal((await answerOf(returning([piece]))).body, piece);
});

Deno.test("the application's array stays as it was", async () => {
  const list = Object.freeze(pieces("a", "", "b"));
  assert.equal(await textOf(await answerOf(returning(list))), "ab");
  assert.equal(await textOf(await answerOf(returning(list))), "ab");
});

Deno.test(`an empty result is an empty body (${DETAILS})`, async () => {
  for (const empty of [[], pieces(""), new Watched(), new WatchedLater(new Watched())]) {
    assert.deepEqual((await answerOf(returning(empty))).body, bytes(""));
  }
});

Deno.test(`every kind of iterable of bytes will do (${DETAILS})`, async () => {
  const kinds: Record<string, () => unknown> = {
    array: () => pieces("a", "b"),
    set: () => new Set(pieces("a", "b")),
    generator: () => new Watched("a", "b")[Symbol.iterator](),
    iterable: () => new Watched("a", "b"),
    asyncIterable: () => new WatchedLater(new Watched("a", "b")),
    asyncGenerator: () => new WatchedLater(new Watched("a", "b"))[Symbol.asyncIterator](),
    stream: () => ReadableStream.from(pieces("a", "b")),
    blob: () => new Blob(["a", "b"]).stream(),
    values: () => pieces("a", "b").values(),
  };
  for (const [name, make] of Object.entries(kinds)) {
    assert.equal(await textOf(await answerOf(returning(make()))), "ab", name);
    assert.equal(await textOf(await answerOf(returning(Promise.resolve(make())))), "ab", name);
  }
});

Deno.test(`a result that is no iterable of bytes is refused (${DETAILS})`, async () => {
  const wrong = [
    undefined,
    null,
    "text",
    7,
    bytes("bare"),
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)),
    {},
    () => [],
  ];
  for (const result of wrong) {
    for (const form of [result, Promise.resolve(result)]) {
      await assert.rejects(answerOf(returning(form)), { failure: "wsgi-result", status: 500 });
    }
  }
});

Deno.test(`a piece that is no bytes is refused, and the result closed (${DETAILS})`, async () => {
  for (const piece of ["text", 1, null, [1, 2], new ArrayBuffer(1)]) {
    await assert.rejects(answerOf(returning([piece])), { failure: "wsgi-piece", status: 500 });
    await assert.rejects(answerOf(returning(new Set([piece]))), { failure: "wsgi-piece" });
    const later = ReadableStream.from([bytes("a"), piece]);
    const answer = await answerOf(returning(later));
    await assert.rejects(textOf(answer), { failure: "wsgi-piece" });
  }
});

Deno.test(`a piece is asked for only when the last was taken (${BUFFERING})`, async () => {
  for (const later of [false, true]) {
    const watched = new Watched("a", "b", "c");
    const answer = await answerOf(returning(later ? new WatchedLater(watched) : watched));
    await settle();
    assert.deepEqual(watched.events, ["a"]);
    const source = sourceOf(answer);
    await source.read();
    await settle();
    assert.deepEqual(watched.events, ["a"]);
    await source.read();
    assert.deepEqual(watched.events, ["a", "b"]);
    source.cancel(new ClientGone());
    await settle();
  }
});

Deno.test(`pieces keep their borders, and empty ones vanish (${BUFFERING})`, async () => {
  const answer = await answerOf(returning(new Watched("a", "", "", "bc", "")));
  assert.deepEqual(await listOf(answer.body), ["a", "bc"]);
});

Deno.test(`close() is called once at the end, after finally (${DETAILS})`, async () => {
  for (const later of [false, true]) {
    const watched = new Watched("a", "b");
    const stage = new Stage();
    const answer = await stage.run(returning(later ? new WatchedLater(watched) : watched));
    assert.equal(await textOf(answer), "ab");
    await settle();
    assert.deepEqual(watched.events, ["a", "b", "finally", "close"]);
    assert.equal(stage.released, 1);
  }
});

Deno.test(`close() is called once when the application fails (${DETAILS})`, async () => {
  for (const later of [false, true]) {
    const watched = new Watched("a", "throw");
    const stage = new Stage();
    const answer = await stage.run(returning(later ? new WatchedLater(watched) : watched));
    await assert.rejects(textOf(answer), { failure: "application-error", status: 500 });
    await settle();
    assert.deepEqual(watched.events, ["a", "throw", "finally", "close"]);
    assert.equal(stage.released, 1);
  }
});

Deno.test(`close() is called once when it fails before the first piece (${DETAILS})`, async () => {
  const watched = new Watched("throw");
  await assert.rejects(answerOf(returning(watched)), { failure: "application-error" });
  await settle();
  assert.deepEqual(watched.events, ["throw", "finally", "close"]);
});

Deno.test(`close() is called once when the client leaves (${DETAILS})`, async () => {
  for (const later of [false, true]) {
    const watched = new Watched("a", "b", "c");
    const stage = new Stage();
    const answer = await stage.run(returning(later ? new WatchedLater(watched) : watched));
    const source = sourceOf(answer);
    await source.read();
    source.cancel(new ClientGone());
    source.cancel(new ClientGone());
    await settle();
    assert.deepEqual(watched.events, ["a", "finally", "close"]);
    assert.equal(stage.released, 1);
    assert.equal(stage.signal.aborted, true);
  }
});

Deno.test(`close() of an array is called once (${DETAILS})`, async () => {
  let closed = 0;
  const list = Object.assign(pieces("a"), { close: () => closed++ });
  assert.equal(await textOf(await answerOf(returning(list))), "a");
  assert.equal(await textOf(await answerOf(returning(Promise.resolve(list)))), "a");
  assert.equal(closed, 2);
  await assert.rejects(answerOf(() => list), { failure: "wsgi-not-started" });
  assert.equal(closed, 3);
});

Deno.test(`close() is called on what cannot be sent as well (${DETAILS})`, async () => {
  let closed = 0;
  await assert.rejects(answerOf(returning({ close: () => closed++ })), { failure: "wsgi-result" });
  assert.equal(closed, 1);
});

Deno.test(`close() of a response that was never started is called (${DETAILS})`, async () => {
  const watched = new Watched("a", "b");
  await assert.rejects(answerOf(() => watched), { failure: "wsgi-not-started" });
  assert.deepEqual(watched.events, ["a", "finally", "close"]);
});

Deno.test("a fault in close() or finally is reported and changes nothing", async () => {
  const stage = new Stage();
  const answer = await stage.run(returning(Object.assign(pieces("a"), {
    close() {
      throw new Error("too late");
    },
  })));
  assert.equal(await textOf(answer), "a");
  assert.match(stage.notices.join(), /close\(\) .* too late/);
});

Deno.test("a rejection of an asynchronous close() is reported", async () => {
  const stage = new Stage();
  const result = Object.assign(new Watched("a"), {
    close: () => Promise.reject(new Error("too late")),
  });
  assert.equal(await textOf(await stage.run(returning(result))), "a");
  await settle();
  assert.match(stage.notices.join(), /close\(\) .* too late/);
});

Deno.test("a fault in a generator's finally after the client left is reported", async () => {
  const stage = new Stage();
  const source = sourceOf(
    await stage.run(async function* (_environ, start) {
      start("200 OK", PLAIN);
      try {
        yield bytes("a");
        await Promise.resolve();
      } finally {
        // deno-lint-ignore no-unsafe-finally
        throw new Error("cannot clean up");
      }
    }),
  );
  source.cancel(new ClientGone());
  await settle();
  assert.match(stage.notices.join(), /return\(\) .* cannot clean up/);
});

Deno.test(`a stream that waits for ever is cancelled when the client leaves (${DETAILS})`, async () => {
  let cancelled: unknown;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(bytes("a")),
    cancel: (reason) => void (cancelled = reason ?? "cancelled"),
  });
  const source = sourceOf(await answerOf(returning(stream)));
  await source.read();
  const waiting = source.read();
  source.cancel(new ClientGone());
  await assert.rejects(waiting, ClientGone);
  await settle();
  assert.equal(cancelled, "cancelled");
});

Deno.test(`close() does not wait for a step that waits for it (${DETAILS})`, async () => {
  const gate = Promise.withResolvers<void>();
  const events: string[] = [];
  const result = {
    async *[Symbol.asyncIterator]() {
      yield bytes("a");
      await gate.promise;
      events.push("step ended");
    },
    close() {
      events.push("close");
      gate.resolve();
    },
  };
  const source = sourceOf(await answerOf(returning(result)));
  await source.read();
  const waiting = source.read();
  source.cancel(new ClientGone());
  await assert.rejects(waiting, ClientGone);
  await settle();
  assert.deepEqual(events, ["close", "step ended"]);
});

Deno.test("HEAD is run up to the first piece, then closed (RFC 9110 §9.3.2)", async () => {
  for (const later of [false, true]) {
    const watched = new Watched("", "a", "b");
    const stage = new Stage({ exchange: { method: "HEAD" } });
    const answer = await stage.run(returning(later ? new WatchedLater(watched) : watched));
    await settle();
    assert.deepEqual(answer.body, bytes(""));
    assert.deepEqual(watched.events, ["", "a", "finally", "close"]);
    assert.equal(stage.released, 1);
  }
});

Deno.test("HEAD keeps Content-Length, or tells that of an array (RFC 9110 §9.3.2)", async () => {
  const head = { exchange: { method: "HEAD" } };
  const told = await answerOf(returning(pieces("abc")), head);
  assert.deepEqual(told.head.headers, [...PLAIN, ["Content-Length", "3"]]);
  const kept = await answerOf((_environ, start) => {
    start("200 OK", [["Content-Length", "12"]]);
    return [];
  }, head);
  assert.deepEqual(kept.head.headers, [["Content-Length", "12"]]);
  const silent = await answerOf(returning([]), head);
  assert.deepEqual(silent.head.headers, PLAIN);
});

Deno.test("204 and 304 have no body, whatever is yielded (RFC 9110 §15.3.5, §15.4.5)", async () => {
  for (const status of ["204 No Content", "304 Not Modified"]) {
    const watched = new Watched("a", "b");
    const answer = await answerOf(returning(watched, status));
    assert.deepEqual(answer.body, bytes(""));
    assert.deepEqual(watched.events, ["a", "finally", "close"]);
  }
});

const ERRORS = 'PEP 3333 "Error Handling"';

Deno.test(`an application that throws is a 500 with its stack (${ERRORS})`, async () => {
  const cause = new TypeError("x is not a function");
  const forms: Application[] = [
    () => {
      throw cause;
    },
    () => Promise.reject(cause),
    // deno-lint-ignore require-yield
    function* () {
      throw cause;
    },
    // deno-lint-ignore require-yield
    async function* () {
      throw await Promise.resolve(cause);
    },
  ];
  for (const application of forms) {
    const stage = new Stage();
    const failure = await Promise.try(() => stage.run(application)).catch((error) => error);
    assert(failure instanceof GatewayError);
    assert.equal(failure.status, 500);
    assert.equal(failure.failure, "application-error");
    assert.match(failure.message, /^TypeError: x is not a function\n.*wsgi_result_test\.ts/);
    assert.equal(failure.cause, cause);
    assert.equal(stage.released, 1);
  }
});

Deno.test("the stack of a failure ends where the application was called", async () => {
  const failing = answerOf(function failingApplication() {
    throw new Error("here");
  });
  const failure: unknown = await failing.catch((error) => error);
  assert(failure instanceof GatewayError);
  assert.match(failure.message, /^Error: here\n {4}at .*failingApplication .*:\d+:\d+\)$/);
});

Deno.test(`what the server threw at the application goes on as it is (${ERRORS})`, async () => {
  const tooLarge = new GatewayError(413, "body-too-large", "Too much");
  await assert.rejects(answerOf(() => Promise.reject(tooLarge)), tooLarge);
  await assert.rejects(answerOf(() => Promise.reject(new ClientGone())), ClientGone);
});

Deno.test(`anything may be thrown (${ERRORS})`, async () => {
  for (const thrown of ["text", null, undefined, 5, Symbol("s")]) {
    const application = () => {
      throw thrown;
    };
    await assert.rejects(answerOf(application), { failure: "application-error" });
  }
});

Deno.test("an application that is waited for is cut with the lifeline, and its result closed", async () => {
  const gate = Promise.withResolvers<void>();
  const watched = new Watched("a");
  const stage = new Stage();
  const answer = stage.run(async (_environ, start) => {
    await gate.promise;
    start("200 OK", PLAIN);
    return watched;
  });
  const reason = new GatewayError(504, "timeout", "Too slow");
  stage.exchange.lifeline.cut(reason);
  await assert.rejects(Promise.resolve(answer), reason);
  assert.equal(stage.signal.reason, reason);
  assert.equal(stage.released, 1);
  gate.resolve();
  await settle();
  assert.deepEqual(watched.events, ["close"]);
});

Deno.test("a stream that comes too late is cancelled", async () => {
  let cancelled = false;
  const gate = Promise.withResolvers<void>();
  const stage = new Stage();
  const answer = stage.run(async () => {
    await gate.promise;
    return new ReadableStream({ cancel: () => void (cancelled = true) });
  });
  stage.exchange.lifeline.cut(new ClientGone());
  await assert.rejects(Promise.resolve(answer), ClientGone);
  gate.resolve();
  await settle();
  assert.equal(cancelled, true);
});

Deno.test("an application that waits for portico.signal ends with the client", async () => {
  const stage = new Stage();
  const answer = stage.run(async (environ) => {
    const { promise, reject } = Promise.withResolvers<never>();
    environ["portico.signal"].addEventListener("abort", () => reject(new Error("stopped")));
    return await promise;
  });
  stage.exchange.lifeline.cut(new ClientGone());
  await assert.rejects(Promise.resolve(answer), ClientGone);
  await settle();
  assert.deepEqual(stage.notices, []);
});

Deno.test("the first-byte clock starts for applications that are waited for", async () => {
  const stage = new Stage();
  await stage.run(async (_environ, start) => {
    start("200 OK", PLAIN);
    return await Promise.resolve(pieces("a"));
  });
  assert(stage.exchange.lifeline.handedOverAt > 0);
});

Deno.test('an application is called anew for each request, also while it waits (PEP 3333 "Thread Support")', async () => {
  const gate = Promise.withResolvers<void>();
  let calls = 0;
  const application: Application = async (environ, start) => {
    calls++;
    await gate.promise;
    start("200 OK", PLAIN);
    return pieces(environ.PATH_INFO);
  };
  const both = ["/a", "/b"].map((path) => answerOf(application, { exchange: { path } }));
  assert.equal(calls, 2);
  gate.resolve();
  assert.deepEqual(await Promise.all((await Promise.all(both)).map(textOf)), ["/a", "/b"]);
});

Deno.test(`nothing of a result is used but its iteration and close() (${DETAILS})`, async () => {
  for (
    const [symbol, values] of [
      [Symbol.iterator, () => pieces("a", "b").values()],
      [Symbol.asyncIterator, () =>
        (async function* () {
          yield* await Promise.resolve(pieces("a", "b"));
        })()],
    ] as const
  ) {
    const used = new Set<PropertyKey>();
    const result = new Proxy({ [symbol]: values, close() {} }, {
      get: (target, name) => (used.add(name), Reflect.get(target, name)),
    });
    const answer = await answerOf((_environ, start) => {
      start("200 OK", PLAIN);
      return result as unknown as Iterable<Uint8Array>;
    });
    assert.equal(await textOf(answer), "ab");
    await settle();
    const allowed = [Symbol.iterator, Symbol.asyncIterator, "close"];
    assert.deepEqual([...used].filter((name) => !allowed.includes(name as string)), []);
  }
});
