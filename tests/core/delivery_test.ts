import assert from "node:assert/strict";
import { deliver } from "../../lib/delivery.ts";
import { ClientGone } from "../../lib/errors.ts";
import type { ByteSource } from "../../lib/exchange.ts";
import { Lifeline } from "../../lib/lifeline.ts";

type Piece = string | Error | undefined;

/** A body whose pieces come when the test says; refuses what the contract of ByteSource forbids. */
class Source implements ByteSource {
  reads = 0;
  cancelled: Error | undefined;
  #pending: PromiseWithResolvers<Uint8Array<ArrayBuffer> | undefined> | undefined;
  #over = false;

  read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    assert.ok(this.#pending === undefined, "read again before the last read has settled");
    assert.ok(!this.#over, "read after the end");
    this.reads++;
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  }

  cancel(reason: Error): void {
    assert.ok(this.cancelled === undefined && !this.#over, "cancelled after an end");
    this.cancelled = reason;
  }

  async give(piece: Piece): Promise<void> {
    const { resolve, reject } = this.#pending ?? assert.fail("nobody reads");
    this.#pending = undefined;
    this.#over = typeof piece !== "string";
    if (piece instanceof Error) reject(piece);
    else resolve(piece === undefined ? undefined : new TextEncoder().encode(piece));
    await turn();
  }
}

/** Lets everything that waits for nothing go on. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function start(onAbort: "kill" | "finish" = "kill") {
  const source = new Source();
  const lifeline = new Lifeline();
  const progress = { offeredAt: 0 };
  const ends: [bytes: number, failure: Error | undefined][] = [];
  const done = (bytes: number, failure: Error | undefined) => ends.push([bytes, failure]);
  const reader = deliver(source, { lifeline, progress, onAbort, done }).getReader();
  return { source, lifeline, progress, ends, reader };
}

Deno.test("deliver() asks for a piece when the last was taken, not before", async () => {
  const { source, reader, ends } = start();
  await turn();
  assert.equal(source.reads, 0);
  const first = reader.read();
  await turn();
  await source.give("abc");
  assert.equal((await first).value?.length, 3);
  await turn();
  assert.equal(source.reads, 1);
  const last = reader.read();
  await turn();
  await source.give(undefined);
  assert.equal((await last).done, true);
  assert.deepEqual(ends, [[3, undefined]]);
});

Deno.test("deliver() tells since when a client has been offered something, and until when", async () => {
  const { source, reader, progress } = start();
  const first = reader.read();
  await turn();
  assert.equal(progress.offeredAt, 0, "the program is waited for, not the client");
  await source.give("abc");
  await first;
  assert.ok(progress.offeredAt > 0);
  reader.read();
  await turn();
  assert.equal(progress.offeredAt, 0);
  await source.give(undefined);
});

Deno.test("deliver() fails the stream when the body fails", async () => {
  const { source, reader, ends } = start();
  const reading = assert.rejects(reader.read(), /broken/);
  await turn();
  const failure = new Error("broken");
  await source.give(failure);
  await reading;
  assert.deepEqual(ends, [[0, failure]]);
  assert.equal(source.cancelled, undefined);
});

Deno.test("deliver() cancels the body and fails the stream when the lifeline is cut", async () => {
  const { source, reader, ends, lifeline } = start();
  const reading = assert.rejects(reader.read(), /time/);
  await turn();
  const reason = new Error("time is up");
  lifeline.cut(reason);
  await reading;
  assert.equal(source.cancelled, reason);
  // What still comes is nobody's.
  await source.give("late");
  assert.deepEqual(ends, [[0, reason]]);
});

Deno.test("deliver() cancels the body when the client leaves", async () => {
  const { source, reader, ends, lifeline } = start("kill");
  const reading = reader.read();
  await turn();
  await reader.cancel();
  await reading;
  assert.ok(source.cancelled instanceof ClientGone);
  await source.give("late");
  lifeline.cut(new Error("too late to matter"));
  assert.equal(ends.length, 1);
  assert.ok(ends[0]?.[1] instanceof ClientGone);
});

Deno.test("deliver() under finish reads on, one piece after the other, to the end", async () => {
  const { source, reader, ends } = start("finish");
  const reading = reader.read();
  await turn();
  await reader.cancel();
  await reading;
  await turn();
  assert.equal(source.reads, 1);
  await source.give("a");
  await source.give("b");
  assert.equal(ends.length, 0);
  await source.give(undefined);
  assert.equal(source.cancelled, undefined);
  assert.equal(ends.length, 1);
  assert.ok(ends[0]?.[1] instanceof ClientGone);
});

Deno.test("deliver() under finish ends with a body that fails", async () => {
  const { source, reader, ends } = start("finish");
  await reader.cancel();
  await turn();
  await source.give(new Error("unseen"));
  assert.equal(ends.length, 1);
});

Deno.test("deliver() under finish is still cut by the lifeline", async () => {
  const { source, reader, ends, lifeline } = start("finish");
  await reader.cancel();
  await turn();
  const reason = new Error("time is up");
  lifeline.cut(reason);
  assert.equal(source.cancelled, reason);
  assert.equal(ends.length, 1);
  await source.give("late");
  assert.equal(source.reads, 1);
});

Deno.test("deliver() hands over at once what is whole, and leaves it as it was", async () => {
  const whole = new TextEncoder().encode("all of it");
  const begin = () => {
    const lifeline = new Lifeline();
    const ends: [number, Error | undefined][] = [];
    const done = (bytes: number, failure: Error | undefined) => ends.push([bytes, failure]);
    const source = {
      whole,
      read: () => assert.fail("read"),
      cancel: () => assert.fail("cancelled"),
    };
    const stream = deliver(source, { lifeline, progress: { offeredAt: 0 }, onAbort: "kill", done });
    return { lifeline, ends, stream };
  };
  for (let times = 0; times < 2; times++) {
    const { stream, ends, lifeline } = begin();
    assert.equal(await new Response(stream).text(), "all of it");
    assert.deepEqual(ends, [[9, undefined]]);
    lifeline.cut(new Error("too late"));
    assert.equal(ends.length, 1);
  }
  const left = begin();
  await left.stream.cancel();
  assert.ok(left.ends.length === 1 && left.ends[0]?.[1] instanceof ClientGone);
  const cut = begin();
  cut.lifeline.cut(new Error("time is up"));
  await assert.rejects(new Response(cut.stream).text(), /time is up/);
  assert.equal(cut.ends.length, 1);
});
