/** `flags`: the least permission flags that serving this table takes, on one line. */
import { flagsLine, needsOf } from "../permissions.ts";
import { configPath, FINE, type Invocation, listenOf, loadTable, print } from "./command.ts";

export async function flags(invocation: Invocation): Promise<number> {
  const table = await loadTable(invocation);
  const needs = needsOf(table, listenOf(invocation, table), configPath(invocation));
  print(flagsLine(needs));
  return FINE;
}
