/**
 * Connections to the endpoints of one FastCGI upstream: how many, kept how long, and who waits.
 *
 * A kept connection holds a worker of the application (php-fpm's children serve one connection at a
 * time), so it must not starve others: connections rest briefly, and are given back at once while a
 * fresh connection of ours is still waiting to be accepted, which is how a full application looks.
 */
import { GatewayError } from "../errors.ts";
import type { Address } from "../fields.ts";
import type { Lifeline } from "../lifeline.ts";
import { dial } from "./dial.ts";
import { FcgiConnection } from "./fastcgi_connection.ts";
import { WaitingLine, type WaitingOptions } from "./waiting_line.ts";

/** One place that connections go to. */
export interface Endpoint {
  readonly address: Address;
  /** Connections at once. */
  readonly max: number;
}

export interface PoolOptions extends WaitingOptions {
  readonly keepAlive: boolean;
  readonly connectTimeoutMs: number;
  /** How long a connection rests before it is closed. */
  readonly idleMs: number;
  /** Connections that rest, all endpoints together. */
  readonly maxIdle: number;
  /** How long an endpoint may be gone before requests fail: a supervised program is back soon. */
  readonly patienceMs: number;
}

/** A fresh connection older than this that has not answered yet suggests a full application. */
const UNACCEPTED_MS = 5;
/** Between two tries to reach a program that is being started again. */
const RETRY_MS = 20;

interface Site extends Endpoint {
  open: number;
  /** Since when nobody answers there, by `performance.now()`; 0: somebody does. */
  downSince: number;
}

interface Resting {
  readonly connection: FcgiConnection;
  readonly since: number;
}

