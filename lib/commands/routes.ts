/** `routes`: the table as the router sees it. */
import type { Table } from "../config/table.ts";
import { summarise } from "../generation.ts";
import { FINE, type Invocation, loadTable, print, styled } from "./command.ts";

export async function routes(invocation: Invocation): Promise<number> {
  const table = await loadTable(invocation);
  if (invocation.json) print(JSON.stringify(rows(table), null, 2));
  else printTable(table);
  return FINE;
}

function rows(table: Table) {
  return summarise(table).map((summary, index) => ({
    index,
    ...summary,
    host: summary.host ?? null,
    methods: summary.methods ?? null,
    line: table.routes[index]?.line ?? 0,
  }));
}

const HEADINGS = ["#", "PATH", "HOST", "METHODS", "KIND", "TARGET"];

function printTable(table: Table): void {
  const cells = rows(table).map((row) => [
    String(row.index),
    row.path,
    row.host ?? "*",
    row.methods?.join(",") ?? "*",
    row.kind,
    row.target,
  ]);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => row[column]?.length ?? 0))
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
  print(styled("bold", line(HEADINGS)));
  for (const row of cells) print(line(row));
}
