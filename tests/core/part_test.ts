/** What falls to each worker of what the table means for all of them. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { exactPartOf, partOf } from "../../lib/part.ts";

const crew = fc.integer({ min: 1, max: 64 }).map((of) =>
  Array.from({ length: of }, (_, index) => ({ index, of }))
);
const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);

Deno.test("exactPartOf() shares out all there is, evenly", () => {
  fc.assert(fc.property(fc.nat(), crew, (total, parts) => {
    const shares = parts.map((part) => exactPartOf(total, part));
    assert.equal(sum(shares), total);
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
  }));
});

Deno.test("partOf() leaves nobody without, and gives no more than all unless it must", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 10_000 }), crew, (total, parts) => {
    const shares = parts.map((part) => partOf(total, part));
    assert.ok(Math.min(...shares) >= 1);
    assert.equal(sum(shares), Math.max(total, parts.length));
  }));
});

Deno.test("partOf() keeps what means none, any number, or one worker alone", () => {
  const part = { index: 1, of: 2 };
  assert.equal(partOf(0, part), 0);
  assert.equal(partOf(Infinity, part), Infinity);
  assert.equal(partOf(7), 7);
});
