/**
 * Checks a part of the tree by its schema, and places what the schema found: at the key for unknown and
 * misnamed keys, at the parent's key for missing ones, at the value for all else.
 */
import * as v from "valibot";
import { cannotReadText, quote } from "../values.ts";
import type { Report } from "./position.ts";
import { type Node, type Slot, slotOf, toPlain, valueOf } from "./tree.ts";

/** What the schema makes of the slot's value; undefined after a fault was reported. */
export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  slot: Slot,
  report: Report,
): v.InferOutput<Schema> | undefined {
  const result = v.safeParse(schema, toPlain(slot.node), { message: describe });
  if (result.success) return result.output;
  for (const cause of result.issues.flatMap(causes)) report(find(slot, cause.path), cause.message);
  return undefined;
}

type Path = readonly v.IssuePathItem[];

interface Cause {
  readonly path: Path;
  readonly message: string;
}

/** A value that fits none of several forms was meant as the one that it fits up to a fault inside. */
function causes(issue: v.BaseIssue<unknown>): readonly Cause[] {
  const path: Path = issue.path ?? [];
  const inner = (issue.issues ?? []).filter((other) => other.path !== undefined);
  if (inner.length === 0) return [{ path, message: issue.message }];
  return inner.flatMap(causes).map((cause) => ({ ...cause, path: [...path, ...cause.path] }));
}

/** Where the path leads; where it ends early, the key is missing and its parent's is the place. */
function find(slot: Slot, path: Path): number {
  let place = slot;
  for (const { key, origin } of path) {
    const next = childOf(place.node, key);
    if (next === undefined) return place.key;
    if (origin === "key") return next.key;
    place = next;
  }
  return place.node.start;
}

function childOf(node: Node, key: unknown): Slot | undefined {
  if (node.type !== "list" || typeof key !== "number") return valueOf(node, String(key));
  const item = node.items[key];
  return item && slotOf(item);
}

const WORDS: Readonly<Record<string, string>> = {
  Array: "a list",
  Object: "a map",
  boolean: "true or false",
  number: "a number",
  string: "text",
};

/** The message of a schema that brings none of its own. */
function describe(issue: v.BaseIssue<unknown>): string {
  const { input, expected } = issue;
  if (expected === "string") return cannotReadText(issue);
  const forms = (expected ?? "another").replace(/[()]/g, "").split(" | ");
  const right = [...new Set(forms.map((form) => WORDS[form] ?? form))].join(" or ");
  return `Cannot read ${quote(input)} here: write ${right}`;
}
