/**
 * An upstream whose requests share connections, if it can have that: the first connection is asked
 * (FCGI_GET_VALUES) before it has a request. Many libraries do not answer (libfcgi, FCGI.pm), PHP says no;
 * then every request has a connection to itself, as without this.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { formatAddress } from "../fields.ts";
import type { ServiceStatus, Stateful } from "../handler.ts";
import { Lifeline } from "../lifeline.ts";
import { decodePairs } from "../protocol/fastcgi.ts";
import { FcgiChannel, SharedConnection } from "./fastcgi_channel.ts";
import type { FcgiLink } from "./fastcgi_connection.ts";
import type { FcgiPool } from "./fastcgi_pool.ts";
import { PooledConnection } from "./fastcgi_site.ts";
import type { FcgiSource } from "./fastcgi_source.ts";
import { Slots } from "./slots.ts";
import type { WaitingOptions } from "./waiting_line.ts";

/** How long an application may take to answer what it is asked (§4.1). */
const ASK_MS = 250;
/** Requests that share a connection, at most. */
const MAX_SHARED = 32;

export interface MultiplexerOptions extends WaitingOptions {
  /** Connections at once. */
  readonly max: number;
  readonly idleMs: number;
  readonly notice?: ((message: string) => void) | undefined;
}

/** How requests are sent, once that is known. */
type Mode =
  | { readonly type: "plain" }
  | { readonly type: "shared"; readonly perConnection: number; readonly slots: Slots };

export class FcgiMultiplexer implements FcgiSource<FcgiLink>, AsyncDisposable, Stateful {
  readonly keepAlive = true;
  readonly #pool: FcgiPool;
  readonly #options: MultiplexerOptions;
  readonly #shared = new Set<SharedConnection>();
  readonly #idle = new Map<SharedConnection, ReturnType<typeof setTimeout>>();
  #mode: Mode | undefined;
  /** Stays when the mode changes: requests that have slots give them back. */
  #slots: Slots | undefined;
  #asking: Promise<void> | undefined;
  #opening: Promise<void> | undefined;

