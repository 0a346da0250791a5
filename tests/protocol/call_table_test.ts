import assert from "node:assert/strict";
import fc from "fast-check";
import { CallTable } from "../../lib/protocol/call_table.ts";

interface Call {
  readonly number: number;
}

Deno.test("CallTable finds by their numbers the calls that are there, and no others", () => {
  // Many come, some go; a few stay for all the time.
  const steps = fc.array(fc.oneof(fc.constant("add"), fc.nat()), { maxLength: 600 });
  fc.assert(
    fc.property(steps, (all) => {
      const table = new CallTable<Call>();
      // Numbered by the first, with places of its own.
      const other = new CallTable<Call>();
      const known = new Map<number, Call>();
      const gone: number[] = [];
      for (const step of all) {
        if (typeof step === "string") {
          const call = { number: table.next() };
          assert.ok(!known.has(call.number));
          table.add(call);
          other.add(call);
          known.set(call.number, call);
          continue;
        }
        const call = [...known.values()][step % (known.size || 1)];
        if (call === undefined) continue;
        table.delete(call);
        other.delete(call);
        known.delete(call.number);
        gone.push(call.number);
      }
      assert.equal(table.size, known.size);
      assert.deepEqual(new Set(table.all()), new Set(known.values()));
      for (const [number, call] of known) {
        assert.equal(table.get(number), call);
        assert.equal(other.get(number), call);
      }
      for (const number of gone) assert.equal(table.get(number), undefined);
    }),
    { numRuns: 50 },
  );
});

Deno.test("CallTable gives no number whose place is taken, and grows with what stays", () => {
  const table = new CallTable<Call>();
  const stays = Array.from({ length: 1000 }, () => {
    const call = { number: table.next() };
    table.add(call);
    return call;
  });
  for (let round = 0; round < 10_000; round++) {
    const call = { number: table.next() };
    table.add(call);
    table.delete(call);
    table.delete(call);
  }
  assert.equal(table.size, 1000);
  for (const call of stays) assert.equal(table.get(call.number), call);
});
