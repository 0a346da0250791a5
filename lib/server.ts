/**
 * The gateway on its listeners: accepts, reloads, drains. What the table has become is served from the
 * next request on, whichever listener it comes by; what was under way ends by the table it began with.
 */
import { GatewayError } from "./errors.ts";
import type { ListenAddress } from "./fields.ts";
import { type Generation, type Ground, openGeneration } from "./generation.ts";
import type { Table } from "./config/table.ts";
import type { Receiver } from "./io/listener.ts";
import { Listeners, type Role } from "./listeners.ts";
import { isAsterisk, OwnAnswers } from "./own_answers.ts";
import type { Connection } from "./receive.ts";

const POLL_MS = 20;
/** How long requests that were cut may take to end: a program has two seconds before it is killed. */
const CUT_MS = 5000;

export class Server {
  readonly #ground: Ground;
  readonly #listeners: Listeners;
  readonly #own: OwnAnswers;
  #listen: readonly ListenAddress[];
  #current: Generation;
  /** Earlier generations on their way out. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #retiring = new Set<Generation>();
  #stopping: Promise<void> | undefined;

  private constructor(
    ground: Ground,
    generation: Generation,
    listen: readonly ListenAddress[],
  ) {
    this.#ground = ground;
    this.#current = generation;
    this.#listen = listen;
    this.#own = new OwnAnswers(ground.log);
    this.#listeners = new Listeners({
      receiver: (role) => this.#receiver(role),
      notice: (message) => ground.log.notice(message),
      quiet: () => this.#quiet(),
    });
  }

  /** Opens the table's routes, then listens. Rejects, with everything closed again, if either fails. */
  static async start(
    table: Table,
    listen: readonly ListenAddress[],
    ground: Ground,
  ): Promise<Server> {
    const server = new Server(ground, await openGeneration(table, ground), listen);
    try {
      await server.#listeners.arrange({ listen, tls: table.server.tls });
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Where it listens, ports settled: `http://127.0.0.1:8080`, `unix:/path`. */
  get addresses(): readonly string[] {
    return this.#listeners.urls;
  }

  /**
   * Serves by a new table from now on, and on these addresses if they are given; requests under way end
   * by the old one. Rejects, with the old one in place, if a route or an address cannot be opened.
   */
  async reload(table: Table, listen: readonly ListenAddress[] = this.#listen): Promise<void> {
    const next = await openGeneration(table, this.#ground);
    try {
      await this.#listeners.arrange({ listen, tls: table.server.tls }, () => {
        this.#replace(next);
        this.#listen = listen;
      });
    } catch (error) {
      if (this.#current !== next) await next[Symbol.asyncDispose]();
      throw error;
    }
  }

  #replace(next: Generation): void {
    const { table } = next;
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
    const closed = this.#listeners.shutdown();
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
    this.#retiring.add(generation);
    if (!await settledWithin(gateway.idle(), withinMs)) {
      this.#ground.log.notice(`${gateway.active} requests did not end within the drain time`);
    }
    await generation[Symbol.asyncDispose]();
    this.#retiring.delete(generation);
  }

  /** Whoever sends requests by a listener of this role. */
  #receiver(role: Role): Receiver {
    if (role === "redirect") {
      return (request, arrival) => {
        const port = this.#listeners.securePort;
        // What cannot be received is refused, which needs no route either.
        return this.#own.toHttps(request, arrival, port) ?? this.#serve(request, arrival);
      };
    }
    if (role === "http") return (request, arrival) => this.#serve(request, arrival);
    return (request, arrival) => {
      const response = this.#serve(request, arrival);
      const hsts = this.#current.table.server.tls?.hsts;
      if (hsts === undefined) return response;
      return response instanceof Promise
        ? response.then((later) => withHsts(later, hsts))
        : withHsts(response, hsts);
    };
  }

  #serve(request: Request, connection: Connection): Response | Promise<Response> {
    const { gateway, trust, allow } = this.#current;
    const own = isAsterisk(request)
      ? this.#own.asterisk(request, connection, { trust, allow })
      : undefined;
    return own ?? gateway.handle(request, connection);
  }

  /** Waits for uploads, since the runtime fails them with the listener that they came by. */
  async #quiet(): Promise<void> {
    const deadline = performance.now() + this.#current.table.server.drainTimeoutMs;
    while (this.#uploads() > 0 && performance.now() < deadline) await sleep(POLL_MS);
  }

  #uploads(): number {
    return this.#current.uploads() + sumOf(this.#retiring, (generation) => generation.uploads());
  }
}

/** RFC 6797 §6.1: once; an application's own word stands. */
function withHsts(response: Response, value: string): Response {
  const { headers, status, body } = response;
  if (status === 101 || headers.has("strict-transport-security")) return response;
  try {
    headers.set("strict-transport-security", value);
    return response;
  } catch {
    // The runtime's own responses, such as a fetch's, cannot be changed.
    const copy = new Headers(headers);
    copy.set("strict-transport-security", value);
    return new Response(body, { status, headers: copy });
  }
}

function sumOf<T>(items: Iterable<T>, of: (item: T) => number): number {
  let sum = 0;
  for (const item of items) sum += of(item);
  return sum;
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
