/**
 * The table of all routes, filed for look-up. Under each host a path without groups is one edge of the
 * trie; any other goes by the whole segments that it begins with and is verified where they end. File
 * order decides, not precision, so every node knows the lowest rank below it and a search leaves out
 * what comes after the best it has: it costs what the rivals for a path cost, not what the table holds.
 */
import { type Entry, type Methods, onlyPath } from "./entry.ts";
import type { Shape } from "./shape.ts";
import {
  addChild,
  addNode,
  createDraft,
  type Draft,
  ENDS,
  findChild,
  finish,
  getField,
  LOWEST,
  NONE,
  RESTS,
  setField,
  SOME,
  type Trie,
} from "./trie.ts";

export interface Table {
  readonly trie: Trie;
  /** Roots for exact host names, for the suffixes of wildcards, and for every host. */
  readonly exact: number;
  readonly suffixes: number;
  readonly any: number;
  /** Length of the longest suffix: bounds what a long host name can cost. */
  readonly longestSuffix: number;
  /** A record for each rank; see {@link nextOf} and its like. */
  readonly links: Int32Array;
  readonly shapes: readonly Shape[];
  readonly methods: readonly Methods[];
}

// The numbers of a link's record. NEXT is a link: 0 for the end of a list, n for rank n - 1.
const NEXT = 0;
const ROUTE = 1;
const SHAPE = 2;
const METHODS = 3;
const FIELDS = 4;

export function buildTable(entries: readonly Entry[]): Table {
  const draft = createDraft();
  const [exact, suffixes, any] = [addNode(draft), addNode(draft), addNode(draft)];
  const roots = { exact, suffixes, any };
  const shapes = intern(entries.map(({ shape }) => shape), describeShape);
  const methods = intern(entries.map((entry) => entry.methods), describeMethods);
  const links = new Int32Array(entries.length * FIELDS);
  // Backwards, so that the lowest rank is the last one set and a list grows at its head.
  for (const [rank, entry] of [...entries.entries()].reverse()) {
    const node = addPlace(draft, addRoot(draft, roots, entry.host), entry, rank);
    const list = entry.outline.closed ? ENDS : RESTS;
    links[rank * FIELDS + NEXT] = getField(draft, node, list);
    links[rank * FIELDS + ROUTE] = entry.index;
    links[rank * FIELDS + SHAPE] = shapes.numbers[rank] ?? 0;
    links[rank * FIELDS + METHODS] = methods.numbers[rank] ?? 0;
    setField(draft, node, list, rank + 1);
  }
  const wildcards = entries.map(({ host }) => host?.startsWith("*.") ? host.length - 1 : 0);
  const longestSuffix = wildcards.reduce((longest, length) => Math.max(longest, length), 0);
  const trie = finish(draft);
  return { trie, ...roots, longestSuffix, links, shapes: shapes.kept, methods: methods.kept };
}

function addRoot(
  draft: Draft,
  { exact, suffixes, any }: Pick<Table, "exact" | "suffixes" | "any">,
  host: string | undefined,
): number {
  if (host === undefined) return any;
  return host.startsWith("*.")
    ? addChild(draft, suffixes, host.slice(1))
    : addChild(draft, exact, host);
}

/** The node where the entry's outline ends. */
function addPlace(draft: Draft, root: number, { outline }: Entry, rank: number): number {
  const path = onlyPath(outline);
  let node = root;
  setField(draft, node, LOWEST, rank);
  for (const step of path === undefined ? outline.segments : [path]) {
    node = step === undefined ? addSome(draft, node) : addChild(draft, node, step);
    setField(draft, node, LOWEST, rank);
  }
  return node;
}

function addSome(draft: Draft, node: number): number {
  const known = getField(draft, node, SOME);
  if (known !== NONE) return known;
  const added = addNode(draft);
  setField(draft, node, SOME, added);
  return added;
}

/** Equal values once each, and for every value its number among them: few of them stay in the cache. */
function intern<T>(values: readonly T[], describe: (value: T) => string) {
  const known = new Map<string, number>();
  const kept: T[] = [];
  const numbers = values.map((value) => {
    const key = describe(value);
    const number = known.get(key) ?? kept.push(value) - 1;
    known.set(key, number);
    return number;
  });
  return { kept, numbers };
}

function describeShape(shape: Shape): string {
  return JSON.stringify(shape, (_, value) => value instanceof RegExp ? value.source : value);
}

function describeMethods(methods: Methods): string {
  return methods === undefined ? "any" : JSON.stringify([...methods].sort());
}

/** The roots under which a host name in lower case is looked up; `*.name` stands for all it takes. */
export function rootsFor(table: Table, hostname: string): readonly number[] {
  const { trie, exact, suffixes, any, longestSuffix } = table;
  const roots = [any];
  const named = findChild(trie, exact, hostname);
  if (named !== NONE) roots.push(named);
  if (longestSuffix === 0) return roots;
  let dot = hostname.indexOf(".", Math.max(1, hostname.length - longestSuffix));
  for (; dot > 0; dot = hostname.indexOf(".", dot + 1)) {
    const wildcard = findChild(trie, suffixes, hostname, dot);
    if (wildcard !== NONE) roots.push(wildcard);
  }
  return roots;
}

/** The rank at the head of the rest of a list. */
export function rankOf(link: number): number {
  return link - 1;
}

export function nextOf({ links }: Table, rank: number): number {
  return links[rank * FIELDS + NEXT] ?? 0;
}

/** The index of the route. */
export function routeOf({ links }: Table, rank: number): number {
  return links[rank * FIELDS + ROUTE] ?? 0;
}

export function methodsOf({ links, methods }: Table, rank: number): Methods {
  return methods[links[rank * FIELDS + METHODS] ?? 0];
}

export function shapeOf({ links, shapes }: Table, rank: number): Shape {
  const shape = shapes[links[rank * FIELDS + SHAPE] ?? 0];
  if (shape === undefined) throw new RangeError(`Cannot find the shape of rank ${rank}`);
  return shape;
}
