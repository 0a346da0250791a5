/** What a server tells of itself when it is asked: the table with its meters, and how its services are. */
import type { RouteSummary, ServiceStatus, Stateful } from "../handler.ts";
import type { RouteMeter } from "./metrics.ts";
import type { SpanExporter } from "./span_exporter.ts";

export interface SurveyedRoute {
  readonly summary: RouteSummary;
  readonly meter: RouteMeter | undefined;
}

/** A route whose service can be asked how it is. */
export interface StatefulRoute extends SurveyedRoute {
  readonly state: Stateful | undefined;
}

export interface SurveyedCache {
  /** The first route that uses it. */
  readonly route: string;
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly lookUps: number;
  readonly hits: number;
  /** The others by what became of them. */
  readonly forwarded: Readonly<Record<string, number>>;
  /** On disk; caches that share a folder say the same of it. */
  readonly store?: { readonly entries: number; readonly bytes: number; readonly maxBytes: number };
}

export interface Survey {
  /** False: it is about to stop. */
  readonly ready: boolean;
  /** Requests under way, also by earlier tables. */
  readonly active: number;
  /** Errors that nobody caught so far. */
  readonly uncaught: number;
  readonly routes: readonly SurveyedRoute[];
  readonly statuses: readonly StatusOfRoute[];
  readonly caches: readonly SurveyedCache[];
  /** Undefined: nobody traces. */
  readonly spans: SurveyedSpans | undefined;
  /** Resident memory of the gateway. */
  readonly memoryBytes: number;
  /** Undefined: it serves by itself. */
  readonly workers?: readonly WorkerStatus[] | undefined;
}

/** How spans fared. */
export type SurveyedSpans = Readonly<Pick<SpanExporter, "counts" | "waiting">>;

/** One of several workers (`server.workers`). */
export interface WorkerStatus {
  /** From 1. */
  readonly number: number;
  /** Undefined: none runs at the moment. */
  readonly pid: number | undefined;
  readonly state: "starting" | "ready";
  readonly uptimeMs: number;
  readonly memoryBytes: number;
  readonly restarts: number;
  /** How the one before it ended; undefined: it is the first. */
  readonly lastExit: string | undefined;
}

export interface StatusOfRoute extends ServiceStatus {
  /** The first route that uses what this is about. */
  readonly route: string;
}

export function residentMemory(): number {
  return Deno.memoryUsage().rss;
}

/** How each service is, once where several routes share it. */
export function statusesOf(routes: readonly StatefulRoute[]): readonly StatusOfRoute[] {
  const seen = new Map<Stateful, string>();
  for (const { summary, state } of routes) {
    if (state !== undefined && !seen.has(state)) seen.set(state, summary.name);
  }
  return Array.from(seen, ([state, route]) => ({ route, ...state.status() }));
}
