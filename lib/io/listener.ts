/**
 * One address that is listened on. The runtime's listener ends when descriptors run out; this one then
 * opens it again, as soon as there are some to spare (reserve.ts). A new certificate takes a new listener too, since the runtime cannot exchange it: the
 * old one stops accepting and ends its requests while the new one serves.
 */
import type { Endpoint } from "../exchange.ts";
import { type Address, formatAddress } from "../fields.ts";
import type { Accepting, Sending } from "./accepting.ts";
import { serveByDeno } from "./deno_server.ts";
import { closeQuietly } from "./dial.ts";
import type { NodeLimits } from "./node_server.ts";
import { Reserve } from "./reserve.ts";
import { isOutOfDescriptors } from "./shortage.ts";
import type { TlsPair } from "./tls_files.ts";

/** Before a listener that ended by itself is opened again. */
const RELISTEN_MS = 200;
/** The system takes a moment to give an address back. */
const RETAKE_MS = 2;
const RETAKE_TRIES = 500;

/** What is known of the connection that a request came by. */
export interface Arrival {
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly scheme: "http" | "https";
  /** Tells when the answer has been sent, or that it was not; asking costs something. */
  readonly sending: Sending | undefined;
}

export type Receiver = (request: Request, arrival: Arrival) => Response | Promise<Response>;

export interface ListenerOptions {
  readonly address: Address;
  /** Undefined: plain HTTP. */
  readonly tls: TlsPair | undefined;
  /** By the runtime's Node-compatible server, with these limits; undefined: by its own. */
  readonly node: NodeLimits | undefined;
  readonly receive: Receiver;
  /** A file that may be read, for descriptors to be kept on; undefined: none are kept. */
  readonly spare?: string | undefined;
  /** How many processes listen there, with this one; the system shares out connections (SO_REUSEPORT). */
  readonly sharers: number;
  notice(message: string): void;
}

export class Listener {
  readonly #receive: Receiver;
  readonly #notice: (message: string) => void;
  readonly #sharers: number;
  #address: Address;
  #local: Endpoint;
  #tls: TlsPair | undefined;
  readonly #node: NodeLimits | undefined;
  /** Undefined while one takes the place of another. */
  #server: Accepting | undefined;
  #stopping = false;
  readonly #reserve: Reserve;
  /** Listeners with an earlier certificate, on their way out. */
  readonly #leaving = new Set<Promise<void>>();

  private constructor(options: ListenerOptions) {
    const { address, tls, node, receive, sharers, spare, notice } = options;
    this.#sharers = sharers;
    this.#receive = receive;
    this.#notice = notice;
    this.#address = address;
    this.#local = endpointOf(address);
    this.#tls = tls;
    this.#node = node;
    this.#reserve = new Reserve(spare);
  }

  /** @throws {Error} whose message an operator understands. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { address } = options;
    if (address.transport === "unix") await clearSocket(address.path);
    const listener = new Listener(options);
    try {
      listener.#server = await listener.#serve();
      return listener;
    } catch (error) {
      listener.#reserve.release();
      throw cannotListen(address, error);
    }
  }

  get url(): string {
    const where = formatAddress(this.#address);
    if (this.#address.transport === "unix") return where;
    return `${this.#tls === undefined ? "http" : "https"}://${where}`;
  }

  /** Settled, whatever was asked for. */
  get port(): number {
    return this.#local.port;
  }

  /** Whether the system would not let somebody else listen there beside it. */
  isInTheWayOf(other: Address): boolean {
    const own = this.#address;
    if (own.transport === "unix" || other.transport === "unix") {
      return formatAddress(own) === formatAddress(other);
    }
    if (own.port !== other.port) return false;
    return own.hostname === other.hostname || isWildcard(own) || isWildcard(other);
  }

  has(tls: TlsPair): boolean {
    return this.#tls?.cert === tls.cert && this.#tls.key === tls.key;
  }

