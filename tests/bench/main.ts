/**
 * `deno task bench --all | --only SUITE,… | --smoke`: Portico beside real servers at the same works. See
 * README.md in this folder.
 */
import { parseArgs } from "node:util";
import { which } from "../support/needs.ts";
import { describeMachine } from "./machine.ts";
import { measureAll } from "./measure.ts";
import type { Results, Suite, Work } from "./model.ts";
import { configurationsOf, draw, TITLES, writeResults } from "./output.ts";
import { note } from "./processes.ts";
import { barTable, rowTable } from "./report/table.ts";
import { parseResults } from "./results.ts";
import { smoke } from "./smoke.ts";
import { SUITES } from "./suites/mod.ts";

const USAGE = `Usage: deno task bench --all | --only SUITE,... | --smoke | --draw DIR

  --all            every suite: ${SUITES.map(({ name }) => name).join(", ")}
  --only A,B       these suites
  --smoke          two minutes of ratios, for CI; never fails
  --draw DIR       draw the tables and the chart in DIR anew, from its results.json

  --label A,B      only works with these labels ("hello")
  --connections N  only works with so many connections; a list with commas
  --rounds N       rounds of each work, taken in turn (5)
  --seconds N      of each sample (1)
  --minutes N      about when to be done; later works get fewer rounds (25)
  --mib N          the size of a large body (1024)
  --out DIR        where results and configurations go (a temporary folder)
`;

const { values } = parseArgs({
  args: [...Deno.args],
  options: {
    all: { type: "boolean", default: false },
    only: { type: "string" },
    smoke: { type: "boolean", default: false },
    draw: { type: "string" },
    label: { type: "string" },
    connections: { type: "string" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "1" },
    minutes: { type: "string", default: "25" },
    mib: { type: "string", default: "1024" },
    out: { type: "string" },
  },
});

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function misused(why: string): never {
  note(why);
  print(USAGE);
  Deno.exit(2);
}

/** An option's value; wrk takes whole seconds alone, and a round cannot be halved. */
function whole(name: "rounds" | "seconds" | "minutes" | "mib"): number {
  const value = Number(values[name]);
  return Number.isInteger(value) && value > 0
    ? value
    : misused(`--${name} is a whole number, 1 or more`);
}

function chosen(): readonly Suite[] {
  const names = values.only?.split(",") ?? SUITES.map(({ name }) => name);
  return names.map((name) => {
    const suite = SUITES.find((one) => one.name === name);
    return suite ?? misused(`There is no suite "${name}"`);
  });
}

/** Whether a work is among those that the options name. */
function wanted(_suite: string, { label, connections }: Work): boolean {
  const labels = values.label?.split(",");
  const counts = values.connections?.split(",").map(Number);
  return (labels?.includes(label) ?? true) && (counts?.includes(connections) ?? true);
}

async function run(): Promise<void> {
  const suites = chosen();
  const out = values.out ?? await Deno.makeTempDir({ prefix: "portico-bench-" });
  const machine = describeMachine();
  const options = {
    rounds: whole("rounds"),
    seconds: whole("seconds"),
    minutes: whole("minutes"),
    mib: whole("mib"),
  };
  let configurations = "";
  const { rows, notes } = await measureAll(suites, {
    ...options,
    largeBytes: options.mib * 2 ** 20,
    wanted,
    keep: async (suite, folder) => {
      configurations += await configurationsOf(suite, folder);
    },
  });
  const date = new Date().toISOString().slice(0, 10);
  const results: Results = { date, machine, options, notes, rows };
  await writeResults(out, results, configurations);
  for (const { name, title } of suites) {
    print(`## ${title}\n\n${rowTable(rows.filter(({ suite }) => suite === name))}\n`);
  }
  print(`## Bars\n\n${barTable(rows, TITLES)}\n`);
  note(`results, tables, chart and configurations are in ${out}`);
}

if (values.draw !== undefined) {
  await draw(values.draw, parseResults(await Deno.readTextFile(`${values.draw}/results.json`)));
} else if (which("wrk") === undefined || which("curl") === undefined) {
  note("nothing is measured: wrk and curl make the load, and one is missing");
} else if (values.smoke) {
  await smoke(print);
} else if (values.all || values.only !== undefined) {
  await run();
} else {
  print(USAGE);
}
