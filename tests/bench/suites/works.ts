/** The works that several suites have in common. */
import type { Work } from "../model.ts";

export const HELLO_BYTES = 14;
export const PAGE_BYTES = 10 * 2 ** 10;
export const MEDIUM_BYTES = 2 ** 20;

type Among = NonNullable<Work["among"]>;

/** The same small thing over and over, at each number of connections. */
export function rate(
  label: string,
  path: string,
  bytes: number,
  connections: readonly number[],
): readonly Work[] {
  return connections.map((count) => ({ type: "rate", label, path, bytes, connections: count }));
}

export function down(path: string, bytes: number): Work {
  return { type: "down", label: `${sizeOf(bytes)} down`, path, bytes, connections: 1 };
}

export function up(path: string, bytes: number, how = ""): Work {
  return { type: "up", label: `${sizeOf(bytes)} up${how}`, path, bytes, connections: 1 };
}

/** Works for some of the contenders only. */
export function among(works: readonly Work[], takesPart: Among): readonly Work[] {
  return works.map((work) => ({ ...work, among: takesPart }));
}

export function sizeOf(bytes: number): string {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]] as const) {
    if (bytes >= size) return `${bytes / size} ${unit}`;
  }
  return `${bytes} B`;
}
