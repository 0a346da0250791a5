/** Frames between processes: whatever their pieces, and whatever stands between them. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  type Frame,
  FrameDecoder,
} from "../../lib/workers/frames.ts";

const UTF8 = new TextEncoder();

/** What comes of it, adjoining bytes between frames as one. */
function decoded(pieces: readonly Uint8Array[]): readonly (readonly [string, string])[] {
  const decoder = new FrameDecoder();
  const frames = pieces.flatMap((piece): Frame[] => [...decoder.push(piece)]);
  const result: [string, string][] = [];
  for (const { type = "", payload } of frames) {
    const text = Array.from(payload, (byte) => String.fromCharCode(byte)).join("");
    const last = result.at(-1);
    if (type === "" && last?.[0] === "") last[1] += text;
    else result.push([type, text]);
  }
  return result;
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) pieces.push(bytes.subarray(at, at += size));
  return [...pieces, bytes.subarray(at)];
}

const bytes = fc.uint8Array({ maxLength: 40 });
const frame = fc.tuple(fc.constantFrom("m", "o", "e"), bytes);
const cuts = fc.array(fc.nat(9), { maxLength: 30 });

Deno.test("FrameDecoder gives back what was encoded, however it is cut", () => {
  fc.assert(fc.property(fc.array(frame), cuts, (frames, sizes) => {
    const whole = new Uint8Array(
      frames.flatMap(([type, payload]) => [...encodeFrame(type as "m" | "o" | "e", payload)]),
    );
    const expected = frames.map(([type, payload]) =>
      [type, String.fromCharCode(...payload)] as const
    );
    assert.deepEqual(decoded(cut(whole, sizes)), expected);
  }));
});

Deno.test("FrameDecoder tells apart what an application wrote between frames", () => {
  const text = fc.string({ maxLength: 20 }).map((one) => one.replaceAll("\x1e", ""));
  fc.assert(fc.property(text, text, cuts, (before, after, sizes) => {
    const own = encodeFrame("o", UTF8.encode("line\n"));
    const whole = new Uint8Array([...UTF8.encode(before), ...own, ...UTF8.encode(after), ...own]);
    const latin1 = (value: string) => String.fromCharCode(...UTF8.encode(value));
    const expected = [["", latin1(before)], ["o", "line\n"], ["", latin1(after)], ["o", "line\n"]];
    assert.deepEqual(decoded(cut(whole, sizes)), expected.filter(([, one]) => one !== ""));
  }));
});

Deno.test("FrameDecoder passes on marks that begin no frame", () => {
  for (const text of ["\x1e\x1e", "\x1eq5\nhello", "\x1em5x\nhello", "\x1em5"]) {
    const own = encodeMessage(["alive"]);
    const result = decoded([UTF8.encode(text), UTF8.encode("\n".repeat(20)), own]);
    assert.equal(result.at(-1)?.[1], '["alive"]', JSON.stringify(text));
  }
});

Deno.test("a message is what it was", () => {
  const message = ["refused", "Zeile\nund \x1e mehr"];
  const [first] = new FrameDecoder().push(encodeMessage(message));
  assert.ok(first !== undefined);
  assert.deepEqual(decodeMessage(first), message);
});
