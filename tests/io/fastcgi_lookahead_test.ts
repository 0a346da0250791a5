/** A pool whose endpoints get requests before their turn; the endpoints say nothing by themselves. */
import assert from "node:assert/strict";
import { ClientGone, GatewayError } from "../../lib/errors.ts";
import type { Endpoint } from "../../lib/io/endpoint.ts";
import { HEALTH } from "../../lib/io/balancer.ts";
import { FcgiPool } from "../../lib/io/fastcgi_pool.ts";
import type { PooledConnection } from "../../lib/io/fastcgi_site.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { FcgiEncoder } from "../../lib/protocol/fastcgi_encoder.ts";
import { Lifeline } from "../../lib/lifeline.ts";
import { eventually } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";

/** What is short shall be so however fast the machine is. */
function slowClock(): Disposable {
  const real = performance.now.bind(performance);
  performance.now = () => real() / 1000;
  return { [Symbol.dispose]: () => Reflect.deleteProperty(performance, "now") };
}

interface Scene {
  readonly pool: FcgiPool;
  readonly endpoints: readonly Endpoint[];
  /** Begins a request; undefined: it waits in line. */
  begin(lifeline?: Lifeline): Promise<PooledConnection | undefined>;
}

/** `count` places, each of which has shown that it is quick, and has connections at rest. */
async function withPool(count: number, body: (scene: Scene) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  using _clock = slowClock();
  await using stack = new AsyncDisposableStack();
  const endpoints = Array.from({ length: count }, (_, index) => {
    const path = `${folder.path}/${index}`;
    const listener = stack.adopt(Deno.listen({ transport: "unix", path }), (one) => one.close());
    accept(listener, stack);
    return { address: { transport: "unix" as const, path }, max: 1 };
  });
  const pool = stack.use(
    new FcgiPool(endpoints, {
      keepAlive: true,
      connectTimeoutMs: 1000,
      idleMs: 60_000,
      maxIdle: 100,
      minIdle: 0,
      maxAgeMs: Infinity,
      maxRequests: Infinity,
      queue: 10,
      queueTimeoutMs: 10_000,
      retryWindowMs: 0,
      balance: "least-connections",
      health: HEALTH,
      ahead: 2,
    }),
  );
  const begin = async (lifeline = new Lifeline()) => {
    const waits = Promise.resolve().then(() => undefined);
    const place = Promise.resolve(pool.acquire(lifeline, false, true));
    place.catch(() => {});
    return await Promise.race([place, waits]);
  };
  await prove(pool, count);
  await body({ pool, endpoints, begin });
}

async function accept(listener: Deno.UnixListener, stack: AsyncDisposableStack): Promise<void> {
  for await (const socket of listener) {
    stack.defer(() => socket.close());
    answer(socket);
  }
}

/** Answers what connections are asked first; requests are answered by the tests themselves. */
async function answer(socket: Deno.UnixConn): Promise<void> {
  const decoder = new FcgiDecoder();
  const encoder = new FcgiEncoder();
  const buffer = new Uint8Array(1000);
  for (let count = await read(); count !== null; count = await read()) {
    decoder.push(buffer.subarray(0, count));
    assert.equal(decoder.next()?.type, "get-values");
    encoder.values("get-values-result", []);
    await socket.write(encoder.take());
  }

  async function read(): Promise<number | null> {
    return await socket.read(buffer).catch(() => null);
  }
}

/** Asks until every endpoint has all its connections, and nobody waits. */
async function prove(pool: FcgiPool, count: number): Promise<void> {
  for (let round = 0; pool.status().pool?.idle !== count * 3; round++) {
    assert.ok(round < 10_000, JSON.stringify(pool.status()));
    const given: PooledConnection[] = [];
    const places = Array.from({ length: count * 3 }, async () => {
      given.push(await pool.acquire(new Lifeline(), false, true));
    });
    for (let over = 0; over < places.length;) {
      await new Promise((resolve) => setImmediate(resolve));
      for (const one of given.splice(0)) {
        if (one.isAhead) pool.heard(one);
        pool.release(one, true);
        over++;
      }
    }
    await Promise.all(places);
  }
}

const counts = ({ pool }: Scene) => {
  const { busy, waiting } = pool.status().pool ?? {};
  return { busy, waiting };
};

/** A request that has the endpoint, and `count` that lie behind it. */
async function several(
  scene: Scene,
  count: number,
): Promise<[PooledConnection, ...PooledConnection[]]> {
  const first = await scene.begin();
  const rest: PooledConnection[] = [];
  for (let index = 0; index < count; index++) {
    const one = await scene.begin();
    if (one?.isAhead) rest.push(one);
  }
  assert.ok(first !== undefined && !first.isAhead && rest.length === count);
  return [first, ...rest];
}

function testAhead(name: string, count: number, body: (scene: Scene) => Promise<void>): void {
  Deno.test(`Lookahead ${name}`, () => withPool(count, body));
}

testAhead("gives busy endpoints requests before their turn, evenly", 2, async (scene) => {
  const all = [];
  for (let index = 0; index < 6; index++) all.push(await scene.begin());
  assert.deepEqual(all.map((one) => one?.isAhead), [false, false, true, true, true, true]);
  const places = new Set(all.slice(2, 4).map((one) => one?.address));
  assert.equal(places.size, 2, "one behind each, before there are two behind either");
  assert.deepEqual(counts(scene), { busy: 2, waiting: 4 });
  assert.equal(await scene.begin(), undefined, "and no more");
  assert.deepEqual(counts(scene), { busy: 2, waiting: 5 });
});

