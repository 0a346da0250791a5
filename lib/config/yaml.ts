/**
 * Reads the text of routes.yaml into a tree; the YAML library is used here and in syntax.ts alone.
 *
 * Scalars keep their spelling: what is no number, switch or null in the one spelling that JavaScript
 * gives back is text, so that `VERSION: 1.10` stays 1.10 and `yes` is a word. Aliases and merge keys are
 * resolved, with a bound on how much they may copy. Duplicate keys are faults.
 *
 * Spec: YAML 1.2.2, https://yaml.org/spec/1.2.2/; merge keys, https://yaml.org/type/merge.html.
 */
import type { Scalar, YAMLMap, YAMLSeq } from "yaml";
import { quote } from "../values.ts";
import { createLocator, type Position, type Report } from "./position.ts";
import { reportSyntax } from "./syntax.ts";
import type { Entry, ListNode, MapNode, Node, ScalarNode } from "./tree.ts";
import { withoutEnvironment, yaml } from "./yaml_library.ts";

const { isAlias, isCollection, isMap, isNode, isScalar, parseDocument } = yaml;

/** What a reading carries along. */
interface Reader {
  readonly text: string;
  readonly report: Report;
  readonly locate: (offset: number) => Position;
  /** By name; undefined while the anchored node itself is being read. */
  readonly anchors: Map<string, Node | undefined>;
  /** Nodes that aliases stand for, so far. */
  copied: number;
  /** Collections around the present node. */
  depth: number;
  /** A bound was passed: what was read is not whole. */
  exhausted: boolean;
}

/** The deepest map of a table lies at 8; recursion here and further on stays far from the stack's end. */
const MAX_DEPTH = 64;

/** More than a table needs; a few lines of nested aliases could otherwise fill the memory. */
const MAX_COPIED = 100_000;

const TOO_DEEP = `Cannot nest lists and maps deeper than ${MAX_DEPTH}: write them flatter`;
const TOO_MANY = `Cannot copy more than ${MAX_COPIED} values by aliases: write fewer`;

/** YAML 1.2.2 §5.1, c-printable; surrogates outside a pair are not in it either. */
const UNPRINTABLE = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** Reads the file's text; undefined if that is so faulty that nothing else can be said of it. */
export function readTree(text: string, report: Report): Node | undefined {
  const unprintable = UNPRINTABLE.exec(text);
  if (unprintable !== null) {
    const code = unprintable[0].codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
    report(unprintable.index, `Cannot read the character U+${code}: this file is to be plain text`);
    return undefined;
  }
  const document = withoutEnvironment(() =>
    parseDocument(text, {
      schema: "failsafe",
      resolveKnownTags: false,
      // Both are done here, with places and in linear time.
      uniqueKeys: false,
      merge: false,
      prettyErrors: false,
    })
  );
  if (!reportSyntax(document, text, report)) return undefined;
  const state = { anchors: new Map(), copied: 0, depth: 0, exhausted: false };
  const reader: Reader = { text, report, locate: createLocator(text), ...state };
  const root = readNode(document.contents, 0, reader);
  if (reader.exhausted) return undefined;
  if (root.type !== "scalar" || root.value !== null) return root;
  report(0, 'The file is empty: write "routes:" and a list of routes');
  return undefined;
}

/** `place` is for a node that is not written, such as the value of a key alone. */
function readNode(node: unknown, place: number, reader: Reader): Node {
  if (isAlias(node)) return follow(node.source, startOf(node, place), reader);
  if (!isScalar(node) && !isCollection(node)) return emptyAt(place);
  const { anchor } = node;
  if (anchor !== undefined) reader.anchors.set(anchor, undefined);
  const read = isScalar(node)
    ? readScalar(node, place, reader)
    : readCollection(node, place, reader);
  if (anchor !== undefined) reader.anchors.set(anchor, read);
  return read;
}

function readCollection(node: YAMLMap | YAMLSeq, place: number, reader: Reader): Node {
  const start = startOf(node, place);
  if (reader.depth >= MAX_DEPTH) {
    if (!reader.exhausted) reader.report(start, TOO_DEEP);
    reader.exhausted = true;
    return emptyAt(start);
  }
  reader.depth++;
  const read = isMap(node) ? readMap(node, start, reader) : readList(node, start, reader);
  reader.depth--;
  return read;
}

