/** The benchmarks' arithmetic. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { medianOf, medianOfSome, pairedRatios, spreadOf } from "./statistics.ts";

Deno.test("medianOf() is the middle value, or the mean of the two in the middle", () => {
  assert.equal(medianOf([3, 1, 2]), 2);
  assert.equal(medianOf([4, 1, 3, 2]), 2.5);
  assert.equal(medianOf([7]), 7);
  assert.equal(medianOf([]), 0);
});

Deno.test("medianOf() has as many values above it as below, in any order", () => {
  fc.assert(fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
    const median = medianOf(values);
    const above = values.filter((value) => value > median).length;
    const below = values.filter((value) => value < median).length;
    assert.ok(above <= values.length / 2 && below <= values.length / 2);
    assert.equal(medianOf(values.toReversed()), median);
  }));
});

Deno.test("medianOfSome() leaves out what was not measured", () => {
  assert.equal(medianOfSome([undefined, 2, 4]), 3);
  assert.equal(medianOfSome([undefined]), undefined);
});

Deno.test("spreadOf() is the lowest and the highest", () => {
  assert.deepEqual(spreadOf([2, 9, 4]), { min: 2, max: 9 });
  assert.deepEqual(spreadOf([]), { min: 0, max: 0 });
});

Deno.test("pairedRatios() compares neighbours, and leaves out rounds without one", () => {
  assert.deepEqual(pairedRatios([10, 30, 5], [20, 10]), [0.5, 3]);
  assert.deepEqual(pairedRatios([10, 30], [0, 10]), [3]);
});
