/**
 * What is counted while the admin listener is on: requests by route, method and status with their times
 * and sizes; failures by their stable names; how programs exited; the last seconds and the last hour.
 *
 * Strategy: everything is made when it is first met, so that a request allocates nothing; gauges are
 * not kept here but gathered from the services when somebody asks (scrape.ts). Without an admin listener
 * there is no object of this class.
 */
import type { Ledger } from "../ledger.ts";
import type { Done } from "./done.ts";
import {
  bucketOf,
  Histogram,
  type HistogramRecord,
  type PeriodRecord,
  Ring,
  SIZE_BOUNDS,
  TIME_BOUNDS,
} from "./histogram.ts";
import { Recent, type Remembered } from "./recent.ts";

/** Others are `_OTHER`, or any client could make up series (OpenTelemetry: http.request.method). */
export const METHODS: readonly string[] = [
  "_OTHER",
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "PATCH",
  "OPTIONS",
  "CONNECT",
  "TRACE",
];

const COSTS = ["firstByte", "queue", "connect", "spawn", "sent", "received"] as const;

/** As {@link RouteMeter}, to be sent elsewhere. */
export interface MeterRecord {
  readonly name: string;
  readonly durations: readonly (readonly [number, HistogramRecord])[];
  readonly costs: readonly HistogramRecord[];
  readonly failures: readonly (readonly [string, number])[];
  readonly exits: readonly (readonly [string, number])[];
  readonly resends: number;
  readonly active: number;
  readonly failed: number;
}

/** As {@link Metrics}, to be sent elsewhere. */
export interface MetricsRecord {
  readonly meters: readonly MeterRecord[];
  readonly seconds: readonly PeriodRecord[];
  readonly minutes: readonly PeriodRecord[];
  readonly failed: readonly Remembered[];
  readonly slowest: readonly Remembered[];
}

/** What is counted of one route. */
export class RouteMeter {
  /** By {@link METHODS} and status: `1000 * method + status`. */
  readonly durations = new Map<number, Histogram>();
  readonly firstByte = new Histogram(TIME_BOUNDS);
  readonly queue = new Histogram(TIME_BOUNDS);
  readonly connect = new Histogram(TIME_BOUNDS);
  readonly spawn = new Histogram(TIME_BOUNDS);
  readonly sent = new Histogram(SIZE_BOUNDS);
  readonly received = new Histogram(SIZE_BOUNDS);
  /** By the failure's name. */
  readonly failures = new Map<string, number>();
  /** By exit code, or the name of the signal. */
  readonly exits = new Map<string, number>();
  /** How often requests were sent to an upstream again. */
  resends = 0;
  /** Requests under way. */
  active = 0;
  /** Requests whose end is the fault of the gateway or of what is behind it. */
  failed = 0;

  /** `name` is empty for requests that met no route. */
  constructor(readonly name: string) {}

  count(done: Done, bucket: number): void {
    const { method, status, ledger, failure } = done;
    const key = 1000 * Math.max(0, METHODS.indexOf(method)) + status;
    this.#durations(key).observe(done.durationMs / 1000, bucket);
    this.firstByte.observe(done.firstByteMs / 1000);
    if (done.bytes !== undefined) this.sent.observe(done.bytes);
    if (failure !== undefined) increase(this.failures, failure);
    if (ledger !== undefined) this.#countCost(ledger);
  }

  record(): MeterRecord {
    const { name, resends, active, failed } = this;
    return {
      name,
      durations: Array.from(this.durations, ([key, histogram]) => [key, histogram.record()]),
      costs: COSTS.map((cost) => this[cost].record()),
      failures: [...this.failures],
      exits: [...this.exits],
      resends,
      active,
      failed,
    };
  }

  absorb({ durations, costs, failures, exits, resends, active, failed }: MeterRecord): void {
    for (const [key, record] of durations) this.#durations(key).absorb(record);
    COSTS.forEach((cost, at) => costs[at] && this[cost].absorb(costs[at]));
    for (const [name, count] of failures) increase(this.failures, name, count);
    for (const [name, count] of exits) increase(this.exits, name, count);
    this.resends += resends;
    this.active += active;
    this.failed += failed;
  }

  #durations(key: number): Histogram {
    const known = this.durations.get(key);
    if (known !== undefined) return known;
    const durations = new Histogram(TIME_BOUNDS);
    this.durations.set(key, durations);
    return durations;
  }

  #countCost({ queuedMs, connectMs, spawnMs, receivedBytes, exit, resends }: Ledger): void {
    if (queuedMs !== undefined) this.queue.observe(queuedMs / 1000);
    if (connectMs !== undefined) this.connect.observe(connectMs / 1000);
    if (spawnMs !== undefined) this.spawn.observe(spawnMs / 1000);
    this.resends += resends;
    if (receivedBytes !== undefined) this.received.observe(receivedBytes);
    if (exit !== undefined) increase(this.exits, String(exit));
  }
}

function increase(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

/** Whether the gateway or what is behind it is to blame: no client is, nor one that has left. */
export function hasFailed({ status, failure }: Pick<Done, "status" | "failure">): boolean {
  return status >= 500 || (status < 400 && failure !== undefined && failure !== "client-gone");
}

export class Metrics {
  readonly seconds = new Ring(60, 1000);
  readonly minutes = new Ring(60, 60_000);
  readonly recent = new Recent();
  /** Outlive a reload, for counters must not fall. */
  readonly #routes = new Map<string, RouteMeter>();
  readonly #unrouted = new RouteMeter("");

  /** `startedAt` by Date.now(). */
  constructor(readonly startedAt = Date.now()) {}

  /** All meters, that of requests without a route first. */
  get meters(): readonly RouteMeter[] {
    return [this.#unrouted, ...this.#routes.values()];
  }

  /** The meter of the route of this name. */
  meter(name: string): RouteMeter {
    const known = this.#routes.get(name);
    if (known !== undefined) return known;
    const meter = new RouteMeter(name);
    this.#routes.set(name, meter);
    return meter;
  }

  /** Counts a request; `meter` is undefined for one that met no route. */
  count(done: Done, meter: RouteMeter = this.#unrouted): void {
    const now = Date.now();
    const bucket = bucketOf(TIME_BOUNDS, done.durationMs / 1000);
    const failed = hasFailed(done);
    meter.count(done, bucket);
    if (failed) meter.failed++;
    this.seconds.add(now, bucket, failed);
    this.minutes.add(now, bucket, failed);
    this.recent.note(done, meter.name, { now, failed });
  }

  record(now = Date.now()): MetricsRecord {
    return {
      meters: this.meters.map((meter) => meter.record()),
      seconds: this.seconds.records(now),
      minutes: this.minutes.records(now),
      failed: this.recent.failed,
      slowest: this.recent.slowest(now),
    };
  }

  /** Adds what another has counted. */
  absorb({ meters, seconds, minutes, failed, slowest }: MetricsRecord): void {
    for (const record of meters) {
      (record.name === "" ? this.#unrouted : this.meter(record.name)).absorb(record);
    }
    this.seconds.absorb(seconds);
    this.minutes.absorb(minutes);
    this.recent.absorb(failed, slowest);
  }
}
