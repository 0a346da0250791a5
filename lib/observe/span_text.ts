/**
 * A request that is over as OpenTelemetry's spans, in the JSON of OTLP: one for the whole request, by the
 * semantic conventions for HTTP servers, and one below it for each phase of its way.
 *
 * Strategy: text is put together directly, since it is made for every recorded request; what a route adds
 * is made once. The query is left out, for it may hold secrets, as it is in the log of slow requests.
 */
import type { Endpoint, Exchange } from "../exchange.ts";
import { textOf } from "../protocol/latin1.ts";
import type { Phase } from "../trace.ts";
import type { Done } from "./done.ts";
import type { LoggedRequest } from "./log.ts";
import { hasFailed, METHODS } from "./metrics.ts";
import type { Envelope } from "./span_batch.ts";

/** The route of a request, as far as its spans tell of it. */
export interface TracedRoute {
  readonly config: { readonly name: string; readonly path: string; readonly key: string };
  readonly upstream: string;
}

/** A recorded request that is over; times by `performance.now()`. */
export interface Traced extends Done {
  readonly startedAt: number;
  readonly answeredAt: number;
  readonly endedAt: number;
  readonly route: TracedRoute | undefined;
  readonly logged: LoggedRequest;
  /** Undefined: it was refused before it was understood. */
  readonly exchange: Pick<Exchange, "server" | "scheme" | "hostname"> | undefined;
  readonly connection: { readonly peer: Endpoint; readonly scheme: "http" | "https" };
}

/** Where a span belongs. */
export interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined: it begins the trace. */
  readonly parentId: string | undefined;
  /** Whether the parent is another program's. */
  readonly isRemote: boolean;
}

const KIND = { internal: 1, server: 2 } as const;
const ERROR = 2;
/** Longer texts of a client's are cut: what waits to be sent lies in memory. */
const MAX_TEXT = 1024;

/** Makes a moment of `performance.now()` one of the epoch, in nanoseconds. */
export type Clock = (ms: number) => string;

export function serverSpan(context: SpanContext, done: Traced, clock: Clock): string {
  const { route, status, failure } = done;
  const method = METHODS.includes(done.method) ? done.method : "_OTHER";
  const name = method === "_OTHER" ? "HTTP" : method;
  const failed = hasFailed(done);
  const error = failure ?? (failed ? String(status) : undefined);
  return span(context, {
    name: route === undefined ? name : `${name} ${route.config.path}`,
    kind: KIND.server,
    from: clock(done.startedAt),
    to: clock(done.endedAt),
    attributes: text("http.request.method", method) +
      (method === "_OTHER"
        ? text("http.request.method_original", done.method.slice(0, MAX_TEXT))
        : "") +
      number("http.response.status_code", status) +
      (error === undefined ? "" : text("error.type", error)) +
      (done.bytes === undefined ? "" : number("http.response.body.size", done.bytes)) +
      (route === undefined ? "" : attributesOf(route)) + requestAttributes(done) +
      costAttributes(done),
    failed,
  });
}

export function phaseSpan(context: SpanContext, phase: Phase, clock: Clock): string {
  const { name, from, to, failure } = phase;
  return span(context, {
    name,
    kind: KIND.internal,
    from: clock(from),
    to: clock(to),
    attributes: failure === undefined ? "" : text("error.type", failure),
    failed: failure !== undefined,
  });
}

function requestAttributes({ logged, exchange, connection }: Traced): string {
  const { target, client, headers } = logged;
  const { peer } = connection;
  const [path = ""] = target.split("?", 1);
  const agent = headers.get("user-agent");
  return text("url.scheme", exchange?.scheme ?? connection.scheme) +
    text("url.path", textOf(path.slice(0, MAX_TEXT))) +
    text("client.address", client.address) +
    (client.port > 0 ? number("client.port", client.port) : "") +
    (peer.address === client.address ? "" : text("network.peer.address", peer.address)) +
    (exchange === undefined ? "" : text("server.address", exchange.hostname)) +
    (exchange !== undefined && exchange.server.port > 0
      ? number("server.port", exchange.server.port)
      : "") +
    (agent === null ? "" : text("user_agent.original", textOf(agent.slice(0, MAX_TEXT)))) +
    text("portico.request.id", logged.id);
}

function costAttributes({ ledger }: Traced): string {
  if (ledger === undefined) return "";
  const { receivedBytes, exit, resends } = ledger;
  return (receivedBytes === undefined ? "" : number("http.request.body.size", receivedBytes)) +
    (resends === 0 ? "" : number("http.request.resend_count", resends)) +
    (typeof exit === "number" ? number("process.exit.code", exit) : "") +
    (typeof exit === "string" ? text("portico.process.exit", exit) : "");
}

const ofRoutes = new WeakMap<TracedRoute, string>();

function attributesOf(route: TracedRoute): string {
  const known = ofRoutes.get(route);
  if (known !== undefined) return known;
  const { config: { name, path, key }, upstream } = route;
  const made = text("http.route", path) + (name === path ? "" : text("portico.route", name)) +
    text("portico.kind", key) + (upstream === "" ? "" : text("portico.upstream", upstream));
  ofRoutes.set(route, made);
  return made;
}

interface SpanParts {
  readonly name: string;
  readonly kind: number;
  readonly from: string;
  readonly to: string;
  /** Each with a comma behind it. */
  readonly attributes: string;
  readonly failed: boolean;
}

/** Bits of Span.flags: the W3C flags, and above them whether the parent is known to be remote. */
const SAMPLED = 0x1;
const KNOWS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

function span({ traceId, spanId, parentId, isRemote }: SpanContext, parts: SpanParts): string {
  const flags = SAMPLED | KNOWS_REMOTE | (isRemote ? IS_REMOTE : 0);
  return `{"traceId":"${traceId}","spanId":"${spanId}",` +
    (parentId === undefined ? "" : `"parentSpanId":"${parentId}",`) +
    `"flags":${flags},"name":${JSON.stringify(parts.name)},"kind":${parts.kind},` +
    `"startTimeUnixNano":"${parts.from}","endTimeUnixNano":"${parts.to}",` +
    `"attributes":[${parts.attributes.slice(0, -1)}]` +
    (parts.failed ? `,"status":{"code":${ERROR}}}` : "}");
}

function text(key: string, value: string): string {
  return `{"key":"${key}","value":{"stringValue":${JSON.stringify(value)}}},`;
}

function number(key: string, value: number): string {
  return `{"key":"${key}","value":{"intValue":"${value}"}},`;
}

/** What stands around spans: who sends them. */
export function envelopeOf(
  resource: Readonly<Record<string, string | number>>,
  scope: { readonly name: string; readonly version: string },
): Envelope {
  const attributes = Object.entries(resource).map(([key, value]) =>
    typeof value === "number" ? number(key, value) : text(key, value)
  ).join("").slice(0, -1);
  return {
    head: `{"resourceSpans":[{"resource":{"attributes":[${attributes}]},` +
      `"scopeSpans":[{"scope":${JSON.stringify(scope)},"spans":[`,
    tail: "]}]}]}",
  };
}
