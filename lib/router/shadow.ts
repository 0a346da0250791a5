/**
 * Finds the routes that can never match, because earlier ones take every request that they would.
 *
 * Strategy: file every route in the table and follow the outline of each through it as a path would
 * go; that yields the few entries that may be as wide or wider, which are then compared. Where it
 * cannot tell whether one pattern covers another, as between two regular expressions, it says no:
 * what is reported is certain.
 */
import type { ByteString } from "../exchange.ts";
import { accepts, createEntries, type Entry, onlyPath, type RouteKey } from "./entry.ts";
import type { Outline } from "./outline.ts";
import { type Affix, verify } from "./shape.ts";
import { buildTable, nextOf, rankOf, rootsFor, type Table } from "./table.ts";
import { ENDS, findChild, getField, NONE, RESTS, SOME, type Trie } from "./trie.ts";

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
  const takers = new Map<number, readonly number[] | undefined>();
  for (const [rank, entry] of entries.entries()) {
    // A route with optional parts is shadowed if all its variants are.
    const before = takers.has(entry.index) ? takers.get(entry.index) : [];
    const taken = before && findTakers(entry, findCovers(table, entries, rank));
    takers.set(entry.index, taken && [...before, ...taken]);
  }
  return [...takers].flatMap(([index, by]) =>
    by === undefined ? [] : { index, by: [...new Set(by)].sort((a, b) => a - b) }
  );
}

/** The entries of earlier routes, in file order, that have every host and path of this one. */
function findCovers(table: Table, entries: readonly Entry[], rank: number): readonly Entry[] {
  const entry = entries[rank];
  if (entry === undefined) return [];
  const roots = entry.host === undefined ? [table.any] : rootsFor(table, entry.host);
  const lists = roots.flatMap((root) => widerLists(table.trie, root, entry.outline));
  const ranks = lists.flatMap((list) => ranksIn(table, list, rank)).sort((a, b) => a - b);
  const others = ranks.map((other) => entries[other]).filter((other) => other !== undefined);
  return others.filter((other) => other.index < entry.index && covers(other, entry));
}

/** The lists of those entries whose outline is the same or wider. */
function widerLists(trie: Trie, root: number, outline: Outline): readonly number[] {
  const path = onlyPath(outline);
  const fixed = path === undefined ? NONE : findChild(trie, root, path);
  const lists = [getField(trie, fixed, ENDS), getField(trie, root, RESTS)];
  let nodes: readonly number[] = [root];
  for (const segment of outline.segments) {
    nodes = nodes.flatMap((node) => widerSteps(trie, node, segment));
    lists.push(...nodes.map((node) => getField(trie, node, RESTS)));
  }
  if (outline.closed) lists.push(...nodes.map((node) => getField(trie, node, ENDS)));
  return lists;
}

function widerSteps(trie: Trie, node: number, segment: ByteString | undefined): readonly number[] {
  const literal = segment === undefined ? NONE : findChild(trie, node, segment);
  const some = segment === "" ? NONE : getField(trie, node, SOME);
  return [literal, some].filter((step) => step !== NONE);
}

/** The ranks below `bound` of a list, which is in their order. */
function ranksIn(table: Table, list: number, bound: number): readonly number[] {
  const ranks: number[] = [];
  let link = list;
  for (; link !== 0 && rankOf(link) < bound; link = nextOf(table, rankOf(link))) {
    ranks.push(rankOf(link));
  }
  return ranks;
}

/** Whether `wide`, whose outline is the same or wider, fits every path that `narrow` fits. */
function covers(wide: Entry, narrow: Entry): boolean {
  if (wide.shape.type === "segments") return true;
  const path = onlyPath(narrow.outline);
  if (path !== undefined) return verify(wide.shape, path);
  if (wide.shape.type === "affix") return coversAffix(wide.shape, narrow);
  return narrow.shape.type === "expression" &&
    narrow.shape.expression.source === wide.shape.expression.source;
}

function coversAffix({ prefix, suffix }: Affix, narrow: Entry): boolean {
  const { head, tail } = narrow.shape.type === "affix"
    ? { head: narrow.shape.prefix, tail: narrow.shape.suffix }
    : certainEnds(narrow.outline);
  return head.startsWith(prefix) && tail.endsWith(suffix);
}

/** The texts that every path with this outline starts and ends with; they never overlap. */
function certainEnds({ segments, closed }: Outline): { head: ByteString; tail: ByteString } {
  const hole = segments.indexOf(undefined);
  // An open outline may come from a final `/*`, which also matches without its slash.
  const head = hole < 0 ? `/${segments.join("/")}` : ["", ...segments.slice(0, hole), ""].join("/");
  const tail = closed ? ["", ...segments.slice(segments.lastIndexOf(undefined) + 1)].join("/") : "";
  return { head, tail };
}

/** Of routes that cover the path, those that take all its methods: one, or else the first few. */
function findTakers(entry: Entry, covering: readonly Entry[]): readonly number[] | undefined {
  const { methods } = entry;
  const takesAll = (other: Entry) =>
    other.methods === undefined && methods === undefined ||
    methods !== undefined && [...methods].every((method) => accepts(other.methods, method));
  const single = covering.find(takesAll);
  if (single !== undefined) return [single.index];
  if (methods === undefined) return undefined;
  const left = new Set(methods);
  const several = covering.filter((other) => {
    const taken = [...left].filter((method) => accepts(other.methods, method));
    for (const method of taken) left.delete(method);
    return taken.length > 0;
  });
  return left.size === 0 ? several.map(({ index }) => index) : undefined;
}
