import assert from "node:assert/strict";
import { ReadyResponses } from "../../lib/io/ready_responses.ts";

Deno.test("ReadyResponses gives a response of its own to each, all of the same bytes", async () => {
  const ready = new ReadyResponses(100);
  const bytes = new Uint8Array([0, 1, 0x80, 0xff]);
  const first = ready.of(bytes);
  const second = ready.of(bytes);
  first.headers.set("content-type", "image/png");
  assert.deepEqual([...second.headers], []);
  assert.equal(second.status, 200);
  assert.deepEqual(await first.bytes(), bytes);
  await second.body?.cancel();
  assert.deepEqual(await ready.of(bytes).bytes(), bytes);
});

Deno.test("ReadyResponses tells bytes by what they are kept in, not by what they say", async () => {
  const ready = new ReadyResponses(100);
  const [a, b] = [new Uint8Array([1]), new Uint8Array([2])];
  assert.deepEqual(await ready.of(a).bytes(), a);
  assert.deepEqual(await ready.of(b).bytes(), b);
});

Deno.test("ReadyResponses goes on whatever does not fit", async () => {
  const ready = new ReadyResponses(10);
  const all = Array.from({ length: 9 }, (_, at) => new Uint8Array(at * 2).fill(at));
  for (const bytes of [...all, ...all.toReversed()]) {
    assert.deepEqual(await ready.of(bytes).bytes(), bytes);
  }
});
