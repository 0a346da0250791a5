/**
 * The registry of handler kinds as the table's reader takes it: all names are known at once, and the kinds
 * themselves are loaded for those names that a table has.
 */
import type { Kind } from "../handler.ts";

/** How each kind is loaded, by its handler key. */
export type Registry = Readonly<Record<string, () => Promise<Kind>>>;

/** By handler key, in the registry's order; undefined: known, and no route's. */
export type Kinds = Readonly<Record<string, Kind | undefined>>;

/** Loads the kinds of these names, or all. */
export async function loadKinds(
  registry: Registry,
  names: ReadonlySet<string> = new Set(Object.keys(registry)),
): Promise<Kinds> {
  const kinds = Object.entries(registry).map(async ([name, load]) =>
    [name, names.has(name) ? await load() : undefined] as const
  );
  return Object.fromEntries(await Promise.all(kinds));
}
