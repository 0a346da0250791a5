/**
 * The outline of a pattern: what is certain of the whole segments it begins with. The table files a
 * route by it, and the shadow analysis compares routes by it.
 *
 * Strategy: draw the pattern as text with a hole for every group, then split it at the slashes. A group
 * that never holds a slash and is never empty leaves its segment whole; any other ends the outline.
 */
import type { ByteString } from "../exchange.ts";
import type { Group, Part } from "./pattern.ts";

export interface Outline {
  /** Whole segments; undefined stands for any text that is not empty and holds no slash. */
  readonly segments: readonly (ByteString | undefined)[];
  /** Whether a path ends with them; otherwise anything at all may follow. */
  readonly closed: boolean;
}

// Neither is a byte nor ENCODED_SLASH, so neither comes from a pattern's text.
const SOME = "\u0101";
const ANYTHING = "\u0102";

export function drawOutline(parts: readonly Part[]): Outline {
  const pieces = parts.map(drawPart).join("").split("/");
  const known = pieces.slice(1);
  const end = pieces[0] === "" ? known.findIndex((piece) => piece.includes(ANYTHING)) : 0;
  const whole = end < 0 ? known : known.slice(0, end);
  return {
    segments: whole.map((piece) => piece.includes(SOME) ? undefined : piece),
    closed: end < 0,
  };
}

function drawPart(part: Part): string {
  if (part.type === "text") return part.text;
  return part.type !== "repeat" && staysInSegment(part) ? SOME : ANYTHING;
}

const CLASS = /\[(?!\^)(?:\\[dws.-]|[^\\\[\]])+\]/g;
const PLAIN = /^(?:\\[dw.~-]|[A-Za-z0-9_~-]|[*+?|)]|\(\?:|\{\d+(?:,\d*)?\})*$/;

/**
 * Whether a group matches some text without a slash, whatever stands around it. Says no to every
 * expression that it does not understand in full, above all to assertions.
 */
function staysInSegment(group: Group): boolean {
  if (group.type !== "regexp") return group.type === "segment";
  const classes = group.source.match(CLASS) ?? [];
  if (!PLAIN.test(group.source.replace(CLASS, "x"))) return false;
  if (classes.some((set) => new RegExp(set, "u").test("/"))) return false;
  return !new RegExp(`^(?:${group.source})$`, "u").test("");
}
