/**
 * Everything that is counted, as Prometheus reads it. Names are OpenTelemetry's semantic conventions for
 * HTTP servers in Prometheus' spelling, and `portico_` for what they have no name for. `http_route` is
 * the route's name: its path unless the table says otherwise.
 */
import { Exposition } from "./exposition.ts";
import type { Histogram } from "./histogram.ts";
import { METHODS, type Metrics, type RouteMeter } from "./metrics.ts";
import type { StatusOfRoute, Survey } from "./survey.ts";

export interface Scraped {
  readonly contentType: string;
  readonly text: string;
}

/** `accept`: what the scraper understands. */
export function scrape(metrics: Metrics, survey: Survey, accept: string | null): Scraped {
  const out = new Exposition(accept);
  writeServer(out, metrics, survey);
  writeRequests(out, metrics.meters);
  writeCosts(out, metrics.meters);
  const { statuses } = survey;
  writePools(out, statuses);
  writeUpstreams(out, statuses);
  writeProcesses(out, statuses);
  writeCaches(out, survey);
  if (survey.spans !== undefined) writeSpans(out, survey.spans);
  writeWorkers(out, survey);
  return { contentType: out.contentType, text: out.end() };
}

function writeSpans(out: Exposition, { counts, waiting }: NonNullable<Survey["spans"]>): void {
  out.family(
    "portico_trace_spans",
    "counter",
    "Spans of recorded requests, by what became of them.",
  );
  out.counter({ outcome: "exported" }, counts.exported);
  out.counter({ outcome: "dropped" }, counts.dropped);
  out.counter({ outcome: "refused" }, counts.refused);
  out.family("portico_trace_waiting_spans", "gauge", "Spans that wait to be sent.");
  out.gauge({}, waiting);
}

function writeServer(
  out: Exposition,
  metrics: Metrics,
  { ready, uncaught, routes, memoryBytes }: Survey,
): void {
  out.family("process_start_time_seconds", "gauge", "When counting began, in seconds since 1970.");
  out.gauge({}, metrics.startedAt / 1000);
  out.family("process_resident_memory_bytes", "gauge", "Resident memory of the gateway.");
  out.gauge({}, memoryBytes);
  out.family("portico_ready", "gauge", "1 while new requests are welcome, 0 before the end.");
  out.gauge({}, ready ? 1 : 0);
  out.family("portico_uncaught_errors", "counter", "Errors that nobody caught; the log has them.");
  out.counter({}, uncaught);
  out.family("portico_route", "info", "The table, as the file has it.");
  for (const { summary: { name, path, host, kind, target } } of routes) {
    out.info({ http_route: name, path, host, kind, target });
  }
}

function writeRequests(out: Exposition, meters: readonly RouteMeter[]): void {
  out.family(
    "http_server_request_duration_seconds",
    "histogram",
    "From a request's arrival to the end of its answer.",
  );
  for (const meter of meters) {
    for (const [key, durations] of meter.durations) {
      out.histogram({
        http_route: meter.name,
        http_request_method: METHODS[Math.floor(key / 1000)],
        http_response_status_code: key % 1000,
      }, durations);
    }
  }
  out.family("http_server_active_requests", "gauge", "Requests under way.");
  for (const { name, active } of meters) if (name !== "") out.gauge({ http_route: name }, active);
  out.family("portico_request_failures", "counter", "Requests that failed, by cause.");
  for (const { name, failures } of meters) {
    for (const [error_type, count] of failures) {
      out.counter({ http_route: name, error_type }, count);
    }
  }
}

const COSTS: readonly (readonly [string, string, (meter: RouteMeter) => Histogram])[] = [
  [
    "http_server_request_body_size_bytes",
    "Bytes of request bodies that arrived.",
    ({ received }) => received,
  ],
  ["http_server_response_body_size_bytes", "Bytes of response bodies.", ({ sent }) => sent],
  [
    "portico_first_byte_seconds",
    "From a request's arrival to the head of its answer.",
    ({ firstByte }) => firstByte,
  ],
  [
    "portico_queue_seconds",
    "Time that requests waited for a process or a connection, of those that did.",
    ({ queue }) => queue,
  ],
  [
    "portico_connect_seconds",
    "Time to connect to the upstream, of requests that had to.",
    ({ connect }) => connect,
  ],
  [
    "portico_spawn_seconds",
    "Time to start a process, of requests that had one started.",
    ({ spawn }) => spawn,
  ],
];

function writeCosts(out: Exposition, meters: readonly RouteMeter[]): void {
  for (const [name, help, of] of COSTS) {
    out.family(name, "histogram", help);
    for (const meter of meters) {
      const histogram = of(meter);
      if (histogram.count > 0) out.histogram({ http_route: meter.name }, histogram);
    }
  }
  out.family("portico_request_resends", "counter", "How often a request was sent again.");
  for (const { name, resends } of meters) {
    if (resends > 0) out.counter({ http_route: name }, resends);
  }
  out.family("portico_program_exits", "counter", "How programs ended: exit code, or signal.");
  for (const { name, exits } of meters) {
    for (const [exit, count] of exits) out.counter({ http_route: name, exit }, count);
  }
}

