/**
 * Distributed traces of requests: takes up a client's trace where it is believed, or begins one; says which
 * requests are recorded, and writes the spans of those that are.
 *
 * Why not OpenTelemetry's own library, nor the runtime's: the first fails without permission to read
 * variables that nobody has set, and takes 80 ms and 30 MiB to load; the second is switched on by variables
 * alone, and costs a small request three times what this does. All that is needed of either is here.
 */
import type { Endpoint } from "../exchange.ts";
import type { Lifeline } from "../lifeline.ts";
import { SERVER_SOFTWARE } from "../protocol/cgi_environ.ts";
import { formatTraceparent, parseTraceContext } from "../protocol/trace_context.ts";
import { type Phase, Trace } from "../trace.ts";
import { SpanExporter } from "./span_exporter.ts";
import { type Clock, envelopeOf, phaseSpan, serverSpan, type Traced } from "./span_text.ts";

export interface TracerOptions {
  /** How many of the traces that begin here are recorded, 0 to 1. */
  readonly sampleRatio: number;
  /** Whose trace is taken up. */
  readonly believes: (peer: Endpoint) => boolean;
}

/** A request that comes in. */
export interface Arrival {
  readonly request: { readonly headers: Headers };
  readonly connection: { readonly peer: Endpoint };
}

class RequestTrace extends Trace {
  constructor(
    readonly traceId: string,
    readonly spanId: string,
    readonly parentId: string | undefined,
    { sampled, tracestate }: { sampled: boolean; tracestate: string | undefined },
  ) {
    super(formatTraceparent(traceId, spanId, sampled), tracestate, sampled);
  }
}

export class Tracer {
  readonly #exporter: SpanExporter;
  readonly #believes: (peer: Endpoint) => boolean;
  readonly #sampleRatio: number;
  readonly #clock = new EpochClock();

  constructor(exporter: SpanExporter, { sampleRatio, believes }: TracerOptions) {
    this.#exporter = exporter;
    this.#believes = believes;
    this.#sampleRatio = sampleRatio;
  }

  begin({ request: { headers }, connection: { peer } }: Arrival): Trace {
    const traceparent = headers.get("traceparent");
    const parent = traceparent !== null && this.#believes(peer)
      ? parseTraceContext(traceparent, headers.get("tracestate"))
      : undefined;
    const traceId = parent?.traceId ?? randomHex(32);
    const sampled = parent?.sampled ?? this.#samples(traceId);
    const tracestate = parent?.tracestate;
    return new RequestTrace(traceId, randomHex(16), parent?.parentId, { sampled, tracestate });
  }

  /** The last digits of an id are random (Trace Context level 2), so that all who sample agree. */
  #samples(traceId: string): boolean {
    return this.#sampleRatio === 1 ||
      parseInt(traceId.slice(-13), 16) < this.#sampleRatio * 2 ** 52;
  }

  /** The request is over, and all is known of it. */
  finish(done: Traced & { readonly lifeline: Lifeline }): void {
    const { trace, handedOverAt } = done.lifeline;
    if (!(trace instanceof RequestTrace) || trace.phases === undefined) return;
    const { traceId, spanId, parentId, phases } = trace;
    if (handedOverAt > 0) phases.push(firstByteOf(done, handedOverAt));
    const spans = 1 + phases.length;
    if (this.#exporter.isFull) return this.#exporter.drop(spans);
    const clock = this.#clock.at(done.endedAt);
    const isRemote = parentId !== undefined;
    let text = serverSpan({ traceId, spanId, parentId, isRemote }, done, clock);
    for (const phase of phases) {
      const context = { traceId, spanId: randomHex(16), parentId: spanId, isRemote: false };
      text += "," + phaseSpan(context, phase, clock);
    }
    this.#exporter.add(text, spans);
  }
}

/** From handing the request over to the head of its answer. */
function firstByteOf({ answeredAt, status, failure }: Traced, from: number): Phase {
  const to = Math.max(from, answeredAt);
  // What breaks off in its body had its head.
  return { name: "first_byte", from, to, failure: status < 400 ? undefined : failure };
}

const CHECK_MS = 10_000;
const MAX_DRIFT_MS = 5;

/** The monotonic clock as time of day, which others set their clocks by: it is looked at now and then. */
class EpochClock {
  #epoch = Date.now() - performance.now();
  #checkedAt = performance.now();
  readonly #toNanoseconds: Clock = (ms) => `${Math.round((this.#epoch + ms) * 1000)}000`;

  at(now: number): Clock {
    if (now - this.#checkedAt > CHECK_MS) {
      this.#checkedAt = now;
      const epoch = Date.now() - performance.now();
      if (Math.abs(epoch - this.#epoch) > MAX_DRIFT_MS) this.#epoch = epoch;
    }
    return this.#toNanoseconds;
  }
}

const random = new Uint8Array(4096);
let digits = "";
let digitsAt = 0;

/** Random digits, drawn many at a time. */
function randomHex(length: number): string {
  if (digitsAt + length > digits.length) {
    digits = crypto.getRandomValues(random).toHex();
    digitsAt = 0;
  }
  return digits.slice(digitsAt, digitsAt += length);
}

export interface ExportOptions {
  readonly endpoint: string;
  readonly serviceName: string;
  /** The variable that holds further fields of its requests; undefined: there are none. */
  readonly headersEnv?: string | undefined;
}

/**
 * Gets ready to send spans.
 * @throws {Error} where the variable is missing, or holds what is no list of fields.
 */
export function openExporter(options: ExportOptions, notice: (message: string) => void) {
  const { endpoint, serviceName, headersEnv } = options;
  const headers = headersEnv === undefined ? new Headers() : readHeaders(headersEnv);
  headers.set("content-type", "application/json");
  const [name, version = ""] = SERVER_SOFTWARE.split("/");
  const envelope = envelopeOf({
    "service.name": serviceName,
    "service.version": version,
    "service.instance.id": crypto.randomUUID(),
    "process.pid": Deno.pid,
    "process.runtime.name": "deno",
    "process.runtime.version": Deno.version.deno,
  }, { name: (name ?? "").toLowerCase(), version });
  return new SpanExporter({ endpoint, headers, envelope, notice });
}

/** As OTEL_EXPORTER_OTLP_HEADERS has them: `name=value,name=value`, values percent-encoded. */
function readHeaders(variable: string): Headers {
  const text = Deno.env.get(variable) ?? "";
  const headers = new Headers();
  try {
    for (const pair of text.split(",").filter((pair) => pair.trim() !== "")) {
      const equals = pair.indexOf("=");
      headers.append(
        pair.slice(0, equals).trim(),
        decodeURIComponent(pair.slice(equals + 1).trim()),
      );
    }
  } catch {
    // What it holds is secret.
    throw new Error(`Cannot read the variable ${variable}: write name=value,name=value`);
  }
  if ([...headers].length === 0) {
    throw new Error(`Cannot know the fields for the collector: set the variable ${variable}`);
  }
  return headers;
}
