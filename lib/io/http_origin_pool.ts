/**
 * Connections to the origins of one proxy route: how many, kept how long, and who waits for one. Which
 * origin gets a request is the balancer's business; one that cannot be reached is passed over for the next,
 * since nothing was sent to it yet.
 */
import { formatAddress } from "../fields.ts";
import type { ServiceStatus, Stateful } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import { type Balance, Balancer, HEALTH, type Member, Tally } from "./balancer.ts";
import { connecting, stopping } from "./connecting.ts";
import { isGone } from "./dial.ts";
import { type Origin, type OriginSocket, type ReachOptions, reachOrigin } from "./http_origin.ts";
import { nextTurn, OriginConnection } from "./http_origin_connection.ts";
import { WaitingLine, type WaitingOptions } from "./waiting_line.ts";

export interface OriginPoolOptions extends WaitingOptions, ReachOptions {
  /** Connections at once to each origin. */
  readonly max: number;
  /** Connections at rest, all origins together. */
  readonly maxIdle: number;
  /** How long one rests before it is closed. */
  readonly idleMs: number;
  readonly balance: Balance;
  readonly notice?: ((message: string) => void) | undefined;
}

/** A connection with what the pool knows of it: no table that all requests go through. */
export class PooledConnection extends OriginConnection {
  readonly site: Site;
  /** It has a request. */
  busy = false;
  /** When it came to rest. */
  restsSince = 0;

  constructor(socket: OriginSocket, site: Site) {
    super(socket, site.origin);
    this.site = site;
  }
}

class Site implements Member {
  readonly name: string;
  readonly backup: boolean;
  readonly tally = new Tally();
  /** Connections, those that are being opened among them. */
  open = 0;
  /** The longest at rest come first. */
  readonly resting: PooledConnection[] = [];

  constructor(readonly origin: Origin, readonly max: number) {
    this.name = formatAddress(origin.address);
    this.backup = origin.backup;
  }

  get hasRoom(): boolean {
    return this.resting.length > 0 || this.open < this.max;
  }

  /** Among equals, one with a connection at hand comes first. */
  get load(): number {
    return this.open - this.resting.length - (this.resting.length > 0 ? 0.5 : 0);
  }
}

