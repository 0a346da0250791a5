/**
 * Two minutes of ratios for CI: Portico to nginx and to a bare `Deno.serve`, a few rounds of short
 * samples. It tells of a change that made something slow; it is no gate, for the machine is shared.
 */
import { measureAll } from "./measure.ts";
import { standings } from "./report/bars.ts";
import { SUITES } from "./suites/mod.ts";

interface Smoked {
  readonly label: string;
  /** Beside Portico. */
  readonly peer: string;
}

/** One work of each of these suites, at 16 connections. */
const SMOKED: Readonly<Record<string, Smoked>> = {
  wsgi: { label: "hello", peer: "bare Deno.serve" },
  fastcgi: { label: "hello", peer: "nginx keep-alive" },
  uwsgi: { label: "hello", peer: "nginx" },
  static: { label: "100 KiB", peer: "nginx" },
  proxy: { label: "hello", peer: "nginx keep-alive" },
  cache: { label: "hello", peer: "nginx fastcgi_cache" },
};
const CONNECTIONS = 16;

/** Prints the ratios. Whatever goes wrong is told, and is no failure. */
export async function smoke(print: (line: string) => void): Promise<void> {
  try {
    const suites = SUITES.filter(({ name }) => name in SMOKED);
    const { rows } = await measureAll(suites, {
      rounds: 5,
      seconds: 1,
      minutes: 1.6,
      largeBytes: 2 ** 20,
      wanted: (suite, work) =>
        work.label === SMOKED[suite]?.label && work.connections === CONNECTIONS,
      takes: (suite, contender) => ["Portico", SMOKED[suite]?.peer].includes(contender),
    });
    for (const { suite, label, best, ratio, spread, cpuRatio } of standings(rows)) {
      const rounds = `${spread.min.toFixed(2)}-${spread.max.toFixed(2)}`;
      const cpu = cpuRatio === undefined ? "" : `, for ${cpuRatio.toFixed(2)} times the CPU`;
      print(`bench: ${suite}, ${label}: ${ratio.toFixed(2)} times ${best} (${rounds})${cpu}`);
    }
  } catch (error) {
    print(`bench: nothing was measured: ${error}`);
  }
}
