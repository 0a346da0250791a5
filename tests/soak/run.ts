/**
 * The soak: a warm-up, a look at what the gateway takes when nobody asks, the crowd and its disturbances for
 * so long, and another look. What must not happen is told as faults.
 */
import { eventually } from "../support/gateway.ts";
import { type Crowd, wander } from "./clients.ts";
import { disturb } from "./disturbances.ts";
import { Meter, type Sample, slopeOf } from "./meter.ts";
import { openSite, type Site } from "./site.ts";
import { Tally, Weather } from "./tally.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly clients: number;
  /** Of each client, between two requests, on average. */
  readonly pauseMs: number;
  readonly disturbEveryMs: number;
  /** Whether there is enough time for memory to tell something. */
  readonly judgesMemory: boolean;
  tell(line: string): void;
}

export interface Verdict {
  readonly lines: readonly string[];
  /** Empty: all is well. */
  readonly faults: readonly string[];
}

const SAMPLE_MS = 5000;
const MAX_SLOPE = 2 ** 20;
/** What two looks at a gateway at rest may differ by: connections that pools keep. */
const SLACK = 8;

export async function soak(options: SoakOptions): Promise<Verdict> {
  const { tell } = options;
  const tally = new Tally();
  await using site = await openSite();
  tell(`gateway ${site.gateway.pid} on ${site.base}, status on ${site.admin}`);
  await phase(site, new Tally(), { ...options, seconds: options.warmUpSeconds });
  using meter = new Meter(site.gateway.pid, SAMPLE_MS);
  const before = await rest(meter);
  const from = meter.samples.length;
  const progress = setInterval(() => tell(progressLine(meter, tally)), 60_000);
  const turns = await phase(site, tally, options).finally(() => clearInterval(progress));
  const load = meter.samples.slice(from);
  const after = await rest(meter, before);
  site.gateway.signal("SIGTERM");
  const { code, err } = await site.gateway.ended;
  const faults = [
    ...tally.faults,
    ...growth(before, after),
    ...(code === 0 ? [] : [`the gateway ended with status ${code}`]),
    ...Array.from(err.matchAll(/.*(?:Unhandled rejection|Uncaught error).*/g), ([line]) => line),
  ];
  const slope = slopeOf(load.slice(Math.floor(load.length / 3)));
  if (options.judgesMemory && slope > MAX_SLOPE) {
    faults.push(`memory goes up: ${mib(slope)} a minute`);
  }
  return { lines: summary({ tally, turns, before, after, slope }), faults };
}

/** The crowd at work for a while. Gives how often it was disturbed. */
async function phase(site: Site, tally: Tally, options: SoakOptions): Promise<number> {
  const { seconds, clients, pauseMs, disturbEveryMs } = options;
  const deadline = performance.now() + 1000 * seconds;
  let failed = false;
  const isOver = () => failed || performance.now() > deadline;
  const weather = new Weather();
  using http = Deno.createHttpClient({ poolMaxIdlePerHost: clients });
  const crowd: Crowd = { site, tally, weather, http };
  const wandering = Array.from({ length: clients }, () => wander(crowd, isOver, pauseMs));
  try {
    return await disturb(site, weather, { isOver, everyMs: disturbEveryMs });
  } finally {
    failed = true;
    await Promise.all(wandering);
  }
}

/** Nobody asks: connections and programs that were needed go. `before`: until it is as it was then. */
async function rest(meter: Meter, before?: Sample): Promise<Sample> {
  // Idle connections to origins end after four seconds, those to Python processes after thirty.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  if (before !== undefined) {
    await eventually(() => growth(before, meter.look()).length === 0, 45_000).catch(() => {});
  }
  return meter.look();
}

function growth(before: Sample, after: Sample): string[] {
  const grown = (name: "descriptors" | "children") =>
    after[name] > before[name] + SLACK
      ? [`${name} went up: ${before[name]} at first, ${after[name]} in the end`]
      : [];
  return [...grown("descriptors"), ...grown("children")];
}

interface Outcome {
  readonly tally: Tally;
  readonly turns: number;
  readonly before: Sample;
  readonly after: Sample;
  readonly slope: number;
}

function summary({ tally, turns, before, after, slope }: Outcome): string[] {
  const change = (name: "descriptors" | "children") => `${before[name]} -> ${after[name]} ${name}`;
  return [
    ...tally.lines(),
    `${turns} disturbances; at rest ${change("descriptors")}, ${change("children")}, ` +
    `${mib(before.bytes)} -> ${mib(after.bytes)}; under load ${
      mib(slope)
    } a minute in the last two thirds`,
  ];
}

function progressLine({ samples }: Meter, tally: Tally): string {
  const { bytes = 0, descriptors = 0, children = 0 } = samples.at(-1) ?? {};
  const counts = `${tally.of("whole")} whole, ${tally.of("disturbed")} disturbed`;
  const bad = `${tally.of("lost")} lost, ${tally.of("mixed")} mixed up`;
  return `${counts}, ${bad}; ${mib(bytes)}, ${descriptors} descriptors, ${children} children`;
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)} MiB`;
}
