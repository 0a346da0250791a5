/**
 * The requests of a pool that were sent before their turn (fastcgi_ahead.ts): who gets such a place, when
 * their turns come, and when they are taken back.
 *
 * All of it rests on knowing in which order a process takes its requests: in that in which they were
 * sent. So nothing is sent ahead on, or behind a request on, a connection that the process may yet have
 * to accept, and what was given out first is written first.
 */
import type { Lifeline } from "../lifeline.ts";
import { type Ahead, type Early, LOOK_MS } from "./fastcgi_ahead.ts";
import type { PooledConnection, Site } from "./fastcgi_site.ts";
import type { Sites } from "./fastcgi_sites.ts";
import type { Waiter, WaitingLine } from "./waiting_line.ts";

export class Lookahead {
  readonly #sites: Sites;
  readonly #line: WaitingLine<PooledConnection>;
  #length = 0;
  #opening = 0;
  /** Where requests lie behind others, or have until lately. */
  #watched: Ahead<PooledConnection>[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(sites: Sites, line: WaitingLine<PooledConnection>) {
    this.#sites = sites;
    this.#line = line;
  }

  /** Requests whose turn has not come. */
  get length(): number {
    return this.#length;
  }

  /** Connections that have yet to be accepted, and no request. */
  get opening(): number {
    return this.#opening;
  }

  /** A place behind another request; undefined: there is none, or somebody waits for it already. */
  take(lifeline: Lifeline): Promise<PooledConnection> | undefined {
    if (this.#line.length > 0) return undefined;
    const now = performance.now();
    let best: Site | undefined;
    for (const site of this.#sites.members) {
      if (!hasRoom(site, now)) continue;
      if (site.resting === 0) this.#openSpare(site);
      else if (lengthOf(site) < lengthOf(best)) best = site;
    }
    const connection = best && this.#sites.wake(best);
    if (connection === undefined) return undefined;
    this.#put(connection, { lifeline, since: now });
    // Those who came out of the line just now have yet to write.
    return Promise.resolve(connection);
  }

  /** Its process has a place: who waits longest gets it, if it may. */
  give(connection: PooledConnection, now: number): boolean {
    if (!this.#mayGive(connection.site, now)) return false;
    const waiter = this.#line.lend();
    if (waiter === undefined) return false;
    this.#put(connection, waiter);
    waiter.resolve(connection);
    return true;
  }

  /** Gives a process as many of those who wait as it may have. */
  fill(site: Site, now: number): void {
    while (this.#mayGive(site, now)) {
      const connection = this.#sites.wake(site);
      if (connection === undefined) return void this.#openSpare(site);
      this.give(connection, now);
    }
  }

  /**
   * A request is over. `alive`: its process has begun the next one; else it may be about to end, and what
   * was sent on another connection would be lost.
   */
  over(site: Site, alive: boolean, now: number): void {
    if (!alive) this.#sites.retireResting(site);
    const early = site.ahead?.next();
    if (early === undefined) return;
    if (alive) this.#tell(early, now);
    this.#begin(site, now);
  }

  /** A request is answered: it was its turn. */
  answered(connection: PooledConnection): void {
    const now = performance.now();
    const early = connection.site.ahead?.remove(connection);
    if (early !== undefined) {
      this.#tell(early, now);
      this.#begin(connection.site, now);
    }
    connection.aheadSince = undefined;
  }

  /** A request is over before its turn; false: it was its turn. */
  leave(connection: PooledConnection): boolean {
    const early = connection.site.ahead?.remove(connection);
    if (early === undefined) return false;
    const { lifeline: { ledger, reason } } = early;
    if (reason !== undefined && connection.aheadSince !== undefined) {
      ledger.queued(connection.aheadSince, reason);
    }
    this.#length--;
    this.#sites.retire(connection);
    return true;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A process has one connection for each request, and those have to be there first. */
  async #openSpare(site: Site): Promise<void> {
    if (site.isOpening || !site.canOpen) return;
    site.isOpening = true;
    site.open++;
    try {
      await this.#welcome(await this.#sites.connect(site));
    } catch {
      // Whoever has to have one finds out why.
      this.#sites.leave(site);
    } finally {
      site.isOpening = false;
    }
  }

  async #welcome(connection: PooledConnection): Promise<void> {
    const { site } = connection;
    this.#opening++;
    const isAccepted = await hasAnswered(connection).catch(() => false);
    this.#opening--;
    if (!isAccepted || site.onEmpty !== undefined) return this.#sites.retire(connection);
    const now = performance.now();
    this.#sites.rest(connection, now);
    this.fill(site, now);
  }

  #mayGive(site: Site, now: number): boolean {
    return this.#line.first?.isEarly === true && hasRoom(site, now);
  }

  #put(
    connection: PooledConnection,
    { lifeline, since }: Pick<Waiter<unknown>, "lifeline" | "since">,
  ): void {
    const { ahead } = connection.site;
    if (ahead === undefined) return;
    connection.busy = true;
    connection.aheadSince = since;
    ahead.put({ connection, lifeline });
    this.#length++;
    this.#watch(ahead);
  }

  #begin(site: Site, now: number): void {
    this.#length--;
    site.begin(now);
  }

  /** The request has the process. */
  #tell({ connection, lifeline }: Early<PooledConnection>, now: number): void {
    const { aheadSince = now } = connection;
    connection.aheadSince = undefined;
    lifeline.ledger.queued(aheadSince, undefined, now);
    lifeline.handOver(now);
  }

  #watch(ahead: Ahead<PooledConnection>): void {
    if (ahead.isWatched) return;
    ahead.isWatched = true;
    this.#watched.push(ahead);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** Whoever lies behind a slow request is taken back. */
  #look(): void {
    const slow: Ahead<PooledConnection>[] = [];
    for (const ahead of this.#watched) {
      if (ahead.look()) slow.push(ahead);
      ahead.isWatched = ahead.length > 0;
    }
    this.#watched = this.#watched.filter(({ isWatched }) => isWatched);
    if (this.#watched.length === 0) this.stop();
    if (slow.length > 0) takeBack(slow);
  }
}

/**
 * It may have been this process that stood still: then the answers lie there, unread. A timer lets them be
 * read first; immediates run many times before the runtime looks at its sockets again.
 */
async function takeBack(slow: readonly Ahead<PooledConnection>[]): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  for (const ahead of slow) if (ahead.isSame) ahead.takeBack();
}

function hasRoom(site: Site, now: number): boolean {
  return site.ahead !== undefined && site.unaccepted === 0 && site.ahead.hasRoom(now);
}

function lengthOf(site: Site | undefined): number {
  return site?.ahead?.length ?? Infinity;
}

/** Asks what any FastCGI application answers at once (§4.1): whoever does has accepted the connection. */
async function hasAnswered(connection: PooledConnection): Promise<boolean> {
  const { encoder, decoder } = connection;
  encoder.values("get-values", []);
  if (!await connection.flush()) return false;
  const arrival = await connection.receive();
  if (arrival === undefined) return false;
  decoder.push(arrival);
  return decoder.next() !== undefined && decoder.drained && decoder.atBorder;
}
