/**
 * Connections to the endpoints of one FastCGI upstream: how many, kept how long, and who waits.
 *
 * A kept connection must not starve others, be they requests of ours or another server's: it rests
 * briefly, is given up for a fresh one that waits to be accepted (fastcgi_site.ts), and is replaced after
 * a second of use, so that under steady load too everybody who waits at the application has a turn.
 */
import { GatewayError } from "../errors.ts";
import type { ServiceStatus, Stateful } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import { connecting } from "./connecting.ts";
import { closeQuietly, dial, isGone } from "./dial.ts";
import type { Endpoint, EndpointSink } from "./endpoint.ts";
import { PooledConnection, Site } from "./fastcgi_site.ts";
import { Sites, type SitesOptions } from "./fastcgi_sites.ts";
import { WaitingLine, type WaitingOptions } from "./waiting_line.ts";

export interface PoolOptions extends WaitingOptions, SitesOptions {
  readonly keepAlive: boolean;
  readonly connectTimeoutMs: number;
  /** After how many requests a connection is not kept any more. */
  readonly maxRequests: number;
  /** How long an application may be gone before requests fail: one that is restarted is back soon. */
  readonly retryWindowMs: number;
  /** Called when a request finds no endpoint with room, before it waits. */
  readonly onFull?: (() => void) | undefined;
}

/** Between two tries to reach a program that is being started again. */
const RETRY_MS = 20;

export class FcgiPool implements AsyncDisposable, EndpointSink, Stateful {
  readonly #options: PoolOptions;
  readonly #sites: Sites;
  readonly #line: WaitingLine<PooledConnection>;
  #warming = 0;
  #closed = false;

