import assert from "node:assert/strict";
import fc from "fast-check";
import { Consumption, Credit, WINDOW } from "../../lib/protocol/wsgi_credit.ts";

Deno.test("Credit and Consumption: what is on its way stays bounded, and never stops for good", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 3 * WINDOW }), { maxLength: 300 });
  fc.assert(fc.property(sizes, (pieces) => {
    const credit = new Credit();
    const consumption = new Consumption();
    const way: number[] = [];
    for (let sent = 0; sent < pieces.length;) {
      if (!credit.isSpent) {
        const piece = pieces[sent++] ?? 0;
        credit.spend(piece);
        way.push(piece);
        const before = way.slice(0, -1).reduce((sum, one) => sum + one, 0);
        assert.ok(before < WINDOW, "no more than the window, and one piece");
        assert.ok(way.length <= WINDOW / 1024);
      } else {
        const piece = way.shift();
        assert(piece !== undefined, "the sender waits, and the reader has nothing to read");
        const granted = consumption.take(piece);
        if (granted > 0) credit.grant(granted);
      }
    }
  }));
});

Deno.test("Credit.granted() resolves once there is some again", async () => {
  const credit = new Credit();
  await credit.granted();
  credit.spend(WINDOW + 10);
  let granted = false;
  const waiting = credit.granted().then(() => granted = true);
  credit.grant(5);
  await Promise.resolve();
  assert.equal(granted, false);
  credit.grant(WINDOW);
  await waiting;
  assert.equal(granted, true);
});

Deno.test("Consumption.take() grants half a window at a time", () => {
  const consumption = new Consumption();
  assert.equal(consumption.take(WINDOW / 2 - 1), 0);
  assert.equal(consumption.take(1), WINDOW / 2 - 1 + 1024);
  assert.equal(consumption.take(1), 0);
});
