/**
 * Traces as a table wants them: whose are taken up, and where spans are sent. What traces nothing is loaded
 * for those who want them alone; what sends is shared, so that a reload loses no span.
 */
import type { ServerOptions, TracesOptions } from "./config/table.ts";
import type { Endpoint } from "./exchange.ts";
import type { Shared } from "./handler.ts";
import type { Log } from "./observe/log.ts";
import type { SpanExporter } from "./observe/span_exporter.ts";
import type { Tracer } from "./observe/tracer.ts";
import { peersOf, readRanges } from "./protocol/forwarding.ts";
import type { Shares } from "./shares.ts";

export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer;
  readonly exporter: SpanExporter;
}

/** Undefined: nobody traces. */
export async function openTracing(
  { traces, trustedProxies }: ServerOptions,
  { log, shares }: { readonly log: Log; readonly shares: Shares },
): Promise<Tracing | undefined> {
  if (traces === undefined) return undefined;
  const { openExporter, Tracer } = await import("./observe/tracer.ts");
  const { endpoint, serviceName, headersEnv, sampleRatio } = traces;
  const key = `traces ${JSON.stringify({ endpoint, serviceName, headersEnv })}`;
  const notice = (message: string) => log.notice(message);
  const shared: Shared<SpanExporter> = await shares.share(
    key,
    // A table that names no variable, or none that is set, fails by a rejection too.
    // deno-lint-ignore require-await
    async () => openExporter({ endpoint, serviceName, headersEnv }, notice),
  );
  const believes = believer(traces, trustedProxies);
  return {
    tracer: new Tracer(shared.value, { sampleRatio, believes }),
    exporter: shared.value,
    [Symbol.asyncDispose]: () => shared[Symbol.asyncDispose](),
  };
}

function believer(
  { acceptFrom }: TracesOptions,
  trustedProxies: readonly string[],
): (peer: Endpoint) => boolean {
  if (acceptFrom === "trustedProxies") return peersOf(readRanges(trustedProxies));
  return () => acceptFrom === "everybody";
}