function startOf(node: unknown, otherwise: number): number {
  return (isNode(node) ? node.range?.[0] : undefined) ?? otherwise;
}

function emptyAt(start: number): ScalarNode {
  return { type: "scalar", value: null, start, weight: 1, verbatim: false };
}

function readScalar(node: Scalar, place: number, { text }: Reader): ScalarNode {
  const source = String(node.value);
  const plain = node.type === "PLAIN" && node.tag === undefined;
  if (plain && source === "") return emptyAt(place);
  const start = startOf(node, place);
  const value = plain ? resolvePlain(source) : source;
  return { type: "scalar", value, start, weight: 1, verbatim: text.startsWith(source, start) };
}

const NUMBER = /^-?\d+(?:\.\d+)?$/;

function resolvePlain(source: string): ScalarNode["value"] {
  if (source === "~" || source === "null") return null;
  if (source === "true" || source === "false") return source === "true";
  return NUMBER.test(source) && String(Number(source)) === source ? Number(source) : source;
}

function readList(node: YAMLSeq, start: number, reader: Reader): ListNode {
  const items = node.items.map((item) => readNode(item, startOf(item, start), reader));
  return { type: "list", items, start, weight: weightOf(items) };
}

function weightOf(nodes: readonly Node[]): number {
  return nodes.reduce((sum, node) => sum + node.weight, 1);
}

function readMap(node: YAMLMap, start: number, reader: Reader): MapNode {
  const entries = new Map<string, Entry>();
  const merged: Entry[] = [];
  for (const pair of node.items) {
    const key = readKey(pair.key, start, reader);
    const value = readNode(pair.value, key?.start ?? start, reader);
    if (key === undefined) continue;
    if (key.merges) {
      merged.push(...entriesToMerge(value, reader));
      continue;
    }
    const first = entries.get(key.name);
    if (first === undefined) {
      entries.set(key.name, { key: key.name, start: key.start, value });
      continue;
    }
    const { line } = reader.locate(first.start);
    reader.report(
      key.start,
      `Duplicate key ${quote(key.name)}: it stands on line ${line}; keep one`,
    );
  }
  // The map's own keys win, then the earlier of two sources.
  for (const entry of merged) if (!entries.has(entry.key)) entries.set(entry.key, entry);
  const list = [...entries.values()];
  return { type: "map", entries: list, start, weight: weightOf(list.map(({ value }) => value)) };
}

interface Key {
  readonly name: string;
  readonly start: number;
  /** `<<`: the value's own entries are meant. */
  readonly merges: boolean;
}

function readKey(node: unknown, place: number, reader: Reader): Key | undefined {
  const read = readNode(node, startOf(node, place), reader);
  if (read.type === "scalar" && read.value !== null) {
    const merges = isScalar(node) && node.type === "PLAIN" && node.value === "<<";
    return { name: String(read.value), start: read.start, merges };
  }
  const missing = read.type === "scalar";
  const what = missing ? "find a key before the colon" : `read a ${read.type} as a key`;
  const at = missing ? reader.text.indexOf(":", read.start) : read.start;
  reader.report(at, `Cannot ${what}: write a word`);
  return undefined;
}

function entriesToMerge(value: Node, { report }: Reader): readonly Entry[] {
  const sources = value.type === "list" ? value.items : [value];
  return sources.flatMap((source) => {
    if (source.type === "map") return source.entries;
    report(source.start, 'Cannot merge what is no map: write "<<: *name" or "<<: [*one, *two]"');
    return [];
  });
}

/** The node that an alias stands for, at the place where the alias stands. */
function follow(name: string, start: number, reader: Reader): Node {
  const { anchors, report } = reader;
  const target = anchors.get(name);
  if (target === undefined) {
    const alias = quote(`*${name}`);
    const why = anchors.has(name)
      ? `Cannot use ${alias} within the value that it stands for: write the value out`
      : `Cannot find the anchor "&${name}" before ${alias}: if it is text, put it in quotes`;
    report(start, why);
    return { type: "scalar", value: `*${name}`, start, weight: 1, verbatim: false };
  }
  reader.copied += target.weight;
  if (reader.copied > MAX_COPIED) {
    if (!reader.exhausted) report(start, TOO_MANY);
    reader.exhausted = true;
  }
  return target.type === "scalar" ? { ...target, start, verbatim: false } : { ...target, start };
}
