import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientGone } from "../../lib/errors.ts";
import { gzip } from "../../lib/middleware/mod.ts";
import type { Application, FieldPair } from "../../lib/protocol/wsgi.ts";
import { bytes, pieces, PLAIN, settle, sourceOf, Stage } from "../support/wsgi_call.ts";
import { answering, ask, type Asked, type Outcome, textOf, valuesOf } from "./layer.ts";

const LONG = "as long as it takes ".repeat(200);
const WANTS: Asked = { headers: { "accept-encoding": "gzip" } };

async function unzip(body: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([body]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

function isCompressed(outcome: Outcome): boolean {
  return valuesOf(outcome, "content-encoding").includes("gzip");
}

Deno.test("gzip compresses an array as a whole, with its length", async () => {
  const outcome = await ask(gzip(), answering(pieces(LONG, LONG)), WANTS);
  assert(isCompressed(outcome));
  assert.equal(await unzip(outcome.body), LONG + LONG);
  assert.deepEqual(valuesOf(outcome, "content-length"), [String(outcome.body.length)]);
  assert.deepEqual(valuesOf(outcome, "vary"), ["Accept-Encoding"]);
});

Deno.test("gzip flushes each value of a stream: what went in can be read", async () => {
  const gate = Promise.withResolvers<void>();
  const application: Application = async function* (_environ, start) {
    start("200 OK", [["Content-Type", "text/event-stream"]]);
    yield bytes("data: first\n\n");
    await gate.promise;
    yield bytes("data: second\n\n");
  };
  const stage = new Stage({ exchange: { headers: new Headers({ "accept-encoding": "gzip" }) } });
  const source = sourceOf(await stage.run(gzip()(application)));
  const { writable, readable } = new DecompressionStream("gzip");
  const writer = writable.getWriter();
  const reader = readable.pipeThrough(new TextDecoderStream()).getReader();
  writer.write((await source.read())!);
  assert.equal((await reader.read()).value, "data: first\n\n");
  gate.resolve();
  writer.write((await source.read())!);
  assert.equal((await reader.read()).value, "data: second\n\n");
  for (let end = await source.read(); end !== undefined; end = await source.read()) {
    writer.write(end);
  }
  await writer.close();
  assert.equal((await reader.read()).done, true);
});

Deno.test("gzip gives at least a value for each value of a stream", async () => {
  const outcome = await ask(gzip(), answering(new Set(pieces("a", "b", "c", "d"))), WANTS);
  assert(isCompressed(outcome));
  assert(outcome.pieces.length >= 4);
  assert.equal(await unzip(outcome.body), "abcd");
});

Deno.test("gzip leaves alone what is no use to compress, or must not be", async () => {
  const cases: [string, Application][] = [
    ["tiny", answering(pieces("tiny"))],
    ["tiny by its length", answering(new Set(pieces("tiny")), [["Content-Length", "4"]])],
    ["compressed", answering(pieces(LONG), [["Content-Encoding", "br"]])],
    ["a part", answering(pieces(LONG), [["Content-Range", "bytes 0-1/2"]], "206 Partial Content")],
    ["no-transform", answering(pieces(LONG), [["Cache-Control", "private, no-transform"]])],
    ["an image", answering(pieces(LONG), [["Content-Type", "image/png"]])],
    ["a file to be sent instead", answering(pieces(LONG), [["X-Accel-Redirect", "/file"]])],
    ["no content", answering([], [], "204 No Content")],
    ["not modified", answering([], [["ETag", '"a"']], "304 Not Modified")],
  ];
  for (const [name, application] of cases) {
    const plain = await ask(gzip(), application);
    const outcome = await ask(gzip(), application, WANTS);
    assert.deepEqual(outcome, plain, name);
    assert.equal(valuesOf(outcome, "etag").join(), name === "not modified" ? '"a"' : "");
  }
});

Deno.test("gzip compresses for those who accept it (RFC 9110 §12.5.3)", async () => {
  const cases: [string, boolean][] = [
    ["gzip", true],
    ["GZIP", true],
    ["br, gzip;q=0.5", true],
    ["x-gzip", true],
    ["*", true],
    ["*;q=0.1", true],
    ["", false],
    ["br", false],
    ["gzip;q=0", false],
    ["gzip; q=0.000", false],
    ["*, gzip;q=0", false],
    ["*;q=0", false],
    ["gzippy", false],
  ];
  for (const [accepted, expected] of cases) {
    const asked = { headers: { "accept-encoding": accepted } };
    const outcome = await ask(gzip(), answering(pieces(LONG)), asked);
    assert.equal(isCompressed(outcome), expected, accepted);
    assert.deepEqual(valuesOf(outcome, "vary"), ["Accept-Encoding"], "others may get another");
  }
});

Deno.test("gzip weakens an ETag and keeps Vary in one piece (RFC 9110 §8.8.1)", async () => {
  const fields: FieldPair[] = [["ETag", '"v1"'], ["Vary", "Cookie"], ["Accept-Ranges", "bytes"]];
  const outcome = await ask(gzip(), answering(pieces(LONG), fields), WANTS);
  assert.deepEqual(valuesOf(outcome, "etag"), ['W/"v1"']);
  assert.deepEqual(valuesOf(outcome, "vary"), ["Cookie", "Accept-Encoding"]);
  assert.deepEqual(valuesOf(outcome, "accept-ranges"), []);
  const weak = await ask(
    gzip(),
    answering(pieces(LONG), [["ETag", 'W/"v1"'], ["Vary", "*"]]),
    WANTS,
  );
  assert.deepEqual(valuesOf(weak, "etag"), ['W/"v1"']);
  assert.deepEqual(valuesOf(weak, "vary"), ["*"]);
});

Deno.test("gzip corrects what was promised of other bytes", async () => {
  const fields: FieldPair[] = [["Content-Length", String(LONG.length)], ["Content-MD5", "x"]];
  for (const body of [pieces(LONG), new Set(pieces(LONG))]) {
    const outcome = await ask(gzip(), answering(body, fields), WANTS);
    assert.equal(await unzip(outcome.body), LONG);
    assert.deepEqual(valuesOf(outcome, "content-md5"), []);
    assert.notDeepEqual(valuesOf(outcome, "content-length"), [String(LONG.length)]);
  }
});

Deno.test("gzip says to HEAD what GET would be told, as far as it is known (RFC 9110 §9.3.2)", async () => {
  const known = answering([], [["Content-Length", "5000"], ["ETag", '"v"']]);
  const outcome = await ask(gzip(), known, { ...WANTS, method: "HEAD" });
  assert(isCompressed(outcome));
  assert.deepEqual(valuesOf(outcome, "content-length"), []);
  assert.deepEqual(valuesOf(outcome, "etag"), ['W/"v"']);
  const unknown = await ask(gzip(), answering([]), { ...WANTS, method: "HEAD" });
  assert.equal(isCompressed(unknown), false);
});

Deno.test('gzip passes on what is written with write() as it is (PEP 3333 "The write() Callable")', async () => {
  const application: Application = async (_environ, start) => {
    await start("200 OK", PLAIN)(bytes(LONG));
    return pieces(LONG);
  };
  const outcome = await ask(gzip(), application, WANTS);
  assert.equal(isCompressed(outcome), false);
  assert.equal(textOf(outcome), LONG + LONG);
});

Deno.test("gzip lets an application correct its head, until there is a body", async () => {
  const application: Application = function* (_environ, start) {
    start("200 OK", [...PLAIN, ["X-First", "1"]]);
    yield bytes("");
    start("500 Oops", PLAIN, new Error("why"));
    yield bytes("oops");
  };
  const outcome = await ask(gzip(), application, WANTS);
  assert.equal(outcome.status, 500);
  assert.deepEqual(valuesOf(outcome, "x-first"), []);
  assert.equal(isCompressed(outcome), false);
  assert.equal(textOf(outcome), "oops");
  const late: Application = function* (_environ, start) {
    start("200 OK", PLAIN);
    yield bytes("so far");
    start("500 Oops", PLAIN, new Error("too late"));
    yield bytes("never");
  };
  await assert.rejects(ask(gzip(), late, WANTS), { message: /too late/ });
});

Deno.test("gzip does not let an application start twice without a reason", async () => {
  const application: Application = (_environ, start) => {
    start("200 OK", PLAIN);
    start("200 OK", PLAIN);
    return [];
  };
  const headers = new Headers({ "accept-encoding": "gzip" });
  const run = async () => await new Stage({ exchange: { headers } }).run(gzip()(application));
  await assert.rejects(run, { failure: "wsgi-started-twice" });
});

Deno.test("gzip ends the application with the client, also while it waits", async () => {
  const ends: string[] = [];
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(bytes(LONG)),
    cancel: () => void ends.push("cancel"),
  });
  const closing: Application = (_environ, start) => {
    start("200 OK", PLAIN);
    return { [Symbol.iterator]: () => pieces("a", "b").values(), close: () => ends.push("close") };
  };
  for (const application of [answering(stream), closing]) {
    const headers = new Headers({ "accept-encoding": "gzip" });
    const source = sourceOf(await new Stage({ exchange: { headers } }).run(gzip()(application)));
    await source.read();
    if (application !== closing) source.read().catch(() => {});
    await settle();
    source.cancel(new ClientGone());
    await settle();
  }
  assert.deepEqual(ends, ["cancel", "close"]);
});

