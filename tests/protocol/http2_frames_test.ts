/** What has come of each stream, and which ones an origin has ended, however its bytes were cut. */
import assert from "node:assert/strict";
import { FrameWatch } from "../../lib/protocol/http2_frames.ts";

function frame(type: number, flags: number, stream: number, length: number, first = 1): number[] {
  return [0, length >> 8, length & 255, type, flags, 0, 0, stream >> 8, stream & 255, first]
    .concat(Array<number>(Math.max(0, length - 1)).fill(1)).slice(0, 9 + length);
}

/** Stream 1 ends by data, 3 by a head; a reset, SETTINGS and PING with that bit end none. */
const BYTES = Uint8Array.from([
  ...frame(4, 1, 0, 0),
  ...frame(1, 4, 1, 10),
  ...frame(0, 0, 1, 300),
  ...frame(3, 1, 5, 4),
  ...frame(6, 1, 0, 8),
  ...frame(0, 8, 1, 20, 12),
  ...frame(0, 8, 1, 1, 0),
  ...frame(1, 5, 3, 2),
  ...frame(0, 1, 1, 0),
]);

const PASSED = [[1, 300, false], [1, 7, false], [1, 0, false], [3, 0, true], [1, 0, true]];

Deno.test("FrameWatch tells what came of which stream, without padding, however the bytes were cut", () => {
  for (const size of [1, 2, 8, 9, 10, 64, BYTES.length]) {
    const passed: [number, number, boolean][] = [];
    const watch = new FrameWatch((...part) => passed.push(part));
    for (let at = 0; at < BYTES.length; at += size) watch.push(BYTES.subarray(at, at + size));
    assert.deepEqual(passed, PASSED, `in pieces of ${size}`);
  }
});

Deno.test("FrameWatch tells of an end when the frame is whole, not before", () => {
  const passed: [number, number, boolean][] = [];
  const watch = new FrameWatch((...part) => passed.push(part));
  const bytes = Uint8Array.from(frame(0, 1, 7, 5));
  watch.push(bytes.subarray(0, -1));
  assert.deepEqual(passed, []);
  watch.push(bytes.subarray(-1));
  assert.deepEqual(passed, [[7, 5, true]]);
});
