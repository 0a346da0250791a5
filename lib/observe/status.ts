/** Everything that the status page shows, as one JSON value (`/status.json`). Times in milliseconds. */
import { merged, type Period, quantile, type Ring, TIME_BOUNDS } from "./histogram.ts";
import type { Metrics, RouteMeter } from "./metrics.ts";
import type { Remembered } from "./recent.ts";
import type { Survey, SurveyedCache, SurveyedRoute, WorkerStatus } from "./survey.ts";
import type { PoolStatus, ProcessStatus } from "../handler.ts";

export interface Latency {
  /** Undefined: there was no request. */
  readonly p50: number | undefined;
  readonly p95: number | undefined;
  readonly p99: number | undefined;
}

export interface RouteReport extends Latency {
  readonly name: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly kind: string;
  readonly target: string;
  readonly requests: number;
  readonly failed: number;
  readonly active: number;
  readonly bytes: number;
}

export interface PeriodReport extends Latency {
  /** When it began, by Date.now(). */
  readonly at: number;
  readonly requests: number;
  readonly failed: number;
}

export interface StatusReport {
  readonly now: number;
  readonly startedAt: number;
  readonly ready: boolean;
  readonly active: number;
  readonly requests: number;
  readonly failed: number;
  /** Over the last ten whole seconds. */
  readonly perSecond: number;
  /** Of the last minute. */
  readonly latency: Latency;
  readonly memoryBytes: number;
  readonly causes: readonly { readonly cause: string; readonly count: number }[];
  readonly routes: readonly RouteReport[];
  readonly pools: readonly (PoolStatus & { readonly route: string })[];
  readonly processes: readonly (ProcessStatus & { readonly route: string })[];
  readonly caches: readonly SurveyedCache[];
  /** With `server.workers` above 1. */
  readonly workers?: readonly WorkerStatus[];
  readonly failures: readonly Remembered[];
  readonly slowest: readonly Remembered[];
  /** The last hour. */
  readonly minutes: readonly PeriodReport[];
}

const RATE_SECONDS = 10;

export function reportStatus(metrics: Metrics, survey: Survey): StatusReport {
  const now = Date.now();
  const { meters, seconds, minutes, recent, startedAt } = metrics;
  const { statuses } = survey;
  const routes = survey.routes.map(routeReport);
  return {
    now,
    startedAt,
    ready: survey.ready,
    active: survey.active,
    requests: sumOf(meters, requestsOf),
    failed: sumOf(meters, failedOf),
    perSecond: rateOf(seconds.list(now), now - startedAt),
    latency: latencyOf(merged(seconds.list(now).map(({ counts }) => counts))),
    memoryBytes: survey.memoryBytes,
    causes: causesOf(meters),
    routes,
    pools: statuses.flatMap(({ route, pool }) => pool === undefined ? [] : [{ route, ...pool }]),
    processes: statuses.flatMap(({ route, processes = [] }) =>
      processes.map((process) => ({ route, ...process }))
    ),
    caches: survey.caches,
    ...(survey.workers && { workers: survey.workers }),
    failures: recent.failed,
    slowest: recent.slowest(now),
    minutes: periodsOf(minutes, now),
  };
}

function routeReport({ summary, meter }: SurveyedRoute): RouteReport {
  const { name, path, host, kind, target } = summary;
  const all = merged(Array.from(meter?.durations.values() ?? [], ({ counts }) => counts));
  return {
    name,
    path,
    host,
    kind,
    target,
    requests: meter === undefined ? 0 : requestsOf(meter),
    failed: meter === undefined ? 0 : failedOf(meter),
    active: meter?.active ?? 0,
    bytes: meter?.sent.sum ?? 0,
    ...latencyOf(all),
  };
}

function requestsOf({ durations }: RouteMeter): number {
  return sumOf(durations.values(), ({ count }) => count);
}

function failedOf({ failed }: RouteMeter): number {
  return failed;
}

/** The second that is not over yet does not count; nor do those before the beginning. */
function rateOf(periods: readonly Period[], uptimeMs: number): number {
  const length = Math.max(1, Math.min(RATE_SECONDS, Math.floor(uptimeMs / 1000)));
  return sumOf(periods.slice(-length - 1, -1), ({ requests }) => requests) / length;
}

function periodsOf(ring: Ring, now: number): PeriodReport[] {
  return ring.list(now).map(({ number, requests, failed, counts }) => ({
    at: number * ring.periodMs,
    requests,
    failed,
    ...latencyOf(counts),
  }));
}

function latencyOf(counts: Float64Array): Latency {
  const at = (q: number) => {
    const seconds = quantile(TIME_BOUNDS, counts, q);
    return seconds === undefined ? undefined : Math.round(seconds * 1e5) / 100;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function causesOf(meters: readonly RouteMeter[]): StatusReport["causes"] {
  const counts = new Map<string, number>();
  for (const { failures } of meters) {
    for (const [cause, count] of failures) counts.set(cause, (counts.get(cause) ?? 0) + count);
  }
  return Array.from(counts, ([cause, count]) => ({ cause, count }))
    .sort((a, b) => b.count - a.count);
}

function sumOf<T>(items: Iterable<T>, of: (item: T) => number): number {
  let sum = 0;
  for (const item of items) sum += of(item);
  return sum;
}
