/** `check`: says whether the file is fit to serve, and touches nothing else. */
import type { Table } from "../config/table.ts";
import { findShadowed } from "../router/shadow.ts";
import { complain, FINE, type Invocation, loadTable, print } from "./command.ts";

export async function check(invocation: Invocation): Promise<number> {
  const table = await loadTable(invocation);
  for (const warning of shadowWarnings(table)) complain(warning);
  const count = table.routes.length;
  print(`${invocation.configFile}: fine, ${count} ${count === 1 ? "route" : "routes"}`);
  return FINE;
}

/** A line for each route that can never match, at its place. */
export function shadowWarnings(table: Table): string[] {
  return findShadowed(table.routes).flatMap(({ index, by }) => {
    const route = table.routes[index];
    if (route === undefined) return [];
    const takers = by.map((earlier) => table.routes[earlier]).filter((taker) =>
      taker !== undefined
    );
    const names = takers.map(({ name, line }) => `"${name}" in line ${line}`).join(" and ");
    return [
      `${table.file}:${route.line}:${route.column}: warning: route "${route.name}" can never match: ` +
      `${names} ${takers.length === 1 ? "takes" : "take"} all that it would`,
    ];
  });
}
