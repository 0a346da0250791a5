/**
 * The head of an HTTP/1.1 response, from bytes to fields (RFC 9112 §4, §5). Stricter than the reader of
 * programs' replies (cgi_head.ts): what a lenient reader mends, a front or a cache may have read otherwise,
 * and the difference is how responses are smuggled. No folded lines, no bare line feeds, no blanks before
 * a colon: each is a {@link ProtocolError}.
 *
 * Strategy: the end is looked for in bytes, then the head is decoded once. Faults depend on the bytes
 * alone, not on how they were cut; only a peer that does not even begin as HTTP is told at once.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString, HeaderPair } from "../exchange.ts";
import { quoteBytes, tokenEnd, valueEnd } from "./http_fields.ts";
import { latin1FromBytes } from "./latin1.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A head as the origin wrote it. */
export interface OriginHead {
  /** 100 to 999. */
  readonly status: number;
  /** The minor version: HTTP/1.0 or HTTP/1.1. */
  readonly minor: 0 | 1;
  /** In order, names as written. */
  readonly fields: readonly HeaderPair[];
  /** What followed the head in the last chunk: a view of that chunk, not a copy. */
  readonly rest: Bytes;
}

const LF = 0x0a;
const CR = 0x0d;
const BEGINNING = "HTTP/1.";

/** Reads the heads of one answer, interim ones first. Keeps no chunk, so their buffers may be reused. */
export class OriginHeadReader {
  readonly #limit: number;
  #carry: Bytes | undefined;
  #size = 0;

  /** Heads of more than `limit` bytes are refused; interim ones that precede one count in. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether nothing at all has come. */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /**
   * Takes the next chunk; gives a head once its blank line has come. What follows an interim one is in its
   * `rest`, to be pushed again.
   * @throws {ProtocolError} `no-head`, `bad-field` or `head-too-large`.
   */
  push(chunk: Bytes): OriginHead | undefined {
    const carried = this.#carry?.length ?? 0;
    const bytes = this.#carry === undefined ? chunk : joined(this.#carry, chunk);
    const end = headEnd(bytes, Math.max(0, carried - 3));
    this.#size += (end === -1 ? bytes.length : end) - carried;
    if (this.#size > this.#limit) {
      // As it would have been told had fewer bytes come at once.
      refuseForeign(bytes);
      throw new ProtocolError(
        "head-too-large",
        `Cannot read the response's head: no blank line at ${this.#limit} bytes`,
      );
    }
    if (end === -1) {
      refuseForeign(bytes);
      // A copy: the chunk's buffer is about to be used again.
      this.#carry = this.#carry === undefined ? bytes.slice() : bytes;
      return undefined;
    }
    this.#carry = undefined;
    const { status, minor, fields } = parseHead(latin1FromBytes(bytes.subarray(0, end)));
    return { status, minor, fields, rest: chunk.subarray(end - carried) };
  }

  /** The connection ended before the head did: the fault to throw (`no-output`, `head-cut`). */
  end(): ProtocolError {
    if (this.isEmpty) {
      return new ProtocolError("no-output", "Cannot read the response: there was none at all");
    }
    return new ProtocolError(
      "head-cut",
      "Cannot read the response's head: the connection ended before a blank line",
    );
  }
}

function joined(a: Bytes, b: Bytes): Bytes {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Where the head ends, behind its blank line; -1 if it does not. */
function headEnd(bytes: Bytes, from: number): number {
  for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    const isBlank = bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR;
    if (isBlank) return at + 1;
  }
  return -1;
}

/** Who speaks another protocol is not waited for. */
function refuseForeign(bytes: Bytes): void {
  const start = latin1FromBytes(bytes.subarray(0, BEGINNING.length));
  if (!BEGINNING.startsWith(start)) throw noHead(latin1FromBytes(bytes.subarray(0, 80)));
}

function parseHead(text: ByteString): Omit<OriginHead, "rest"> {
  let end = text.indexOf("\r\n");
  const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(
    text.slice(0, end),
  );
  if (match === null) throw noHead(text);
  const fields: HeaderPair[] = [];
  for (let start = end + 2; start < text.length - 2; start = end + 2) {
    end = text.indexOf("\r\n", start);
    fields.push(parseField(text, start, end));
  }
  return { status: Number(match[2]), minor: match[1] === "0" ? 0 : 1, fields };
}

function parseField(text: ByteString, start: number, end: number): HeaderPair {
  const colon = tokenEnd(text, start, end);
  if (colon === start || text[colon] !== ":") throw badField(text.slice(start, end));
  let from = colon + 1;
  while (from < end && isBlank(text.charCodeAt(from))) from++;
  let to = end;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  if (valueEnd(text, from, to) !== to) throw badField(text.slice(start, end));
  return [text.slice(start, colon), text.slice(from, to)];
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function noHead(text: ByteString): ProtocolError {
  const [line = ""] = text.split(/[\r\n]/, 1);
  return new ProtocolError(
    "no-head",
    `Cannot read the response's head: it begins with ${quoteBytes(line)}`,
  );
}

function badField(line: ByteString): ProtocolError {
  return new ProtocolError(
    "bad-field",
    `Cannot read the response's head: ${quoteBytes(line)} ${faultOf(line)}`,
  );
}

function faultOf(line: ByteString): string {
  if (isBlank(line.charCodeAt(0))) return "continues the line before it (RFC 9112 section 5.2)";
  const colon = line.indexOf(":");
  if (colon === -1) return "has no colon";
  if (tokenEnd(line, 0, colon) < colon) return "has a name that is no token";
  return "holds a control character";
}
