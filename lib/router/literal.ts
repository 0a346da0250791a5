/**
 * Reads the literal text of a pattern as the bytes that a decoded path holds: `é` and `%C3%A9` are the
 * same two, `%2F` is ENCODED_SLASH. Matching then compares and never decodes. What is in no normalised
 * path, and thus could never match, is refused at its offset.
 */
import { type ByteString, ENCODED_SLASH } from "../exchange.ts";

/** The text is no path pattern. `offset` counts UTF-16 code units from its start. */
export class PatternError extends Error {
  override readonly name = "PatternError";
  constructor(message: string, readonly offset: number) {
    super(message);
  }
}

/** A reading under way. */
export interface Cursor {
  readonly text: string;
  at: number;
  unnamed: number;
  readonly names: Set<string>;
}

/** Characters that mean something unless a backslash stands before them. */
export const SPECIAL: ReadonlySet<string> = new Set(["{", "}", "(", ":", "*", "+", "?"]);
/** Those that open a group. */
export const GROUP_START: ReadonlySet<string> = new Set(["(", ":", "*"]);

const ENCODED_BYTE = /%([0-9A-Fa-f]{2})/y;
const encoder = new TextEncoder();

/** Reads literal text up to a special character; `prefixes` leaves a group the slash before it. */
export function readText(cursor: Cursor, prefixes: boolean): ByteString {
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

export function quote(text: string): string {
  return JSON.stringify(text);
}
