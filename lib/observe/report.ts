/**
 * What one of several workers tells of itself, as plain values that can be sent, and how the reports of
 * all become what one gateway would have counted: counters, histograms and gauges are summed.
 */
import type { ServiceStatus, UpstreamStatus } from "../handler.ts";
import { Metrics, type MetricsRecord } from "./metrics.ts";
import type { StatusOfRoute, SurveyedCache, SurveyedSpans } from "./survey.ts";

export interface Report {
  readonly metrics: MetricsRecord;
  /** Requests under way. */
  readonly active: number;
  /** Errors that nobody caught so far. */
  readonly uncaught: number;
  readonly statuses: readonly StatusOfRoute[];
  readonly caches: readonly SurveyedCache[];
  readonly spans: SurveyedSpans | undefined;
  readonly memoryBytes: number;
}

/** What is left of a worker that has ended: counters must not fall. Its pools and copies are gone. */
export function bury({ metrics, statuses, caches, spans, ...report }: Report): Report {
  return {
    ...report,
    active: 0,
    memoryBytes: 0,
    metrics: { ...metrics, meters: metrics.meters.map((meter) => ({ ...meter, active: 0 })) },
    statuses: statuses.map(({ route, upstreams, restarts }) => ({
      route,
      ...(upstreams && { upstreams: upstreams.map(({ up: _, ...counts }) => counts) }),
      ...(restarts !== undefined && { restarts }),
    })),
    caches: caches.map(({ route, lookUps, hits, forwarded }) => ({
      ...NONE,
      route,
      lookUps,
      hits,
      forwarded,
    })),
    spans: spans && { counts: spans.counts, waiting: 0 },
  };
}

/** What those have left that have ended, as one. */
export function buriedTogether(reports: readonly Report[]): Report {
  const metrics = new Metrics();
  for (const report of reports) metrics.absorb(report.metrics);
  return {
    metrics: metrics.record(),
    active: 0,
    uncaught: reports.reduce((sum, { uncaught }) => sum + uncaught, 0),
    statuses: mergedStatuses(reports, [], () => undefined),
    caches: mergedCaches(reports, []),
    spans: mergedSpans(reports),
    memoryBytes: 0,
  };
}

/**
 * How the services of all workers are, route by route; `programs` tells of those that they borrow. Those
 * that have ended count where somebody has such a service still.
 */
export function mergedStatuses(
  reports: readonly Report[],
  gone: readonly Report[],
  programs: (name: string) => ServiceStatus | undefined,
): StatusOfRoute[] {
  const byRoute = new Map<string, StatusOfRoute>();
  for (const status of reports.flatMap(({ statuses }) => statuses)) {
    const known = byRoute.get(status.route);
    const kept = status.borrows === undefined ? {} : programs(status.borrows);
    byRoute.set(status.route, { ...status, ...(known && added(known, status)), ...kept });
  }
  for (const status of gone.flatMap(({ statuses }) => statuses)) {
    const known = byRoute.get(status.route);
    if (known === undefined) continue;
    byRoute.set(status.route, { ...known, ...counted(known, status) });
  }
  return [...byRoute.values()];
}

function added(one: ServiceStatus, other: ServiceStatus): ServiceStatus {
  const { processes = [], pool } = one;
  return {
    ...(pool && other.pool && {
      pool: {
        busy: pool.busy + other.pool.busy,
        idle: pool.idle + other.pool.idle,
        waiting: pool.waiting + other.pool.waiting,
        max: pool.max + other.pool.max,
      },
    }),
    ...(other.processes && { processes: [...processes, ...other.processes] }),
    ...counted(one, other),
  };
}

/** The counters alone. */
function counted(one: ServiceStatus, other: ServiceStatus): ServiceStatus {
  const { restarts, upstreams } = one;
  return {
    ...(upstreams && { upstreams: mergedUpstreams(upstreams, other.upstreams ?? []) }),
    ...(restarts !== undefined && { restarts: restarts + (other.restarts ?? 0) }),
  };
}

/** An address is up while one of the workers finds it so. */
function mergedUpstreams(
  ones: readonly UpstreamStatus[],
  others: readonly UpstreamStatus[],
): UpstreamStatus[] {
  const byName = new Map(ones.map((one) => [one.name, one]));
  for (const { name, up, requests, failures } of others) {
    const known = byName.get(name);
    const isUp = known?.up === undefined ? up : known.up || up === true;
    byName.set(name, {
      name,
      ...(isUp !== undefined && { up: isUp }),
      requests: requests + (known?.requests ?? 0),
      failures: failures + (known?.failures ?? 0),
    });
  }
  return [...byName.values()];
}

export function mergedCaches(
  reports: readonly Report[],
  gone: readonly Report[],
): SurveyedCache[] {
  const byRoute = new Map<string, SurveyedCache>();
  for (const cache of reports.flatMap(({ caches }) => caches)) {
    byRoute.set(cache.route, sumOfCaches(byRoute.get(cache.route), cache));
  }
  for (const cache of gone.flatMap(({ caches }) => caches)) {
    const known = byRoute.get(cache.route);
    if (known !== undefined) byRoute.set(cache.route, sumOfCaches(known, cache));
  }
  return [...byRoute.values()];
}

const NONE = { entries: 0, bytes: 0, maxBytes: 0, lookUps: 0, hits: 0, forwarded: {} };

function sumOfCaches(one: Partial<SurveyedCache> = NONE, other: SurveyedCache): SurveyedCache {
  const { entries = 0, bytes = 0, maxBytes = 0, lookUps = 0, hits = 0, forwarded = {} } = one;
  const sums = new Map(Object.entries(forwarded));
  for (const [why, count] of Object.entries(other.forwarded)) {
    sums.set(why, (sums.get(why) ?? 0) + count);
  }
  const store = one.store ?? other.store;
  return {
    route: other.route,
    entries: entries + other.entries,
    bytes: bytes + other.bytes,
    maxBytes: maxBytes + other.maxBytes,
    lookUps: lookUps + other.lookUps,
    hits: hits + other.hits,
    forwarded: Object.fromEntries(sums),
    ...(store && {
      store: one.store === undefined || other.store === undefined ? store : {
        entries: one.store.entries + other.store.entries,
        bytes: one.store.bytes + other.store.bytes,
        maxBytes: one.store.maxBytes + other.store.maxBytes,
      },
    }),
  };
}

/** How the spans of all fared; undefined: nobody traces. */
export function mergedSpans(reports: readonly Report[]): SurveyedSpans | undefined {
  const all = reports.flatMap(({ spans }) => spans === undefined ? [] : [spans]);
  if (all.length === 0) return undefined;
  const counts = { exported: 0, dropped: 0, refused: 0 };
  let waiting = 0;
  for (const spans of all) {
    counts.exported += spans.counts.exported;
    counts.dropped += spans.counts.dropped;
    counts.refused += spans.counts.refused;
    waiting += spans.waiting;
  }
  return { counts, waiting };
}
