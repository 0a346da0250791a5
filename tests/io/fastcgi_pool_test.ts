import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { HEALTH } from "../../lib/io/balancer.ts";
import type { FcgiConnection } from "../../lib/io/fastcgi_connection.ts";
import { FcgiPool, type PoolOptions } from "../../lib/io/fastcgi_pool.ts";
import { Lifeline } from "../../lib/lifeline.ts";
import { eventually } from "../support/gateway.ts";

const OPTIONS: PoolOptions = {
  keepAlive: true,
  connectTimeoutMs: 1000,
  idleMs: 60_000,
  maxIdle: 16,
  minIdle: 0,
  maxAgeMs: Infinity,
  maxRequests: Infinity,
  queue: 10,
  queueTimeoutMs: 10_000,
  retryWindowMs: 0,
  balance: "least-connections",
  health: HEALTH,
};

/** A place to connect to that says nothing. */
class Place implements AsyncDisposable {
  readonly sockets: Deno.Conn[] = [];
  readonly #listener: Deno.Listener;
  readonly #accepting: Promise<void>;

  constructor(readonly path: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#accepting = this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const socket of this.#listener) this.sockets.push(socket);
  }

  /** Whether the other side has closed its nth connection. */
  async isClosed(index: number): Promise<boolean> {
    return await this.sockets[index]?.read(new Uint8Array(1)).catch(() => null) === null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const socket of this.sockets) socket.close();
  }
}

interface Scene {
  readonly pool: FcgiPool;
  readonly places: readonly Place[];
}

interface Setting {
  readonly options?: Partial<PoolOptions>;
  /** Connections at once, of each place. */
  readonly max?: readonly number[];
  /** The places at which nobody listens. */
  readonly gone?: readonly number[];
}

async function withPool(
  { options = {}, max = [2], gone = [] }: Setting,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-pool-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const endpoints = max.map((max, index) => {
    return { address: { transport: "unix" as const, path: `${folder}/${index}` }, max };
  });
  const places = endpoints.filter((_, index) => !gone.includes(index))
    .map(({ address }) => stack.use(new Place(address.path)));
  const pool = stack.use(new FcgiPool(endpoints, { ...OPTIONS, ...options }));
  await body({ pool, places });
}

async function take(pool: FcgiPool, lifeline = new Lifeline()): Promise<FcgiConnection> {
  return await pool.acquire(lifeline);
}

function isFailure(status: number, failure: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.status === status && error.failure === failure;
}

const full = isFailure(503, "queue-full");

Deno.test("FcgiPool gives a connection at rest out again, without a promise", async () => {
  await withPool({}, async ({ pool, places: [place] }) => {
    const first = await take(pool);
    pool.release(first, true);
    assert.equal(pool.acquire(new Lifeline()), first);
    assert.equal(place?.sockets.length, 1);
    pool.release(first, false);
    assert.notEqual(await take(pool), first);
  });
});

Deno.test("FcgiPool closes what cannot be used again", async () => {
  const spoilt: [Partial<PoolOptions>, boolean][] = [
    [{}, false],
    [{ keepAlive: false }, true],
    [{ maxIdle: 0 }, true],
  ];
  for (const [options, reusable] of spoilt) {
    await withPool({ options }, async ({ pool, places: [place] }) => {
      pool.release(await take(pool), reusable);
      await eventually(() => place?.sockets.length === 1);
      assert.ok(await place?.isClosed(0));
    });
  }
});

Deno.test("FcgiPool opens no more than max, and lets the rest wait in order", async () => {
  await withPool({ max: [2] }, async ({ pool, places: [place] }) => {
    const first = await take(pool);
    const second = await take(pool);
    const order: number[] = [];
    const third = take(pool).then((connection) => (order.push(3), connection));
    const fourth = take(pool).then((connection) => (order.push(4), connection));
    pool.release(second, true);
    pool.release(first, true);
    assert.equal(await third, second);
    assert.equal(await fourth, first);
    assert.deepEqual(order, [3, 4]);
    assert.equal(place?.sockets.length, 2);
  });
});

Deno.test("FcgiPool opens another connection for who waits when one is lost", async () => {
  await withPool({ max: [1] }, async ({ pool, places: [place] }) => {
    const first = await take(pool);
    const waiting = take(pool);
    pool.release(first, false);
    assert.notEqual(await waiting, first);
    await eventually(() => place?.sockets.length === 2);
  });
});

Deno.test("FcgiPool refuses at once when the queue is full", async () => {
  await withPool({ max: [1], options: { queue: 1 } }, async ({ pool }) => {
    const first = await take(pool);
    const waiting = take(pool);
    await assert.rejects(take(pool), full);
    pool.release(first, true);
    assert.equal(await waiting, first);
    // There is room in the queue again.
    const next = take(pool);
    pool.release(first, true);
    await next;
  });
});

