import assert from "node:assert/strict";
import { Outbox } from "../../lib/protocol/wsgi_outbox.ts";

type Sent = readonly [messages: readonly string[], transfer: ArrayBuffer[] | undefined];

function collecting(): { readonly outbox: Outbox<string>; readonly sent: Sent[] } {
  const sent: Sent[] = [];
  return { outbox: new Outbox((messages, transfer) => sent.push([messages, transfer])), sent };
}

const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("Outbox.post() sends what one turn says as one message, in order", async () => {
  const { outbox, sent } = collecting();
  const first = new ArrayBuffer(1);
  const second = new ArrayBuffer(2);
  outbox.post("a");
  outbox.post("b", [first]);
  await Promise.resolve();
  outbox.post("c", [second]);
  assert.deepEqual(sent, []);
  await nextTurn();
  assert.deepEqual(sent, [[["a", "b", "c"], [first, second]]]);
  outbox.post("d");
  await nextTurn();
  assert.deepEqual(sent[1], [["d"], undefined]);
});

Deno.test("Outbox.flush() sends at once, and what comes later by itself", async () => {
  const { outbox, sent } = collecting();
  outbox.flush();
  outbox.post("a");
  outbox.flush();
  assert.deepEqual(sent, [[["a"], undefined]]);
  outbox.post("b");
  await nextTurn();
  assert.deepEqual(sent.map(([messages]) => messages), [["a"], ["b"]]);
});
