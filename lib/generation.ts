/**
 * One generation of the route table, opened: every kind's service, and the gateway over them. A reload
 * opens the next one beside it and closes this one when its last request has ended.
 */
import type { RouteConfig, Table } from "./config/table.ts";
import type { Exchange } from "./exchange.ts";
import { Gateway } from "./gateway.ts";
import { createEntrance } from "./entrance.ts";
import type { Context, Place, RouteSummary } from "./handler.ts";
import type { Lender } from "./lender.ts";
import type { Intake, IntakeOptions } from "./io/intake.ts";
import type { ResponseCache } from "./io/response_cache.ts";
import { openRouteService } from "./io/route_service.ts";
import type { AdminToken } from "./observe/admin_token.ts";
import type { Log } from "./observe/log.ts";
import type { Metrics } from "./observe/metrics.ts";
import type { SpanExporter } from "./observe/span_exporter.ts";
import type { StatefulRoute, SurveyedCache } from "./observe/survey.ts";
import { allowOf } from "./own_answers.ts";
import { exactPartOf, type Part, partOf } from "./part.ts";
import { createTrust, type Trust } from "./protocol/forwarding.ts";
import type { Shares } from "./shares.ts";
import type { Sweeper } from "./sweeper.ts";
import { openTracing } from "./tracing.ts";
import type { OpenRoute } from "./visit.ts";

/** What all generations of a server have in common. */
export interface Ground {
  readonly log: Log;
  readonly sweeper: Sweeper;
  readonly shares: Shares;
  /** A file that may be read at any time: listeners keep descriptors on it. */
  readonly spare?: string | undefined;
  /** Errors that nobody caught, and that ended nothing. */
  readonly contained?: { readonly count: number } | undefined;
  /** Which of several workers this is; undefined: there are no others. */
  readonly part?: Part | undefined;
  /** Who keeps started programs for all of them. */
  readonly lender?: Lender | undefined;
}

export interface Generation extends AsyncDisposable {
  readonly table: Table;
  readonly gateway: Gateway;
  readonly trust: Trust;
  /** The methods that any route may take, as the field Allow has them. */
  readonly allow: string;
  /** Request bodies that are still arriving. */
  uploads(): number;
  /** The caches that its routes use, for purging. */
  readonly caches: ReadonlySet<ResponseCache>;
  /** What the admin listener asks for; undefined: nothing. */
  readonly token: AdminToken | undefined;
  /** Each route with its meter, and how its service is. */
  surveyRoutes(): readonly StatefulRoute[];
  surveyCaches(): readonly SurveyedCache[];
  /** What sends the spans of requests; undefined: nobody traces. */
  readonly spans: SpanExporter | undefined;
}

/** Opens every route, all at once; rejects if one cannot, naming it, with all others closed again. */
export async function openGeneration(
  table: Table,
  ground: Ground,
  metrics?: Metrics,
): Promise<Generation> {
  const opening = new Opening(table, ground, metrics);
  const trust = await entranceOf(table, ground.log);
  const variable = table.admin?.tokenEnv;
  const token = variable === undefined ? undefined : await openToken(variable);
  // Its pages are answered by a module that plain tables need not; sources may change before it is asked.
  if (table.admin !== undefined && ground.part === undefined) await import("./observe/admin.ts");
  const tracing = await openTracing(table.server, ground);
  const results = await Promise.allSettled(table.routes.map((route) => opening.open(route)));
  const routes = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  const close = async () => {
    await Promise.all(routes.map(({ service }) => service[Symbol.asyncDispose]()));
    // Programs that end late are told of too.
    await tracing?.[Symbol.asyncDispose]();
  };
  const failure = results.find((result) => result.status === "rejected");
  if (failure !== undefined) {
    await close();
    throw failure.reason;
  }
  const { log, sweeper } = ground;
  return {
    table,
    gateway: new Gateway({ table, routes, log, sweeper, trust, metrics, tracer: tracing?.tracer }),
    trust,
    allow: allowOf(table.routes),
    uploads: () => opening.uploads,
    caches: opening.caches,
    token,
    surveyRoutes: () =>
      routes.map(({ config, meter, state }) => ({ summary: summaryOf(config), meter, state })),
    spans: tracing?.exporter,
    surveyCaches: () =>
      Array.from(opening.caches, (cache) => surveyCache(cache, table, ground.part)),
    [Symbol.asyncDispose]: close,
  };
}

/** Whom the table trusts, and what it asks of everybody. */
async function entranceOf({ server }: Table, log: Log): Promise<Trust> {
  const { trustedProxies, clientIpHeader, originSecret } = server;
  return createEntrance({
    trust: createTrust(trustedProxies, clientIpHeader),
    secret: originSecret && (await import("./io/origin_secret.ts")).openOriginSecret(originSecret),
    notice: (message) => log.notice(message),
  });
}