function writePools(out: Exposition, statuses: readonly StatusOfRoute[]): void {
  out.family("portico_pool_connections", "gauge", "Connections, processes or threads of a route.");
  for (const { route, pool } of statuses) {
    if (pool === undefined) continue;
    out.gauge({ http_route: route, state: "busy" }, pool.busy);
    out.gauge({ http_route: route, state: "idle" }, pool.idle);
  }
  out.family("portico_pool_max_connections", "gauge", "How many there may be at once.");
  for (const { route, pool } of statuses) if (pool) out.gauge({ http_route: route }, pool.max);
  out.family("portico_pool_waiting_requests", "gauge", "Requests that wait for one.");
  for (const { route, pool } of statuses) if (pool) out.gauge({ http_route: route }, pool.waiting);
}

/** Of upstreams with several addresses each has its own numbers. */
function writeUpstreams(out: Exposition, statuses: readonly StatusOfRoute[]): void {
  const all = statuses.flatMap(({ route, upstreams = [] }) =>
    upstreams.map((one) => ({ ...one, labels: { http_route: route, upstream: one.name } }))
  );
  out.family("portico_upstream_requests", "counter", "Requests that an address was given.");
  for (const { labels, requests } of all) out.counter(labels, requests);
  out.family("portico_upstream_failures", "counter", "How often it was gone, or broke off early.");
  for (const { labels, failures } of all) out.counter(labels, failures);
  out.family("portico_upstream_up", "gauge", "0 while an address is left out after failures.");
  for (const { labels, up } of all) if (up !== undefined) out.gauge(labels, up ? 1 : 0);
}

function writeProcesses(out: Exposition, statuses: readonly StatusOfRoute[]): void {
  out.family("portico_processes", "gauge", "Processes that are kept running.");
  for (const { route, processes } of statuses) {
    if (processes === undefined) continue;
    for (const state of ["ready", "starting", "leaving"]) {
      const count = processes.filter((process) => process.state === state).length;
      out.gauge({ http_route: route, state }, count);
    }
  }
  out.family("portico_process_restarts", "counter", "How often one was started again.");
  for (const { route, restarts } of statuses) {
    if (restarts !== undefined) out.counter({ http_route: route }, restarts);
  }
}

function writeCaches(out: Exposition, { caches }: Survey): void {
  out.family("portico_cache_entries", "gauge", "Stored answers.");
  for (const { route, entries } of caches) out.gauge({ http_route: route }, entries);
  out.family("portico_cache_bytes", "gauge", "Bytes that stored answers take up.");
  for (const { route, bytes } of caches) out.gauge({ http_route: route }, bytes);
  out.family("portico_cache_max_bytes", "gauge", "Bytes that they may take up.");
  for (const { route, maxBytes } of caches) out.gauge({ http_route: route }, maxBytes);
  out.family("portico_cache_lookups", "counter", "Requests that were looked up.");
  for (const { route, lookUps } of caches) out.counter({ http_route: route }, lookUps);
  out.family("portico_cache_hits", "counter", "Requests that a stored answer served.");
  for (const { route, hits } of caches) out.counter({ http_route: route }, hits);
  out.family("portico_cache_forwarded", "counter", "The others, by Cache-Status (RFC 9211).");
  for (const { route, forwarded } of caches) {
    for (const [why, count] of Object.entries(forwarded)) {
      out.counter({ http_route: route, why }, count);
    }
  }
  const stores = caches.flatMap(({ route, store }) => store ? [{ route, ...store }] : []);
  if (stores.length === 0) return;
  out.family("portico_cache_store_entries", "gauge", "Stored answers on disk.");
  for (const { route, entries } of stores) out.gauge({ http_route: route }, entries);
  out.family("portico_cache_store_bytes", "gauge", "Bytes that they take up there.");
  for (const { route, bytes } of stores) out.gauge({ http_route: route }, bytes);
  out.family("portico_cache_store_max_bytes", "gauge", "Bytes that they may take up there.");
  for (const { route, maxBytes } of stores) out.gauge({ http_route: route }, maxBytes);
}

function writeWorkers(out: Exposition, { workers }: Survey): void {
  if (workers === undefined) return;
  out.family("portico_workers", "gauge", "Workers, each a whole gateway.");
  for (const state of ["ready", "starting"]) {
    out.gauge({ state }, workers.filter((worker) => worker.state === state).length);
  }
  out.family("portico_worker_restarts", "counter", "How often one that ended was replaced.");
  for (const { number, restarts } of workers) out.counter({ worker: number }, restarts);
  out.family("portico_worker_memory_bytes", "gauge", "Resident memory of a worker.");
  for (const { number, memoryBytes } of workers) out.gauge({ worker: number }, memoryBytes);
}
