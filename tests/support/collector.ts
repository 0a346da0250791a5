/**
 * A collector of spans for tests: takes OTLP over HTTP in JSON, and reads it by the protocol's own rules
 * (opentelemetry-proto, JSON mapping), so that what it does not understand fails the test.
 */
import assert from "node:assert/strict";
import { eventually } from "./gateway.ts";

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** 1 internal, 2 server. */
  readonly kind: number;
  /** Nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly failed: boolean;
  /** Of whoever sent it. */
  readonly resource: Readonly<Record<string, string | number>>;
}

export interface Collector extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly base: string;
  readonly spans: readonly Span[];
  readonly posts: readonly { readonly path: string; readonly headers: Headers }[];
  /** Answers from now on, before anything is read; null: it takes everything. */
  respond: (() => Response | Promise<Response>) | null;
  /** Waits for the server span of a request, and gives it with those below it by name. */
  request(path: string): Promise<{ readonly server: Span; readonly below: Map<string, Span> }>;
}

export function startCollector(): Collector {
  const spans: Span[] = [];
  const posts: { path: string; headers: Headers }[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    posts.push({ path: new URL(request.url).pathname, headers: request.headers });
    const refusal = await collector.respond?.();
    if (refusal !== undefined) {
      await request.body?.cancel();
      return refusal;
    }
    assert.equal(request.method, "POST");
    assert.equal(request.headers.get("content-type"), "application/json");
    spans.push(...readRequest(await request.json()));
    return Response.json({ partialSuccess: {} });
  });
  const collector: Collector = {
    base: `http://127.0.0.1:${server.addr.port}`,
    spans,
    posts,
    respond: null,
    async request(path) {
      const find = () => spans.find(({ attributes }) => attributes["url.path"] === path);
      await eventually(() => find() !== undefined, 15_000, `the span of ${path}`);
      const found = find() ?? assert.fail("no span");
      const below = spans.filter(({ parentSpanId }) => parentSpanId === found.spanId);
      return { server: found, below: new Map(below.map((span) => [span.name, span])) };
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
  return collector;
}

type Json = Readonly<Record<string, unknown>>;

function readRequest(message: Json): Span[] {
  return list(message.resourceSpans).flatMap((one) => {
    const resource = attributesOf(map(one.resource).attributes);
    return list(one.scopeSpans).flatMap((scoped) => {
      assert.equal(map(scoped.scope).name, "portico");
      return list(scoped.spans).map((span) => readSpan(span, resource));
    });
  });
}

function readSpan(span: Json, resource: Span["resource"]): Span {
  const parent = span.parentSpanId;
  return {
    traceId: matching(span.traceId, /^(?!0+$)[0-9a-f]{32}$/),
    spanId: matching(span.spanId, /^(?!0+$)[0-9a-f]{16}$/),
    parentSpanId: parent === undefined ? undefined : matching(parent, /^(?!0+$)[0-9a-f]{16}$/),
    name: matching(span.name, /./),
    kind: Number(span.kind),
    start: BigInt(matching(span.startTimeUnixNano, /^\d{19}$/)),
    end: BigInt(matching(span.endTimeUnixNano, /^\d{19}$/)),
    attributes: attributesOf(span.attributes),
    failed: span.status !== undefined && map(span.status).code === 2,
    resource,
  };
}

/** AnyValue: a text, or a 64-bit number, which JSON has as a text. */
function attributesOf(value: unknown): Span["attributes"] {
  const pairs = list(value).map(({ key, value }) => {
    const { stringValue, intValue } = map(value);
    if (typeof stringValue === "string") return [String(key), stringValue] as const;
    return [String(key), Number(matching(intValue, /^-?\d+$/))] as const;
  });
  assert.equal(new Set(pairs.map(([key]) => key)).size, pairs.length, "keys are unique");
  return Object.fromEntries(pairs);
}

function map(value: unknown): Json {
  assert.ok(typeof value === "object" && value !== null);
  return { ...value };
}

function list(value: unknown): readonly Json[] {
  assert.ok(Array.isArray(value));
  return value.map(map);
}

function matching(value: unknown, pattern: RegExp): string {
  assert.ok(
    typeof value === "string" && pattern.test(value),
    `${JSON.stringify(value)} ${pattern}`,
  );
  return value;
}