  constructor(pool: FcgiPool, options: MultiplexerOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  get retryWindowMs(): number {
    return this.#pool.retryWindowMs;
  }

  /** Requests count here where they share connections. */
  status(): ServiceStatus {
    const status = this.#pool.status();
    return this.#mode?.type === "shared" ? { ...status, ...this.#mode.slots.status() } : status;
  }

  acquire(lifeline: Lifeline, once: boolean): FcgiLink | Promise<FcgiLink> {
    switch (this.#mode?.type) {
      case "plain":
        return this.#pool.acquire(lifeline, once);
      case "shared":
        return this.fresh(lifeline);
      case undefined:
        return this.#askOnce().then(() => this.acquire(lifeline, once));
    }
  }

  /** A share in a connection that is there will do: one that broke is known to have. */
  async fresh(lifeline: Lifeline, broken?: FcgiLink): Promise<FcgiLink> {
    lifeline.throwIfCut();
    if (this.#mode?.type !== "shared") {
      return await this.#pool.fresh(lifeline, broken && connectionOf(broken));
    }
    const { slots, perConnection } = this.#mode;
    await slots.take(lifeline);
    try {
      return await this.#channel(perConnection);
    } catch (error) {
      slots.give();
      throw error;
    }
  }

  heard(link: FcgiLink): void {
    this.#pool.heard(connectionOf(link));
  }

  broken(link: FcgiLink): void {
    this.#pool.broken(connectionOf(link));
  }

  /** §5.5: what GET_VALUES promised does not hold. */
  unshare(): void {
    if (this.#mode?.type !== "shared") return;
    this.#mode = { type: "plain" };
    this.#options.notice?.(
      "A FastCGI application refuses what it offered (CANT_MPX_CONN): it is not multiplexed any more",
    );
  }

  release(link: FcgiLink, complete: boolean): void {
    if (!(link instanceof FcgiChannel)) return this.#pool.release(connectionOf(link), complete);
    const { shared } = link;
    shared.leave(link);
    if (shared.active === 0) this.#retireLater(shared);
    this.#slots?.give();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#idle.values()) clearTimeout(timer);
    for (const { connection } of this.#shared) connection.close();
    await this.#pool[Symbol.asyncDispose]();
  }

  async #channel(perConnection: number): Promise<FcgiChannel> {
    for (;;) {
      for (const shared of this.#shared) {
        if (!shared.hasRoom) continue;
        clearTimeout(this.#idle.get(shared));
        return shared.open();
      }
      // One opens it for all: whoever asked first may leave before it is there.
      await (this.#opening ??= this.#open(perConnection).finally(() => this.#opening = undefined));
    }
  }

  async #open(perConnection: number): Promise<void> {
    this.#share(await this.#pool.fresh(new Lifeline()), perConnection);
  }

  #share(connection: PooledConnection, perConnection: number): void {
    const shared = new SharedConnection(connection, perConnection, () => {
      clearTimeout(this.#idle.get(shared));
      this.#shared.delete(shared);
      this.#pool.release(connection, false);
    });
    this.#shared.add(shared);
  }

  #retireLater(shared: SharedConnection): void {
    clearTimeout(this.#idle.get(shared));
    if (shared.connection.closed) return;
    const retire = () => shared.connection.close();
    this.#idle.set(shared, setTimeout(retire, this.#options.idleMs));
  }

  #askOnce(): Promise<void> {
    return this.#asking ??= this.#ask().finally(() => this.#asking = undefined);
  }

  async #ask(): Promise<void> {
    const connection = await this.#pool.fresh(new Lifeline());
    const values = await askValues(connection);
    if (values !== undefined) this.#pool.heard(connection);
    if (values?.get("FCGI_MPXS_CONNS") !== "1") {
      this.#options.notice?.(
        `${formatAddress(connection.address)} does not multiplex: each request has a connection`,
      );
      this.#mode = { type: "plain" };
      return this.#pool.release(connection, values !== undefined);
    }
    const perConnection = Math.min(MAX_SHARED, limitOf(values.get("FCGI_MAX_REQS")));
    const connections = Math.min(this.#options.max, limitOf(values.get("FCGI_MAX_CONNS")));
    const max = Math.min(connections * perConnection, limitOf(values.get("FCGI_MAX_REQS")));
    this.#slots = new Slots({ ...this.#options, max });
    this.#mode = { type: "shared", perConnection, slots: this.#slots };
    this.#share(connection, perConnection);
  }
}

/** §4.1; a partial answer is one. Undefined: none came in time, or none that can be read. */
async function askValues(
  connection: PooledConnection,
): Promise<ReadonlyMap<string, string> | undefined> {
  const { encoder, decoder } = connection;
  encoder.values("get-values", QUESTIONS);
  const timer = setTimeout(() => connection.close(), ASK_MS);
  try {
    if (!await connection.flush()) return undefined;
    for (let arrival = await connection.receive(); arrival !== undefined;) {
      decoder.push(arrival);
      for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
        if (record.type === "get-values-result") return new Map(decodePairs(record.content));
        if (record.type === "unknown-type") return new Map();
      }
      arrival = await connection.receive();
    }
  } catch {
    // No FastCGI, or half of it: the first request will tell why.
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

const QUESTIONS: readonly (readonly [string, string])[] = [
  ["FCGI_MAX_CONNS", ""],
  ["FCGI_MAX_REQS", ""],
  ["FCGI_MPXS_CONNS", ""],
];

/** A limit that an application tells; none if it is no number. */
function limitOf(text: string | undefined): number {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : Infinity;
}

function connectionOf(link: FcgiLink): PooledConnection {
  if (link instanceof FcgiChannel) return link.shared.connection;
  if (link instanceof PooledConnection) return link;
  throw new TypeError("No link of this pool");
}
