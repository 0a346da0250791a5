/**
 * The table of all routes, filed for look-up. Under each host a path without groups is one edge of the
 * trie; any other goes by the whole segments that it begins with and is verified where they end. File
 * order decides, not precision, so every node knows the lowest rank below it and a search leaves out
 * what comes after the best it has: it costs what the rivals for a path cost, not what the table holds.
 */
import type { ByteString } from "../exchange.ts";
import { accepts, type Entry, type Methods, onlyPath } from "./entry.ts";
import { type Shape, verify } from "./shape.ts";
import {
  addChild,
  addNode,
  createDraft,
  type Draft,
  EDGES,
  ENDS,
  findChild,
  finish,
  getField,
  LOWEST,
  NONE,
  PATHS,
  RESTS,
  SEGMENTS,
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
  /** A record for each rank. A list ends with link 0; link n goes to rank n - 1. */
  readonly links: Int32Array;
  readonly shapes: readonly Shape[];
  readonly methods: readonly Methods[];
}

// The numbers of a link's record.
const NEXT = 0;
const INDEX = 1;
const SHAPE = 2;
const METHODS = 3;
const FIELDS = 4;
