/**
 * One endpoint of a FastCGI upstream as the pool sees it: its connections, those at rest and those that
 * the application has not accepted yet.
 *
 * A kept connection holds a worker of the application (php-fpm's children serve one connection at a
 * time). A full application looks like this: a fresh connection of ours gets no answer while kept ones
 * do. So when one has waited for a while, a kept one is given up for it: one for one, since whoever gives
 * up more than that pays for a new connection with nearly every request on a machine that is merely busy.
 */
import { formatAddress } from "../fields.ts";
import { type Member, Tally } from "./balancer.ts";
import type { Socket } from "./dial.ts";
import type { Endpoint } from "./endpoint.ts";
import { Ahead } from "./fastcgi_ahead.ts";
import { FcgiConnection } from "./fastcgi_connection.ts";

/** A fresh connection that has no answer after this time suggests a full application. */
export const UNACCEPTED_MS = 50;

/** A connection with what the pool knows of it. What all requests need is no further than this. */
export class PooledConnection extends FcgiConnection {
  readonly site: Site;
  /** It has a request. */
  busy = false;
  /** When it is not to be kept any longer, by `performance.now()`. */
  keptUntil = Infinity;
  /** When it came to rest. */
  restsSince = 0;
  /** Since when its request has waited that lies behind another at the endpoint; undefined: none does. */
  aheadSince: number | undefined;

  constructor(socket: Socket, site: Site) {
    super(socket, site.endpoint.address);
    this.site = site;
  }

  override get isAhead(): boolean {
    return this.aheadSince !== undefined;
  }
}

export class Site implements Member {
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly backup: boolean;
  readonly tally = new Tally();
  /** Connections, those that are being opened among them. */
  open = 0;
  /** Requests that have a connection, or for which one is being opened. */
  busy = 0;
  /** Called when no connection is left; set on an endpoint that was removed. */
  onEmpty: (() => void) | undefined;
  /** What lies behind the requests that it has; undefined: nothing ever does. */
  readonly ahead: Ahead<PooledConnection> | undefined;
  /** A connection is being opened for no request in particular. */
  isOpening = false;
  readonly #maxOpen: number;
  /** The longest at rest come first. */
  readonly #resting: PooledConnection[] = [];
  /** Fresh connections without an answer, and when the next kept one is to be given up for them. */
  readonly #unaccepted = new Map<PooledConnection, number>();

  /** `ahead`: how many requests it may be given while it is busy. */
  constructor(endpoint: Endpoint, ahead = 0) {
    this.endpoint = endpoint;
    this.#maxOpen = endpoint.max + ahead;
    this.ahead = ahead > 0 ? new Ahead(ahead) : undefined;
    this.name = formatAddress(endpoint.address);
    this.backup = endpoint.backup ?? false;
  }

  /** Among equals, one with a connection at hand comes first. */
  get load(): number {
    return this.busy - (this.#resting.length > 0 ? 0.5 : 0);
  }

  get hasRoom(): boolean {
    return this.busy < this.endpoint.max && (this.#resting.length > 0 || this.canOpen);
  }

  get canOpen(): boolean {
    return this.open < this.#maxOpen;
  }

  get resting(): number {
    return this.#resting.length;
  }

  get unaccepted(): number {
    return this.#unaccepted.size;
  }

  /** A request is the endpoint's from now on. */
  begin(now?: number): void {
    this.busy++;
    this.tally.requests++;
    this.ahead?.begin(now ?? performance.now());
    this.endpoint.usage?.begin();
  }

  end(now: number): void {
    this.busy--;
    this.ahead?.end(now);
    this.endpoint.usage?.end();
  }

  rest(connection: PooledConnection, now: number): void {
    connection.restsSince = now;
    this.#resting.push(connection);
  }

  /** The connection that came to rest last. */
  wake(): PooledConnection | undefined {
    return this.#resting.pop();
  }

  /** The connection that has rested longest, if it came to rest before `before`. */
  wakeOldest(before = Infinity): PooledConnection | undefined {
    const [oldest] = this.#resting;
    if (oldest === undefined || oldest.restsSince >= before) return undefined;
    return this.#resting.shift();
  }

  /** Takes a connection out of those at rest. */
  drop(connection: PooledConnection): void {
    const index = this.#resting.indexOf(connection);
    if (index >= 0) this.#resting.splice(index, 1);
  }

  /** A fresh connection gets its first request. */
  expect(connection: PooledConnection, now: number): void {
    this.#unaccepted.set(connection, now + UNACCEPTED_MS);
  }

  /** It was accepted, or is no more. */
  settle(connection: PooledConnection): void {
    if (this.#unaccepted.size > 0) this.#unaccepted.delete(connection);
  }

  /** Whether a kept connection is to be given up; says so once for each that waits, and after a while again. */
  shouldYield(now: number): boolean {
    if (this.#unaccepted.size === 0) return false;
    for (const [connection, due] of this.#unaccepted) {
      // They stand in the order of their times: who was attended to goes to the end.
      if (due > now) return false;
      this.#unaccepted.delete(connection);
      this.#unaccepted.set(connection, now + UNACCEPTED_MS);
      return true;
    }
    return false;
  }
}
