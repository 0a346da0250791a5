/**
 * Upstreams that close the connection behind each reply (uwsgi, SCGI): where they are, how many
 * connections may be open at once and who waits for one, and the buffers that replies are read into.
 */
import { type Address, formatAddress } from "../fields.ts";
import type { ServiceStatus, Stateful } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import { Balancer, HEALTH, type Member, Tally } from "./balancer.ts";
import { closeQuietly, dial, isGone, type Socket } from "./dial.ts";
import { Slots } from "./slots.ts";
import type { WaitingOptions } from "./waiting_line.ts";

export interface ClosingOptions extends WaitingOptions {
  /** Connections at once. */
  readonly max: number;
  readonly connectTimeoutMs: number;
  /** Told when an address goes down and when it is back. */
  readonly notice?: ((message: string) => void) | undefined;
}

/** A connection for one request. */
export interface Reached {
  readonly socket: Socket;
  /** The address, for messages. */
  readonly where: string;
}

/** One request's way to a connection. */
interface Attempt {
  readonly lifeline: Lifeline;
  readonly since: number;
  /** Those that could not be reached. */
  tried: Set<Site> | undefined;
  /** Why not. */
  failure: unknown;
}

/** One address. The bound on connections is one for all of them. */
class Site implements Member {
  readonly name: string;
  readonly backup = false;
  readonly hasRoom = true;
  readonly load = 0;
  readonly tally = new Tally();

  constructor(readonly address: Address) {
    this.name = formatAddress(address);
  }
}

/** Between two tries to reach a full application. */
const BUSY_RETRY_MS = 5;
const BUFFER_SIZE = 65_536;
const MAX_SPARE_BUFFERS = 64;

export class ClosingUpstream implements AsyncDisposable, Stateful {
  readonly #sites: Balancer<Site>;
  readonly #connectTimeoutMs: number;
  readonly #slots: Slots;
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];

  constructor(addresses: readonly Address[], options: ClosingOptions) {
    const { notice, connectTimeoutMs } = options;
    const now = () => performance.now();
    this.#sites = new Balancer({ balance: "round-robin", health: HEALTH, notice, now });
    for (const address of addresses) this.#sites.add(new Site(address));
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#slots = new Slots(options);
  }

  status(): ServiceStatus {
    return { ...this.#slots.status(), upstreams: this.#sites.status() };
  }

  /**
   * Connects for one request; {@link leave} is owed for it afterwards. Connecting goes on when the
   * lifeline is cut: whoever cannot wait listens to it.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or as {@link dial}; or the lifeline's
   * reason, in the line.
   */
  reach(lifeline: Lifeline): Promise<Reached> {
    const waiting = this.#slots.take(lifeline);
    if (waiting === undefined) return this.#connect(lifeline);
    return waiting.then(() => this.#connect(lifeline));
  }

  /** The request is over. */
  leave({ socket }: Reached): void {
    closeQuietly(socket);
    this.#slots.give();
  }

  /** A buffer to read into: one that was given back, or a new one. */
  takeBuffer(): Uint8Array<ArrayBuffer> {
    return this.#spare.pop() ?? new Uint8Array(BUFFER_SIZE);
  }

  /** Gives a buffer back that nobody reads into or looks at any more. */
  giveBuffer(buffer: Uint8Array<ArrayBuffer>): void {
    if (this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(buffer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#spare.length = 0;
    await Promise.resolve();
  }

  /** Nearly always the first attempt is the only one. */
  #connect(lifeline: Lifeline): Promise<Reached> {
    const attempt: Attempt = {
      lifeline,
      since: performance.now(),
      tried: undefined,
      failure: undefined,
    };
    const site = this.#sites.pick();
    if (site === undefined) return this.#goOn(attempt);
    return dial(site.address, this.#connectTimeoutMs).then(
      (socket) => this.#connected(attempt, site, socket),
      (error) => {
        this.#missed(attempt, site, error);
        return this.#goOn(attempt);
      },
    );
  }

  #connected({ lifeline, since }: Attempt, site: Site, socket: Socket): Reached {
    site.tally.requests++;
    this.#sites.succeeded(site);
    if (lifeline.reason === undefined) lifeline.ledger.connected(since);
    return { socket, where: site.name };
  }

  #missed(attempt: Attempt, site: Site, error: unknown): void {
    (attempt.tried ??= new Set()).add(site);
    if (isGone(error)) {
      this.#sites.failed(site, error instanceof Error ? error.message : String(error));
    }
    // One that is busy is worth another try, so it tells more than those that are gone.
    if (attempt.failure === undefined || isGone(attempt.failure)) attempt.failure = error;
  }

  /** Tries on until somebody has room: a full backlog empties as the application goes on. */
  async #goOn(attempt: Attempt): Promise<Reached> {
    const { lifeline, since } = attempt;
    for (;;) {
      try {
        return await this.#dialEach(attempt);
      } catch (error) {
        const isLate = performance.now() - since > this.#connectTimeoutMs;
        const isOver = isLate || lifeline.reason !== undefined;
        if (isOver || isGone(error)) {
          this.#slots.give();
          lifeline.trace?.ended("connect", since, error);
          throw error;
        }
        attempt.tried = attempt.failure = undefined;
        await new Promise((resolve) => setTimeout(resolve, BUSY_RETRY_MS));
      }
    }
  }

  /** The addresses take turns. Nothing was sent to one that fails, so the next may serve. */
  async #dialEach(attempt: Attempt): Promise<Reached> {
    for (;;) {
      const site = this.#sites.pick(attempt.tried);
      if (site === undefined) throw attempt.failure;
      try {
        const socket = await dial(site.address, this.#connectTimeoutMs);
        return this.#connected(attempt, site, socket);
      } catch (error) {
        this.#missed(attempt, site, error);
      }
    }
  }
}
