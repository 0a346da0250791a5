/**
 * One look-up in the table: follows the path through the trie and keeps the lowest rank that fits. It
 * allocates one object, and a list only once a route fits but for its method.
 */
import type { ByteString } from "../exchange.ts";
import { accepts } from "./entry.ts";
import { verify } from "./shape.ts";
import { methodsOf, nextOf, rankOf, shapeOf, type Table } from "./table.ts";
import {
  EDGES,
  ENDS,
  findChild,
  getField,
  LOWEST,
  NONE,
  PATHS,
  RESTS,
  SEGMENTS,
  SOME,
} from "./trie.ts";

export interface Search {
  readonly table: Table;
  readonly method: string;
  readonly path: ByteString;
  /** The lowest rank that fits so far; past every rank if there is none. */
  best: number;
  /** The ranks that fit but for their method; complete if nothing else fits. */
  missed: number[] | undefined;
}

/** Looks under one root; `search` holds what was found under others. */
export function searchRoot(search: Search, root: number): void {
  const { trie } = search.table;
  if (getField(trie, root, LOWEST) >= search.best) return;
  if ((getField(trie, root, EDGES) & PATHS) !== 0) {
    const node = findChild(trie, root, search.path);
    if (node !== NONE) take(search, getField(trie, node, ENDS));
  }
  searchNode(search, root, 0);
}

/** `at` is the slash in front of the next segment, or the end of the path. */
function searchNode(search: Search, node: number, at: number): void {
  const { table: { trie }, path } = search;
  take(search, getField(trie, node, RESTS));
  if (at === path.length) return take(search, getField(trie, node, ENDS));
  const some = getField(trie, node, SOME);
  const literals = (getField(trie, node, EDGES) & SEGMENTS) !== 0;
  if (some === NONE && !literals) return;
  const slash = path.indexOf("/", at + 1);
  const end = slash < 0 ? path.length : slash;
  if (literals) descend(search, findChild(trie, node, path, at + 1, end), end);
  if (end > at + 1) descend(search, some, end);
}

function descend(search: Search, node: number, at: number): void {
  if (node === NONE || getField(search.table.trie, node, LOWEST) >= search.best) return;
  searchNode(search, node, at);
}

function take(search: Search, list: number): void {
  const { table, path } = search;
  for (let link = list; link !== 0; link = nextOf(table, rankOf(link))) {
    const rank = rankOf(link);
    if (rank >= search.best) return;
    if (!verify(shapeOf(table, rank), path)) continue;
    if (accepts(methodsOf(table, rank), search.method)) {
      search.best = rank;
      return;
    }
    search.missed ??= [];
    search.missed.push(rank);
  }
}
