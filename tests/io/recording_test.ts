/** A body that is sent and kept at once. */
import assert from "node:assert/strict";
import type { ByteSource } from "../../lib/exchange.ts";
import { Recording, type RecordingOptions } from "../../lib/io/recording.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A source that is fed by hand. Each piece's memory is taken away with the next read. */
class Feed implements ByteSource {
  cancelled: string | undefined;
  #last: Bytes | undefined;
  #waiting: PromiseWithResolvers<Bytes | undefined> | undefined;
  readonly #ready: (Bytes | undefined | Error)[] = [];

  give(...pieces: (string | undefined | Error)[]): void {
    for (const piece of pieces) {
      this.#ready.push(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
    }
    this.#serve();
  }

  read(): Promise<Bytes | undefined> {
    if (this.#last?.buffer.detached === false) this.#last.buffer.transfer();
    this.#last = undefined;
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#serve();
    return promise;
  }

  cancel(reason: Error): void {
    this.cancelled = reason.message;
  }

  #serve(): void {
    if (this.#waiting === undefined || this.#ready.length === 0) return;
    const piece = this.#ready.shift();
    const { resolve, reject } = this.#waiting;
    this.#waiting = undefined;
    if (piece instanceof Error) return reject(piece);
    this.#last = piece;
    resolve(piece);
  }
}

function record(source: ByteSource, changes: Partial<RecordingOptions> = {}): Recording {
  return new Recording(source, { max: 100, length: undefined, isAwaited: () => false, ...changes });
}

async function textOf(source: ByteSource): Promise<string> {
  let text = "";
  for (let piece = await source.read(); piece !== undefined; piece = await source.read()) {
    text += new TextDecoder().decode(piece);
    // As the runtime does with what it sends.
    piece.buffer.transfer();
  }
  return text;
}

function decode(bytes: Bytes | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}

Deno.test("Recording gives each reader all of it, and keeps it", async () => {
  const feed = new Feed();
  const recording = record(feed);
  const first = textOf(recording.reader());
  feed.give("one ", "two ");
  const second = textOf(recording.reader());
  feed.give("three", undefined);
  assert.deepEqual([await first, await second], ["one two three", "one two three"]);
  assert.equal(decode(await recording.whole), "one two three");
  assert.equal(await textOf(recording.reader()), "one two three");
});

Deno.test("Recording reads as fast as it comes, whoever reads along", async () => {
  const feed = new Feed();
  const recording = record(feed);
  const reader = recording.reader();
  feed.give("a", "b", undefined);
  assert.equal(decode(await recording.whole), "ab");
  assert.equal(await textOf(reader), "ab");
});

Deno.test("Recording lets its reader go on past the limit, and keeps nothing", async () => {
  const feed = new Feed();
  const recording = record(feed, { max: 5 });
  const text = textOf(recording.reader());
  feed.give("abcd", "efgh");
  assert.equal(await recording.whole, undefined);
  feed.give("ijkl", undefined);
  assert.equal(await text, "abcdefghijkl");
});

Deno.test("Recording passes a failure on to each reader, and keeps nothing", async () => {
  const feed = new Feed();
  const recording = record(feed);
  const texts = [textOf(recording.reader()), textOf(recording.reader())];
  feed.give("a", new Error("broken off"));
  for (const text of texts) await assert.rejects(text, /broken off/);
  assert.equal(await recording.whole, undefined);
});

Deno.test("Recording keeps nothing that is shorter than it promised to be", async () => {
  const feed = new Feed();
  const recording = record(feed, { length: 9 });
  feed.give("abc", undefined);
  assert.equal(await recording.whole, undefined);
});

Deno.test("Recording ends the work when the last reader has left, not before", () => {
  const feed = new Feed();
  const recording = record(feed);
  const [first, second] = [recording.reader(), recording.reader()];
  first.cancel(new Error("first left"));
  assert.equal(feed.cancelled, undefined);
  second.cancel(new Error("second left"));
  assert.equal(feed.cancelled, "second left");
});

Deno.test("Recording goes on for those who wait without reading", () => {
  const feed = new Feed();
  let isAwaited = true;
  const recording = record(feed, { isAwaited: () => isAwaited });
  recording.reader().cancel(new Error("left"));
  assert.equal(feed.cancelled, undefined);
  isAwaited = false;
  recording.release(new Error("nobody waits"));
  assert.equal(feed.cancelled, "nobody waits");
});

/** Notes what is done to it. */
function overflowOf(log: string[]) {
  return {
    write: async (piece: Uint8Array) => {
      await Promise.resolve();
      log.push(new TextDecoder().decode(piece));
    },
    end: () => void log.push("end"),
    abort: () => void log.push("abort"),
  };
}

Deno.test("Recording gives what it cannot keep to the overflow, all of it and in order", async () => {
  for (const [max, length] of [[3, undefined], [-1, 9], [-1, 10]] as const) {
    const log: string[] = [];
    const source = new Feed();
    source.give("abc", "def", "ghi", undefined);
    const options = { max, length, isAwaited: () => false, overflow: () => overflowOf(log) };
    const recording = new Recording(source, options);
    const reader = recording.reader();
    assert.equal(await recording.whole, undefined);
    assert.deepEqual(log, []);
    assert.equal(await textOf(reader), "abcdefghi");
    assert.deepEqual(log, ["abc", "def", "ghi", length === 10 ? "abort" : "end"]);
  }
});

Deno.test("Recording gives the overflow up when its reader leaves", async () => {
  const log: string[] = [];
  const source = new Feed();
  source.give("abc", "def");
  const options = {
    max: -1,
    length: 6,
    isAwaited: () => false,
    overflow: () => overflowOf(log),
  };
  const reader = new Recording(source, options).reader();
  await reader.read();
  reader.cancel(new Error("gone"));
  assert.deepEqual(log, ["abc", "abort"]);
});

Deno.test("Recording keeps a body of the length that it promised, though its reader leaves at once", async () => {
  const source = new Feed();
  const recording = record(source, { length: 6 });
  const reader = recording.reader();
  source.give("abc", "def");
  assert.equal(decode(await reader.read()), "abc");
  assert.equal(decode(await reader.read()), "def");
  reader.cancel(new Error("gone"));
  assert.equal(decode(await recording.whole), "abcdef");
  source.give(undefined);
});
