import assert from "node:assert/strict";
import fc from "fast-check";
import { latin1FromBytes, writeLatin1 } from "../../lib/protocol/latin1.ts";

const codes = (max: number) => fc.array(fc.integer({ min: 0, max }), { maxLength: 300 });
const textOf = (units: readonly number[]) =>
  units.map((code) => String.fromCharCode(code)).join("");

Deno.test("writeLatin1() writes each code unit as one byte, and nothing before", () => {
  const some = fc.oneof(codes(0x7f), codes(0xff));
  fc.assert(fc.property(some, fc.nat(9), fc.nat(400), (units, start, room) => {
    const bytes = new Uint8Array(start + units.length + room).fill(7);
    const end = writeLatin1(textOf(units), bytes, start);
    assert.equal(end, start + units.length);
    assert.deepEqual([...bytes.subarray(0, start)], new Array(start).fill(7));
    assert.deepEqual([...bytes.subarray(start, end)], units);
    assert.equal(latin1FromBytes(bytes, start, end), textOf(units));
  }));
});

Deno.test("writeLatin1() refuses what is no byte, however long the text and small the room", () => {
  const beyond = fc.integer({ min: 0x100, max: 0xffff });
  fc.assert(fc.property(codes(0xff), beyond, codes(0xff), (before, code, behind) => {
    const text = textOf([...before, code, ...behind]);
    assert.throws(() => writeLatin1(text, new Uint8Array(text.length), 0), RangeError);
  }));
});
