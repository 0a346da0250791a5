/** Samples become a row: medians of what was measured. Pure. */
import type { Row, Sample, Unit, Work } from "./model.ts";
import { medianOf, medianOfSome } from "./statistics.ts";

const UNITS: Readonly<Record<Work["type"], Unit>> = {
  rate: "requests/s",
  down: "MiB/s",
  up: "MiB/s",
  start: "ms",
};

/** Who did what, and what the memory of it was. */
export type Done = Pick<Row, "suite" | "contender" | "peakMiB" | "grownMiB">;

export function toRow(done: Done, work: Work, samples: readonly Sample[]): Row {
  const median = (pick: (sample: Sample) => number | undefined) => medianOfSome(samples.map(pick));
  const figures = {
    p50Ms: median(({ p50Ms }) => p50Ms),
    p99Ms: median(({ p99Ms }) => p99Ms),
    cpu: median(({ cpu }) => cpu),
    upstreamCpu: median(({ upstreamCpu }) => upstreamCpu),
  };
  const known = Object.entries(figures).filter(([, value]) => value !== undefined);
  return {
    ...done,
    label: work.label,
    connections: work.connections,
    unit: UNITS[work.type],
    value: medianOf(samples.map(({ value }) => value)),
    rounds: samples.map(({ value }) => value),
    ...Object.fromEntries(known),
    errors: samples.reduce((sum, { errors }) => sum + errors, 0),
  };
}
