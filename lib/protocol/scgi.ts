/**
 * SCGI: a netstring of variables (`LENGTH:NAME NUL VALUE NUL ... ,`), and the body raw behind it. The
 * reply is a CGI reply that ends with the connection, and is read as those are.
 *
 * CONTENT_LENGTH comes first and always, `SCGI` is `1`, no name comes twice. No name or value holds a NUL:
 * it would end there, and what follows would pose as further variables.
 *
 * Source: "SCGI: A Simple Common Gateway Interface alternative", Neil Schemenauer, 2008.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";
import { ByteWriter } from "./byte_writer.ts";
import { latin1FromBytes } from "./latin1.ts";

const NUL = 0;
const COLON = 0x3a;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
/** Room in front of the variables for their length and its colon. */
const PREFIX = 11;
/** Variables that the protocol itself says; nobody else may. */
export const SCGI_OWN: readonly string[] = ["CONTENT_LENGTH", "SCGI"];

/**
 * Writes requests: {@link begin}, then variables by {@link set} or, already encoded, by {@link append};
 * {@link end}, then the body's first bytes, if any, by {@link append}; {@link take}.
 */
export class ScgiEncoder {
  readonly #out = new ByteWriter();
  /** Where the length's first digit stands. */
  #start = 0;

  /** Opens a request with the two variables that the protocol asks for. */
  begin(contentLength: number | undefined): void {
    this.#out.take();
    this.#out.skip(PREFIX);
    this.set("CONTENT_LENGTH", String(contentLength ?? 0));
    this.set("SCGI", "1");
  }

  set(name: string, value: ByteString): void {
    if (value.includes("\0")) throw new RangeError(`Cannot send ${name}: it holds a NUL`);
    const out = this.#out;
    out.reserve(2 + name.length + value.length);
    out.text(name);
    out.byte(NUL);
    out.text(value);
    out.byte(NUL);
  }

  append(bytes: Uint8Array): void {
    this.#out.append(bytes);
  }

  /** Closes the netstring: writes its length in front of it, now that it is known. */
  end(): void {
    const digits = String(this.#out.length - PREFIX);
    this.#start = PREFIX - digits.length - 1;
    const codes = Array.from(digits, (digit) => digit.charCodeAt(0));
    this.#out.patch(this.#start, [...codes, COLON]);
    this.#out.byte(COMMA);
  }

  /** What was written since {@link begin}; valid until the next write. */
  take(): Uint8Array<ArrayBuffer> {
    const start = this.#start;
    this.#start = 0;
    return this.#out.take(start);
  }
}

/** A request's head as a server receives it. */
export interface ScgiRequest {
  readonly contentLength: number;
  /** In order. */
  readonly variables: ReadonlyMap<string, ByteString>;
  /** What followed the head in the last chunk: the beginning of the body, as a view of that chunk. */
  readonly rest: Uint8Array<ArrayBuffer>;
}

/** Reads one request's head from chunks, of which it keeps none. It is strict. */
export class ScgiDecoder {
  readonly #limit: number;
  readonly #gathered = new ByteWriter();
  /** Where the variables begin and end; 0 until the length is read. */
  #start = 0;
  #end = 0;

  /** Variables of more than `limit` bytes are refused. */
  constructor(limit = 2 ** 20) {
    this.#limit = limit;
  }

  /**
   * Takes the next chunk; gives the request once its head is whole. The decoder is spent then.
   * @throws {ProtocolError} `scgi-netstring`, `scgi-too-large` or `scgi-headers`.
   */
  push(chunk: Uint8Array<ArrayBuffer>): ScgiRequest | undefined {
    const had = this.#gathered.length;
    this.#gathered.append(chunk);
    const bytes = this.#gathered.view(0);
    if (this.#start === 0 && !this.#readLength(bytes)) return undefined;
    if (bytes.length <= this.#end) return undefined;
    if (bytes[this.#end] !== COMMA) throw notNetstring("no comma ends it");
    const variables = readVariables(bytes.subarray(this.#start, this.#end));
    const contentLength = checkedLength(variables);
    return { contentLength, variables, rest: chunk.subarray(this.#end + 1 - had) };
  }

  /** Reads the netstring's length; false as long as there is more of it to come. */
  #readLength(bytes: Uint8Array): boolean {
    let length = 0;
    for (const [at, code] of bytes.entries()) {
      if (code === COLON && at > 0) {
        this.#start = at + 1;
        this.#end = this.#start + length;
        return true;
      }
      if (code < ZERO || code > NINE) throw notNetstring("its length is no number");
      if (at > 0 && length === 0) throw notNetstring("its length begins with a zero");
      length = length * 10 + code - ZERO;
      if (length > this.#limit) {
        throw new ProtocolError("scgi-too-large", `Variables exceed ${this.#limit} bytes`);
      }
    }
    return false;
  }
}

function notNetstring(why: string): ProtocolError {
  return new ProtocolError("scgi-netstring", `Cannot read the request as a netstring: ${why}`);
}

function faulty(why: string): ProtocolError {
  return new ProtocolError("scgi-headers", `Cannot read the request's variables: ${why}`);
}

function readVariables(bytes: Uint8Array): ReadonlyMap<string, ByteString> {
  const variables = new Map<string, ByteString>();
  for (let at = 0; at < bytes.length;) {
    const middle = bytes.indexOf(NUL, at);
    const end = middle === -1 ? -1 : bytes.indexOf(NUL, middle + 1);
    if (end === -1) throw faulty("the last one has no end");
    const name = latin1FromBytes(bytes.subarray(at, middle));
    if (name === "") throw faulty("one has no name");
    if (variables.has(name)) throw faulty(`${name} comes twice`);
    variables.set(name, latin1FromBytes(bytes.subarray(middle + 1, end)));
    at = end + 1;
  }
  return variables;
}

function checkedLength(variables: ReadonlyMap<string, ByteString>): number {
  const [first] = variables.keys();
  const digits = variables.get("CONTENT_LENGTH") ?? "";
  const length = Number(digits);
  if (first !== "CONTENT_LENGTH" || !/^\d+$/.test(digits) || !Number.isSafeInteger(length)) {
    throw faulty("the first is not CONTENT_LENGTH with a number");
  }
  if (variables.get("SCGI") !== "1") throw faulty("SCGI is not 1");
  return length;
}