  constructor(endpoints: readonly Endpoint[], options: PoolOptions) {
    this.#options = options;
    this.#line = new WaitingLine(options);
    this.#sites = new Sites(options, {
      onRoom: () => this.#callWaiting(),
      onCold: () => this.#warm(),
    });
    for (const endpoint of endpoints) this.#sites.add(new Site(endpoint));
    this.#warm();
  }

  get keepAlive(): boolean {
    return this.#options.keepAlive;
  }

  get retryWindowMs(): number {
    return this.#options.retryWindowMs;
  }

  get waiting(): number {
    return this.#line.length;
  }

  status(): ServiceStatus {
    let max = 0;
    for (const { endpoint } of this.#sites.members) if (!endpoint.backup) max += endpoint.max;
    const idle = this.#sites.resting;
    const pool = { busy: this.#sites.busy, idle, waiting: this.waiting, max };
    return { pool, upstreams: this.#sites.status() };
  }

  add(endpoint: Endpoint): void {
    this.#sites.add(new Site(endpoint));
    this.#callWaiting();
  }

  remove(endpoint: Endpoint): Promise<void> {
    const site = this.#sites.members.find((site) => site.endpoint === endpoint);
    if (site === undefined) return Promise.resolve();
    this.#sites.remove(site);
    const { promise, resolve } = Promise.withResolvers<void>();
    site.onEmpty = resolve;
    this.#sites.retireResting(site);
    if (site.open === 0) resolve();
    return promise;
  }

  /**
   * A connection for one request, at rest or fresh. `once`: the request cannot be sent again, so the
   * runtime is first given a turn to notice that an application has closed its end.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or as {@link dial}; or the lifeline's
   * reason.
   */
  acquire(lifeline: Lifeline, once = false): PooledConnection | Promise<PooledConnection> {
    lifeline.throwIfCut();
    if (once && this.#sites.resting > 0) return nextTurn().then(() => this.acquire(lifeline));
    const site = this.#sites.pick();
    return (site && this.#wake(site)) ?? this.#connect(lifeline, site);
  }

  /** A fresh connection, elsewhere if possible for a request that found its own broken. */
  fresh(lifeline: Lifeline, broken?: PooledConnection): Promise<PooledConnection> {
    const tried = this.#sites.members.filter(({ endpoint }) =>
      endpoint.address === broken?.address
    );
    const site = this.#sites.pick(new Set(tried)) ?? this.#sites.pick();
    return this.#connect(lifeline, site);
  }

  hasOther(refusing: PooledConnection): boolean {
    return this.#sites.members.some(({ endpoint, hasRoom }) =>
      endpoint.address !== refusing.address && hasRoom
    );
  }

  /** The application answers on a connection that was fresh. */
  heard(connection: PooledConnection): void {
    const { site } = connection;
    site.settle(connection);
    this.#sites.succeeded(site);
  }

  /** The application closed a fresh connection without an answer. */
  broken(connection: PooledConnection): void {
    this.#sites.failed(connection.site, "it closed a connection without an answer");
  }

  /** Gives a connection back after its request. `reusable`: both sides are at a record border. */
  release(connection: PooledConnection, reusable: boolean): void {
    if (!connection.busy) return;
    connection.busy = false;
    const { site } = connection;
    site.settle(connection);
    connection.served++;
    site.busy--;
    site.endpoint.usage?.end();
    // A kept connection, too, may be the one that shows an endpoint to be back.
    if (reusable) this.#sites.succeeded(site);
    const now = performance.now();
    if (!reusable || !this.#isKept(connection, now)) return this.#sites.retire(connection);
    const waiter = this.#line.next();
    if (waiter !== undefined) {
      this.#occupy(connection);
      return waiter.resolve(connection);
    }
    this.#sites.rest(connection, now);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#sites.close();
    for (let waiter = this.#line.next(); waiter !== undefined; waiter = this.#line.next()) {
      waiter.reject(new GatewayError(503, "shutting-down", "The server stops"));
    }
    await Promise.resolve();
  }

  #isKept(connection: PooledConnection, now: number): boolean {
    const { keepAlive, maxRequests } = this.#options;
    const { site } = connection;
    if (!keepAlive || this.#closed || connection.closed || site.onEmpty !== undefined) return false;
    if (now >= connection.keptUntil || connection.served >= maxRequests) return false;
    return !site.shouldYield(now);
  }

  #wake(site: Site): PooledConnection | undefined {
    const connection = this.#sites.wake(site);
    if (connection !== undefined) this.#occupy(connection);
    return connection;
  }

  /** The connection has a request. */
  #occupy(connection: PooledConnection): void {
    const { site } = connection;
    connection.busy = true;
    site.busy++;
    site.tally.requests++;
    site.endpoint.usage?.begin();
  }

  #connect(lifeline: Lifeline, site: Site | undefined): Promise<PooledConnection> {
    if (site !== undefined) return this.#connectFor(lifeline, site);
    const waiting = this.#line.wait(lifeline);
    this.#options.onFull?.();
    return waiting;
  }

  /** Opens a connection for a request; if that ends first, the connection is there for the next. */
  #connectFor(lifeline: Lifeline, site: Site): Promise<PooledConnection> {
    return connecting(lifeline, this.#open(site), (spare) => this.release(spare, true));
  }

  /**
   * Opens a connection to `site`, or to another: nothing was sent yet, so whoever is there may serve.
   * While all have just gone, it waits a while for one to come back.
   */
  async #open(site: Site): Promise<PooledConnection> {
    const tried = new Set<Site>();
    const began = performance.now();
    this.#claim(site);
    for (;;) {
      tried.add(site);
      try {
        return await this.#dial(site);
      } catch (error) {
        if (isGone(error)) this.#sites.failed(site, messageOf(error));
        const next = await this.#next(site, tried, began);
        const rested = next && this.#wake(next);
        if (next === site && rested === undefined) continue;
        if (next !== undefined && rested === undefined) this.#claim(next);
        site.busy--;
        this.#sites.leave(site);
        if (rested !== undefined) return rested;
        if (next === undefined) throw error;
        site = next;
      }
    }
  }

  /** Whom to try after `site` failed; undefined: it is in vain. */
  async #next(site: Site, tried: Set<Site>, began: number): Promise<Site | undefined> {
    if (this.#closed) return undefined;
    const another = this.#sites.pick(tried);
    if (another !== undefined) return another;
    const goneSince = this.#sites.failingSince(site) ?? began;
    if (performance.now() - goneSince >= this.#options.retryWindowMs) return undefined;
    // The place is kept meanwhile, so that one request alone looks for each program.
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    tried.clear();
    return this.#sites.pick() ?? site;
  }

  #claim(site: Site): void {
    this.#sites.claim(site);
    site.busy++;
  }

  async #dial(site: Site): Promise<PooledConnection> {
    const { address } = site.endpoint;
    const socket = await dial(address, this.#options.connectTimeoutMs);
    if (this.#closed) {
      closeQuietly(socket);
      throw new GatewayError(503, "shutting-down", "The server stops");
    }
    const connection = new PooledConnection(socket, site);
    connection.onIdleClose = () => this.#sites.lose(connection);
    this.#sites.welcome(connection);
    const now = performance.now();
    // Those that were opened together shall not all end together.
    connection.keptUntil = now + this.#options.maxAgeMs * (1 - Math.random() / 4);
    site.busy--;
    this.#occupy(connection);
    site.expect(connection, now);
    return connection;
  }

  /** Opens connections for those who wait, as far as there is room. */
  #callWaiting(): void {
    while (!this.#closed && this.#line.length > 0) {
      const site = this.#sites.pick();
      const waiter = site && this.#line.next();
      if (site === undefined || waiter === undefined) return;
      const rested = this.#wake(site);
      if (rested !== undefined) waiter.resolve(rested);
      else this.#connectFor(waiter.lifeline, site).then(waiter.resolve, waiter.reject);
    }
  }

  /** Has as many connections at rest as are wanted, unless somebody waits for the application. */
  #warm(): void {
    if (this.#closed || this.#sites.isContended) return;
    while (this.#sites.resting + this.#warming < this.#options.minIdle) {
      const site = this.#sites.pick();
      if (site === undefined || !site.canOpen) return;
      this.#warming++;
      this.#open(site).then((connection) => this.#restEarly(connection), () => {})
        .finally(() => this.#warming--);
    }
  }

  /** Nobody had it yet. */
  #restEarly(connection: PooledConnection): void {
    connection.site.tally.requests--;
    this.release(connection, true);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