Deno.test("gzip closes what it never iterated", async () => {
  let closed = 0;
  const application: Application = (_environ, start) => {
    start("204 No Content", []);
    return { [Symbol.iterator]: () => [].values(), close: () => closed++ };
  };
  await ask(gzip(), application, WANTS);
  assert.equal(closed, 1);
});

Deno.test("gzip closes what comes to nothing, since its head is refused", async () => {
  const ends: string[] = [];
  const headers = new Headers({ "accept-encoding": "gzip" });
  const results: [string, () => object][] = [
    ["tiny", () => Object.assign(pieces("tiny"), { close: () => ends.push("tiny") })],
    ["long", () => Object.assign(pieces(LONG), { close: () => ends.push("long") })],
    ["set", () => Object.assign(new Set(pieces(LONG)), { close: () => ends.push("set") })],
    ["stream", () => new ReadableStream({ cancel: () => void ends.push("stream") })],
  ];
  for (const [name, result] of results) {
    const fields: FieldPair[] = [["Keep-Alive", "5"]];
    if (name === "stream") fields.push(["Content-Encoding", "br"]);
    const run = async () =>
      await new Stage({ exchange: { headers } }).run(
        gzip()((environ, start) => answering(result(), fields)(environ, start)),
      );
    await assert.rejects(run, { failure: "wsgi-hop-by-hop" });
  }
  await settle();
  assert.deepEqual(ends, ["tiny", "long", "set", "stream"]);
});

Deno.test("any body is the same after gzip, however it is cut", async () => {
  const cuts = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(cuts, fc.boolean(), async (list, stream) => {
      const body = stream ? new Set(list) : list;
      const outcome = await ask(gzip({ minimum: 100 }), answering(body), WANTS);
      const all = await new Blob(list.map((piece) => new Uint8Array(piece))).bytes();
      const got = isCompressed(outcome)
        ? await new Response(
          new Blob([outcome.body]).stream().pipeThrough(new DecompressionStream("gzip")),
        ).bytes()
        : outcome.body;
      assert.deepEqual(got, all);
    }),
    { numRuns: 60 },
  );
});
