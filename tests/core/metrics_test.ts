/** What is counted, and how it is written for Prometheus: without a server around it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Exposition } from "../../lib/observe/exposition.ts";
import {
  bucketOf,
  Histogram,
  merged,
  quantile,
  Ring,
  TIME_BOUNDS,
} from "../../lib/observe/histogram.ts";
import type { Done } from "../../lib/observe/done.ts";
import { Metrics } from "../../lib/observe/metrics.ts";
import { readExposition, valueOf } from "../support/exposition.ts";

function done(change: Partial<Done> = {}): Done {
  return {
    id: "1",
    method: "GET",
    target: "/a?b",
    status: 200,
    bytes: 10,
    durationMs: 3,
    firstByteMs: 2,
    failure: undefined,
    ledger: undefined,
    ...change,
  };
}

Deno.test("bucketOf() puts a value on a bound below it, and what is past all behind them", () => {
  assert.equal(bucketOf([1, 2, 4], 0), 0);
  assert.equal(bucketOf([1, 2, 4], 1), 0);
  assert.equal(bucketOf([1, 2, 4], 1.1), 1);
  assert.equal(bucketOf([1, 2, 4], 5), 3);
});

Deno.test("quantile() lies in the bucket of the value that it stands for", () => {
  const times = fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 1 });
  fc.assert(fc.property(times, fc.constantFrom(0.5, 0.95, 0.99), (values, q) => {
    const histogram = new Histogram(TIME_BOUNDS);
    values.forEach((value) => histogram.observe(value));
    const sorted = values.toSorted((a, b) => a - b);
    const exact = sorted[Math.ceil(q * sorted.length) - 1] ?? 0;
    const told = quantile(TIME_BOUNDS, histogram.counts, q) ?? assert.fail("nothing");
    const bucket = bucketOf(TIME_BOUNDS, exact);
    assert.ok(told <= (TIME_BOUNDS[bucket] ?? Infinity) + 1e-9);
    assert.ok(told >= (TIME_BOUNDS[bucket - 1] ?? 0) - 1e-9);
  }));
});

Deno.test("quantile() of nothing is undefined, and past all bounds the last one", () => {
  assert.equal(quantile([1], [0, 0], 0.5), undefined);
  assert.equal(quantile([1], [0, 9], 0.5), 1);
});

Deno.test("Ring forgets what is older than it is long, and shows pauses as pauses", () => {
  const ring = new Ring(3, 1000);
  const requests = (now: number) => ring.list(now).map((period) => period.requests);
  ring.add(10_000, 0, false);
  ring.add(10_999, 1, true);
  ring.add(12_500, 0, false);
  assert.deepEqual(requests(12_999), [2, 0, 1]);
  assert.deepEqual(ring.list(12_999).map(({ failed }) => failed), [1, 0, 0]);
  assert.deepEqual(requests(13_000), [0, 1, 0]);
  assert.deepEqual(requests(99_000), [0, 0, 0]);
  ring.add(13_000, 0, false);
  assert.deepEqual(requests(13_000), [0, 1, 1]);
  assert.deepEqual([...merged(ring.list(13_000).map(({ counts }) => counts)).slice(0, 2)], [2, 0]);
});

Deno.test("Metrics lets no client make up methods", () => {
  const metrics = new Metrics();
  const meter = metrics.meter("a");
  metrics.count(done({ method: "BREW" }), meter);
  metrics.count(done({ method: "_OTHER" }), meter);
  assert.deepEqual([...meter.durations.keys()], [200]);
  assert.equal(meter.durations.get(200)?.count, 2);
});

Deno.test("Metrics blames the gateway for 5xx and answers cut short, not for what clients do", () => {
  const metrics = new Metrics();
  const meter = metrics.meter("a");
  metrics.count(done({ status: 502, failure: "no-head" }), meter);
  metrics.count(done({ failure: "exited" }), meter);
  metrics.count(done({ failure: "client-gone" }), meter);
  metrics.count(done({ status: 404, failure: "no-script" }), meter);
  metrics.count(done(), meter);
  assert.equal(meter.failed, 2);
  assert.equal(meter.failures.size, 4);
  assert.deepEqual(metrics.recent.failed.map(({ failure }) => failure), ["exited", "no-head"]);
});

Deno.test("Recent keeps the slowest fifty, and no query", () => {
  const metrics = new Metrics();
  for (let ms = 1; ms <= 200; ms++) metrics.count(done({ durationMs: (ms * 77) % 201 }));
  const slowest = metrics.recent.slowest(Date.now());
  assert.deepEqual(
    slowest.map(({ durationMs }) => durationMs),
    Array.from({ length: 50 }, (_, at) => 200 - at),
  );
  assert.ok(slowest.every(({ path }) => path === "/a"));
  assert.deepEqual(metrics.recent.slowest(Date.now() + 3_600_000), []);
});

Deno.test("Exposition escapes whatever stands in a label, and it is read back", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (value) => {
    for (const form of ["openmetrics", "plain"] as const) {
      const accept = form === "plain"
        ? "text/plain"
        : "application/openmetrics-text; version=1.0.0";
      const out = new Exposition(accept);
      out.family("a", "counter", "A back\\slash\nand a line");
      out.counter({ value, empty: "" }, 3);
      out.family("b_seconds", "histogram", "B");
      const histogram = new Histogram([0.5, 1]);
      [0.1, 0.7, 3].forEach((one) => histogram.observe(one));
      out.histogram({ value }, histogram);
      out.family("c", "info", "C");
      out.info({ value });
      const families = readExposition(out.end(), form);
      assert.deepEqual(families.map(({ samples }) => samples[0]?.labels["value"]), [
        value,
        value,
        value,
      ]);
      assert.equal(valueOf(families, "a_total", { value }), 3);
      assert.equal(valueOf(families, "b_seconds_bucket", { le: "1.0" }), 2);
    }
  }));
});
