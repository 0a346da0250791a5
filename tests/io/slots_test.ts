import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { type SlotOptions, Slots } from "../../lib/io/slots.ts";
import { Lifeline } from "../../lib/lifeline.ts";

function slotsOf(changes: Partial<SlotOptions> = {}): Slots {
  return new Slots({ max: 1, queue: 2, queueTimeoutMs: 10_000, ...changes });
}

function isFull(failure: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.status === 503 && error.failure === failure &&
    error.headers.some(([name]) => name === "retry-after");
}

const take = (slots: Slots) => slots.take(new Lifeline());

Deno.test("Slots.take() takes a free slot without a promise", () => {
  const slots = slotsOf({ max: 2 });
  assert.equal(take(slots), undefined);
  assert.equal(take(slots), undefined);
  assert.equal(slots.taken, 2);
  slots.give();
  assert.equal(slots.taken, 1);
  assert.equal(take(slots), undefined);
});

Deno.test("Slots.take() lets others wait in the order of asking", async () => {
  const slots = slotsOf();
  take(slots);
  const order: number[] = [];
  const first = take(slots)?.then(() => order.push(1));
  const second = take(slots)?.then(() => order.push(2));
  assert.equal(slots.waiting, 2);
  slots.give();
  await first;
  assert.equal(slots.taken, 1);
  slots.give();
  await second;
  assert.deepEqual(order, [1, 2]);
  slots.give();
  assert.deepEqual([slots.taken, slots.waiting], [0, 0]);
});

Deno.test("Slots.take() refuses at once when the queue is full", async () => {
  const slots = slotsOf({ queue: 0 });
  take(slots);
  await assert.rejects(async () => await take(slots), isFull("queue-full"));
  assert.equal(slots.taken, 1);
});

Deno.test("Slots.take() refuses who has waited too long, and keeps the others", async () => {
  const slots = slotsOf({ queueTimeoutMs: 50 });
  take(slots);
  const refused = assert.rejects(async () => await take(slots), isFull("queue-timeout"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  const kept = take(slots);
  await refused;
  assert.equal(slots.waiting, 1);
  slots.give();
  await kept;
});

Deno.test("Slots.take() lets go of who has left, and keeps the others", async () => {
  const slots = slotsOf();
  take(slots);
  const lifeline = new Lifeline();
  const left = assert.rejects(async () => await slots.take(lifeline), /left/);
  const kept = take(slots);
  lifeline.cut(new Error("left"));
  await left;
  slots.give();
  await kept;
  assert.equal(slots.taken, 1);
});

Deno.test("Slots.take() does not hear who leaves after it was called", async () => {
  const slots = slotsOf();
  take(slots);
  const lifeline = new Lifeline();
  const called = slots.take(lifeline);
  slots.give();
  lifeline.cut(new Error("left"));
  await called;
  assert.deepEqual([slots.taken, slots.waiting], [1, 0]);
});

Deno.test("Slots.take() refuses each when its own time is up, whoever was before it", async () => {
  const slots = slotsOf({ queueTimeoutMs: 100, queue: 3 });
  take(slots);
  const called = take(slots);
  const lifeline = new Lifeline();
  const left = assert.rejects(async () => await slots.take(lifeline), /left/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const since = performance.now();
  const refused = assert.rejects(async () => await take(slots), isFull("queue-timeout"));
  slots.give();
  await called;
  lifeline.cut(new Error("left"));
  await left;
  await refused;
  assert.ok(performance.now() - since >= 99);
  assert.deepEqual([slots.taken, slots.waiting], [1, 0]);
});
