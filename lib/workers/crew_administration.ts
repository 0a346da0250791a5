/** Several workers as the operator sees them: one gateway, whose figures are those of all. */
import type { Table } from "../config/table.ts";
import { summarise } from "../generation.ts";
import type { Reloader } from "../administration.ts";
import { type AdminToken, openAdminToken } from "../observe/admin_token.ts";
import { administer, type Administered, type Observed, type PurgeOrder } from "../observe/admin.ts";
import { Metrics } from "../observe/metrics.ts";
import {
  buriedTogether,
  bury,
  mergedCaches,
  mergedSpans,
  mergedStatuses,
  type Report,
} from "../observe/report.ts";
import { residentMemory } from "../observe/survey.ts";
import type { Keeper } from "./keeper.ts";
import type { Place } from "./place.ts";

/** How often workers are asked when nobody looks: what one has counted since is lost when it dies. */
const ASK_MS = 5000;

/** The workers. */
export interface Crewed {
  readonly places: readonly Place[];
  readonly keeper: Keeper;
  reports(): Promise<Report[]>;
  purge(order: PurgeOrder): Promise<number>;
}

export class CrewAdministration implements Administered {
  reloader: Reloader | undefined;
  stopping = false;
  readonly #crew: Crewed;
  readonly #startedAt = Date.now();
  readonly #contained: { readonly count: number };
  /** What those have counted that are gone, as one. */
  #gone: Report | undefined;
  #table: Table;
  #token: AdminToken | undefined;
  #asking: ReturnType<typeof setInterval> | undefined;

  /** `contained`: errors of this process that nobody caught. */
  constructor(crew: Crewed, table: Table, contained: { readonly count: number }) {
    this.#contained = contained;
    this.#crew = crew;
    this.#table = table;
    this.table = table;
  }

  /** The table in place. */
  set table(table: Table) {
    this.#table = table;
    const variable = table.admin?.tokenEnv;
    this.#token = variable === undefined ? undefined : openAdminToken(variable);
    this.close();
    if (table.admin === undefined) return;
    this.#asking = setInterval(() => void this.#crew.reports(), ASK_MS);
  }

  get token(): AdminToken | undefined {
    return this.#token;
  }

  get unready(): string | undefined {
    if (this.stopping) return "stopping";
    const missing = this.#crew.places.filter(({ member }) => member?.serves !== true).length;
    return missing === 0 ? undefined : `${missing} of ${this.#crew.places.length} workers missing`;
  }

  close(): void {
    clearInterval(this.#asking);
    this.#asking = undefined;
  }

  /** Counters must not fall when a worker ends. */
  bury(report: Report): void {
    const buried = bury(report);
    this.#gone = this.#gone === undefined ? buried : buriedTogether([this.#gone, buried]);
  }

  answer(request: Request, isLocal: boolean): Promise<Response> {
    return administer(this, request, isLocal);
  }

  async observe(): Promise<Observed> {
    const { places, keeper } = this.#crew;
    const reports = await this.#crew.reports();
    const gone = this.#gone === undefined ? [] : [this.#gone];
    const all = [...gone, ...reports];
    const metrics = new Metrics(this.#startedAt);
    for (const report of all) metrics.absorb(report.metrics);
    const meters = new Map(metrics.meters.map((meter) => [meter.name, meter]));
    const survey = {
      ready: this.unready === undefined,
      active: sum(reports.map(({ active }) => active)),
      uncaught: this.#contained.count + sum(all.map(({ uncaught }) => uncaught)),
      routes: summarise(this.#table)
        .map((summary) => ({ summary, meter: meters.get(summary.name) })),
      statuses: mergedStatuses(reports, gone, (name) => keeper.status(name)),
      caches: mergedCaches(reports, gone),
      spans: mergedSpans(all),
      memoryBytes: residentMemory() + sum(reports.map(({ memoryBytes }) => memoryBytes)),
      workers: places.map((place) => place.status()),
    };
    return { metrics, survey };
  }

  async reload(): Promise<string | undefined> {
    if (this.reloader === undefined) return "Nobody here knows where the table is";
    return await this.reloader();
  }

  purge(order: PurgeOrder): Promise<number> {
    return this.#crew.purge(order);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
