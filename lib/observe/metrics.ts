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
import { bucketOf, Histogram, Ring, SIZE_BOUNDS, TIME_BOUNDS } from "./histogram.ts";
import { Recent } from "./recent.ts";

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
    let durations = this.durations.get(key);
    if (durations === undefined) {
      durations = new Histogram(TIME_BOUNDS);
      this.durations.set(key, durations);
    }
    durations.observe(done.durationMs / 1000, bucket);
    this.firstByte.observe(done.firstByteMs / 1000);
    if (done.bytes !== undefined) this.sent.observe(done.bytes);
    if (failure !== undefined) increase(this.failures, failure);
    if (ledger !== undefined) this.#countCost(ledger);
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

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** Whether the gateway or what is behind it is to blame: no client is, nor one that has left. */
export function hasFailed({ status, failure }: Pick<Done, "status" | "failure">): boolean {
  return status >= 500 || (status < 400 && failure !== undefined && failure !== "client-gone");
}

export class Metrics {
  /** By Date.now(). */
  readonly startedAt = Date.now();
  readonly seconds = new Ring(60, 1000);
  readonly minutes = new Ring(60, 60_000);
  readonly recent = new Recent();
  /** Outlive a reload, for counters must not fall. */
  readonly #routes = new Map<string, RouteMeter>();
  readonly #unrouted = new RouteMeter("");

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
}
