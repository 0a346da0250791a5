import assert from "node:assert/strict";
import fc from "fast-check";
import { joined, joinedOrOnly } from "../../lib/protocol/joined.ts";

const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 6 })
  .map((arrays) => arrays.map((array) => new Uint8Array(array)));

Deno.test("joined() puts pieces behind each other, in memory of their own", () => {
  fc.assert(fc.property(pieces, (pieces) => {
    const expected = pieces.flatMap((piece) => [...piece]);
    const bytes = joined(pieces);
    assert.deepEqual([...bytes], expected);
    assert.deepEqual([...joinedOrOnly(pieces)], expected);
    for (const piece of pieces) piece.fill(7);
    assert.deepEqual([...bytes], expected);
  }));
});

Deno.test("joinedOrOnly() copies nothing of a single piece", () => {
  const only = new Uint8Array([1, 2]);
  assert.equal(joinedOrOnly([only]), only);
  assert.notEqual(joined([only]), only);
});
