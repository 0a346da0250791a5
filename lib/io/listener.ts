/**
 * One address that is listened on. The runtime's listener ends when descriptors run out; this one then
 * opens it again. A new certificate takes a new listener too, since the runtime cannot exchange it: the
 * old one stops accepting and ends its requests while the new one serves.
 */
import { isReported } from "../errors.ts";
import type { Endpoint } from "../exchange.ts";
import { type Address, formatAddress } from "../fields.ts";
import { closeQuietly } from "./dial.ts";
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
  readonly sending: { readonly completed: Promise<void> };
}

export type Receiver = (request: Request, arrival: Arrival) => Response | Promise<Response>;

export interface ListenerOptions {
  readonly address: Address;
  /** Undefined: plain HTTP. */
  readonly tls: TlsPair | undefined;
  readonly receive: Receiver;
  notice(message: string): void;
}

export class Listener {
  readonly #receive: Receiver;
  readonly #notice: (message: string) => void;
  #address: Address;
  #local: Endpoint;
  #tls: TlsPair | undefined;
  /** Undefined while one takes the place of another. */
  #server: Deno.HttpServer | undefined;
  #stopping = false;
  /** Listeners with an earlier certificate, on their way out. */
  readonly #leaving = new Set<Promise<void>>();

  private constructor({ address, tls, receive, notice }: ListenerOptions) {
    this.#receive = receive;
    this.#notice = notice;
    this.#address = address;
    this.#local = endpointOf(address);
    this.#tls = tls;
    this.#server = this.#serve();
  }

  /** @throws {Error} whose message an operator understands. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { address } = options;
    if (address.transport === "unix") await clearSocket(address.path);
    try {
      return new Listener(options);
    } catch (error) {
      throw new Error(`Cannot listen on ${formatAddress(address)}: ${reasonOf(error)}`, {
        cause: error,
      });
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
    if (own.transport === "unix" || other.transport === "unix") return false;
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
    await Promise.all([this.#server?.shutdown(), ...this.#leaving]);
  }

  /** Listens where the runtime has just ceased to. */
  async #retake(): Promise<void> {
    for (let tries = 0; tries < RETAKE_TRIES && !this.#stopping; tries++) {
      try {
        this.#server = this.#serve();
        return;
      } catch (error) {
        if (!(error instanceof Deno.errors.AddrInUse)) break;
        await sleep(RETAKE_MS);
      }
    }
    // Somebody else was faster, or descriptors ran out.
    this.#keep(undefined);
  }

  #serve(): Deno.HttpServer {
    const common = {
      onListen: () => {},
      onError: (error: unknown) => {
        // Called for bodies that failed. Of those that it drew itself the gateway has reported by then.
        if (!isReported(error)) this.#notice(`The body of an answer failed: ${messageOf(error)}`);
        return new Response(null, { status: 500 });
      },
    };
    const scheme = this.#tls === undefined ? "http" : "https";
    const handler = (request: Request, info: Deno.ServeHandlerInfo) =>
      this.#receive(request, {
        peer: peerOf(info.remoteAddr),
        local: this.#local,
        scheme,
        sending: info,
      });
    const address = this.#address;
    if (address.transport === "unix") {
      const server = Deno.serve({ ...common, path: address.path }, handler);
      // The front proxy usually runs under another user of the same group.
      Deno.chmodSync(address.path, 0o660);
      this.#watch(server);
      return server;
    }
    const { hostname, port } = address;
    const server = Deno.serve({ ...common, ...this.#tls, hostname, port }, handler);
    // Port 0 has become a real one; keep it when listening again.
    if (server.addr.transport === "tcp") {
      this.#address = { transport: "tcp", hostname, port: server.addr.port };
      this.#local = { address: server.addr.hostname, port: server.addr.port };
    }
    this.#watch(server);
    return server;
  }

  /** Descriptors ran out: connections go on, but nobody accepts any more until we listen again. */
  async #watch(server: Deno.HttpServer): Promise<void> {
    let reason = "without a reason";
    try {
      await server.finished;
    } catch (error) {
      reason = messageOf(error);
    }
    // One that was replaced ends as it should.
    if (this.#stopping || this.#server !== server) return;
    this.#notice(`The listener on ${this.url} ended (${reason}): listening again`);
    await this.#keep(server);
  }

  /** Tries until it listens again, unless another does so by then. */
  async #keep(ended: Deno.HttpServer | undefined): Promise<void> {
    while (!this.#stopping && this.#server === ended) {
      await sleep(RELISTEN_MS);
      if (this.#stopping || this.#server !== ended) return;
      try {
        if (this.#address.transport === "unix") await clearSocket(this.#address.path);
        this.#server = this.#serve();
        return;
      } catch {
        // Still none to spare: try again.
      }
    }
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

function peerOf(remote: Deno.Addr): Endpoint {
  // A peer on a Unix socket has no address of its own. "unix:" is what programs know from nginx.
  if (!("hostname" in remote)) return { address: "unix:", port: 0 };
  return { address: remote.hostname, port: remote.port };
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
  } catch {
    await Deno.remove(path);
    return;
  }
  throw new Error(`Cannot listen on unix:${path}: another process does`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The runtime's words for the usual reasons name neither the address nor what to do. */
function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "another process does";
  if (error instanceof Deno.errors.AddrNotAvailable) return "this machine has no such address";
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not permit it";
  return messageOf(error);
}