export class FcgiPool implements AsyncDisposable {
  readonly #options: PoolOptions;
  #sites: Site[];
  readonly #resting: Resting[] = [];
  readonly #busy = new Set<FcgiConnection>();
  readonly #siteOf = new WeakMap<FcgiConnection, Site>();
  /** Fresh connections whose first answer is still out, with the time of their request. */
  readonly #unproven = new Map<FcgiConnection, number>();
  readonly #line: WaitingLine<FcgiConnection>;
  #reaper: ReturnType<typeof setInterval> | undefined;
  #yielding: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(endpoints: readonly Endpoint[], options: PoolOptions) {
    this.#sites = endpoints.map((endpoint) => ({ ...endpoint, open: 0, downSince: 0 }));
    this.#options = options;
    this.#line = new WaitingLine(options);
  }

  get keepAlive(): boolean {
    return this.#options.keepAlive;
  }

  /**
   * A connection for one request, at rest or fresh. `once`: the request cannot be sent again, so the
   * runtime is first given a turn to notice that an application has closed its end.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or as {@link dial}; or the lifeline's
   * reason.
   */
  acquire(lifeline: Lifeline, once = false): FcgiConnection | Promise<FcgiConnection> {
    lifeline.throwIfCut();
    if (once && this.#resting.length > 0) return nextTurn().then(() => this.acquire(lifeline));
    return this.#rested() ?? this.fresh(lifeline);
  }

  /** A fresh connection, for a request that found its kept one stale. */
  fresh(lifeline: Lifeline): Promise<FcgiConnection> {
    const site = this.#roomiest();
    return site === undefined ? this.#line.wait(lifeline) : this.#openFor(lifeline, site);
  }

  /** Gives a connection back after its request. `reusable`: both sides are at a record border. */
  release(connection: FcgiConnection, reusable: boolean): void {
    this.#busy.delete(connection);
    this.#unproven.delete(connection);
    connection.served++;
    const keep = reusable && this.#options.keepAlive && !this.#closed && !connection.closed;
    if (!keep || this.#someoneUnaccepted()) return this.#retire(connection);
    const waiter = this.#line.next();
    if (waiter !== undefined) {
      this.#busy.add(connection);
      return waiter.resolve(connection);
    }
    if (this.#resting.length >= this.#options.maxIdle) return this.#retire(connection);
    connection.rest();
    this.#resting.push({ connection, since: performance.now() });
    this.#reaper ??= setInterval(() => this.#reap(), Math.max(100, this.#options.idleMs / 4));
    this.#yieldSoon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#reaper);
    clearTimeout(this.#yielding);
    for (const { connection } of this.#resting.splice(0)) this.#retire(connection);
    for (const connection of this.#busy) connection.close();
    for (let waiter = this.#line.next(); waiter !== undefined; waiter = this.#line.next()) {
      waiter.reject(new GatewayError(503, "shutting-down", "The server stops"));
    }
    await Promise.resolve();
  }

  #rested(): FcgiConnection | undefined {
    const resting = this.#resting.pop();
    if (resting === undefined) return undefined;
    resting.connection.occupy();
    this.#busy.add(resting.connection);
    return resting.connection;
  }

  /** The endpoint with room that has the fewest connections; one that is gone only for want of others. */
  #roomiest(): Site | undefined {
    let best: Site | undefined;
    for (const site of this.#sites) {
      if (site.open < site.max && (best === undefined || load(site) < load(best))) best = site;
    }
    return best;
  }

  /** Opens a connection for a request; if that ends first, the connection is there for the next. */
  #openFor(lifeline: Lifeline, site: Site): Promise<FcgiConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<FcgiConnection>();
    let left = false;
    const leave = (reason: Error) => {
      left = true;
      reject(reason);
    };
    lifeline.onCut(leave);
    this.#open(site).finally(() => lifeline.forget(leave)).then(
      (connection) => left ? this.release(connection, true) : resolve(connection),
      reject,
    );
    return promise;
  }

  /** Opens a connection to `site`, or to another: nothing was sent yet, so whoever is there may serve. */
  async #open(site: Site): Promise<FcgiConnection> {
    const tried = new Set<Site>();
    site.open++;
    for (;;) {
      tried.add(site);
      try {
        return await this.#dial(site);
      } catch (error) {
        const other = this.#sites.find((other) => !tried.has(other) && other.open < other.max);
        if (other !== undefined) {
          other.open++;
          this.#leave(site);
          site = other;
          continue;
        }
        if (this.#closed || performance.now() - site.downSince >= this.#options.patienceMs) {
          this.#leave(site);
          throw error;
        }
        // The place is kept meanwhile, so that one request alone looks for each program.
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        tried.clear();
        const rested = this.#rested();
        if (rested === undefined) continue;
        this.#leave(site);
        return rested;
      }
    }
  }

  async #dial(site: Site): Promise<FcgiConnection> {
    try {
      const socket = await dial(site.address, this.#options.connectTimeoutMs);
      site.downSince = 0;
      const connection = new FcgiConnection(socket, site.address);
      this.#adopt(connection, site);
      return connection;
    } catch (error) {
      site.downSince ||= performance.now();
      throw error;
    }
  }

  #adopt(connection: FcgiConnection, site: Site): void {
    this.#siteOf.set(connection, site);
    this.#busy.add(connection);
    this.#unproven.set(connection, performance.now());
    connection.onIdleClose = () => {
      const index = this.#resting.findIndex((resting) => resting.connection === connection);
      if (index >= 0) this.#resting.splice(index, 1);
      this.#leave(site);
    };
  }

  #someoneUnaccepted(): boolean {
    if (this.#unproven.size === 0) return false;
    const now = performance.now();
    for (const since of this.#unproven.values()) if (now - since > UNACCEPTED_MS) return true;
    return false;
  }

  /** Connections at rest may hold the very workers that a fresh one waits for. */
  #yieldSoon(): void {
    if (this.#unproven.size === 0 || this.#resting.length === 0) return;
    this.#yielding ??= setTimeout(() => {
      this.#yielding = undefined;
      if (!this.#someoneUnaccepted()) return this.#yieldSoon();
      for (const { connection } of this.#resting.splice(0)) this.#retire(connection);
    }, UNACCEPTED_MS);
  }

  #retire(connection: FcgiConnection): void {
    connection.close();
    const site = this.#siteOf.get(connection);
    if (site !== undefined) this.#leave(site);
  }

  /** A connection to `site` is no more: whoever waits may open another. */
  #leave(site: Site): void {
    site.open--;
    const waiter = this.#closed ? undefined : this.#line.next();
    if (waiter === undefined) return;
    this.#openFor(waiter.lifeline, site).then(waiter.resolve, waiter.reject);
  }

  #reap(): void {
    const before = performance.now() - this.#options.idleMs;
    // The longest at rest come first.
    while (this.#resting[0] !== undefined && this.#resting[0].since < before) {
      const [resting] = this.#resting.splice(0, 1);
      if (resting !== undefined) this.#retire(resting.connection);
    }
    if (this.#resting.length === 0) {
      clearInterval(this.#reaper);
      this.#reaper = undefined;
    }
  }
}

function load({ open, downSince }: Site): number {
  return downSince === 0 ? open : Infinity;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