Deno.test("FcgiPool lets nobody wait longer than queueTimeout, and loses none of the others", async () => {
  await withPool({ max: [1], options: { queueTimeoutMs: 100 } }, async ({ pool }) => {
    const first = await take(pool);
    const early = assert.rejects(take(pool), isFailure(503, "queue-timeout"));
    await pause(60);
    const late = take(pool);
    await early;
    pool.release(first, true);
    assert.equal(await late, first);
  });
});

Deno.test("FcgiPool takes who has left out of the queue, and loses none of the others", async () => {
  await withPool({ max: [1], options: { queue: 2 } }, async ({ pool }) => {
    const first = await take(pool);
    const lifeline = new Lifeline();
    const gone = assert.rejects(take(pool, lifeline), /left/);
    const stays = take(pool);
    await assert.rejects(take(pool), full);
    lifeline.cut(new Error("left"));
    await gone;
    const next = take(pool);
    pool.release(first, true);
    assert.equal(await stays, first);
    pool.release(first, true);
    assert.equal(await next, first);
  });
});

Deno.test("FcgiPool turns away who has left already", async () => {
  await withPool({ max: [1] }, async ({ pool }) => {
    const lifeline = new Lifeline();
    lifeline.cut(new Error("left"));
    await assert.rejects(take(pool, lifeline), /left/);
    await take(pool);
    await assert.rejects(take(pool, lifeline), /left/);
  });
});

Deno.test("FcgiPool keeps the connection that comes for somebody who has left", async () => {
  await withPool({ max: [1] }, async ({ pool, places: [place] }) => {
    const lifeline = new Lifeline();
    const gone = assert.rejects(take(pool, lifeline), /left/);
    lifeline.cut(new Error("left"));
    await gone;
    const next = await take(pool);
    assert.equal(next.closed, false);
    assert.equal(place?.sockets.length, 1);
  });
});

Deno.test("FcgiPool closes a connection that has rested long enough", async () => {
  await withPool({ options: { idleMs: 50 } }, async ({ pool, places: [place] }) => {
    pool.release(await take(pool), true);
    await eventually(() => place?.sockets.length === 1);
    assert.ok(await place?.isClosed(0));
    const fresh = await take(pool);
    assert.equal(fresh.served, 0);
  });
});

Deno.test("FcgiPool notices when the application closes a connection at rest", async () => {
  await withPool({ max: [1] }, async ({ pool, places: [place] }) => {
    const first = await take(pool);
    pool.release(first, true);
    await eventually(() => place?.sockets.length === 1);
    place?.sockets.pop()?.close();
    await eventually(() => first.closed);
    const second = await take(pool);
    assert.notEqual(second, first);
  });
});

Deno.test("FcgiPool spreads connections over its endpoints", async () => {
  await withPool({ max: [2, 2, 2] }, async ({ pool, places }) => {
    for (let count = 0; count < 6; count++) await take(pool);
    await eventually(() => places.every(({ sockets }) => sockets.length === 2));
  });
});

Deno.test("FcgiPool goes to another endpoint when one is gone", async () => {
  await withPool({ max: [2, 2], gone: [0] }, async ({ pool, places: [place] }) => {
    await take(pool);
    await take(pool);
    await eventually(() => place?.sockets.length === 2);
    // Both places of the one that is left are taken.
    await assert.rejects(take(pool), isFailure(502, "connect-refused"));
  });
});

Deno.test("FcgiPool tells when nobody listens, and does not lose the place", async () => {
  await withPool({ max: [1], gone: [0] }, async ({ pool }) => {
    const refused = isFailure(502, "connect-refused");
    for (let round = 0; round < 3; round++) await assert.rejects(take(pool), refused);
    const all = [take(pool), take(pool), take(pool)].map((one) => assert.rejects(one, refused));
    await Promise.all(all);
  });
});

Deno.test("FcgiPool turns everybody away when it closes", async () => {
  await withPool({ max: [1] }, async ({ pool, places: [place] }) => {
    const first = await take(pool);
    const waiting = assert.rejects(take(pool), isFailure(503, "shutting-down"));
    await pool[Symbol.asyncDispose]();
    await waiting;
    assert.ok(first.closed);
    pool.release(first, true);
    await eventually(() => place?.sockets.length === 1);
    assert.ok(await place?.isClosed(0));
  });
});

Deno.test("FcgiPool under contention gives every connection to one request at a time", async () => {
  await withPool({ max: [3], options: { queue: 1000 } }, async ({ pool }) => {
    const held = new Set<FcgiConnection>();
    const visit = async (index: number) => {
      const connection = await take(pool);
      assert.ok(!held.has(connection));
      held.add(connection);
      assert.ok(held.size <= 3);
      await pause(index % 4);
      held.delete(connection);
      pool.release(connection, index % 5 !== 0);
    };
    await Promise.all(Array.from({ length: 300 }, (_, index) => visit(index)));
  });
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
