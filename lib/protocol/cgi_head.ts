/**
 * The head of a reply, from bytes to fields (RFC 3875 §6.3, §7.2): the first half of the reply reader
 * that CGI, FastCGI, SCGI and uwsgi share. It is strict: a line that cannot be read is a
 * {@link ProtocolError}, never a guess, for a field dropped in silence is a changed answer.
 *
 * Strategy: whole lines are taken out of a chunk with one decoding, so a head that comes in one piece,
 * as nearly all do, is never copied; only a line cut in two is carried over. Faults depend on the bytes
 * alone, not on how they were cut.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString, HeaderPair } from "../exchange.ts";
import { isToken, quoteBytes, tokenEnd, valueEnd } from "./http_fields.ts";
import { latin1FromBytes } from "./latin1.ts";

/** A head as the program wrote it. */
export interface ReplyHead<Buffer extends ArrayBufferLike = ArrayBufferLike> {
  /** In order, names as written. A status line (`HTTP/1.1 404 Not Found`) is a `Status` field. */
  readonly fields: readonly HeaderPair[];
  /** What followed the head in the last chunk: a view of that chunk, not a copy. */
  readonly rest: Uint8Array<Buffer>;
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;

/** Reads one reply's head from chunks. Keeps no chunk, so their buffers may be reused. */
export class HeadReader {
  readonly #limit: number;
  #fields: HeaderPair[] = [];
  /** Whether a folded line may follow: after a field, not after a status line. */
  #foldable = false;
  /** The line that the last chunk did not finish. */
  #carry: ByteString = "";
  /** Finished lines, and the bytes they took. */
  #lines = 0;
  #size = 0;

  /** Heads of more than `limit` bytes are refused; blocks of 1xx that precede one count in. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What was understood so far. */
  get fields(): readonly HeaderPair[] {
    return this.#fields;
  }

  /**
   * Takes the next chunk; gives the head once its blank line has come. The reader is spent then.
   * @throws {ProtocolError} `no-head`, `bad-field`, `bad-status` or `head-too-large`.
   */
  push<Buffer extends ArrayBufferLike>(
    chunk: Uint8Array<Buffer>,
  ): ReplyHead<Buffer> | undefined {
    let start = 0;
    while (start < chunk.length) {
      const end = this.#carry === "" ? linesEnd(chunk, start) : chunk.indexOf(LF, start) + 1;
      if (end <= start) break;
      const lines = this.#carry + latin1FromBytes(chunk, start, end);
      this.#carry = "";
      start = end;
      if (this.#takeLines(lines)) return { fields: this.#fields, rest: chunk.subarray(start) };
    }
    if (start < chunk.length) this.#carry += latin1FromBytes(chunk, start);
    if (this.#size + this.#carry.length > this.#limit) throw this.#tooLarge(this.#carry);
    return undefined;
  }

  /** The output ended before the head did: the fault to throw (`no-output`, `no-head`, `head-cut`). */
  end(): ProtocolError {
    if (this.#size === 0 && this.#carry === "") {
      return new ProtocolError("no-output", "Cannot read the reply: there was no output at all");
    }
    if (this.#isForeign(this.#carry)) return noHead(this.#carry);
    const line = this.#lines + 1;
    return new ProtocolError(
      "head-cut",
      `Cannot read the reply's head: the output ended in line ${line}, before a blank line`,
    );
  }

  /** Takes whole lines, of which the last alone may be blank. Tells whether the head is complete. */
  #takeLines(text: ByteString): boolean {
    for (let start = 0; start < text.length;) {
      const next = text.indexOf("\n", start) + 1;
      // RFC 3875 §7.2: LF ends a line, and CRLF is to be accepted too.
      const end = next - 1 > start && text.charCodeAt(next - 2) === CR ? next - 2 : next - 1;
      if (this.#size + next - start > this.#limit) throw this.#tooLarge(text.slice(start));
      this.#lines++;
      this.#size += next - start;
      if (end === start) return this.#endBlock();
      this.#takeLine(text, start, end);
      start = next;
    }
    return false;
  }

  #takeLine(text: ByteString, start: number, end: number): void {
    const colon = tokenEnd(text, start, end);
    if (colon === start || text.charCodeAt(colon) !== COLON) {
      return this.#takeOther(text.slice(start, end));
    }
    const from = skipBlanks(text, colon + 1, end);
    const to = trimBlanks(text, from, end);
    if (valueEnd(text, from, to) !== to) throw this.#badLine(text.slice(start, end), CONTROL);
    this.#fields.push([text.slice(start, colon), text.slice(from, to)]);
    this.#foldable = true;
  }

  /** A line that is no field: a folded one, a status line, or a fault. */
  #takeOther(line: ByteString): void {
    if (isStatusLine(line) && this.#fields.length === 0) {
      this.#fields.push(["Status", this.#value(line, STATUS_AT)]);
      return;
    }
    const last = this.#fields.at(-1);
    if (isBlank(line.charCodeAt(0)) && this.#foldable && last !== undefined) {
      // RFC 9112 §5.2: a folded line continues the value after one space.
      const [name, value] = last;
      const more = this.#value(line, 0);
      const whole = value === "" || more === "" ? value + more : `${value} ${more}`;
      this.#fields[this.#fields.length - 1] = [name, whole];
      return;
    }
    if (this.#isForeign(line)) throw noHead(line);
    throw this.#badLine(line, faultOf(line));
  }

  /** The clean value that begins at `start`, without the blanks around it. */
  #value(line: ByteString, start: number): ByteString {
    const from = skipBlanks(line, start, line.length);
    const to = trimBlanks(line, from, line.length);
    if (valueEnd(line, from, to) !== to) throw this.#badLine(line, CONTROL);
    return line.slice(from, to);
  }

  /** At a blank line: whether a head ends here. Interim answers are skipped (RFC 9110 §15.2). */
  #endBlock(): boolean {
    if (this.#fields.length === 0) {
      throw new ProtocolError(
        "no-head",
        `Cannot read the reply's head: line ${this.#lines} is blank, before any header field`,
      );
    }
    const status = interimStatus(this.#fields);
    if (status === undefined) return true;
    if (status.startsWith("101")) {
      throw new ProtocolError(
        "bad-status",
        "Cannot switch protocols: the program replied with 101",
      );
    }
    this.#fields = [];
    this.#foldable = false;
    return false;
  }

  /** Whether the output does not even begin as a head: an error message, HTML. */
  #isForeign(line: ByteString): boolean {
    if (this.#fields.length > 0 || line === "" || isStatusLine(line)) return false;
    const colon = line.indexOf(":");
    return colon === -1 || !isToken(line.slice(0, colon).trimEnd());
  }

  #badLine(line: ByteString, fault: string): ProtocolError {
    return new ProtocolError(
      "bad-field",
      `Cannot read the reply's head: line ${this.#lines}, ${quoteBytes(line)}, ${fault}`,
    );
  }

