import assert from "node:assert/strict";
import fc from "fast-check";
import { copyOf } from "../../lib/io/short_copy.ts";

Deno.test("copyOf() gives bytes that no later copy, and no reuse of the buffer, changes", () => {
  const buffer = new Uint8Array(16_384);
  const lengths = fc.array(fc.integer({ min: 0, max: 6000 }), { maxLength: 60 });
  fc.assert(fc.property(lengths, (lengths) => {
    const copies = lengths.map((length, at) => {
      buffer.fill(at + 1, at, at + length);
      return copyOf(buffer.subarray(at, at + length));
    });
    buffer.fill(0);
    for (const [at, copy] of copies.entries()) {
      assert.equal(copy.length, lengths[at]);
      assert.ok(copy.every((byte) => byte === at + 1));
    }
  }));
});
