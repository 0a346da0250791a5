/**
 * Reads the `path` of a route: URLPattern pathname syntax into a short list of parts.
 *
 * Strategy: one cursor over the text, one function per construct; literal.ts reads what lies between
 * groups. Modifiers that change nothing are resolved here, so that two spellings are the same parts.
 *
 * Spec: URL Pattern Standard, "parse a pattern string", with `/` as delimiter and prefix.
 */
import type { ByteString } from "../exchange.ts";
import { type Cursor, GROUP_START, PatternError, quote, readText, SPECIAL } from "./literal.ts";

export { PatternError } from "./literal.ts";

/** Literal text. */
export interface Text {
  readonly type: "text";
  readonly text: ByteString;
}

/** A capture: `:name` is a segment, `*` and `(.*)` a wildcard, any other `(...)` a regexp. */
export interface Group {
  readonly type: "segment" | "wildcard" | "regexp";
  /** As written, or the running number of an unnamed group. */
  readonly name: string;
  /** What it matches, as a regular expression without captures. */
  readonly source: string;
}

/** A group under a modifier, with the text that comes and goes with it. */
export interface Repeat {
  readonly type: "repeat";
  readonly prefix: ByteString;
  readonly inner: Group | undefined;
  readonly suffix: ByteString;
  readonly modifier: "?" | "*" | "+";
}

export type Part = Text | Group | Repeat;

const SEGMENT = "[^\\/]+?";
const ANYTHING = ".*";
/** Made when a path has a group: what letters there are takes a while to tell. */
let groupName: RegExp | undefined;
const groupNameExpression = () => groupName ??= /[$_\p{ID_Start}][$\u200c\u200d\p{ID_Continue}]*/uy;

/** Reads a path pattern; throws {@link PatternError}. */
export function parsePattern(text: string): readonly Part[] {
  if (text === "") throw new PatternError("Cannot read an empty path: write / or /name", 0);
  if (!text.startsWith("/") && !text.startsWith("{/")) {
    throw new PatternError(`Cannot read the path ${quote(text)}: start it with a slash`, 0);
  }
  const cursor: Cursor = { text, at: 0, unnamed: 0, names: new Set() };
  const parts: Part[] = [];
  while (cursor.at < text.length) {
    parts.push(...readPart(cursor));
    const literal = readText(cursor, true);
    if (literal !== "") parts.push({ type: "text", text: literal });
  }
  return joinTexts(parts);
}

/** The same parts with neighbouring texts made one and empty ones left out. */
export function joinTexts<P extends Part>(parts: readonly (P | Text)[]): readonly (P | Text)[] {
  const joined: (P | Text)[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part.type !== "text" || last?.type !== "text") joined.push(part);
    else joined[joined.length - 1] = { type: "text", text: last.text + part.text };
  }
  return joined.filter((part) => part.type !== "text" || part.text !== "");
}

function readPart(cursor: Cursor): readonly Part[] {
  const { text, at } = cursor;
  const char = text[at] ?? "";
  if (char === "{") return readBraces(cursor);
  const slash = char === "/" && GROUP_START.has(text[at + 1] ?? "");
  if (slash) cursor.at++;
  const group = readGroup(cursor);
  if (group !== undefined) return modified(cursor, slash ? "/" : "", group, "");
  if (!SPECIAL.has(char)) return [];
  throw new PatternError(`Cannot place ${quote(char)} here: write \\${char} for the character`, at);
}

function readBraces(cursor: Cursor): readonly Part[] {
  const opened = cursor.at++;
  const prefix = readText(cursor, false);
  const group = readGroup(cursor);
  const suffix = group === undefined ? "" : readText(cursor, false);
  if (cursor.text[cursor.at] === "}") {
    cursor.at++;
    return modified(cursor, prefix, group, suffix);
  }
  if (cursor.at === cursor.text.length) {
    throw new PatternError("Cannot find the end of the group: close it with }", opened);
  }
  const stray = quote(cursor.text[cursor.at] ?? "");
  throw new PatternError(
    `Cannot place ${stray} between braces: they hold text and one group at most`,
    cursor.at,
  );
}

function modified(
  cursor: Cursor,
  prefix: ByteString,
  inner: Group | undefined,
  suffix: ByteString,
): readonly Part[] {
  const modifier = cursor.text[cursor.at];
  if (modifier === "?" || modifier === "*" || modifier === "+") {
    cursor.at++;
    const empty = inner === undefined && prefix === "";
    return empty ? [] : [{ type: "repeat", prefix, inner, suffix, modifier }];
  }
  const texts: Part[] = [{ type: "text", text: prefix }, { type: "text", text: suffix }];
  return inner === undefined ? texts : texts.toSpliced(1, 0, inner);
}

function readGroup(cursor: Cursor): Group | undefined {
  const { text } = cursor;
  if (text[cursor.at] === "*") {
    cursor.at++;
    return { type: "wildcard", name: String(cursor.unnamed++), source: ANYTHING };
  }
  const name = text[cursor.at] === ":" ? readName(cursor) : undefined;
  const source = text[cursor.at] === "(" ? readRegexp(cursor) : undefined;
  if (name === undefined && source === undefined) return undefined;
  return toGroup(name ?? String(cursor.unnamed++), source ?? SEGMENT);
}

function toGroup(name: string, source: string): Group {
  const type = source === SEGMENT ? "segment" : source === ANYTHING ? "wildcard" : "regexp";
  return { type, name, source };
}

function readName(cursor: Cursor): string {
  const colon = cursor.at;
  const expression = groupNameExpression();
  expression.lastIndex = colon + 1;
  const name = expression.exec(cursor.text)?.[0];
  if (name === undefined) {
    throw new PatternError("Cannot read a group name after the colon: write :name or \\:", colon);
  }
  if (cursor.names.has(name)) {
    throw new PatternError(`Cannot use the group name ${quote(name)} twice: rename one`, colon);
  }
  cursor.names.add(name);
  cursor.at = colon + 1 + name.length;
  return name;
}

function readRegexp(cursor: Cursor): string {
  const opened = cursor.at;
  const source = cursor.text.slice(opened + 1, closingParenthesis(cursor.text, opened));
  cursor.at = opened + source.length + 2;
  const refuse = (reason: string) => {
    const message = `Cannot read the regular expression ${quote(source)}: ${reason}`;
    return new PatternError(message, opened);
  };
  if (source === "") throw refuse("it is empty");
  if (source.startsWith("?")) throw refuse("it starts with a question mark");
  // deno-lint-ignore no-control-regex
  if (/[^\x00-\x7f]/.test(source)) throw refuse("write it in ASCII, bytes as \\xHH");
  // A capture of its own would shift the numbers of those that follow.
  if (/(?<!\\)(?:\\\\)*\((?!\?(?!<[^=!]))/.test(source)) throw refuse("write (?: for (");
  try {
    new RegExp(`^(?:${source})$`, "su");
  } catch (error) {
    throw refuse(error instanceof Error ? error.message.replace(/^.*\/su: /s, "") : "");
  }
  return source;
}

function closingParenthesis(text: string, opened: number): number {
  let depth = 0;
  for (let at = opened; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "(") depth++;
    else if (text[at] === ")" && --depth === 0) return at;
  }
  throw new PatternError("Cannot find the end of the regular expression: close it with )", opened);
}
