/**
 * Reads the `path` of a route: URLPattern pathname syntax into a short list of parts.
 *
 * Strategy: one cursor over the text, one function per construct. Literal text becomes the bytes that a
 * decoded path holds (`é` and `%C3%A9` are the same two, `%2F` is ENCODED_SLASH), so that matching
 * compares and never decodes. What could never match a request is refused here, at its offset.
 *
 * Spec: URL Pattern Standard, "parse a pattern string", with `/` as delimiter and prefix.
 */
import { type ByteString, ENCODED_SLASH } from "../exchange.ts";

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

/** The text is no path pattern. `offset` counts UTF-16 code units from its start. */
export class PatternError extends Error {
  override readonly name = "PatternError";
  constructor(message: string, readonly offset: number) {
    super(message);
  }
}

interface Cursor {
  readonly text: string;
  at: number;
  unnamed: number;
  readonly names: Set<string>;
}

const SPECIAL = new Set(["{", "}", "(", ":", "*", "+", "?"]);
const GROUP_START = new Set(["(", ":", "*"]);
const SEGMENT = "[^\\/]+?";
const ANYTHING = ".*";
const NAME = /[$_\p{ID_Start}][$\u200c\u200d\p{ID_Continue}]*/uy;
const ENCODED_BYTE = /%([0-9A-Fa-f]{2})/y;
const encoder = new TextEncoder();

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
  const type = source === undefined || source === SEGMENT
    ? "segment"
    : source === ANYTHING
    ? "wildcard"
    : "regexp";
  return { type, name: name ?? String(cursor.unnamed++), source: source ?? SEGMENT };
}

function readName(cursor: Cursor): string {
  const colon = cursor.at;
  NAME.lastIndex = colon + 1;
  const name = NAME.exec(cursor.text)?.[0];
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

/** Reads literal text up to a special character; `prefixes` leaves a group the slash before it. */
function readText(cursor: Cursor, prefixes: boolean): ByteString {
  const { text } = cursor;
  let bytes = "";
  let slash = -1;
  while (cursor.at < text.length) {
    const char = text[cursor.at] ?? "";
    if (SPECIAL.has(char)) return bytes;
    if (char === "/") {
      refuseUnreachable(bytes + char, slash);
      if (prefixes && GROUP_START.has(text[cursor.at + 1] ?? "")) return bytes;
      slash = cursor.at;
    }
    bytes += readCharacter(cursor);
  }
  if (!bytes.endsWith("/")) refuseUnreachable(bytes + "/", slash);
  return bytes;
}

/** Refuses a segment that no normalised path holds; `bytes` ends with the slash that closes it. */
function refuseUnreachable(bytes: ByteString, slash: number): void {
  if (slash < 0) return;
  const segment = /\/(\.?\.?)\/$/.exec(bytes)?.[1];
  if (segment === undefined) return;
  const what = segment === "" ? "repeated slashes are merged" : "dot segments are resolved";
  throw new PatternError(`Cannot match "/${segment}/": ${what} before matching`, slash);
}

/** Reads one literal character as the bytes it stands for. */
function readCharacter(cursor: Cursor): ByteString {
  const { text, at } = cursor;
  ENCODED_BYTE.lastIndex = at;
  const hex = ENCODED_BYTE.exec(text)?.[1];
  if (hex !== undefined) {
    cursor.at += 3;
    return decodeByte(Number.parseInt(hex, 16), at);
  }
  if (text[at] === "%") {
    throw new PatternError("Cannot read an encoded byte: write %25 for a percent sign", at);
  }
  const from = text[at] === "\\" ? at + 1 : at;
  const code = text.codePointAt(from);
  if (code === undefined) {
    throw new PatternError("Cannot end with a backslash: write \\\\ for the character", at);
  }
  const char = String.fromCodePoint(code);
  cursor.at = from + char.length;
  if (code === 0) throw new PatternError("Cannot match a NUL character: remove it", at);
  return code < 0x80 ? char : String.fromCharCode(...encoder.encode(char));
}

function decodeByte(byte: number, at: number): ByteString {
  if (byte === 0) throw new PatternError("Cannot match a NUL character: remove it", at);
  return byte === 0x2f ? ENCODED_SLASH : String.fromCharCode(byte);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