  /** `line` is the one that crosses the limit, with what may follow it. */
  #tooLarge(line: ByteString): ProtocolError {
    const seen = line.slice(0, this.#limit - this.#size);
    if (this.#isForeign(seen)) return noHead(seen);
    const colon = tokenEnd(seen, 0, seen.length);
    const crossing: HeaderPair = [seen.slice(0, colon), seen.slice(colon + 1).trim()];
    const [largest] = [crossing, ...this.#fields].reduce((most, field) =>
      most[0] === "" || field[1].length > most[1].length ? field : most
    );
    const field = largest === "" ? "" : `, largest field ${largest.slice(0, 80)}`;
    return new ProtocolError(
      "head-too-large",
      `Cannot read the reply's head: no blank line at ${this.#limit} bytes${field}`,
    );
  }
}

/** Where the whole lines from `start` on end: after a blank line, else after the last line feed. */
function linesEnd(bytes: Uint8Array, start: number): number {
  let end = start;
  for (let at = start; at < bytes.length; at++) {
    if (bytes[at] !== LF) continue;
    const length = at - end;
    end = at + 1;
    if (length === 0 || (length === 1 && bytes[at - 1] === CR)) break;
  }
  return end;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

function skipBlanks(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(text.charCodeAt(at))) at++;
  return at;
}

function trimBlanks(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isBlank(text.charCodeAt(at - 1))) at--;
  return at;
}

const CONTROL = "holds a control character";
const STATUS_AT = "HTTP/1.x ".length;

/** NPH scripts (RFC 3875 §5) and uwsgi servers begin with one. */
function isStatusLine(line: ByteString): boolean {
  return line.startsWith("HTTP/1.") && /^\d $/.test(line.slice(STATUS_AT - 2, STATUS_AT));
}

function faultOf(line: ByteString): string {
  if (isBlank(line.charCodeAt(0))) return "continues no field";
  const colon = line.indexOf(":");
  if (colon === -1) return "has no colon";
  const name = line.slice(0, colon);
  if (isToken(name.trimEnd())) return "has a space before the colon";
  return "has a name that is no token";
}

function noHead(line: ByteString): ProtocolError {
  const quoted = quoteBytes(line.trimEnd());
  return new ProtocolError(
    "no-head",
    `Cannot read the reply's head: the program printed ${quoted} before any header`,
  );
}

function interimStatus(fields: readonly HeaderPair[]): ByteString | undefined {
  for (const [name, value] of fields) {
    if (name.length !== "status".length || name.toLowerCase() !== "status") continue;
    return /^1\d\d(?: |$)/.test(value) ? value : undefined;
  }
  return undefined;
}
