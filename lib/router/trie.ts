/**
 * A trie whose edges bear whole texts: host names, paths, path segments. A node is a number; what is
 * known of it lies in one run of numbers, the texts of all edges in one array, the edges themselves in
 * one hash table.
 *
 * Why not a Map in every node: with a thousand routes a look-up takes as long as the cache lines that
 * it touches. A node here is half a line and its text another, where maps, strings and objects are
 * several each; and a segment is looked up where it stands in the path, without being cut out.
 */
import type { ByteString } from "../exchange.ts";

/** No node. */
export const NONE = 0;

// The numbers of a node's record; the first three are the edge that leads to it.
const PARENT = 0;
const START = 1;
const LENGTH = 2;
/** Which kinds of edge leave the node: {@link SEGMENTS}, {@link PATHS}. */
export const EDGES = 3;
/** The node at the end of the edge for any segment that is not empty. */
export const SOME = 4;
/** The lowest rank in this subtree. */
export const LOWEST = 5;
/** The first link of the entries whose path ends here. */
export const ENDS = 6;
/** The first link of the entries whose path ends here or goes on. */
export const RESTS = 7;
const FIELDS = 8;

/** In {@link EDGES}: there is an edge whose text is a segment or a host name. */
export const SEGMENTS = 1;
/** In {@link EDGES}: there is an edge whose text is a whole path. */
export const PATHS = 2;

export interface Trie {
  readonly nodes: Int32Array;
  /** Code units; 16 bits wide, since ENCODED_SLASH is no byte. */
  readonly texts: Uint16Array;
  /** The nodes that edges lead to, by the hash of where the edge starts and what it bears. */
  readonly slots: Int32Array;
}

/** A trie that still grows. */
export interface Draft {
  readonly nodes: number[];
  readonly texts: number[];
  readonly edges: Map<string, number>;
}

export function createDraft(): Draft {
  const none = new Array<number>(FIELDS).fill(NONE);
  return { nodes: none, texts: [], edges: new Map() };
}

/** Adds a node that no edge leads to. */
export function addNode({ nodes }: Draft): number {
  const node = nodes.length / FIELDS;
  for (let field = 0; field < FIELDS; field++) nodes.push(NONE);
  return node;
}

/** The node at the end of the edge that bears `text`, added if need be. */
export function addChild(draft: Draft, parent: number, text: ByteString): number {
  const edge = `${parent} ${text}`;
  const known = draft.edges.get(edge);
  if (known !== undefined) return known;
  const node = addNode(draft);
  draft.edges.set(edge, node);
  setField(draft, node, PARENT, parent);
  setField(draft, node, START, draft.texts.length);
  setField(draft, node, LENGTH, text.length);
  for (let at = 0; at < text.length; at++) draft.texts.push(text.charCodeAt(at));
  const kind = text.startsWith("/") ? PATHS : SEGMENTS;
  setField(draft, parent, EDGES, getField(draft, parent, EDGES) | kind);
  return node;
}

export function setField(draft: Draft, node: number, field: number, value: number): void {
  draft.nodes[node * FIELDS + field] = value;
}

export function getField({ nodes }: Trie | Draft, node: number, field: number): number {
  return nodes[node * FIELDS + field] ?? NONE;
}

/** The finished trie, as small as it can be. */
export function finish(draft: Draft): Trie {
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(draft.edges.size * 2 + 2)));
  const mask = slots.length - 1;
  for (const [edge, node] of draft.edges) {
    const text = edge.slice(edge.indexOf(" ") + 1);
    let slot = hash(getField(draft, node, PARENT), text, 0, text.length) & mask;
    while (slots[slot] !== NONE) slot = (slot + 1) & mask;
    slots[slot] = node;
  }
  return { nodes: Int32Array.from(draft.nodes), texts: Uint16Array.from(draft.texts), slots };
}

/** The node at the end of the edge that bears what `text` holds from `start` to `end`, or NONE. */
export function findChild(
  trie: Trie,
  parent: number,
  text: ByteString,
  start = 0,
  end = text.length,
): number {
  const { slots } = trie;
  const mask = slots.length - 1;
  let slot = hash(parent, text, start, end) & mask;
  let node = slots[slot] ?? NONE;
  while (node !== NONE && !isEdge(trie, node, parent, text, start, end)) {
    slot = (slot + 1) & mask;
    node = slots[slot] ?? NONE;
  }
  return node;
}

function isEdge(
  { nodes, texts }: Trie,
  node: number,
  parent: number,
  text: ByteString,
  start: number,
  end: number,
): boolean {
  const record = node * FIELDS;
  if (nodes[record + PARENT] !== parent || nodes[record + LENGTH] !== end - start) return false;
  const shift = (nodes[record + START] ?? 0) - start;
  let at = start;
  while (at < end && texts[at + shift] === text.charCodeAt(at)) at++;
  return at === end;
}

function hash(parent: number, text: ByteString, start: number, end: number): number {
  let sum = parent;
  for (let at = start; at < end; at++) sum = (Math.imul(sum, 31) + text.charCodeAt(at)) | 0;
  // Spreads the sum over the low bits, which choose the slot.
  sum = Math.imul(sum ^ (sum >>> 15), 0x9e3779b1);
  return sum ^ (sum >>> 13);
}
