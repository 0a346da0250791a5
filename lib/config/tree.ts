/**
 * The content of routes.yaml as a tree in which every key and value knows its offset in the text. Values
 * that aliases stand for are shared, so it is read and never changed.
 */

interface Placed {
  readonly start: number;
  /** How many nodes it holds, itself included. */
  readonly weight: number;
}

export interface ScalarNode extends Placed {
  readonly type: "scalar";
  readonly value: string | number | boolean | null;
  /** The text of the file from `start` on is this value, character by character. */
  readonly verbatim: boolean;
}

export interface ListNode extends Placed {
  readonly type: "list";
  readonly items: readonly Node[];
}

export interface MapNode extends Placed {
  readonly type: "map";
  /** In the file's order; each key once. */
  readonly entries: readonly Entry[];
}

export type Node = ScalarNode | ListNode | MapNode;

export interface Entry {
  readonly key: string;
  /** Where the key stands. */
  readonly start: number;
  readonly value: Node;
}

/** A node in its place: where its key stands, or where it begins if it has none. */
export interface Slot {
  readonly key: number;
  readonly node: Node;
}

export function slotOf(node: Node): Slot {
  return { key: node.start, node };
}

/** The value under a key of a map. */
export function valueOf(node: Node, key: string): Slot | undefined {
  if (node.type !== "map") return undefined;
  const entry = node.entries.find((entry) => entry.key === key);
  return entry && { key: entry.start, node: entry.value };
}

/** The items of a list; none of anything else. */
export function itemsOf(node: Node | undefined): readonly Slot[] {
  return node?.type === "list" ? node.items.map(slotOf) : [];
}

/** The values alone. Maps have no prototype, so that no key means anything to them. */
export function toPlain(node: Node): unknown {
  if (node.type === "scalar") return node.value;
  if (node.type === "list") return node.items.map(toPlain);
  const plain: Record<string, unknown> = Object.create(null);
  for (const { key, value } of node.entries) plain[key] = toPlain(value);
  return plain;
}
