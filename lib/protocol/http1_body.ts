/**
 * Where a response's body ends, by what its head said of it (RFC 9112 §6.3). Bytes in, data out; what comes
 * behind the end belongs to nobody, and says that the connection is not to be used again.
 */
import { ChunkDecoder } from "./http1_chunks.ts";
import type { Framing } from "./http1_response.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export class BodyFramer {
  readonly #chunks: ChunkDecoder | undefined;
  /** Bytes that are still due; infinite where the connection's end ends the body. */
  #due: number;
  #ended = false;
  #hasExcess = false;

  constructor(framing: Framing) {
    this.#chunks = framing.type === "chunked" ? new ChunkDecoder() : undefined;
    this.#due = framing.type === "length" ? framing.length : Infinity;
    this.#ended = this.#due === 0;
  }

  /** Whether all has come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether something came behind the end. */
  get hasExcess(): boolean {
    return this.#hasExcess;
  }

  /** The connection has ended, in good order. Tells whether that was the end of the body. */
  end(): boolean {
    this.#ended ||= this.#chunks === undefined && this.#due === Infinity;
    return this.#ended;
  }

  /**
   * The data of what came: a view of `bytes`, whose contents may be changed.
   * @throws {ProtocolError} `bad-chunk`.
   */
  push(bytes: Bytes): Bytes {
    if (this.#ended) {
      if (bytes.length > 0) this.#hasExcess = true;
      return bytes.subarray(0, 0);
    }
    if (this.#chunks !== undefined) return this.#takeChunks(this.#chunks, bytes);
    const data = bytes.length > this.#due ? bytes.subarray(0, this.#due) : bytes;
    this.#hasExcess = data.length < bytes.length;
    this.#due -= data.length;
    this.#ended = this.#due === 0;
    return data;
  }

  #takeChunks(chunks: ChunkDecoder, bytes: Bytes): Bytes {
    const data = chunks.push(bytes);
    this.#ended = chunks.ended;
    this.#hasExcess = chunks.consumed < bytes.length;
    return data;
  }
}
