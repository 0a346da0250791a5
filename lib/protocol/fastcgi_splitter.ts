/**
 * Sorts the records of a shared connection by request id, without reading what is in them: each request
 * then decodes its own bytes as if it had the connection to itself.
 *
 * Source: FastCGI Specification 1.0, §3.3.
 */
import { ProtocolError } from "../errors.ts";
import { byteAt, FCGI_HEADER_LENGTH, FCGI_TYPES, FCGI_VERSION, uint16 } from "./fastcgi.ts";

/** Who gets the bytes. */
export interface SplitSink {
  /** A part of a record, perhaps all of it; valid during the call. */
  take(id: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** The END_REQUEST of a request is complete. */
  ended(id: number): void;
}

export class FcgiSplitter {
  readonly #sink: SplitSink;
  readonly #header = new Uint8Array(FCGI_HEADER_LENGTH);
  #headerLength = 0;
  #id = 0;
  #type = 0;
  /** Bytes of content and padding still to come of the record that has begun. */
  #left = 0;

  constructor(sink: SplitSink) {
    this.#sink = sink;
  }

  /**
   * Hands out what came.
   * @throws {ProtocolError} `fcgi-version`.
   */
  push(chunk: Uint8Array<ArrayBuffer>): void {
    for (let at = 0; at < chunk.length;) {
      at = this.#left > 0 ? this.#content(chunk, at) : this.#record(chunk, at);
    }
  }

  /** Begins a record; with its content, as far as it is there, in one piece. */
  #record(chunk: Uint8Array<ArrayBuffer>, at: number): number {
    if (this.#headerLength === 0 && chunk.length - at >= FCGI_HEADER_LENGTH) {
      this.#open(chunk, at);
      const length = Math.min(FCGI_HEADER_LENGTH + this.#left, chunk.length - at);
      return this.#hand(chunk, at, length, length - FCGI_HEADER_LENGTH);
    }
    const taken = Math.min(chunk.length - at, FCGI_HEADER_LENGTH - this.#headerLength);
    this.#header.set(chunk.subarray(at, at + taken), this.#headerLength);
    this.#headerLength += taken;
    if (this.#headerLength === FCGI_HEADER_LENGTH) {
      this.#headerLength = 0;
      this.#open(this.#header, 0);
      this.#hand(this.#header, 0, FCGI_HEADER_LENGTH, 0);
    }
    return at + taken;
  }

  #content(chunk: Uint8Array<ArrayBuffer>, at: number): number {
    const length = Math.min(this.#left, chunk.length - at);
    return this.#hand(chunk, at, length, length);
  }

  #open(bytes: Uint8Array, at: number): void {
    const version = byteAt(bytes, at);
    if (version !== FCGI_VERSION) {
      throw new ProtocolError(
        "fcgi-version",
        `Cannot read a FastCGI record: version is ${version} where 1 is due`,
      );
    }
    this.#type = byteAt(bytes, at + 1);
    this.#id = uint16(bytes, at + 2);
    this.#left = uint16(bytes, at + 4) + byteAt(bytes, at + 6);
  }

  #hand(bytes: Uint8Array<ArrayBuffer>, at: number, length: number, content: number): number {
    this.#left -= content;
    this.#sink.take(this.#id, bytes.subarray(at, at + length));
    if (this.#left === 0 && this.#type === FCGI_TYPES["end-request"]) this.#sink.ended(this.#id);
    return at + length;
  }
}
