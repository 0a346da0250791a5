/** `flags`: the least permission flags that serving this table takes, on one line. */
import { expressible, flagsLine, type Need, needsOf } from "../permissions.ts";
import {
  complain,
  configPath,
  FINE,
  type Invocation,
  listenOf,
  loadTable,
  print,
} from "./command.ts";

export async function flags(invocation: Invocation): Promise<number> {
  const table = await loadTable(invocation);
  const needs = needsOf(table, listenOf(invocation, table), configPath(invocation));
  for (const warning of new Set(needs.flatMap(excess))) complain(warning);
  print(flagsLine(needs));
  return FINE;
}

/** Whoever grants more than is needed shall know it. */
function excess(need: Need): string[] {
  const granted = expressible(need);
  if (granted === need.value) return [];
  const instead = granted === "*" ? "everything" : granted;
  return [
    `portico: warning: the runtime's flags cannot hold a comma: ` +
    `--allow-${need.name} grants ${instead} for ${need.value}`,
  ];
}
