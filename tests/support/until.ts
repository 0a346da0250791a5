/** Waits for what other turns of the event loop bring, without any permission. */
import assert from "node:assert/strict";

const PATIENCE_MS = 10_000;

export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(performance.now() < deadline, "it never happened");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
