/**
 * What a pattern comes down to, by the cost of matching it: whole segments, one wildcard between two
 * texts, or, for all else, a regular expression. The table settles the outline of a pattern,
 * {@link verify} what is left, and mount.ts tells what was captured.
 *
 * Optional parts are spelled out where that avoids a regular expression: `/users/:id?` becomes
 * `/users/:id` and `/users`, tried in this order.
 */
import type { ByteString } from "../exchange.ts";
import { drawOutline, type Outline } from "./outline.ts";
import { type Group, joinTexts, type Part, type Repeat, type Text } from "./pattern.ts";

/** One way to match a pattern. */
export interface Variant {
  readonly outline: Outline;
  readonly shape: Shape;
}

export type Shape = Segments | Affix | Expression;

/** Whole segments, each literal or `:name`; then the end or a final `/*`. Says nothing of its text. */
export interface Segments {
  readonly type: "segments";
  /** For each segment the name of its group, undefined for a literal; up to the last that counts. */
  readonly names: readonly (string | undefined)[];
  /** The name of the final wildcard. */
  readonly rest: string | undefined;
}

/** A single wildcard between two texts: `/*.php`. */
export interface Affix {
  readonly type: "affix";
  readonly prefix: ByteString;
  readonly suffix: ByteString;
  readonly name: string;
}

export interface Expression {
  readonly type: "expression";
  readonly expression: RegExp;
  readonly names: readonly string[];
  /** Whether the last group is a final `/*`. */
  readonly rest: boolean;
}

type Atom = Text | Group;

const MAX_OPTIONAL = 3;

/** The variants that together match what the pattern does; the first that fits tells the captures. */
export function toVariants(parts: readonly Part[]): readonly Variant[] {
  const spelled = spellOut(parts).filter(([first]) =>
    first?.type === "text" && first.text.startsWith("/")
  );
  const variants = spelled.map(toSegments).filter((variant) => variant !== undefined);
  if (variants.length === spelled.length && variants.length > 0) return variants;
  return [{ outline: drawOutline(parts), shape: toAffix(parts) ?? toExpression(parts) }];
}

/** Every choice of optional parts, those with a part before those without; none if too many. */
function spellOut(parts: readonly Part[]): readonly (readonly Atom[])[] {
  const repeats = parts.filter((part) => part.type === "repeat");
  if (repeats.length > MAX_OPTIONAL || repeats.some((r) => r.modifier !== "?")) return [];
  let variants: readonly (readonly Atom[])[] = [[]];
  for (const part of parts) {
    const choices = part.type === "repeat" ? [present(part), []] : [[part]];
    variants = variants.flatMap((before) => choices.map((choice) => [...before, ...choice]));
  }
  return variants.map(joinTexts);
}

function present({ prefix, inner, suffix }: Repeat): readonly Atom[] {
  const before: Text = { type: "text", text: prefix };
  return inner === undefined ? [before] : [before, inner, { type: "text", text: suffix }];
}

function toSegments(atoms: readonly Atom[]): Variant | undefined {
  const { body, rest } = splitRest(atoms);
  const groups = body.filter((atom) => atom.type !== "text");
  if (groups.some((group) => group.type !== "segment")) return undefined;
  // A group must have its segment to itself. NUL is in no pattern's text.
  const pieces = body.map((atom) => atom.type === "text" ? atom.text : "\0").join("").split("/");
  if (pieces.some((piece) => piece !== "\0" && piece.includes("\0"))) return undefined;
  const counting = rest === undefined ? pieces.slice(0, pieces.lastIndexOf("\0") + 1) : pieces;
  const names = counting.slice(1).map((piece) => piece === "\0" ? groups.shift()?.name : undefined);
  return { outline: drawOutline(atoms), shape: { type: "segments", names, rest } };
}

/** Takes a final `/*` off, and its slash: it also matches the prefix itself. */
function splitRest<P extends Part>(
  parts: readonly P[],
): { readonly body: readonly (P | Text)[]; readonly rest: string | undefined } {
  const before: Part | undefined = parts.at(-2);
  const last: Part | undefined = parts.at(-1);
  const unnamed = last?.type === "wildcard" && /^\d/.test(last.name);
  if (!unnamed || before?.type !== "text" || !before.text.endsWith("/")) {
    return { body: parts, rest: undefined };
  }
  const kept: Text = { type: "text", text: before.text.slice(0, -1) };
  return { body: joinTexts([...parts.slice(0, -2), kept]), rest: last.name };
}

function toAffix(parts: readonly Part[]): Affix | undefined {
  const [prefix, group, suffix] = parts;
  if (parts.length > 3 || prefix?.type !== "text" || group?.type !== "wildcard") return undefined;
  if (suffix !== undefined && suffix.type !== "text") return undefined;
  return { type: "affix", prefix: prefix.text, suffix: suffix?.text ?? "", name: group.name };
}

function toExpression(parts: readonly Part[]): Expression {
  const { body, rest } = splitRest(parts);
  const source = body.map(partSource).join("") + (rest === undefined ? "" : "(?:/(.*))?");
  const groups = parts.map((part) => part.type === "repeat" ? part.inner : part);
  return {
    type: "expression",
    // A dot takes line ends too: before decoding they were %0A and nothing special.
    expression: new RegExp(`^${source}$`, "su"),
    names: groups.flatMap((group) =>
      group === undefined || group.type === "text" ? [] : group.name
    ),
    rest: rest !== undefined,
  };
}

/** URL Pattern Standard, "generate a regular expression and name list". */
function partSource(part: Part): string {
  if (part.type === "text") return escape(part.text);
  if (part.type !== "repeat") return `(${part.source})`;
  const { inner, modifier } = part;
  const prefix = escape(part.prefix);
  const suffix = escape(part.suffix);
  if (inner === undefined) return `(?:${prefix})${modifier}`;
  const { source } = inner;
  if (modifier === "?") return `(?:${prefix}(${source})${suffix})?`;
  if (prefix + suffix === "") return `((?:${source})${modifier})`;
  const times = modifier === "*" ? "?" : "";
  return `(?:${prefix}((?:${source})(?:${suffix}${prefix}(?:${source}))*)${suffix})${times}`;
}

function escape(text: string): string {
  return text.replace(/[.+*?^${}()[\]|/\\]/g, "\\$&");
}

/** Whether a path that fits the variant's outline fits its shape. */
export function verify(shape: Shape, path: ByteString): boolean {
  switch (shape.type) {
    case "segments":
      return true;
    case "affix":
      return path.length >= shape.prefix.length + shape.suffix.length &&
        path.startsWith(shape.prefix) && path.endsWith(shape.suffix);
    case "expression":
      return shape.expression.test(path);
    default:
      return shape satisfies never;
  }
}