export class OriginPool implements AsyncDisposable, Stateful {
  readonly #options: OriginPoolOptions;
  readonly #sites: Balancer<Site>;
  readonly #open = new Set<PooledConnection>();
  readonly #line: WaitingLine<PooledConnection>;
  #resting = 0;
  #keeper: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  constructor(origins: readonly Origin[], options: OriginPoolOptions) {
    const { balance, notice, max } = options;
    this.#options = options;
    this.#line = new WaitingLine(options);
    this.#sites = new Balancer({ balance, health: HEALTH, notice, now: () => performance.now() });
    for (const origin of origins) this.#sites.add(new Site(origin, max));
  }

  status(): ServiceStatus {
    let max = 0;
    for (const site of this.#sites.members) if (!site.backup) max += site.max;
    return {
      pool: {
        busy: this.#open.size - this.#resting,
        idle: this.#resting,
        waiting: this.#line.length,
        max,
      },
      upstreams: this.#sites.status(),
    };
  }

  /** Whether connections are kept at all. */
  get keeps(): boolean {
    return this.#options.maxIdle > 0;
  }

  /**
   * A connection for one request, at rest or fresh. `once`: the request cannot be sent again, so the
   * runtime is first given a turn to notice that an origin has closed its end.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or as {@link reachOrigin}; or the
   * lifeline's reason.
   */
  acquire(lifeline: Lifeline, once: boolean): PooledConnection | Promise<PooledConnection> {
    lifeline.throwIfCut();
    if (once && this.#resting > 0) return nextTurn().then(() => this.acquire(lifeline, false));
    const site = this.#sites.pick();
    return (site && this.#wake(site)) ?? this.#connect(lifeline, site);
  }

  /** A fresh connection, for a request that found its own broken. */
  async fresh(lifeline: Lifeline): Promise<PooledConnection> {
    // The others at rest broke with it, more likely than not; each is noticed by itself, given a turn.
    await nextTurn();
    const site = this.#sites.pick();
    const oldest = site?.open === site?.max ? site?.resting.shift() : undefined;
    if (site !== undefined && oldest !== undefined) {
      this.#resting--;
      this.#close(oldest);
    }
    return await this.#connect(lifeline, site);
  }

  /** The origin answers. */
  heard({ site }: PooledConnection): void {
    this.#sites.succeeded(site);
  }

  /** The origin gave no answer, on a connection that was fresh or in the time it had. */
  broken({ site }: PooledConnection, reason: string): void {
    this.#sites.failed(site, reason);
  }

  /** Gives a connection back after its request. `reusable`: nothing of it is left over. */
  release(connection: PooledConnection, reusable: boolean): void {
    if (!connection.busy) return;
    connection.busy = false;
    connection.served++;
    if (this.#closed || !this.keeps || !reusable || connection.closed) {
      return this.#retire(connection);
    }
    const waiter = this.#line.next();
    if (waiter !== undefined) {
      connection.busy = true;
      return waiter.resolve(connection);
    }
    if (this.#resting >= this.#options.maxIdle) return this.#retire(connection);
    connection.rest();
    connection.restsSince = performance.now();
    connection.site.resting.push(connection);
    this.#resting++;
    this.#keeper ??= setInterval(() => this.#look(), Math.max(100, this.#options.idleMs / 4));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#retireResting(Infinity);
    for (const connection of this.#open) connection.close();
    for (let waiter = this.#line.next(); waiter !== undefined; waiter = this.#line.next()) {
      waiter.reject(stopping());
    }
    await Promise.resolve();
  }

  #wake(site: Site): PooledConnection | undefined {
    const connection = site.resting.pop();
    if (connection === undefined) return undefined;
    this.#resting--;
    connection.occupy();
    return this.#occupy(connection);
  }

  #connect(lifeline: Lifeline, site: Site | undefined): Promise<PooledConnection> {
    return site === undefined ? this.#line.wait(lifeline) : this.#connectFor(lifeline, site);
  }

  /** Opens a connection for a request; if that ends first, the connection is there for the next. */
  #connectFor(lifeline: Lifeline, site: Site): Promise<PooledConnection> {
    return connecting(lifeline, this.#openTo(site), (spare) => this.release(spare, true));
  }

  /** Opens a connection to `site`, or to another: nothing was sent yet, so whoever is there may serve. */
  async #openTo(site: Site): Promise<PooledConnection> {
    const tried = new Set<Site>();
    for (let next: Site | undefined = site;;) {
      const current: Site = next;
      tried.add(current);
      current.open++;
      try {
        return await this.#dial(current);
      } catch (error) {
        current.open--;
        if (isGone(error)) this.#sites.failed(current, messageOf(error));
        this.#callWaiting();
        next = this.#closed ? undefined : this.#sites.pick(tried);
        if (next === undefined) throw error;
        const rested = this.#wake(next);
        if (rested !== undefined) return rested;
      }
    }
  }

  async #dial(site: Site): Promise<PooledConnection> {
    const socket = await reachOrigin(site.origin, this.#options);
    if (this.#closed) {
      socket.close();
      throw stopping();
    }
    const connection = new PooledConnection(socket, site);
    connection.onIdleClose = () => this.#lose(connection);
    this.#open.add(connection);
    return this.#occupy(connection);
  }

  #occupy(connection: PooledConnection): PooledConnection {
    connection.busy = true;
    connection.site.tally.requests++;
    return connection;
  }

  /** The origin has closed a connection at rest. */
  #lose(connection: PooledConnection): void {
    const { resting } = connection.site;
    const index = resting.indexOf(connection);
    if (index < 0) return;
    resting.splice(index, 1);
    this.#resting--;
    this.#retire(connection);
  }

  #retire(connection: PooledConnection): void {
    this.#close(connection);
    this.#callWaiting();
  }

  #close(connection: PooledConnection): void {
    connection.close();
    this.#open.delete(connection);
    connection.site.open--;
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

  #look(): void {
    this.#retireResting(performance.now() - this.#options.idleMs);
  }

  #retireResting(before: number): void {
    for (const { resting } of this.#sites.members) {
      for (let [oldest] = resting; oldest !== undefined && oldest.restsSince < before;) {
        resting.shift();
        this.#resting--;
        this.#retire(oldest);
        [oldest] = resting;
      }
    }
    if (this.#resting > 0) return;
    clearInterval(this.#keeper);
    this.#keeper = undefined;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
