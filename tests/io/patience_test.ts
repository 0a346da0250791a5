import assert from "node:assert/strict";
import { Patience } from "../../lib/io/patience.ts";

/** Keeps the event loop standing. */
function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

Deno.test("Patience ends after its time", async () => {
  const before = performance.now();
  await new Promise<void>((resolve) => new Patience(100, resolve));
  assert.ok(performance.now() - before >= 95);
});

Deno.test("Patience that was ended stays quiet", async () => {
  let called = false;
  const patience = new Patience(20, () => called = true);
  await new Promise((resolve) => setTimeout(resolve, 10));
  patience.end();
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(called, false);
});

Deno.test("Patience does not count a standstill, in which much may have come", async () => {
  for (let round = 0; round < 5; round++) {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", "sleep 0.05; printf word"],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const late = Promise.withResolvers<"late">();
    const patience = new Patience(150, () => late.resolve("late"));
    const first = Promise.race([reader.read(), late.promise]);
    standStill(500);
    assert.notEqual(await first, "late");
    patience.end();
    await reader.cancel();
    await child.status;
  }
});