testAhead("tells a request's times when its turn has come", 1, async (scene) => {
  const lifeline = new Lifeline();
  const first = await scene.begin();
  const second = await scene.begin(lifeline);
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual([second.isAhead, lifeline.ledger.queuedMs], [true, undefined]);
  scene.pool.release(first, true);
  assert.equal(second.isAhead, false);
  assert.ok(lifeline.ledger.queuedMs !== undefined && lifeline.handedOverAt > 0);
  assert.deepEqual(counts(scene), { busy: 1, waiting: 0 });
});

testAhead("lets nobody pass a request that must not lie behind another", 1, async (scene) => {
  const [first, second] = await several(scene, 1);
  let posted: PooledConnection | undefined;
  const posting = Promise.resolve(scene.pool.acquire(new Lifeline())).then((one) => posted = one);
  assert.equal(await scene.begin(), undefined);
  scene.pool.release(first, true);
  await Promise.resolve();
  assert.equal(posted, undefined, "the second has its turn");
  if (second !== undefined) scene.pool.release(second, true);
  assert.equal((await posting).isAhead, false);
  assert.deepEqual(counts(scene), { busy: 1, waiting: 0 + 1 });
});

testAhead(
  "takes back who lies behind a slow request; it waits on in its place",
  2,
  async (scene) => {
    const { pool } = scene;
    const slow = await scene.begin();
    const quick = await scene.begin();
    const lifelines = [new Lifeline(), new Lifeline()];
    const behind = await Promise.all(lifelines.map((lifeline) => scene.begin(lifeline)));
    const [one, two] = behind;
    assert.ok(slow !== undefined && quick !== undefined && one !== undefined && two !== undefined);
    await eventually(() => one.closed && two.closed);
    const order: number[] = [];
    // Whoever comes now, in vain, comes after them; and they come in the order in which they came at first.
    const third = Promise.resolve(pool.acquire(new Lifeline())).then((at) => (order.push(3), at));
    for (const [index, taken] of [two, one].entries()) {
      assert.equal(taken.isAhead, true);
      pool.release(taken, false);
      const lifeline = new Lifeline();
      const number = 2 - index;
      pool.fresh(lifeline, taken).then((at) => (order.push(number), pool.release(at, true)));
    }
    assert.deepEqual(counts(scene), { busy: 2, waiting: 3 });
    pool.release(quick, true);
    pool.release(await third, true);
    assert.deepEqual(order, [1, 2, 3]);
  },
);

testAhead("does not give its turn to who was taken back just before", 1, async (scene) => {
  const [first, second, third] = await several(scene, 2);
  assert.ok(second !== undefined && third !== undefined);
  second.close();
  scene.pool.release(first, true);
  assert.deepEqual([second.isAhead, third.isAhead], [true, false]);
  scene.pool.release(second, false);
  scene.pool.release(third, true);
  assert.deepEqual(counts(scene), { busy: 0, waiting: 0 });
});

testAhead("forgets a request whose client leaves before its turn", 1, async (scene) => {
  const lifeline = new Lifeline();
  const first = await scene.begin();
  const second = await scene.begin(lifeline);
  assert.ok(first !== undefined && second !== undefined);
  lifeline.cut(new ClientGone());
  second.close();
  scene.pool.release(second, false);
  assert.ok(lifeline.ledger.queuedMs !== undefined);
  assert.deepEqual(counts(scene), { busy: 1, waiting: 0 });
  scene.pool.release(first, true);
  assert.deepEqual(counts(scene), { busy: 0, waiting: 0 });
});

testAhead("does not hold against a request that the one before it broke off", 1, async (scene) => {
  const [first, second] = await several(scene, 1);
  scene.pool.release(first, false);
  assert.equal(second?.isAhead, true, "it may not have begun, and may be sent again");
  assert.equal(
    scene.pool.status().pool?.idle,
    0,
    "nor is anything sent on what may be about to end",
  );
  assert.deepEqual(counts(scene), { busy: 1, waiting: 0 });
  if (second !== undefined) scene.pool.heard(second);
  assert.equal(second?.isAhead, false);
  if (second !== undefined) scene.pool.release(second, true);
  assert.deepEqual(counts(scene), { busy: 0, waiting: 0 });
});

testAhead("believes an answer that comes before that of the one before", 1, async (scene) => {
  const [first, second, third] = await several(scene, 2);
  assert.ok(second !== undefined && third !== undefined);
  scene.pool.heard(third);
  assert.deepEqual([third.isAhead, second.isAhead], [false, true]);
  scene.pool.release(third, true);
  for (const one of [first, second]) scene.pool.release(one, true);
  assert.deepEqual(counts(scene), { busy: 0, waiting: 0 });
});

testAhead("lets an endpoint go when the last of its requests is over", 1, async (scene) => {
  const { pool, endpoints: [endpoint] } = scene;
  const all = await several(scene, 2);
  let gone = false;
  assert.ok(endpoint !== undefined);
  const leaving = pool.remove(endpoint).then(() => gone = true);
  for (const one of all) {
    assert.equal(gone, false);
    pool.release(one, true);
    await Promise.resolve();
  }
  assert.equal(await leaving, true);
});

testAhead("turns away who is taken back as the pool closes", 1, async (scene) => {
  const [, second] = await several(scene, 1);
  assert.ok(second !== undefined);
  await scene.pool[Symbol.asyncDispose]();
  assert.equal(second.closed, true);
  scene.pool.release(second, false);
  await assert.rejects(scene.pool.fresh(new Lifeline(), second), (error) => {
    return error instanceof GatewayError && error.failure === "shutting-down";
  });
});
