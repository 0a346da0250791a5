import assert from "node:assert/strict";
import { Lane, newLane } from "../../lib/protocol/wsgi_lane.ts";
import { until } from "../support/until.ts";

type Said = readonly [number: number, texts: string[], bytes: number[] | null];

/** Both ends in one thread; `answer` is what the worker's does with a call. */
function withLane(answer: (worker: Lane, number: number) => void = () => {}) {
  const memory = newLane();
  const called: Said[] = [];
  const answered: Said[] = [];
  const faults: Error[] = [];
  const broken = (error: Error) => void faults.push(error);
  const worker: Lane = new Lane(memory.toWorker, memory.toGateway, {
    take: (number, texts, bytes) => {
      called.push([number, texts, bytes && [...bytes]]);
      answer(worker, number);
    },
    broken,
  });
  const gateway = new Lane(memory.toGateway, memory.toWorker, {
    take: (number, texts, bytes) => answered.push([number, texts, bytes && [...bytes]]),
    broken,
  });
  const close = () => {
    worker.close();
    gateway.close();
  };
  return { memory, gateway, worker, called, answered, faults, [Symbol.dispose]: close };
}

Deno.test("Lane.post() says things together at the end of a turn, in order", async () => {
  using lane = withLane();
  assert.ok(lane.gateway.post(1, ["a"], null));
  await Promise.resolve();
  assert.ok(lane.gateway.post(2, ["b", "c"], Uint8Array.of(1, 2)));
  lane.worker.look();
  assert.deepEqual(lane.called, []);
  await until(() => lane.called.length === 2);
  assert.deepEqual(lane.called, [[1, ["a"], null], [2, ["b", "c"], [1, 2]]]);
});

Deno.test("Lane wakes the other side for each of many turns, whenever it answers", async () => {
  using lane = withLane((worker, number) => {
    const answer = () => worker.post(number, ["at once"], null);
    if (number % 3 === 0) answer();
    else if (number % 3 === 1) Promise.resolve().then(answer);
    else setTimeout(answer, 1);
  });
  for (let number = 0; number < 200; number++) {
    assert.ok(lane.gateway.post(number, [], null));
    if (number % 5 === 0) await until(() => lane.answered.length === number + 1);
  }
  await until(() => lane.answered.length === 200);
  assert.equal(new Set(lane.answered.map(([number]) => number)).size, 200);
});

Deno.test("Lane.flush() says it now", () => {
  using lane = withLane();
  lane.gateway.post(1, [], null);
  lane.gateway.flush();
  lane.worker.look();
  assert.deepEqual(lane.called, [[1, [], null]]);
});

Deno.test("Lane.close() takes nothing and says nothing any more", () => {
  using lane = withLane();
  lane.gateway.post(1, [], null);
  lane.gateway.flush();
  lane.worker.close();
  lane.worker.look();
  assert.deepEqual(lane.called, []);
  assert.ok(!lane.worker.post(1, [], null));
});

Deno.test("Lane tells of what makes no sense once, and is closed then", () => {
  using lane = withLane();
  new Int32Array(lane.memory.toGateway)[0] = 5;
  lane.gateway.look();
  lane.gateway.look();
  assert.equal(lane.faults.length, 1);
  assert.ok(!lane.gateway.post(1, [], null));
});
