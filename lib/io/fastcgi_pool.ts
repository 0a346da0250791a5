/**
 * Connections to the endpoints of one FastCGI upstream: how many, kept how long, and who waits.
 *
 * A kept connection must not starve others, be they requests of ours or another server's: it rests
 * briefly, is given up for a fresh one that waits to be accepted (fastcgi_site.ts), and is replaced after
 * a second of use, so that under steady load too everybody who waits at the application has a turn.
 */
import type { ServiceStatus, Stateful } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import { connecting, stopping } from "./connecting.ts";
import { isGone } from "./dial.ts";
import type { Endpoint, EndpointSink } from "./endpoint.ts";
import { nextTurn } from "./fastcgi_connection.ts";
import { Lookahead } from "./fastcgi_lookahead.ts";
import { type PooledConnection, Site } from "./fastcgi_site.ts";
import { Sites, type SitesOptions } from "./fastcgi_sites.ts";
import { WaitingLine, type WaitingOptions } from "./waiting_line.ts";

export interface PoolOptions extends WaitingOptions, SitesOptions {
  readonly keepAlive: boolean;
  /** After how many requests a connection is not kept any more. */
  readonly maxRequests: number;
  /** How long an application may be gone before requests fail: one that is restarted is back soon. */
  readonly retryWindowMs: number;
  /** How many requests an endpoint is given while it is busy; default 0. For those that have one at a time. */
  readonly ahead?: number | undefined;
  /** Called when a request finds no endpoint with room, before it waits. */
  readonly onFull?: (() => void) | undefined;
}

/** Between two tries to reach a program that is being started again. */
const RETRY_MS = 20;

export class FcgiPool implements AsyncDisposable, EndpointSink, Stateful {
  readonly #options: PoolOptions;
  readonly #sites: Sites;
  readonly #line: WaitingLine<PooledConnection>;
  readonly #ahead: Lookahead;
  #warming = 0;
  #closed = false;

  constructor(endpoints: readonly Endpoint[], options: PoolOptions) {
    this.#options = options;
    this.#line = new WaitingLine(options);
    this.#sites = new Sites(options, {
      onRoom: () => this.#callWaiting(),
      onCold: () => this.#warm(),
    });
    this.#ahead = new Lookahead(this.#sites, this.#line);
    for (const endpoint of endpoints) this.#sites.add(new Site(endpoint, options.ahead));
    this.#warm();
  }

  get keepAlive(): boolean {
    return this.#options.keepAlive;
  }

  get retryWindowMs(): number {
    return this.#options.retryWindowMs;
  }

  get waiting(): number {
    return this.#line.length + this.#ahead.length;
  }

  status(): ServiceStatus {
    let max = 0;
    for (const { endpoint } of this.#sites.members) if (!endpoint.backup) max += endpoint.max;
    const idle = this.#sites.resting;
    const busy = this.#sites.busy - this.#ahead.length - this.#ahead.opening;
    const pool = { busy, idle, waiting: this.waiting, max };
    return { pool, upstreams: this.#sites.status() };
  }

  add(endpoint: Endpoint): void {
    this.#sites.add(new Site(endpoint, this.#options.ahead));
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
   * runtime is first given a turn to notice that an application has closed its end. `isEarly`: it may lie
   * behind another (fastcgi_ahead.ts).
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or as {@link dial}; or the lifeline's
   * reason.
   */
  acquire(
    lifeline: Lifeline,
    once = false,
    isEarly = false,
  ): PooledConnection | Promise<PooledConnection> {
    lifeline.throwIfCut();
    if (once && this.#sites.resting > 0) return nextTurn().then(() => this.acquire(lifeline));
    const site = this.#sites.pick();
    if (site !== undefined) return this.#wake(site) ?? this.#connectFor(lifeline, site);
    const place = (isEarly ? this.#ahead.take(lifeline) : undefined) ??
      this.#line.wait(lifeline, isEarly);
    this.#options.onFull?.();
    return place;
  }

  /** A fresh connection, elsewhere if possible for a request that found its own broken. */
  fresh(lifeline: Lifeline, broken?: PooledConnection): Promise<PooledConnection> {
    if (this.#closed) return Promise.reject(stopping());
    const tried = this.#sites.members.filter(({ endpoint }) =>
      endpoint.address === broken?.address
    );
    const site = this.#sites.pick(new Set(tried)) ?? this.#sites.pick();
    if (broken?.aheadSince !== undefined) return this.#resume(lifeline, site, broken.aheadSince);
    if (site !== undefined) return this.#connectFor(lifeline, site);
    const place = this.#line.wait(lifeline);
    this.#options.onFull?.();
    return place;
  }

  /** For a request that nobody has begun: it has waited since `since`, and takes what comes free first. */
  #resume(lifeline: Lifeline, site: Site | undefined, since: number): Promise<PooledConnection> {
    if (site === undefined) {
      const place = this.#line.waitOn(lifeline, since);
      this.#options.onFull?.();
      return place;
    }
    lifeline.ledger.queued(since);
    const rested = this.#wake(site);
    return rested === undefined ? this.#connectFor(lifeline, site) : Promise.resolve(rested);
  }

  hasOther(refusing: PooledConnection): boolean {
    return this.#sites.members.some(({ endpoint, hasRoom }) =>
      endpoint.address !== refusing.address && hasRoom
    );
  }

  /** The application answers on a connection that was fresh, or ahead. */
  heard(connection: PooledConnection): void {
    const { site } = connection;
    if (connection.isAhead) this.#ahead.answered(connection);
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
    if (connection.isAhead && this.#ahead.leave(connection)) return;
    connection.served++;
    const now = performance.now();
    site.end(now);
    if (site.ahead !== undefined) this.#ahead.over(site, reusable || connection.closed, now);
    // A kept connection, too, may be the one that shows an endpoint to be back.
    if (reusable) this.#sites.succeeded(site);
    if (!reusable || !this.#isKept(connection, now)) return this.#sites.retire(connection);
    if (this.#line.length === 0 || !this.#giveNext(connection, now)) {
      return this.#sites.rest(connection, now);
    }
    if (site.ahead !== undefined) this.#ahead.fill(site, now);
  }

  /** Gives who waits longest a connection, if its endpoint may have the request now. */
  #giveNext(connection: PooledConnection, now: number): boolean {
    const { site } = connection;
    if (site.busy >= site.endpoint.max) return this.#ahead.give(connection, now);
    const waiter = this.#line.next();
    if (waiter === undefined) return false;
    this.#occupy(connection, now);
    waiter.resolve(connection);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#sites.close();
    this.#ahead.stop();
    for (let waiter = this.#line.next(); waiter !== undefined; waiter = this.#line.next()) {
      waiter.reject(stopping());
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
  #occupy(connection: PooledConnection, now?: number): void {
    connection.busy = true;
    connection.site.begin(now);
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
    const connection = await this.#sites.connect(site);
    const now = performance.now();
    site.busy--;
    this.#occupy(connection, now);
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
