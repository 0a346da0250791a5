/** A run as Markdown: the bars, then every row. Pure. */
import type { Results, Row } from "../model.ts";
import { spreadOf } from "../statistics.ts";
import { GROWTH_MIB, growths, judge, sameWork } from "./bars.ts";

type Titles = Readonly<Record<string, string>>;

/** `titles` has the words for each suite's name. */
export function report(results: Results, titles: Titles): string {
  const suites = [...new Set(results.rows.map(({ suite }) => suite))];
  const parts = [
    "# Benchmarks",
    machineOf(results),
    ...results.notes.map((line) => `- ${line}`),
    "## Bars",
    barTable(results.rows, titles),
    ...suites.flatMap((suite) => [
      `## ${titles[suite] ?? suite}`,
      rowTable(results.rows.filter((row) => row.suite === suite)),
    ]),
  ];
  return parts.join("\n\n") + "\n";
}

function machineOf({ date, machine, options }: Results): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const chosen = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  return [
    `${date}; ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB.toFixed(0)} GiB, ` +
    `${machine.kernel}; load before the run ${machine.loadBefore.toFixed(2)}.`,
    `${versions.join(", ")}.`,
    `Medians of the rounds (${chosen.join(", ")}); in brackets the lowest and the highest.`,
  ].join("\n");
}

/** Whether each bar is met, of those that the rows can tell about. */
export function barTable(rows: readonly Row[], titles: Titles): string {
  const where = (suite: string, label: string, ours: string) =>
    `${titles[suite] ?? suite}: ${label}${variantOf(ours, label)}`;
  const verdicts = judge(rows).map(({ bar, ratio, spread, cpuRatio, met }) => [
    where(bar.suite, bar.label, bar.ours),
    String(bar.connections),
    bar.theirs,
    `${ratio.toFixed(2)} (${spread.min.toFixed(2)}-${spread.max.toFixed(2)})`,
    `${bar.suite === "start" ? "at most " : ""}${bar.factor}`,
    met ? "yes" : "no",
    cpuRatio?.toFixed(2) ?? "",
  ]);
  const grown = growths(rows).map(({ suite, label, contender, connections, grownMiB = 0 }) => [
    `${where(suite, label, contender)}: memory`,
    String(connections),
    "itself before",
    `+${grownMiB.toFixed(0)} MiB`,
    `under +${GROWTH_MIB} MiB`,
    grownMiB < GROWTH_MIB ? "yes" : "no",
    "",
  ]);
  const headings = ["work", "connections", "Portico to", "ratio", "bar", "met", "CPU ratio"];
  return markdown(headings, [...verdicts, ...grown]);
}

/** What is special about a contender of ours, unless the label says so: "Portico, isolated". */
function variantOf(ours: string, label: string): string {
  const variant = ours.replace(/^Portico/, "");
  return label.endsWith(variant) ? "" : variant;
}

const HEADINGS = [
  "work",
  "connections",
  "server",
  "rate",
  "ratio",
  "p50 ms",
  "p99 ms",
  "CPU s/1,000",
  "application's",
  "peak MiB",
];

/** Rows of one suite; a ratio is to the first contender of the same work. */
export function rowTable(rows: readonly Row[]): string {
  return markdown(
    HEADINGS,
    rows.map((row) => cellsOf(row, rows.find((one) => sameWork(one, row)))),
  );
}

function cellsOf(row: Row, base: Row = row): string[] {
  const { min, max } = spreadOf(row.rounds);
  const digits = row.value < 100 ? 1 : 0;
  const grown = row.grownMiB === undefined ? "" : ` (+${row.grownMiB.toFixed(0)})`;
  return [
    row.label,
    String(row.connections),
    row.errors === 0 ? row.contender : `${row.contender} (${row.errors} errors)`,
    `${row.value.toFixed(digits)} ${row.unit} (${min.toFixed(digits)}-${max.toFixed(digits)})`,
    base.value === 0 ? "" : (row.value / base.value).toFixed(2),
    row.p50Ms?.toFixed(2) ?? "",
    row.p99Ms?.toFixed(2) ?? "",
    row.cpu?.toFixed(3) ?? "",
    row.upstreamCpu?.toFixed(3) ?? "",
    row.peakMiB === undefined ? "" : row.peakMiB.toFixed(0) + grown,
  ];
}

function markdown(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(headings), line(headings.map(() => "---")), ...rows.map(line)].join("\n");
}
