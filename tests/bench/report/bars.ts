/** What Portico is meant to reach beside its peers, and what it has reached. Pure. */
import type { Row, Unit } from "../model.ts";
import { pairedRatios, type Spread, spreadOf } from "../statistics.ts";

export interface Bar {
  readonly suite: string;
  readonly label: string;
  readonly connections: number;
  readonly ours: string;
  readonly theirs: string;
  /** The least ratio of rates, or the greatest of times. */
  readonly factor: number;
}

/** One bar for each number of connections. */
function bar(
  where: string,
  connections: readonly number[],
  theirs: string,
  factor: number,
  ours = "Portico",
): readonly Bar[] {
  const [suite = "", label = ""] = where.split(": ");
  return connections.map((count) => ({ suite, label, connections: count, ours, theirs, factor }));
}

export const BARS: readonly Bar[] = [
  ...bar("fastcgi: hello", [16], "nginx keep-alive", 0.9),
  ...bar("fastcgi: hello", [64, 256], "nginx keep-alive", 1.1),
  ...bar("fastcgi: hello", [16, 64], "nginx", 1),
  ...bar("fastcgi: hello", [16, 64], "Caddy", 2),
  ...bar("fastcgi: 1 GiB down", [1], "nginx keep-alive", 0.9),
  ...bar("fastcgi: 1 GiB up", [1], "nginx keep-alive", 0.9),
  ...bar(
    "fastcgi: 1 GiB up, streamed",
    [1],
    "nginx keep-alive, streamed",
    0.9,
    "Portico, streamed",
  ),
  ...bar("php: hello", [16], "nginx keep-alive", 0.9),
  ...bar("php: hello", [64], "nginx keep-alive", 1),
  ...bar("php: hello", [16, 64], "Caddy", 3),
  ...bar("cgi: hello, C", [16], "lighttpd mod_cgi", 1.1),
  ...bar("cgi: hello, C", [16], "Apache mod_cgid", 1.5),
  ...bar("wsgi: hello", [16], "bare Deno.serve", 0.75),
  ...bar("wsgi: hello", [16], "gunicorn, Python", 5),
  ...bar("wsgi: hello", [16], "bare Deno.serve", 0.85, "Portico, fetch()"),
  ...bar("wsgi: hello", [16], "bare Deno.serve", 0.25, "Portico, isolated"),
  ...bar("python: hello", [16], "gunicorn sync", 1.3),
  ...bar("python: hello", [16], "nginx + gunicorn sync", 1.6),
  ...bar("python: hello", [16], "uWSGI --http", 0.8),
  ...bar("uwsgi: hello", [16], "nginx", 0.8),
  ...bar("uwsgi: hello", [64], "nginx", 1),
  ...bar("static: 100 KiB", [16, 64], "nginx", 0.6),
  ...bar("static: 100 KiB", [16, 64], "Caddy", 1),
  ...bar("proxy: hello", [16, 64], "Caddy", 1),
  ...bar("cache: hello", [16, 64], "nginx fastcgi_cache", 1),
  ...bar("routes: hello", [16], "Portico, 10 routes", 0.95, "Portico, 1,000 routes"),
  ...bar("start: start", [1], "bare Deno.serve", 3),
];

export interface Verdict {
  readonly bar: Bar;
  readonly ratio: number;
  /** The lowest and the highest of the rounds' own ratios. */
  readonly spread: Spread;
  readonly cpuRatio: number | undefined;
  readonly met: boolean;
}

/** What we take of CPU for the same work: less is better, and it does not depend on the neighbours. */
function cpuRatio(ours: Row, theirs: Row): number | undefined {
  return ours.cpu === undefined || !theirs.cpu ? undefined : ours.cpu / theirs.cpu;
}

/** The bars that the rows can tell about. */
export function judge(rows: readonly Row[], bars: readonly Bar[] = BARS): readonly Verdict[] {
  return bars.flatMap((bar) => {
    const find = (contender: string) =>
      rows.find((row) =>
        row.suite === bar.suite && row.label === bar.label &&
        row.connections === bar.connections && row.contender === contender
      );
    const ours = find(bar.ours);
    const theirs = find(bar.theirs);
    if (ours === undefined || theirs === undefined || theirs.value === 0) return [];
    const ratio = ours.value / theirs.value;
    const met = ours.unit === "ms" ? ratio <= bar.factor : ratio >= bar.factor;
    const spread = spreadOf(pairedRatios(ours.rounds, theirs.rounds));
    return [{ bar, ratio, spread, met, cpuRatio: cpuRatio(ours, theirs) }];
  });
}

/** How far the memory of a process may grow while large bodies pass through it. */
export const GROWTH_MIB = 16;
const GROWN_AT = ["fastcgi: 1 GiB down", "fastcgi: 1 GiB up", "fastcgi: 1 GiB up, streamed"];

/** What it grew by, where bodies of the size that the bars speak of were sent. */
export function growths(rows: readonly Row[]): readonly Row[] {
  return rows.filter(({ suite, label, contender }) =>
    GROWN_AT.includes(`${suite}: ${label}`) && contender.startsWith("Portico")
  );
}

/** Portico at one work beside the best of the others. */
export interface Standing {
  readonly suite: string;
  readonly label: string;
  readonly connections: number;
  readonly unit: Unit;
  readonly best: string;
  /** Above 1: Portico is ahead, also where less is better. */
  readonly ratio: number;
  readonly spread: Spread;
  readonly cpuRatio: number | undefined;
}

/** How Portico, as it comes, stands to the best peer of each work. */
export function standings(rows: readonly Row[]): readonly Standing[] {
  return rows.filter(({ contender }) => contender === "Portico").flatMap((ours) => {
    const peers = rows.filter((row) => sameWork(row, ours) && isPeer(row.contender));
    const less = ours.unit === "ms";
    const [best] = peers.filter(({ value }) => value > 0)
      .sort((a, b) => less ? a.value - b.value : b.value - a.value);
    if (best === undefined || ours.value === 0) return [];
    const [above, below] = less ? [best, ours] : [ours, best];
    return [{
      suite: ours.suite,
      label: ours.label,
      connections: ours.connections,
      unit: ours.unit,
      best: best.contender,
      ratio: above.value / below.value,
      spread: spreadOf(pairedRatios(above.rounds, below.rounds)),
      cpuRatio: cpuRatio(ours, best),
    }];
  });
}

export function sameWork(a: Row, b: Row): boolean {
  return a.suite === b.suite && a.label === b.label && a.connections === b.connections;
}

/** Others with as many workers. */
function isPeer(contender: string): boolean {
  return !contender.startsWith("Portico") && !contender.includes("2 workers");
}
