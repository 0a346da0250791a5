/**
 * The gateway on its listeners: accepts, reloads, drains. The runtime's listener ends when descriptors
 * run out and knows no time limits; this file makes up for what can be made up for.
 */
import { type Address, formatAddress } from "./fields.ts";
import { GatewayError } from "./errors.ts";
import type { Endpoint } from "./exchange.ts";
import { type Generation, type Ground, openGeneration } from "./generation.ts";
import type { Table } from "./config/table.ts";
import { closeQuietly } from "./io/dial.ts";

/** Before a listener that ended by itself is opened again. */
const RELISTEN_MS = 200;
const POLL_MS = 20;
/** How long requests that were cut may take to end: a program has two seconds before it is killed. */
const CUT_MS = 5000;

export class Server {
  readonly #ground: Ground;
  readonly #listeners: Listener[] = [];
  #current: Generation;
  /** Earlier generations on their way out. */
  readonly #leaving = new Set<Promise<void>>();
  #stopping: Promise<void> | undefined;

  private constructor(ground: Ground, generation: Generation) {
    this.#ground = ground;
    this.#current = generation;
  }

  /** Opens the table's routes, then listens. Rejects, with everything closed again, if either fails. */
  static async start(
    table: Table,
    listen: readonly Address[],
    ground: Ground,
  ): Promise<Server> {
    const server = new Server(ground, await openGeneration(table, ground));
    try {
      for (const address of listen) await server.#listen(address);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Where it listens, ports settled: `http://127.0.0.1:8080`, `unix:/path`. */
  get addresses(): readonly string[] {
    return this.#listeners.map((listener) => listener.url);
  }

  /** Serves by a new table from now on; requests under way end by the old one. */
  async reload(table: Table): Promise<void> {
    const next = await openGeneration(table, this.#ground);
    const old = this.#current;
    this.#current = next;
    this.#ground.log.format = table.server.accessLog;
    const { drainTimeoutMs } = old.table.server;
    const leaving = this.#retire(old, drainTimeoutMs).finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  /** Drains and closes everything: running requests end within the drain time, or are cut. */
  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { drainTimeoutMs } = this.#current.table.server;
    const deadline = performance.now() + drainTimeoutMs;
    // Closing a listener fails the uploads on it: let those that run arrive first.
    while (this.#current.uploads() > 0 && performance.now() < deadline) await sleep(POLL_MS);
    const closed = Promise.all(this.#listeners.map((listener) => listener.shutdown()));
    const inTime = await settledWithin(closed, deadline - performance.now());
    // Aborting the listeners too would do nothing: after `shutdown` the runtime knows them no more.
    if (!inTime) {
      this.#ground.sweeper.cutAll(new GatewayError(503, "shutting-down", "The server stops"));
    }
    await this.#retire(this.#current, inTime ? drainTimeoutMs : CUT_MS);
    await Promise.all(this.#leaving);
    this.#ground.sweeper.close();
    await this.#ground.log.flush();
  }

  async #retire(generation: Generation, withinMs: number): Promise<void> {
    const { gateway } = generation;
    if (!await settledWithin(gateway.idle(), withinMs)) {
      this.#ground.log.notice(`${gateway.active} requests did not end within the drain time`);
    }
    await generation[Symbol.asyncDispose]();
  }

  async #listen(address: Address): Promise<void> {
    if (address.transport === "unix") await clearSocket(address.path);
    const handle = (request: Request, local: Endpoint, info: Deno.ServeHandlerInfo) =>
      this.#current.gateway.handle(request, {
        peer: peerOf(info.remoteAddr),
        local,
        scheme: "http",
      });
    const notice = (message: string) => this.#ground.log.notice(message);
    try {
      this.#listeners.push(new Listener(address, handle, notice));
    } catch (error) {
      throw new Error(`Cannot listen on ${formatAddress(address)}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }
}

type Handle = (
  request: Request,
  local: Endpoint,
  info: Deno.ServeHandlerInfo,
) => Response | Promise<Response>;

/** One address that is listened on, whatever happens to the runtime's own listener. */
class Listener {
  readonly #notice: (message: string) => void;
  readonly #handle: Handle;
  #address: Address;
  #local: Endpoint;
  #server: Deno.HttpServer;
  #stopping = false;

  constructor(address: Address, handle: Handle, notice: (message: string) => void) {
    this.#handle = handle;
    this.#notice = notice;
    this.#address = address;
    this.#local = endpointOf(address);
    this.#server = this.#serve();
  }

  get url(): string {
    const where = formatAddress(this.#address);
    return this.#address.transport === "unix" ? where : `http://${where}`;
  }

  async shutdown(): Promise<void> {
    this.#stopping = true;
    await this.#server.shutdown();
  }

  #serve(): Deno.HttpServer {
    const common = {
      onListen: () => {},
      // Called for bodies that failed, which the gateway has reported by then.
      onError: () => new Response(null, { status: 500 }),
    };
    const handler = (request: Request, info: Deno.ServeHandlerInfo) =>
      this.#handle(request, this.#local, info);
    const address = this.#address;
    if (address.transport === "unix") {
      const server = Deno.serve({ ...common, path: address.path }, handler);
      // The front proxy usually runs under another user of the same group.
      Deno.chmodSync(address.path, 0o660);
      this.#watch(server);
      return server;
    }
    const { hostname, port } = address;
    const server = Deno.serve({ ...common, hostname, port }, handler);
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
    try {
      await server.finished;
    } catch (error) {
      this.#notice(`The listener on ${this.url} ended (${messageOf(error)}): listening again`);
    }
    while (!this.#stopping) {
      await sleep(RELISTEN_MS);
      if (this.#stopping) return;
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

/** True if the promise settled in time. */
async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, ms));
  });
  const settled = promise.then(() => true, () => true);
  const inTime = await Promise.race([settled, late]);
  clearTimeout(timer);
  return inTime;
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
