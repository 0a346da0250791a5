/** Parts cut from a body while it flows by. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ByteSource } from "../../lib/exchange.ts";
import { SlicedSource, slicesOf } from "../../lib/io/sliced_source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

interface Fake extends ByteSource {
  readonly state: { cancelled: boolean; left: number };
}

/** Gives pieces of these lengths, counting up from 0; each read moves the memory of the one before. */
function sourceOf(lengths: readonly number[]): Fake {
  const left = [...lengths];
  const state = { cancelled: false, left: left.length };
  let at = 0;
  let last: Bytes | undefined;
  return {
    state,
    read() {
      if (last?.buffer.detached === false) last.buffer.transfer();
      const length = left.shift();
      state.left = left.length;
      if (length === undefined) return Promise.resolve(undefined);
      const piece = Uint8Array.from({ length }, (_, index) => at + index);
      at += length;
      last = piece;
      return Promise.resolve(piece);
    },
    cancel: () => {
      state.cancelled = true;
    },
  };
}

/** All that comes, each piece's memory taken away before the next is asked for. */
async function allOf(source: ByteSource): Promise<number[]> {
  const all: number[] = [];
  for (let piece = await source.read(); piece !== undefined; piece = await source.read()) {
    assert.ok(piece.length > 0);
    all.push(...piece);
    piece.buffer.transfer();
  }
  return all;
}

const mark = (): Bytes => new Uint8Array([255]);

Deno.test("SlicedSource gives what slicesOf() gives of the whole, however it is cut", async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 });
  const borders = fc.array(fc.nat(), { minLength: 2, maxLength: 6 });
  await fc.assert(fc.asyncProperty(lengths, borders, async (pieces, ends) => {
    const size = pieces.reduce((sum, length) => sum + length, 0);
    const points = [...new Set(ends.map((end) => end % (size + 1)))].sort((a, b) => a - b);
    const slices = points.slice(1).map((end, at) => ({ start: points[at] ?? 0, end }));
    const whole = Uint8Array.from({ length: size }, (_, at) => at);
    const expected = slicesOf(whole, slices.flatMap((slice) => [mark(), slice]));
    const parts = new SlicedSource(sourceOf(pieces), slices.flatMap((slice) => [mark(), slice]));
    assert.deepEqual(await allOf(parts), [...expected]);
  }));
});

Deno.test("SlicedSource does not wait for what lies behind the last slice", async () => {
  const source = sourceOf([4, 4, 4]);
  assert.deepEqual(await allOf(new SlicedSource(source, [{ start: 1, end: 3 }])), [1, 2]);
  assert.deepEqual(source.state, { cancelled: true, left: 2 });
});

Deno.test("SlicedSource fails when the body ends too soon", async () => {
  const source = new SlicedSource(sourceOf([4]), [{ start: 2, end: 6 }]);
  assert.deepEqual([...await source.read() ?? []], [2, 3]);
  await assert.rejects(source.read(), /shorter than its Content-Length/);
});

Deno.test("SlicedSource hands a cancellation on, once", () => {
  const source = sourceOf([4]);
  const parts = new SlicedSource(source, [{ start: 0, end: 2 }]);
  parts.cancel(new Error("left"));
  assert.ok(source.state.cancelled);
});
