import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { FcgiSplitter } from "../../lib/protocol/fastcgi_splitter.ts";
import { cuts } from "../support/cuts.ts";

type Bytes = Uint8Array<ArrayBuffer>;

interface Piece {
  readonly type: number;
  readonly id: number;
  readonly length: number;
  readonly padding: number;
}

function wire({ type, id, length, padding }: Piece): Bytes {
  const header = [1, type, id >> 8, id & 255, length >> 8, length & 255, padding, 0];
  // Content that could pass for a header must not be taken for one.
  return new Uint8Array([...header, ...Array<number>(length + padding).fill(1)]);
}

function joined(pieces: readonly Bytes[]): Bytes {
  return new Uint8Array(pieces.flatMap((bytes) => [...bytes]));
}

/** What each id got, and the order in which requests ended. */
function split(chunks: Iterable<Bytes>): { bytes: Record<number, number[]>; ended: number[] } {
  const bytes: Record<number, number[]> = {};
  const ended: number[] = [];
  const splitter = new FcgiSplitter({
    take: (id, part) => (bytes[id] ??= []).push(...part),
    ended: (id) => ended.push(id),
  });
  for (const chunk of chunks) splitter.push(chunk);
  return { bytes, ended };
}

const END = { type: 3, length: 8 };

Deno.test("FcgiSplitter gives each request its records, in every cut (FastCGI §3.3)", () => {
  const pieces: Piece[] = [
    { type: 6, id: 1, length: 3, padding: 2 },
    { type: 6, id: 258, length: 0, padding: 0 },
    { type: 7, id: 1, length: 9, padding: 7 },
    { ...END, id: 258, padding: 0 },
    { type: 10, id: 0, length: 4, padding: 4 },
    { ...END, id: 1, padding: 8 },
  ];
  const all = joined(pieces.map(wire));
  for (const chunks of cuts(all)) {
    const { bytes, ended } = split(chunks);
    assert.deepEqual(ended, [258, 1]);
    for (const id of [0, 1, 258]) {
      const own = joined(pieces.filter((piece) => piece.id === id).map(wire));
      assert.deepEqual(bytes[id], [...own]);
    }
  }
});

Deno.test("FcgiSplitter refuses another version", () => {
  const refused = (error: unknown) =>
    error instanceof ProtocolError && error.failure === "fcgi-version";
  for (const size of [1, 8]) {
    const bytes = new Uint8Array([2, 6, 0, 1, 0, 0, 0, 0]);
    const chunks = Array.from(
      { length: 8 / size },
      (_, index) => bytes.slice(index * size, (index + 1) * size),
    );
    assert.throws(() => split(chunks), refused);
  }
});

Deno.test("FcgiSplitter leaves to each request what a connection of its own would have given it", () => {
  const piece = fc.record({
    type: fc.constantFrom(6, 7, 99),
    id: fc.integer({ min: 1, max: 4 }),
    length: fc.nat(40),
    padding: fc.nat(9),
  });
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
  fc.assert(fc.property(fc.array(piece, { maxLength: 20 }), sizes, (pieces, sizes) => {
    const all = joined(pieces.map(wire));
    const chunks: Bytes[] = [];
    for (let at = 0; at < all.length;) {
      const size = sizes[chunks.length % sizes.length] ?? 1;
      chunks.push(all.slice(at, at += size));
    }
    const { bytes } = split(chunks);
    for (const [id, own] of Object.entries(bytes)) {
      const decoder = new FcgiDecoder();
      decoder.push(Uint8Array.from(own));
      const count = { records: 0 };
      for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
        assert.ok("id" in record && record.id === Number(id));
        count.records++;
      }
      assert.ok(decoder.drained);
      assert.equal(count.records, pieces.filter((one) => one.id === Number(id)).length);
    }
  }));
});
