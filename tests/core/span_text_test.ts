/** Spans as text: whatever a client sends, what goes to a collector is JSON. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SpanBatch } from "../../lib/observe/span_batch.ts";
import { envelopeOf, phaseSpan, serverSpan, type Traced } from "../../lib/observe/span_text.ts";

const CONTEXT = {
  traceId: "a".repeat(32),
  spanId: "b".repeat(16),
  parentId: undefined,
  isRemote: false,
};
const clock = (ms: number) => `${Math.round(ms * 1000)}000`;

function traced(change: Partial<Traced>, path: string, agent: string | null): Traced {
  const client = { address: "192.0.2.1", port: 0 };
  const headers = new Headers(agent === null ? {} : { "user-agent": agent });
  const logged = { id: "1", method: "GET", target: path, authority: "a", headers, client };
  return {
    id: "1",
    method: "GET",
    target: path,
    status: 200,
    bytes: 10,
    durationMs: 3,
    firstByteMs: 2,
    failure: undefined,
    ledger: undefined,
    startedAt: 1,
    answeredAt: 2,
    endedAt: 4,
    route: undefined,
    logged,
    exchange: undefined,
    connection: { peer: client, scheme: "http" },
    ...change,
  };
}

Deno.test("serverSpan() writes JSON, whatever path and agent are", () => {
  const byte = fc.integer({ min: 1, max: 255 }).filter((code) => code !== 10 && code !== 13);
  const bytes = fc.array(byte).map((codes) => String.fromCharCode(...codes));
  fc.assert(fc.property(bytes, bytes, (path, agent) => {
    const span = JSON.parse(serverSpan(CONTEXT, traced({}, `/${path}`, agent), clock));
    assert.equal(span.startTimeUnixNano, "1000000");
    const keys = span.attributes.map(({ key }: { key: string }) => key);
    assert.ok(keys.includes("url.path") && keys.includes("user_agent.original"));
  }));
});

Deno.test("serverSpan() cuts what is long, and leaves the query out", () => {
  const path = `/${"x".repeat(5000)}?key=secret`;
  const text = serverSpan(CONTEXT, traced({}, path, "y".repeat(5000)), clock);
  assert.ok(text.length < 4000);
  assert.ok(!text.includes("secret"));
});

Deno.test("phaseSpan() tells why a phase came to nothing", () => {
  const phase = { name: "queue", from: 1, to: 2.5 } as const;
  const well = JSON.parse(phaseSpan(CONTEXT, { ...phase, failure: undefined }, clock));
  assert.deepEqual([well.name, well.status, well.attributes], ["queue", undefined, []]);
  assert.equal(well.endTimeUnixNano, "2500000");
  const failed = JSON.parse(phaseSpan(CONTEXT, { ...phase, failure: "queue-timeout" }, clock));
  assert.deepEqual(failed.status, { code: 2 });
  assert.equal(failed.attributes[0].value.stringValue, "queue-timeout");
});

Deno.test("SpanBatch holds what was added, however it is cut, as UTF-8", () => {
  const envelope = envelopeOf({ "service.name": "caf\u00e9", "process.pid": 7 }, {
    name: "portico",
    version: "0",
  });
  const word = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 30 })
    .map((units) => String.fromCharCode(...units));
  fc.assert(fc.property(fc.array(word, { maxLength: 60 }), (short) => {
    // The last is longer than what there is room for at first.
    const texts = [...short, "\u20ac".repeat(10_000)];
    const batch = new SpanBatch(envelope);
    for (const text of texts) batch.add(JSON.stringify(text), 1);
    const all = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(batch.finish()));
    const [{ resource, scopeSpans: [{ spans }] }] = all.resourceSpans;
    assert.deepEqual(spans, texts);
    assert.equal(batch.spans, texts.length);
    assert.equal(resource.attributes[0].value.stringValue, "caf\u00e9");
  }));
});
