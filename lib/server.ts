/**
 * The gateway on its listeners: accepts, reloads, drains. What the table has become is served from the
 * next request on, whichever listener it comes by; what was under way ends by the table it began with.
 */
import { Administration, createMetrics, type Reloader } from "./administration.ts";
import { GatewayError } from "./errors.ts";
import type { ListenAddress } from "./fields.ts";
import { type Generation, type Ground, openGeneration } from "./generation.ts";
import type { Table } from "./config/table.ts";
import type { Receiver } from "./io/listener.ts";
import type { PurgeOrder } from "./observe/admin.ts";
import type { Metrics } from "./observe/metrics.ts";
import type { Report } from "./observe/report.ts";
import { Listeners, type Role, type Wanted } from "./listeners.ts";
import { hangingUp, isAsterisk, OwnAnswers } from "./own_answers.ts";
import { partOf } from "./part.ts";
import type { Connection } from "./receive.ts";

const POLL_MS = 20;
/** How long requests that were cut may take to end: a program has two seconds before it is killed. */
const CUT_MS = 5000;

export class Server {
  readonly #ground: Ground;
  readonly #listeners: Listeners;
  readonly #own: OwnAnswers;
  readonly #administration: Administration;
  #listen: readonly ListenAddress[];
  #current: Generation;
  /** Earlier generations on their way out. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #retiring = new Set<Generation>();
  #stopping: Promise<void> | undefined;

  private constructor(ground: Ground, { generation, listen, metrics }: Beginning) {
    this.#ground = ground;
    this.#current = generation;
    this.#listen = listen;
    const current = () => this.#current;
    const retiring = this.#retiring;
    this.#administration = new Administration({
      get current() {
        return current();
      },
      get uncaught() {
        return ground.contained?.count ?? 0;
      },
      retiring,
    }, metrics);
    this.#own = new OwnAnswers(ground.log);
    this.#listeners = new Listeners({
      sharers: ground.part?.of ?? 1,
      receiver: (role) => this.#receiver(role),
      notice: (message) => ground.log.notice(message),
      spare: ground.spare,
      quiet: () => this.#quiet(),
    });
  }

  /** Opens the table's routes, then listens. Rejects, with everything closed again, if either fails. */
  static async start(
    table: Table,
    listen: readonly ListenAddress[],
    ground: Ground,
  ): Promise<Server> {
    const metrics = table.admin && await createMetrics();
    const generation = await openGeneration(table, ground, metrics);
    const server = new Server(ground, { generation, listen, metrics });
    const { log } = ground;
    try {
      log.useFile(log.openFile(table.server.accessLogFile));
      await server.#listeners.arrange(server.#wanted(table, listen));
      server.#administration.ready = true;
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

  /** Where the operator looks; undefined: nowhere. */
  get adminUrl(): string | undefined {
    return this.#listeners.adminUrl;
  }

  /** What it has counted and how it is, for who adds it to what other workers tell. */
  report(): Promise<Report> {
    return this.#administration.report();
  }

  /** Forgets stored answers; gives how many. */
  purge(order: PurgeOrder): Promise<number> {
    return this.#administration.purge(order);
  }

  /** Who reads the table when the admin listener is asked to. */
  set reloader(reloader: Reloader) {
    this.#administration.reloader = reloader;
  }

  /**
   * Serves by a new table from now on, and on these addresses if they are given; requests under way end
   * by the old one. Rejects, with the old one in place, if a route or an address cannot be opened, or if
   * `agree` rejects, which is asked when all are.
   */
  async reload(
    table: Table,
    listen: readonly ListenAddress[] = this.#listen,
    agree?: () => Promise<void>,
  ): Promise<void> {
    const metrics = await this.#administration.metricsFor(table);
    const next = await openGeneration(table, this.#ground, metrics);
    const { log } = this.#ground;
    let file: ReturnType<typeof log.openFile>;
    try {
      file = log.openFile(table.server.accessLogFile);
      await this.#listeners.arrange(this.#wanted(table, listen), () => {
        this.#replace(next);
        this.#listen = listen;
        log.useFile(file);
      }, agree);
    } catch (error) {
      if (this.#current !== next) {
        log.discardFile(file);
        await next[Symbol.asyncDispose]();
      }
      throw error;
    }
  }

  /** Of several workers none has the operator's address: the main process does. */
  #wanted({ server, admin }: Table, listen: readonly ListenAddress[]): Wanted {
    const { tls, node, sendTimeoutMs } = server;
    const { part } = this.#ground;
    return {
      listen,
      tls,
      node: node && {
        ...node,
        maxConnections: partOf(node.maxConnections, part),
        sendTimeoutMs,
      },
      admin: part === undefined ? admin?.listen : undefined,
    };
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
    const { drainTimeoutMs, drainDelayMs } = this.#current.table.server;
    // Those who send requests here are told first, and given the time to go elsewhere.
    this.#administration.ready = false;
    if (drainDelayMs > 0 && this.addresses.length > 0) await sleep(drainDelayMs);
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
    await settledWithin(this.#listeners.close(), CUT_MS);
    this.#ground.sweeper.close();
    this.#ground.log.useFile(undefined);
    // Whoever should read the log may have stopped.
    await settledWithin(this.#ground.log.flush(), CUT_MS);
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
    if (role === "admin") {
      return (request, { local }) => this.#administration.answer(request, local.port === 0);
    }
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
    const answer = own ?? gateway.handle(request, connection);
    return request.method === "CONNECT" ? hangingUp(answer) : answer;
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

interface Beginning {
  readonly generation: Generation;
  readonly listen: readonly ListenAddress[];
  readonly metrics: Metrics | undefined;
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
