/**
 * The chunked transfer coding (RFC 9112 §7.1), both ways. The decoder is strict about every byte that
 * frames, for two readers who disagree about one have two different bodies; extensions and trailer fields
 * are bounded and dropped.
 *
 * Strategy: what a read brought is decoded where it lies, the data moved together to the front of it, so
 * that a read of many small chunks is one piece and nothing is allocated.
 */
import { ProtocolError } from "../errors.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const CR = 0x0d;
const LF = 0x0a;
/** Bytes that a chunk's size line may take with its extensions, and the trailer section. */
const MAX_LINE = 4096;
const MAX_TRAILER = 16_384;
/** 2^52 - 1: well within what a number counts exactly. */
const MAX_DIGITS = 13;

type State = "size" | "extension" | "size-lf" | "data" | "data-cr" | "data-lf" | "trailer" | "end";

export class ChunkDecoder {
  #state: State = "size";
  /** Data of this chunk that is still to come. */
  #left = 0;
  #digits = 0;
  /** Bytes of this line, or of the trailer section. */
  #line = 0;
  /** Bytes of this trailer line; its last byte was a CR. */
  #column = 0;
  #afterCr = false;
  #consumed = 0;

  /** Whether the last chunk and the trailer section have ended. */
  get ended(): boolean {
    return this.#state === "end";
  }

  /** How much of the last input belonged to the body. */
  get consumed(): number {
    return this.#consumed;
  }

  /**
   * Decodes in place: gives the data as a view of `bytes`, whose contents are changed.
   * @throws {ProtocolError} `bad-chunk`.
   */
  push(bytes: Bytes): Bytes {
    let start = 0;
    let end = 0;
    let at = 0;
    while (at < bytes.length && this.#state !== "end") {
      if (this.#state !== "data") {
        this.#step(bytes[at++] ?? 0);
        continue;
      }
      const length = Math.min(this.#left, bytes.length - at);
      if (end === start) start = end = at;
      else bytes.copyWithin(end, at, at + length);
      end += length;
      at += length;
      this.#left -= length;
      if (this.#left === 0) this.#state = "data-cr";
    }
    this.#consumed = at;
    return bytes.subarray(start, end);
  }

  #step(byte: number): void {
    switch (this.#state) {
      case "size":
        return this.#size(byte);
      case "extension":
        if (++this.#line > MAX_LINE) throw fault("a size line is too long");
        if (byte === CR) this.#state = "size-lf";
        else if (isControl(byte)) throw fault("a control character in a size line");
        return;
      case "size-lf":
        if (byte !== LF) throw fault("a size line that no line feed ends");
        this.#state = this.#left === 0 ? "trailer" : "data";
        this.#line = this.#digits = this.#column = 0;
        return;
      case "data-cr":
        if (byte !== CR) throw fault("data that is longer than its size says");
        this.#state = "data-lf";
        return;
      case "data-lf":
        if (byte !== LF) throw fault("data that is longer than its size says");
        this.#state = "size";
        return;
      default:
        return this.#trailer(byte);
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      if (++this.#digits > MAX_DIGITS) throw fault("a size that is too large");
      this.#left = this.#left * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw fault("a size that is no hexadecimal number");
    // RFC 9112 §7.1.1; some origins pad a size with blanks.
    if (byte === CR) this.#state = "size-lf";
    else if (byte === 0x3b || byte === 0x20 || byte === 0x09) this.#state = "extension";
    else throw fault("a size that is no hexadecimal number");
  }

  #trailer(byte: number): void {
    if (++this.#line > MAX_TRAILER) throw fault("trailer fields of too many bytes");
    if (this.#afterCr) {
      if (byte !== LF) throw fault("a trailer field that no line feed ends");
      this.#afterCr = false;
      if (this.#column === 0) this.#state = "end";
      this.#column = 0;
    } else if (byte === CR) this.#afterCr = true;
    else if (isControl(byte)) throw fault("a control character in a trailer field");
    else this.#column++;
  }
}

function fault(what: string): ProtocolError {
  return new ProtocolError("bad-chunk", `Cannot take the chunked body apart: ${what}`);
}

function isControl(byte: number): boolean {
  return (byte < 0x20 && byte !== 0x09) || byte === 0x7f;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

const ENCODER = new TextEncoder();

/** What precedes the data of a chunk of so many bytes; never 0, which would end the body. */
export function chunkHead(length: number): Bytes {
  return ENCODER.encode(`${length.toString(16)}\r\n`);
}

/** What follows the data of every chunk. */
export const CHUNK_TAIL: Bytes = ENCODER.encode("\r\n");

/** The last chunk, without trailer fields. */
export const LAST_CHUNK: Bytes = ENCODER.encode("0\r\n\r\n");
