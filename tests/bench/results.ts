/** results.json read back: what the chart needs of it is checked, so that a foreign file is an error. */
import * as v from "valibot";
import type { Results } from "./model.ts";

const number = v.number();
const maybe = v.exactOptional(v.number());

const ROW = v.object({
  suite: v.string(),
  label: v.string(),
  connections: number,
  contender: v.string(),
  unit: v.picklist(["requests/s", "MiB/s", "ms"]),
  value: number,
  rounds: v.array(number),
  p50Ms: maybe,
  p99Ms: maybe,
  cpu: maybe,
  upstreamCpu: maybe,
  peakMiB: maybe,
  grownMiB: maybe,
  errors: number,
});

const RESULTS = v.object({
  date: v.string(),
  machine: v.object({
    cpu: v.string(),
    cores: number,
    memoryGiB: number,
    kernel: v.string(),
    loadBefore: number,
    versions: v.record(v.string(), v.string()),
  }),
  options: v.record(v.string(), v.union([v.string(), number])),
  notes: v.array(v.string()),
  rows: v.array(ROW),
});

export function parseResults(text: string): Results {
  return v.parse(RESULTS, JSON.parse(text));
}
