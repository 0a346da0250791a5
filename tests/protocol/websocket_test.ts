/** WebSocket frames (RFC 6455 section 5), in any cut. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  closePayload,
  encodeFrame,
  FrameDecoder,
  type WebSocketEvent,
  WebSocketFault,
} from "../../lib/protocol/websocket.ts";
import { cuts, reusingBuffer } from "../support/cuts.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const MAX = 1 << 20;

function decode(pieces: Iterable<Bytes>, max = MAX): WebSocketEvent[] {
  const decoder = new FrameDecoder(max);
  const events: WebSocketEvent[] = [];
  for (const piece of reusingBuffer([...pieces])) events.push(...decoder.push(piece));
  return events;
}

/** What a client wrote, as a server would have written it. */
function unmasked(frame: Bytes): Bytes {
  const short = (frame[1] ?? 0) & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  const mask = frame.subarray(start, start + 4);
  const data = frame.slice(start + 4).map((byte, at) => byte ^ (mask[at & 3] ?? 0));
  const plain = new Uint8Array(start + data.length);
  plain.set(frame.subarray(0, start));
  plain[1] = short;
  plain.set(data, start);
  return plain;
}

function faultOf(bytes: readonly number[], max = MAX): number | undefined {
  try {
    decode([Uint8Array.from(bytes)], max);
  } catch (error) {
    if (error instanceof WebSocketFault) return error.code;
    throw error;
  }
  return undefined;
}

Deno.test("FrameDecoder gives back what encodeFrame() wrote, in any cut", () => {
  const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      mask,
      fc.integer({ min: 1, max: 50 }),
      (data, mask, step) => {
        const frame = unmasked(encodeFrame("binary", data, mask));
        const pieces = [];
        for (let at = 0; at < frame.length; at += step) pieces.push(frame.slice(at, at + step));
        assert.deepEqual(decode(pieces), [{ type: "binary", data: new Uint8Array(data) }]);
      },
    ),
  );
});

Deno.test("encodeFrame() writes all three forms of length", () => {
  for (const length of [0, 125, 126, 65_535, 65_536, 100_000]) {
    const data = new Uint8Array(length).fill(7);
    const [event] = decode([unmasked(encodeFrame("binary", data, new Uint8Array([1, 2, 3, 4])))]);
    assert.deepEqual(event, { type: "binary", data });
  }
});

Deno.test("FrameDecoder puts fragments together, with control frames between them", () => {
  // "\u20ac" cut in its midst.
  const bytes = Uint8Array.from([
    0x01,
    2,
    0xe2,
    0x82,
    0x89,
    1,
    0x70,
    0x00,
    0,
    0x80,
    1,
    0xac,
    0x88,
    0,
  ]);
  for (const pieces of cuts(bytes)) {
    assert.deepEqual(decode(pieces), [
      { type: "ping", data: Uint8Array.of(0x70) },
      { type: "text", text: "\u20ac" },
      { type: "close", code: undefined, reason: "" },
    ]);
  }
});

Deno.test("FrameDecoder tells a fault by its code (section 7.4.1)", () => {
  const rows: [string, number[], number | undefined][] = [
    ["reserved bit", [0xc1, 0], 1002],
    ["masked", [0x81, 0x80, 0, 0, 0, 0], 1002],
    ["unknown opcode", [0x83, 0], 1002],
    ["unknown control opcode", [0x8b, 0], 1002],
    ["control frame in fragments", [0x09, 0], 1002],
    ["long control frame", [0x89, 126, 0, 126], 1002],
    ["continuation of nothing", [0x80, 0], 1002],
    ["a message within a message", [0x01, 0, 0x81, 0], 1002],
    ["half a code", [0x88, 1, 3], 1002],
    ["a code that is not to be sent", [0x88, 2, 3, 0xed], 1002],
    ["text that is none", [0x81, 1, 0xff], 1007],
    ["a reason that is no text", [0x88, 3, 3, 0xe8, 0xff], 1007],
    ["too long", [0x82, 11, ...new Array(11).fill(0)], 1009],
    ["too long in all", [0x02, 6, 0, 0, 0, 0, 0, 0, 0x80, 6], 1009],
    ["too long to count", [0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255], 1009],
    ["just right", [0x82, 10, ...new Array(10).fill(0)], undefined],
  ];
  for (const [what, bytes, code] of rows) assert.equal(faultOf(bytes, 10), code, what);
});

Deno.test("closePayload() holds a code and as much of the reason as fits", () => {
  assert.deepEqual([...closePayload(undefined, "x")], []);
  assert.deepEqual([...closePayload(1000, "")], [3, 232]);
  assert.equal(closePayload(1000, "x".repeat(200)).length, 125);
});
