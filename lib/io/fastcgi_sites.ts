/**
 * The connections of one FastCGI upstream, all its endpoints together: those at rest and how long they
 * may, the places that are taken, and when one is given up for a request that waits to be accepted.
 */
import { type Balance, Balancer, type HealthOptions } from "./balancer.ts";
import { stopping } from "./connecting.ts";
import { closeQuietly, dial } from "./dial.ts";
import { PooledConnection, Site, UNACCEPTED_MS } from "./fastcgi_site.ts";

export interface SitesOptions {
  readonly connectTimeoutMs: number;
  /** How long a connection rests before it is closed. */
  readonly idleMs: number;
  /** Connections that rest, all endpoints together: at most, and at least. */
  readonly maxIdle: number;
  readonly minIdle: number;
  /** After how long a connection is not kept any more. */
  readonly maxAgeMs: number;
  readonly balance: Balance;
  readonly health: HealthOptions;
  /** Told when an endpoint goes down and when it is back. */
  readonly notice?: ((message: string) => void) | undefined;
}

/** Who has requests for the connections. */
export interface SitesUser {
  /** A place has come free. */
  onRoom(): void;
  /** Fewer connections are at rest than are wanted. */
  onCold(): void;
}

export class Sites extends Balancer<Site> {
  readonly #options: SitesOptions;
  readonly #user: SitesUser;
  readonly #connections = new Set<PooledConnection>();
  #resting = 0;
  #closed = false;
  #keeper: ReturnType<typeof setInterval> | undefined;
  #yielding: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SitesOptions, user: SitesUser) {
    const { balance, health, notice } = options;
    super({ balance, health, notice, now: () => performance.now() });
    this.#options = options;
    this.#user = user;
    if (options.minIdle > 0) this.#keep();
  }

  /** Connections at rest. */
  get resting(): number {
    return this.#resting;
  }

  /** Connections that have a request. */
  get busy(): number {
    return this.#connections.size - this.#resting;
  }

  /** Whether somebody waits for the application to accept a connection. */
  get isContended(): boolean {
    return this.members.some(({ unaccepted }) => unaccepted > 0);
  }

  /** Opens a connection, for which a place is taken. */
  async connect(site: Site): Promise<PooledConnection> {
    const { connectTimeoutMs, maxAgeMs } = this.#options;
    const socket = await dial(site.endpoint.address, connectTimeoutMs);
    if (this.#closed) {
      closeQuietly(socket);
      throw stopping();
    }
    const connection = new PooledConnection(socket, site);
    connection.onIdleClose = () => this.lose(connection);
    // Those that were opened together shall not all end together.
    connection.keptUntil = performance.now() + maxAgeMs * (1 - Math.random() / 4);
    this.#connections.add(connection);
    return connection;
  }

  rest(connection: PooledConnection, now: number): void {
    if (this.#resting >= this.#options.maxIdle) return this.retire(connection);
    connection.rest();
    connection.site.rest(connection, now);
    this.#resting++;
    this.#keep();
    this.#yieldSoon();
  }

  wake(site: Site): PooledConnection | undefined {
    const connection = site.wake();
    if (connection === undefined) return undefined;
    this.#resting--;
    connection.occupy();
    return connection;
  }

  /** Takes a place for a connection; one at rest gives up its own if there is no other. */
  claim(site: Site): void {
    const isFull = !site.canOpen;
    site.open++;
    if (isFull) this.#retireOldest(site);
  }

  /** The application has closed a connection at rest. */
  lose(connection: PooledConnection): void {
    connection.site.drop(connection);
    this.#resting--;
    this.retire(connection);
  }

  retire(connection: PooledConnection): void {
    connection.close();
    this.#connections.delete(connection);
    this.leave(connection.site);
  }

  retireResting(site: Site): void {
    while (this.#retireOldest(site));
  }

  /** A connection to `site` is no more. */
  leave(site: Site): void {
    site.open--;
    if (site.open === 0) site.onEmpty?.();
    this.#user.onRoom();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#keeper);
    clearTimeout(this.#yielding);
    for (const site of this.members) this.retireResting(site);
    for (const connection of this.#connections) connection.close();
  }

  #retireOldest(site: Site, before?: number): boolean {
    const connection = site.wakeOldest(before);
    if (connection === undefined) return false;
    this.#resting--;
    this.retire(connection);
    return true;
  }

  /** Connections at rest may hold the very workers that a fresh one waits for. */
  #yieldSoon(): void {
    if (this.#yielding !== undefined || !this.isContended) return;
    this.#yielding = setTimeout(() => {
      this.#yielding = undefined;
      const now = performance.now();
      for (const site of this.members) {
        while (site.resting > 0 && site.shouldYield(now)) this.#retireOldest(site);
      }
      if (this.#resting > 0) this.#yieldSoon();
    }, UNACCEPTED_MS);
  }

  /** Looks after the connections at rest from time to time, while there are any or should be. */
  #keep(): void {
    const every = Math.max(100, this.#options.idleMs / 4);
    this.#keeper ??= setInterval(() => this.#look(), every);
  }

  #look(): void {
    const { idleMs, minIdle, maxAgeMs } = this.#options;
    const now = performance.now();
    for (const site of this.members) {
      while (this.#resting > minIdle && this.#retireOldest(site, now - idleMs));
      // Those that are kept for their warmth alone are replaced all the same.
      while (this.#retireOldest(site, now - Math.max(idleMs, maxAgeMs)));
    }
    if (this.#resting < minIdle) this.#user.onCold();
    if (minIdle > 0 || this.#resting > 0) return;
    clearInterval(this.#keeper);
    this.#keeper = undefined;
  }
}