  /**
   * Accepts by another certificate from now on. For some milliseconds between the one and the other the
   * system refuses connections.
   * @throws {Error} where the runtime would not let it listen again: on a free port, which nobody granted.
   */
  async renew(tls: TlsPair): Promise<void> {
    if (this.#server?.renew !== undefined) {
      this.#server.renew(tls);
      this.#tls = tls;
      return;
    }
    const host = formatAddress(this.#address);
    if ((await Deno.permissions.query({ name: "net", host })).state !== "granted") {
      throw new Error(`Cannot listen on ${host} again: grant --allow-net=${host}`);
    }
    this.#tls = tls;
    const old = this.#server;
    this.#server = undefined;
    const gone = Promise.resolve(old?.shutdown()).finally(() => this.#leaving.delete(gone));
    this.#leaving.add(gone);
    await this.#retake();
  }

  async shutdown(): Promise<void> {
    this.#stopping = true;
    this.#reserve.release();
    await Promise.all([this.#server?.shutdown(), ...this.#leaving]);
  }

  /** Listens where the runtime has just ceased to. */
  async #retake(): Promise<void> {
    for (let tries = 0; tries < RETAKE_TRIES && !this.#stopping; tries++) {
      try {
        this.#server = await this.#serve();
        return;
      } catch (error) {
        if (!(error instanceof Deno.errors.AddrInUse)) break;
        await sleep(RETAKE_MS);
      }
    }
    // Somebody else was faster, or descriptors ran out.
    this.#keep(undefined);
  }

  async #serve(): Promise<Accepting> {
    const scheme = this.#tls === undefined ? "http" : "https";
    const opening = {
      address: this.#address,
      tls: this.#tls,
      sharers: this.#sharers,
      receive: (request: Request, peer: Endpoint, sending?: Sending) =>
        this.#receive(request, { peer, local: this.#local, scheme, sending } as const),
      notice: (message: string) => this.#notice(message),
    };
    const server = this.#node === undefined
      ? serveByDeno(opening)
      : await (await import("./node_server.ts")).serveByNode(opening, this.#node);
    if (this.#address.transport === "unix") {
      // The front proxy usually runs under another user of the same group.
      Deno.chmodSync(this.#address.path, 0o660);
    } else if (server.addr !== undefined) {
      // Port 0 has become a real one; keep it when listening again.
      this.#address = { ...this.#address, port: server.addr.port };
      this.#local = { address: server.addr.hostname, port: server.addr.port };
    }
    this.#watch(server);
    if (this.#stopping) server.shutdown();
    return server;
  }

  /** Descriptors ran out: connections go on, but nobody accepts any more until we listen again. */
  async #watch(server: Accepting): Promise<void> {
    let failure: unknown;
    try {
      await server.finished;
    } catch (error) {
      failure = error;
    }
    // One that was replaced ends as it should.
    if (this.#stopping || this.#server !== server) return;
    const isShort = isOutOfDescriptors(failure);
    if (isShort) this.#reserve.release();
    const when = isShort ? "as soon as there are descriptors to spare" : "soon";
    const reason = failure === undefined ? "without a reason" : messageOf(failure);
    this.#notice(`The listener on ${this.url} ended (${reason}): it listens again ${when}`);
    await this.#keep(server);
    if (!this.#stopping) this.#notice(`Listening again on ${this.url}`);
  }

  /** Tries until it listens again, unless another does so by then. */
  async #keep(ended: Accepting | undefined): Promise<void> {
    while (!this.#stopping && this.#server === ended) {
      await sleep(RELISTEN_MS);
      if (this.#stopping || this.#server !== ended) return;
      if (!this.#reserve.fill()) continue;
      try {
        if (this.#address.transport === "unix") await clearSocket(this.#address.path);
        if (this.#stopping) break;
        this.#server = await this.#serve();
        return;
      } catch {
        // Somebody else listens there, or there are none to spare again: try again.
      }
    }
    this.#reserve.release();
  }
}

function endpointOf(address: Address): Endpoint {
  return address.transport === "unix"
    ? { address: address.path, port: 0 }
    : { address: address.hostname, port: address.port };
}

function isWildcard({ hostname }: { readonly hostname: string }): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

/** A socket that nobody listens on was left behind by a killed process and is in the way. */
async function clearSocket(path: string): Promise<void> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isSocket) {
      throw new Error(`Cannot listen on unix:${path}: a file of that name exists`);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  try {
    closeQuietly(await Deno.connect({ transport: "unix", path }));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.ConnectionRefused) return await Deno.remove(path);
    // A full backlog is somebody's. Whatever else it is, it does not tell that nobody listens there.
    if (!(error instanceof Deno.errors.WouldBlock)) {
      throw new Error(`Cannot tell whether another process listens there: ${messageOf(error)}`);
    }
  }
  throw new Error(`Cannot listen on unix:${path}: another process does`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What an operator reads of a failure to listen. */
export function cannotListen(address: Address, cause: unknown): Error {
  return new Error(`Cannot listen on ${formatAddress(address)}: ${reasonOf(cause)}`, { cause });
}

/** The runtime's words for the usual reasons name neither the address nor what to do. */
function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "another process does";
  if (error instanceof Deno.errors.AddrNotAvailable) return "this machine has no such address";
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not permit it";
  return messageOf(error);
}
