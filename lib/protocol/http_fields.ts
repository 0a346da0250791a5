/**
 * The grammar of header fields (RFC 9110 §5), shared by every protocol and by the configuration: what
 * may be a name, what may be a value, which fields end at this hop.
 *
 * Strategy: one table of 256 character classes, scanned by code unit; names and values are
 * {@link ByteString}s. A control character in a response field's value ends the whole runtime process,
 * so nothing reaches a Response that {@link isFieldValue} has not seen.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString, HeaderPair } from "../exchange.ts";

const NAME = 1;
const VALUE = 2;
const CLASSES = new Uint8Array(256);
// RFC 9110 §5.6.2: tchar.
for (const char of "!#$%&'*+-.^_`|~") CLASSES[char.charCodeAt(0)] = NAME;
for (const char of "0123456789") CLASSES[char.charCodeAt(0)] = NAME;
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  CLASSES[char.charCodeAt(0)] = NAME;
  CLASSES[char.toLowerCase().charCodeAt(0)] = NAME;
}
// RFC 9110 §5.5: SP, HTAB, VCHAR, obs-text.
for (let code = 0; code < 256; code++) {
  if (code === 0x09 || (code >= 0x20 && code !== 0x7f)) {
    CLASSES[code] = (CLASSES[code] ?? 0) | VALUE;
  }
}

/** Where the run of token characters that begins at `start` ends; at most `end`. */
export function tokenEnd(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && ((CLASSES[text.charCodeAt(at)] ?? 0) & NAME) !== 0) at++;
  return at;
}

/** Where the run of characters fit for a field's value that begins at `start` ends; at most `end`. */
export function valueEnd(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && ((CLASSES[text.charCodeAt(at)] ?? 0) & VALUE) !== 0) at++;
  return at;
}

/** Whether the text is a token: the name of a field, a method (RFC 9110 §5.6.2). */
export function isToken(text: string): boolean {
  return text !== "" && tokenEnd(text, 0, text.length) === text.length;
}

/** Whether the text may stand as a field's value: bytes, and no control character but TAB. */
export function isFieldValue(text: string): boolean {
  return valueEnd(text, 0, text.length) === text.length;
}

/**
 * A field whose name and value are clean; for fields that no parser of ours has read.
 * @throws {ProtocolError} `bad-field`.
 */
export function checkedField(name: string, value: string): HeaderPair {
  if (!isToken(name)) {
    throw new ProtocolError("bad-field", `Cannot send a field named ${quoteText(name)}: no token`);
  }
  if (!isFieldValue(value)) {
    const why = "it holds a control character or one beyond U+00FF";
    throw new ProtocolError("bad-field", `Cannot send ${name}: ${quoteText(value)}: ${why}`);
  }
  return [name, value];
}

/**
 * Fields that mean something between two neighbours alone: RFC 9110 §7.6.1, Trailer (§6.6.2), those of
 * proxy authentication, which the next hop's proxy speaks (§11.7), and HTTP2-Settings (RFC 7540 §3.2.1).
 */
export const HOP_BY_HOP: readonly string[] = [
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

const hopByHop: ReadonlySet<string> = new Set(HOP_BY_HOP);

/** Whether the field ends at this hop. `lowerName` is in lower case. */
export function isHopByHop(lowerName: string): boolean {
  return hopByHop.has(lowerName);
}

/** Whether an answer of this status never has a body (RFC 9110 §15.3.5, §15.3.6, §15.4.5). */
export function forbidsBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** The bytes that a ByteString stands for. */
export function bytesFromLatin1(text: ByteString): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  let seen = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    seen |= code;
    bytes[at] = code;
  }
  // Cutting U+0100 (an encoded slash) to a byte would forge a NUL.
  if (seen > 0xff) throw new RangeError(`Cannot encode ${quoteText(text)}: it is no byte string`);
  return bytes;
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * How bytes look in a message: at most `limit` of them, in quotes, read as UTF-8. Control and other
 * invisible characters are escaped, so that what a program printed cannot steer a terminal.
 */
export function quoteBytes(bytes: ByteString, limit = 80): string {
  const more = bytes.length > limit ? "..." : "";
  return quoteText(UTF8.decode(bytesFromLatin1(bytes.slice(0, limit)))) + more;
}

function quoteText(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escapeChar)}"`;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function escapeChar(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return SHORT_ESCAPES[char] ?? (code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`);
}