async function openToken(variable: string): Promise<AdminToken> {
  const { openAdminToken } = await import("./observe/admin_token.ts");
  return openAdminToken(variable);
}

/** A table's place in the file system. */
export function placeOf(table: Table): Place {
  const { spoolDir, runDir, workers } = table.server;
  return { folder: table.folder, spoolDir, runDir, workers };
}

/** The table as people see it. */
export function summarise(table: Table): readonly RouteSummary[] {
  return table.routes.map(summaryOf);
}

function summaryOf({ name, path, host, methods, key, kind, fields }: RouteConfig): RouteSummary {
  return { name, path, host, methods, kind: key, target: kind.describe(fields) };
}

/** A cache is known by the first route that uses it. */
function surveyCache(cache: ResponseCache, { routes }: Table, part?: Part): SurveyedCache {
  const { options, store, disk, lookUps, hits, forwarded } = cache;
  const same = JSON.stringify(options);
  const user = routes.find(({ options: { cache } }) =>
    cache && JSON.stringify({ ...cache, maxSize: partOf(cache.maxSize, part) }) === same
  );
  const stored = disk && { entries: disk.count, bytes: disk.size, maxBytes: disk.maxSize };
  return {
    route: user?.name ?? "",
    entries: store.count,
    bytes: store.size,
    maxBytes: options.maxSize,
    lookUps,
    hits,
    forwarded: Object.fromEntries(forwarded),
    ...(stored && { store: stored }),
  };
}

/** Whether nothing that a route says is to be done to its answers, or to be watched while they go out. */
function passesOn({ options, headers }: RouteConfig): boolean {
  const { conditional, compress, cache, sendfile, auth, authorize, timeoutMs, onAbort } = options;
  return [conditional, compress, cache, sendfile, auth, authorize, timeoutMs]
    .every((option) => option === undefined) &&
    headers.set.length === 0 && headers.remove.length === 0 && onAbort === "kill";
}

/** What the routes of one table are opened with. */
class Opening {
  uploads = 0;
  readonly caches = new Set<ResponseCache>();
  readonly #table: Table;
  readonly #ground: Ground;
  #intake: Promise<Intake> | undefined;
  readonly #summaries: readonly RouteSummary[];
  readonly #metrics: Metrics | undefined;

  constructor(table: Table, ground: Ground, metrics: Metrics | undefined) {
    this.#table = table;
    this.#ground = ground;
    this.#metrics = metrics;
    this.#summaries = Object.freeze(summarise(table).map((summary) => Object.freeze(summary)));
  }

  async open(config: RouteConfig): Promise<OpenRoute> {
    try {
      const { kind, fields } = config;
      if (kind.requestBody !== undefined) await this.#openIntake();
      const { service, state } = await openRouteService(
        (context) => kind.open(fields, context),
        this.#context(config),
        this.caches,
      );
      const upstream = kind.describe(fields);
      return { config, service, upstream, state, meter: this.#metrics?.meter(config.name) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(
        `Cannot open ${this.#table.file}:${config.line}: route "${config.name}" (${config.key}): ` +
          message,
        { cause: error },
      );
    }
  }

  #context(config: RouteConfig): Context {
    const { name, kind, fields, options } = config;
    const mode = options.requestBody ?? kind.requestBodyOf?.(fields) ?? kind.requestBody ??
      "stream";
    const { log, shares, part, lender } = this.#ground;
    return {
      place: placeOf(this.#table),
      route: name,
      routes: this.#summaries,
      options,
      dev: this.#table.server.dev,
      passesOn: passesOn(config),
      log,
      part,
      lender,
      sizeBody: (exchange, needsLength = false) =>
        this.#sizeBody(exchange, { mode, needsLength, max: options.maxRequestBody }),
      share: (key, create) => shares.share(key, create),
    };
  }

  /** What takes bodies is loaded for routes that do. */
  #openIntake(): Promise<Intake> {
    return this.#intake ??= import("./io/intake.ts").then(({ openIntake }) => {
      const { server } = this.#table;
      const spoolQuota = exactPartOf(server.spoolQuota, this.#ground.part);
      return openIntake({ ...server, spoolQuota });
    });
  }

  async #sizeBody(exchange: Exchange, options: IntakeOptions) {
    // Nearly every request has none: nothing to count then.
    if (exchange.body === null) return null;
    this.uploads++;
    try {
      const intake = await this.#openIntake();
      return await intake(exchange, options);
    } finally {
      this.uploads--;
    }
  }
}
