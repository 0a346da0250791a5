/** What a run becomes: verdicts, tables, the chart, and results read back. */
import assert from "node:assert/strict";
import type { Results, Row } from "../model.ts";
import { parseResults } from "../results.ts";
import { type Bar, judge, standings } from "./bars.ts";
import { chart } from "./chart.ts";
import { barTable, report, rowTable } from "./table.ts";

const TITLES = { fastcgi: "FastCGI", start: "Start" };

function rowOf(contender: string, rounds: readonly number[], more: Partial<Row> = {}): Row {
  return {
    suite: "fastcgi",
    label: "hello",
    connections: 16,
    contender,
    unit: "requests/s",
    value: rounds[0] ?? 0,
    rounds,
    errors: 0,
    ...more,
  };
}

const NGINX = rowOf("nginx keep-alive", [1000, 1100], { cpu: 0.02, peakMiB: 8, grownMiB: 0 });
const CADDY = rowOf("Caddy", [400, 420]);
const OURS = rowOf("Portico", [900, 1210], { p50Ms: 0.5, p99Ms: 1.25, cpu: 0.031 });
const START = { suite: "start", label: "start", connections: 1, unit: "ms" } as const;

function barOf(theirs: string, factor: number, more: Partial<Bar> = {}): Bar {
  const { suite, label, connections, contender: ours } = OURS;
  return { suite, label, connections, ours, theirs, factor, ...more };
}

Deno.test("judge() compares medians with the bar and tells the spread of the rounds", () => {
  const bars = [barOf("nginx keep-alive", 0.9), barOf("nginx keep-alive", 0.95)];
  const [met, missed] = judge([NGINX, CADDY, OURS], bars);
  assert.deepEqual([met?.ratio, met?.met, missed?.met], [0.9, true, false]);
  assert.deepEqual(met?.spread, { min: 0.9, max: 1.1 });
  assert.equal(met?.cpuRatio, 0.031 / 0.02);
});

Deno.test("judge() wants times to be below their bar", () => {
  const rows = [rowOf("bare", [30], START), rowOf("Portico", [75], START)];
  const where = { suite: "start", label: "start", connections: 1 };
  const [three, two] = judge(rows, [barOf("bare", 3, where), barOf("bare", 2, where)]);
  assert.deepEqual([three?.ratio, three?.met, two?.met], [2.5, true, false]);
});

Deno.test("judge() says nothing of what was not measured", () => {
  assert.deepEqual(judge([OURS], [barOf("nginx keep-alive", 1)]), []);
  const dead = rowOf("nginx keep-alive", [0]);
  assert.deepEqual(judge([dead, OURS], [barOf("nginx keep-alive", 1)]), []);
});

Deno.test("standings() takes the best peer of the same work, with as many workers", () => {
  const two = rowOf("nginx keep-alive, 2 workers", [5000]);
  const other = rowOf("Apache", [9000], { connections: 64 });
  const [standing, ...rest] = standings([NGINX, CADDY, two, other, OURS]);
  assert.deepEqual(rest, []);
  assert.deepEqual([standing?.best, standing?.ratio], ["nginx keep-alive", 0.9]);
});

Deno.test("standings() is above 1 where Portico takes less time", () => {
  const [standing] = standings([rowOf("Caddy", [200], START), rowOf("Portico", [50], START)]);
  assert.equal(standing?.ratio, 4);
});

Deno.test("barTable() has a line for each bar that the rows can tell about", () => {
  const large = { label: "1 GiB down", connections: 1 };
  const rows = [NGINX, OURS, rowOf("Portico", [800], { ...large, grownMiB: 20 })];
  assert.deepEqual(barTable(rows, TITLES).split("\n").slice(2), [
    "| FastCGI: hello | 16 | nginx keep-alive | 0.90 (0.90-1.10) | 0.9 | yes | 1.55 |",
    "| FastCGI: 1 GiB down: memory | 1 | itself before | +20 MiB | under +16 MiB | no |  |",
  ]);
});

Deno.test("rowTable() gives ratios to the first contender, and leaves empty what was not measured", () => {
  const lines = rowTable([NGINX, { ...OURS, errors: 3 }]).split("\n");
  assert.equal(
    lines[2],
    "| hello | 16 | nginx keep-alive | 1000 requests/s (1000-1100) | 1.00 |  |  | 0.020 |  | 8 (+0) |",
  );
  assert.equal(
    lines[3],
    "| hello | 16 | Portico (3 errors) | 900 requests/s (900-1210) | 0.90 | 0.50 | 1.25 | 0.031 |  |  |",
  );
});

const RESULTS: Results = {
  date: "2026-01-02",
  machine: {
    cpu: "Some CPU",
    cores: 2,
    memoryGiB: 8,
    kernel: "Linux 6",
    loadBefore: 0.1,
    versions: { Deno: "2.9.6" },
  },
  options: { rounds: 2 },
  notes: ["php: Caddy left out, no caddy"],
  rows: [NGINX, CADDY, OURS],
};

Deno.test("report() describes the machine and names what was left out", () => {
  const text = report(RESULTS, TITLES);
  for (const part of ["Some CPU, 2 cores", "Deno 2.9.6", "- php: Caddy left out", "## FastCGI\n"]) {
    assert.ok(text.includes(part), part);
  }
});

Deno.test("parseResults() reads what was written, and refuses anything else", () => {
  assert.deepEqual(parseResults(JSON.stringify(RESULTS)), RESULTS);
  assert.throws(() => parseResults(`{"rows": []}`), /date/);
});

Deno.test("chart() draws a bar for each work, to the right where Portico is ahead", () => {
  const ahead = { ...OURS, connections: 64, value: 2000, rounds: [2000] };
  const peer = { ...NGINX, connections: 64, rounds: [1000] };
  const svg = chart(standings([NGINX, OURS, peer, ahead]), TITLES, "2 cores");
  const bars = [...svg.matchAll(/<rect class="(\w+)" x="([\d.]+)"[^>]* width="([\d.]+)"/g)]
    .map(([, kind, x, width]) => ({ kind, from: Number(x), to: Number(x) + Number(width) }));
  const [behind, front] = bars;
  assert.deepEqual(bars.map(({ kind }) => kind), ["behind", "ahead"]);
  // Both end at the line of 1, from either side.
  assert.ok(Math.abs((behind?.to ?? 0) - (front?.from ?? 1)) < 0.2);
  assert.ok(svg.includes(">0.90</text>") && svg.includes(">2.00</text>"));
});

Deno.test("chart() cuts bars at the end of the axis, and escapes names", () => {
  const svg = chart(
    standings([rowOf("<a> & b", [1]), rowOf("Portico", [64])]),
    TITLES,
    "a < b",
  );
  const [, x = "", width = ""] =
    /<rect class="ahead" x="([\d.]+)"[^>]* width="([\d.]+)"/.exec(svg) ??
      [];
  const [, edge = ""] = /x1="([\d.]+)"[^>]*\/><text[^>]*>4</.exec(svg) ?? [];
  assert.equal(Number(x) + Number(width), Number(edge));
  assert.ok(svg.includes("&lt;a&gt; &amp; b") && svg.includes("a &lt; b") && svg.includes("64.00"));
});

Deno.test("chart() brings its own colours for dark pages and asks for nothing from elsewhere", () => {
  const svg = chart(standings(RESULTS.rows), TITLES, "");
  assert.ok(svg.includes("prefers-color-scheme: dark"));
  assert.deepEqual(svg.match(/url\(|@import|href|<script/g), null);
});
