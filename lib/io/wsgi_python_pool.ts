/**
 * The connections to an application's Python processes: as many requests as these have threads, and a few
 * ahead of their turns where there is one thread (fastcgi_ahead.ts).
 */
import type { ServiceStatus } from "../handler.ts";
import type { EndpointSource } from "./endpoint.ts";
import { MAX_AHEAD } from "./fastcgi_ahead.ts";
import { FcgiPool } from "./fastcgi_pool.ts";
import type { PooledConnection } from "./fastcgi_site.ts";
import { type Look, lookAt } from "./readiness.ts";
import { processRange, type SpawnOptions } from "./spawn_fields.ts";

const CONNECT_TIMEOUT_MS = 5000;

export class PythonPool extends FcgiPool {
  readonly #upstream: EndpointSource;
  /** For the ends of calls whose clients have left. */
  readonly #looks = new Set<Look>();

  constructor(upstream: EndpointSource, options: SpawnOptions, queue: number) {
    const { concurrency: threads = 1 } = options;
    // Several threads have a request at hand as it is.
    const ahead = threads === 1 ? MAX_AHEAD : 0;
    super([], {
      balance: "least-connections",
      // Processes of our own are started again at once.
      health: { failures: 1, backOffMs: 20, maxBackOffMs: 1000 },
      keepAlive: true,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      idleMs: 30_000,
      maxIdle: processRange(options).max * (threads + ahead),
      ahead,
      minIdle: 0,
      maxAgeMs: Infinity,
      maxRequests: Infinity,
      queue,
      queueTimeoutMs: 30_000,
      retryWindowMs: CONNECT_TIMEOUT_MS,
      onFull: () => upstream.grow(),
    });
    this.#upstream = upstream;
    upstream.attach(this);
  }

  /** A request that took its process down is not given to another one. */
  override get retryWindowMs(): number {
    return 0;
  }

  /**
   * When a client has left, its connection is closed but the application may go on until it next says
   * something. Its place comes free when the process takes a connection again.
   */
  override release(connection: PooledConnection, reusable: boolean): void {
    const { address } = connection;
    if (!connection.closed || connection.isAhead || address.transport !== "unix") {
      return super.release(connection, reusable);
    }
    const look = lookAt(address.path);
    this.#looks.add(look);
    look.taken.then(() => {
      this.#looks.delete(look);
      super.release(connection, false);
    });
  }

  override status(): ServiceStatus {
    const { pool, ...status } = super.status();
    const upstream = this.#upstream.status();
    if (pool === undefined) return { ...status, ...upstream };
    // A process has more connections than requests.
    const idle = Math.min(pool.idle, Math.max(0, pool.max - pool.busy));
    return { ...status, pool: { ...pool, idle }, ...upstream };
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const look of this.#looks) look.cancel();
    await super[Symbol.asyncDispose]();
    await this.#upstream[Symbol.asyncDispose]();
  }
}
