/**
 * The server as its admin listener sees it: counted since that listener was first asked for, surveyed
 * when somebody looks, reloaded by whoever read the table at the start.
 */
import type { Table } from "./config/table.ts";
import type { Generation } from "./generation.ts";
import type { AdminToken } from "./observe/admin_token.ts";
import type { Administered, Observed, PurgeOrder } from "./observe/admin.ts";
import type { Metrics } from "./observe/metrics.ts";
import type { Report } from "./observe/report.ts";
import { residentMemory, statusesOf } from "./observe/survey.ts";

/** Reads the table anew and puts it in place; gives why it could not. */
export type Reloader = () => Promise<string | undefined>;

/** What is asked of the server. */
export interface AdministeredServer {
  readonly current: Generation;
  /** Earlier ones, with requests still. */
  readonly retiring: Iterable<Generation>;
  /** Errors that nobody caught so far. */
  readonly uncaught: number;
}

/** Where a server counts; loaded for servers that do. */
export async function createMetrics(): Promise<Metrics> {
  const { Metrics } = await import("./observe/metrics.ts");
  return new Metrics();
}

export class Administration implements Administered {
  /** Undefined: nobody can. */
  reloader: Reloader | undefined;
  ready = false;
  readonly #server: AdministeredServer;
  #metrics: Metrics | undefined;

  /** `metrics`: where the server counts already. */
  constructor(server: AdministeredServer, metrics: Metrics | undefined) {
    this.#server = server;
    this.#metrics = metrics;
  }

  /** What requests of this table are counted by; undefined: they are not. */
  async metricsFor({ admin }: Table): Promise<Metrics | undefined> {
    return admin === undefined ? undefined : await this.#counted();
  }

  async #counted(): Promise<Metrics> {
    const metrics = this.#metrics ?? await createMetrics();
    return this.#metrics ??= metrics;
  }

  get token(): AdminToken | undefined {
    return this.#server.current.token;
  }

  async answer(request: Request, isLocal: boolean): Promise<Response> {
    const { administer } = await import("./observe/admin.ts");
    return await administer(this, request, isLocal);
  }

  get unready(): string | undefined {
    return this.ready ? undefined : "stopping";
  }

  async observe(): Promise<Observed> {
    const metrics = await this.#counted();
    const routes = this.#server.current.surveyRoutes();
    return { metrics, survey: { ...this.#facts(), ready: this.ready, routes } };
  }

  /** The same, for who adds it to what others tell. */
  async report(): Promise<Report> {
    const metrics = await this.#counted();
    return { ...this.#facts(), metrics: metrics.record() };
  }

  #facts(): Omit<Report, "metrics"> {
    const { current, retiring, uncaught } = this.#server;
    const { spans } = current;
    let { active } = current.gateway;
    for (const { gateway } of retiring) active += gateway.active;
    return {
      active,
      uncaught,
      statuses: statusesOf(current.surveyRoutes()),
      caches: current.surveyCaches(),
      spans: spans && { counts: spans.counts, waiting: spans.waiting },
      memoryBytes: residentMemory(),
    };
  }

  async reload(): Promise<string | undefined> {
    if (this.reloader === undefined) return "Nobody here knows where the table is";
    return await this.reloader();
  }

  async purge(order: PurgeOrder): Promise<number> {
    let purged = 0;
    const caches = [...this.#server.current.caches];
    for (const cache of caches) purged += cache.purge(order);
    await Promise.all(caches.map((cache) => cache.purged()));
    return purged;
  }
}
