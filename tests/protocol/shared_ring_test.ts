import assert from "node:assert/strict";
import fc from "fast-check";
import { until } from "../support/until.ts";
import { newRing, RingReader, RingWriter } from "../../lib/protocol/shared_ring.ts";

type Entry = readonly [number: number, texts: readonly string[], bytes: number[] | null];

const ROOM = 256;
/** A record's size, number, characters, texts and bytes. */
const FIXED = 5 * 4;
const HEAD = 16;
const DATA = 64;

function ringOf(position = 0) {
  const memory = newRing(ROOM);
  const words = new Int32Array(memory);
  words[0] = words[HEAD] = position;
  return { words, writer: new RingWriter(memory), reader: new RingReader(memory) };
}

function write(writer: RingWriter, [number, texts, bytes]: Entry): boolean {
  return writer.write(number, texts, bytes && Uint8Array.from(bytes));
}

function drained(reader: RingReader): Entry[] {
  const found: Entry[] = [];
  reader.drain((number, texts, bytes) => found.push([number, texts, bytes && [...bytes]]));
  return found;
}

const entries = fc.array(fc.tuple(
  fc.nat(),
  fc.array(fc.string({ unit: "binary-ascii", maxLength: 20 }), { maxLength: 4 }),
  fc.option(fc.array(fc.nat(255), { maxLength: 30 })),
));

Deno.test("RingReader.drain() gives what RingWriter.write() took, all the way round", () => {
  // Positions are 32 bits wide and go on below zero.
  const position = fc.constantFrom(0, 63, 2 ** 31 - 20, -30);
  fc.assert(fc.property(entries, position, (all, start) => {
    const { writer, reader } = ringOf(start);
    const expected: Entry[] = [];
    const got: Entry[] = [];
    for (const entry of all) {
      if (!write(writer, entry)) {
        writer.publish();
        got.push(...drained(reader));
        // Empty, but perhaps in the middle: the largest record takes less than half.
        assert.ok(write(writer, entry));
      }
      expected.push(entry);
    }
    assert.deepEqual(got, expected.slice(0, got.length));
    writer.publish();
    assert.deepEqual([...got, ...drained(reader)], expected);
    assert.deepEqual(drained(reader), []);
  }));
});

Deno.test("RingWriter.write() refuses what does not fit, and fills the ring to its end", () => {
  const { writer, reader } = ringOf();
  assert.ok(!write(writer, [1, [], Array(ROOM - FIXED + 1).fill(1)]));
  const full: Entry = [1, [], Array(ROOM - FIXED).fill(1)];
  assert.ok(write(writer, full));
  assert.ok(!write(writer, [2, [], null]));
  writer.publish();
  assert.deepEqual(drained(reader), [full]);
  assert.ok(write(writer, [2, [], null]));
});

Deno.test("RingWriter.write() refuses what is not ASCII, and leaves no trace of it", () => {
  const { writer, reader } = ringOf();
  for (const text of ["\u00e9", "\u0100", "\ud83d\ude00", "\ud800", "abc\u0080"]) {
    assert.ok(!write(writer, [1, ["a", text], null]));
  }
  assert.ok(write(writer, [2, ["a", "\x00\x7f"], null]));
  writer.publish();
  assert.deepEqual(drained(reader), [[2, ["a", "\x00\x7f"], null]]);
});

Deno.test("RingReader.drain() sees nothing before it is published", () => {
  const { writer, reader } = ringOf();
  write(writer, [1, ["a"], null]);
  assert.deepEqual(drained(reader), []);
  writer.publish();
  assert.deepEqual(drained(reader), [[1, ["a"], null]]);
});

Deno.test("RingReader.sleep() refuses while there is something; publish() wakes who sleeps", async () => {
  const { writer, reader } = ringOf();
  write(writer, [1, [], null]);
  writer.publish();
  assert.ok(!reader.sleep());
  drained(reader);
  let isWoken = false;
  reader.woken().then(() => isWoken = true);
  assert.ok(reader.sleep());
  write(writer, [2, [], null]);
  writer.publish();
  // To wait for it does not keep the event loop going.
  await until(() => isWoken);
  assert.deepEqual(drained(reader), [[2, [], null]]);
});

Deno.test("RingReader.wake() asks for no waking, ring() wakes all the same", async () => {
  const { writer, reader } = ringOf();
  let isWoken = false;
  reader.woken().then(() => isWoken = true);
  reader.sleep();
  reader.wake();
  write(writer, [1, [], null]);
  writer.publish();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(!isWoken);
  reader.ring();
  await until(() => isWoken);
});

Deno.test("RingReader.woken() throws where it would not wait", () => {
  const { words, reader } = ringOf();
  words[48] = 1;
  assert.throws(() => reader.woken(), RangeError);
});

Deno.test("RingReader.drain() throws at what is no record, and never reads on for ever", () => {
  const word = fc.oneof(fc.integer({ min: -3, max: 70 }), fc.integer());
  fc.assert(fc.property(fc.array(word, { maxLength: 64 }), word, (scribble, tail) => {
    const { words, reader } = ringOf();
    words.set(scribble, DATA);
    words[0] = tail;
    try {
      drained(reader);
    } catch (error) {
      assert.ok(error instanceof RangeError);
    }
  }));
  const { words, reader } = ringOf();
  words[0] = 10;
  words[DATA] = 11;
  assert.throws(() => drained(reader), RangeError);
});
