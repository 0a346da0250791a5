import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { HEALTH } from "../../lib/io/balancer.ts";
import type { PooledConnection } from "../../lib/io/fastcgi_site.ts";
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
  readonly folder: string;
  readonly places: readonly Place[];
}

interface Setting {
  readonly options?: Partial<PoolOptions>;
  /** Connections at once, of each place. */
  readonly max?: readonly number[];
  /** The places at which nobody listens. */
  readonly gone?: readonly number[];
  readonly backups?: readonly number[];
}

async function withPool(
  { options = {}, max = [2], gone = [], backups = [] }: Setting,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-pool-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const endpoints = max.map((max, index) => {
    return {
      address: { transport: "unix" as const, path: `${folder}/${index}` },
      max,
      backup: backups.includes(index),
    };
  });
  const places = endpoints.filter((_, index) => !gone.includes(index))
    .map(({ address }) => stack.use(new Place(address.path)));
  const pool = stack.use(new FcgiPool(endpoints, { ...OPTIONS, ...options }));
  await body({ pool, places, folder });
}

async function take(pool: FcgiPool, lifeline = new Lifeline()): Promise<PooledConnection> {
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

Deno.test("FcgiPool waits for one that has just gone, within the window", async () => {
  const options = { retryWindowMs: 2000 };
  await withPool({ max: [2], gone: [0], options }, async ({ pool, folder }) => {
    const lifeline = new Lifeline();
    const waiting = take(pool, lifeline);
    await pause(100);
    await using place = new Place(`${folder}/0`);
    await waiting;
    await eventually(() => place.sockets.length === 1);
    const { connectMs = 0 } = lifeline.ledger;
    assert.ok(connectMs >= 90 && connectMs < 2000, String(connectMs));
  });
});

Deno.test("FcgiPool does not wait for one that has been gone for long", async () => {
  const options = { retryWindowMs: 200 };
  await withPool({ max: [2], gone: [0], options }, async ({ pool }) => {
    const refused = isFailure(502, "connect-refused");
    await assert.rejects(take(pool), refused);
    const since = performance.now();
    await assert.rejects(take(pool), refused);
    assert.ok(performance.now() - since < 100);
  });
});

Deno.test("FcgiPool tells the ledger how long connecting took, and nothing of a kept connection", async () => {
  await withPool({}, async ({ pool }) => {
    const fresh = new Lifeline();
    const first = await take(pool, fresh);
    assert.ok((fresh.writtenLedger?.connectMs ?? -1) >= 0);
    pool.release(first, true);
    const kept = new Lifeline();
    await take(pool, kept);
    assert.equal(kept.writtenLedger, undefined);
  });
});

Deno.test("FcgiPool replaces a connection after its requests, and after its time", async () => {
  for (const options of [{ maxRequests: 3 }, { maxAgeMs: 60 }]) {
    await withPool({ options }, async ({ pool, places: [place] }) => {
      const first = await take(pool);
      for (let round = 0; round < 2; round++) {
        pool.release(first, true);
        assert.equal(await take(pool), first);
      }
      await pause(70);
      pool.release(first, true);
      assert.ok(await place?.isClosed(0));
      assert.notEqual(await take(pool), first);
    });
  }
});

Deno.test("FcgiPool keeps as many connections warm as it is told, and replaces them", async () => {
  const options = { minIdle: 2, idleMs: 100, maxAgeMs: 300 };
  await withPool({ max: [4], options }, async ({ pool, places: [place] }) => {
    await eventually(() => place?.sockets.length === 2);
    const lifeline = new Lifeline();
    const warm = await take(pool, lifeline);
    assert.equal(lifeline.writtenLedger, undefined, "nobody waited for a connection");
    // Another is opened in its stead.
    await eventually(() => place?.sockets.length === 3);
    pool.release(warm, true);
    assert.ok(await place?.isClosed(0) || await place?.isClosed(1));
    await eventually(() => (place?.sockets.length ?? 0) > 3);
  });
});

Deno.test("FcgiPool gives one kept connection up for each that is not accepted, and no more", async () => {
  await withPool({ max: [8] }, async ({ pool }) => {
    const kept: PooledConnection[] = [];
    for (let count = 0; count < 4; count++) {
      const connection = await take(pool);
      pool.heard(connection);
      kept.push(connection);
    }
    const waiting = await take(pool);
    // Too early to tell.
    const [first, ...others] = kept;
    assert.ok(first !== undefined);
    pool.release(first, true);
    assert.equal(first.closed, false);
    assert.equal(await take(pool), first);
    await pause(60);
    for (const connection of kept) pool.release(connection, true);
    assert.deepEqual([first.closed, ...others.map(({ closed }) => closed)], [
      true,
      false,
      false,
      false,
    ]);
    // Whoever took its place may have been another server's: after a while one more is given up.
    await eventually(() => kept.filter(({ closed }) => closed).length === 2, 300);
    pool.heard(waiting);
    await pause(120);
    assert.ok(kept.filter(({ closed }) => closed).length <= 3);
  });
});

Deno.test("FcgiPool takes the endpoints in turn if it is told to", async () => {
  const options = { balance: "round-robin" as const };
  await withPool({ max: [4, 4], options }, async ({ pool, places }) => {
    for (let round = 0; round < 6; round++) pool.release(await take(pool), true);
    await eventually(() => places.every(({ sockets }) => sockets.length === 1));
  });
});

Deno.test("FcgiPool goes to a backup while its first is down, and comes back", async () => {
  const notices: string[] = [];
  const options = {
    notice: (message: string) => notices.push(message),
    health: { failures: 1, backOffMs: 100, maxBackOffMs: 100 },
  };
  await withPool(
    { max: [9, 9], gone: [0], backups: [1], options },
    async ({ pool, places, folder }) => {
      const connection = await take(pool);
      pool.heard(connection);
      assert.match(connection.address.transport === "unix" ? connection.address.path : "", /1$/);
      await using first = new Place(`${folder}/0`);
      await pause(110);
      const trial = await take(pool);
      await eventually(() => first.sockets.length === 1);
      pool.heard(trial);
      await take(pool);
      await eventually(() => first.sockets.length === 2);
      assert.equal(places[0]?.sockets.length, 1);
      assert.deepEqual(notices.map((text) => text.replace(/^.*\/0 /, "").replace(/:.*/, "")), [
        "is down after 1 failures",
        "is back",
      ]);
    },
  );
});

Deno.test("FcgiPool counts connections that break off before any answer as failures", async () => {
  const notices: string[] = [];
  const options = { notice: (message: string) => notices.push(message) };
  await withPool({ max: [9, 9], options }, async ({ pool, places }) => {
    for (let round = 0; round < 3; round++) {
      const broken = await take(pool);
      pool.broken(broken);
      pool.release(broken, false);
    }
    assert.match(notices[0] ?? "", /0 is down after 3 failures: it closed a connection without/);
    for (let round = 0; round < 3; round++) await take(pool);
    await eventually(() => places[1]?.sockets.length === 3);
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
    const held = new Set<PooledConnection>();
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
