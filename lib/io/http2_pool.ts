/**
 * Sessions with the HTTP/2 origins of one proxy route. Requests share a session as far as the origin takes
 * streams; another is opened when all are full. Which origin gets a request is the balancer's business, as
 * with HTTP/1.1; one that cannot be reached is passed over for the next, since nothing was sent to it yet.
 */
import { formatAddress } from "../fields.ts";
import type { ServiceStatus, Stateful } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import { Balancer, HEALTH, type Member, Tally } from "./balancer.ts";
import { connecting, stopping } from "./connecting.ts";
import { isGone } from "./dial.ts";
import { Http2Session } from "./http2_session.ts";
import { noHttp2, type Origin } from "./http_origin.ts";
import { messageOf, type OriginPoolOptions } from "./http_origin_pool.ts";
import { type Waiter, WaitingLine } from "./waiting_line.ts";

export class Site implements Member {
  readonly name: string;
  readonly backup: boolean;
  readonly tally = new Tally();
  /** Requests, those that wait for a session to be opened among them. */
  load = 0;
  /** Those that take requests. */
  readonly sessions = new Set<Http2Session>();
  opening: Promise<void> | undefined;

  constructor(readonly origin: Origin, readonly max: number) {
    this.name = formatAddress(origin.address);
    this.backup = origin.backup;
  }

  get hasRoom(): boolean {
    return this.load < this.max;
  }

  /** Takes a place in a session that has room: at once, for others look too. */
  take(): Http2Session | undefined {
    for (const session of this.sessions) {
      if (!session.hasRoom) continue;
      session.active++;
      this.tally.requests++;
      return session;
    }
    return undefined;
  }
}

/** A request's place at an origin. */
export interface Seat {
  readonly session: Http2Session;
  readonly site: Site;
}

export class Http2Pool implements AsyncDisposable, Stateful {
  readonly #options: OriginPoolOptions;
  readonly #sites: Balancer<Site>;
  readonly #line: WaitingLine<Site>;
  /** Those that the origins have told to go among them. */
  readonly #sessions = new Set<Http2Session>();
  #keeper: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  /** `max`: requests at once to each origin; `maxIdle`: sessions at rest. */
  constructor(origins: readonly Origin[], options: OriginPoolOptions) {
    const { balance, notice, max } = options;
    this.#options = options;
    this.#line = new WaitingLine(options);
    this.#sites = new Balancer({ balance, health: HEALTH, notice, now: () => performance.now() });
    for (const origin of origins) this.#sites.add(new Site(origin, max));
  }

  /** Requests count here, not connections. */
  status(): ServiceStatus {
    let [busy, idle, max] = [0, 0, 0];
    for (const site of this.#sites.members) {
      busy += site.load;
      if (!site.backup) max += site.max;
    }
    for (const session of this.#sessions) if (session.active === 0) idle++;
    const pool = { busy, idle, waiting: this.#line.length, max };
    return { pool, upstreams: this.#sites.status() };
  }

  /**
   * A place for one request, rather not at the sites of `tried`.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or as {@link Http2Session.open}; or the
   * lifeline's reason.
   */
  async acquire(lifeline: Lifeline, tried?: ReadonlySet<Site>): Promise<Seat> {
    lifeline.throwIfCut();
    const site = (tried && this.#sites.pick(tried)) ?? this.#sites.pick();
    if (site !== undefined) site.load++;
    return await this.#seatAt(site ?? await this.#line.wait(lifeline), lifeline);
  }

  /** The origin answers. */
  heard({ site }: Seat): void {
    this.#sites.succeeded(site);
  }

  /** The origin gave no answer, on a session that was fresh or in the time it had. */
  broken({ site }: Seat, reason: string): void {
    this.#sites.failed(site, reason);
  }

  release({ session, site }: Seat): void {
    session.active--;
    session.served++;
    this.#leave(site);
    if (session.active > 0) return;
    if (session.leaving || this.#closed || this.#isOneTooMany()) return this.#end(session);
    this.#rest(session);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#keeper);
    for (const session of this.#sessions) session.close();
    for (let waiter = this.#line.next(); waiter !== undefined; waiter = this.#line.next()) {
      waiter.reject(stopping());
    }
    await Promise.resolve();
  }

  /** Takes a session for a request that counts at `first`, or at another if that cannot be reached. */
  async #seatAt(first: Site, lifeline: Lifeline): Promise<Seat> {
    const tried = new Set<Site>();
    for (let site = first;;) {
      tried.add(site);
      try {
        const session = site.take() ?? await this.#opened(site, lifeline);
        return { session, site };
      } catch (error) {
        this.#leave(site);
        lifeline.throwIfCut();
        const next = this.#closed ? undefined : this.#sites.pick(tried);
        if (next === undefined) throw error;
        next.load++;
        site = next;
      }
    }
  }

  /** Waits for a session with room. Whoever asks first opens it for all, also if that one leaves. */
  async #opened(site: Site, lifeline: Lifeline): Promise<Http2Session> {
    for (;;) {
      site.opening ??= this.#open(site).finally(() => site.opening = undefined);
      await connecting(lifeline, site.opening, () => {});
      const session = site.take();
      if (session !== undefined) return session;
    }
  }

  async #open(site: Site): Promise<void> {
    try {
      const session = await Http2Session.open(site.origin, this.#options);
      this.#sessions.add(session);
      site.sessions.add(session);
      session.onLeave = () => {
        site.sessions.delete(session);
        if (session.active === 0) this.#end(session);
      };
      if (this.#closed) this.#end(session);
      this.#rest(session);
      if (session.leaving) throw this.#closed ? stopping() : noHttp2(site.origin.name);
    } catch (error) {
      if (isGone(error) && !this.#closed) this.#sites.failed(site, messageOf(error));
      throw error;
    }
  }

  /** A request is over: whoever waits longest takes its place. */
  #leave(site: Site): void {
    site.load--;
    while (!this.#closed && this.#line.length > 0) {
      const next = this.#sites.pick();
      const waiter: Waiter<Site> | undefined = next && this.#line.next();
      if (next === undefined || waiter === undefined) return;
      next.load++;
      waiter.resolve(next);
    }
  }

  #rest(session: Http2Session): void {
    session.restingSince = performance.now();
    if (this.#closed) return;
    this.#keeper ??= setInterval(() => this.#look(), Math.max(100, this.#options.idleMs / 4));
  }

  #end(session: Http2Session): void {
    this.#sessions.delete(session);
    session.close();
  }

  #isOneTooMany(): boolean {
    let idle = 0;
    for (const session of this.#sessions) if (session.active === 0) idle++;
    return idle > this.#options.maxIdle;
  }

  #look(): void {
    const before = performance.now() - this.#options.idleMs;
    let idle = 0;
    for (const session of this.#sessions) {
      if (session.active > 0) continue;
      if (session.restingSince < before) this.#end(session);
      else idle++;
    }
    if (idle > 0) return;
    clearInterval(this.#keeper);
    this.#keeper = undefined;
  }
}
