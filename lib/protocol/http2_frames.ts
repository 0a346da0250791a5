/**
 * Watches the frames that an HTTP/2 origin sends (RFC 9113 §4.1) go by, and tells which streams it has
 * ended itself (END_STREAM). The runtime's client shows a stream that was reset with NO_ERROR in the middle
 * of its body as one that has ended; here the two are told apart.
 *
 * Strategy: frame heads are read, payloads are skipped. Nothing is judged: what breaks the protocol is the
 * runtime's to refuse.
 */

const HEAD_SIZE = 9;
const DATA = 0;
const HEADERS = 1;
const END_STREAM = 1;

export class FrameWatch {
  readonly #ended: (stream: number) => void;
  readonly #head = new Uint8Array(HEAD_SIZE);
  #headSize = 0;
  /** Bytes of payload that are still to come. */
  #due = 0;
  /** The stream that ends with the frame that is coming in; 0: none. */
  #ending = 0;

  /** Calls `ended` when the last byte of a stream has gone by. */
  constructor(ended: (stream: number) => void) {
    this.#ended = ended;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      at += this.#due > 0 ? this.#skip(chunk.length - at) : this.#readHead(chunk, at);
    }
  }

  #skip(available: number): number {
    const count = Math.min(this.#due, available);
    this.#due -= count;
    if (this.#due === 0) this.#frameOver();
    return count;
  }

  #readHead(chunk: Uint8Array, at: number): number {
    const head = this.#head;
    const part = chunk.subarray(at, at + HEAD_SIZE - this.#headSize);
    head.set(part, this.#headSize);
    this.#headSize += part.length;
    if (this.#headSize < HEAD_SIZE) return part.length;
    this.#headSize = 0;
    const [high = 0, middle = 0, low = 0, type = 0, flags = 0] = head;
    this.#due = high << 16 | middle << 8 | low;
    const ends = (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0;
    this.#ending = ends ? streamOf(head) : 0;
    if (this.#due === 0) this.#frameOver();
    return part.length;
  }

  #frameOver(): void {
    const stream = this.#ending;
    this.#ending = 0;
    if (stream !== 0) this.#ended(stream);
  }
}

/** The highest bit is reserved. */
function streamOf([, , , , , a = 0, b = 0, c = 0, d = 0]: Uint8Array): number {
  return (a & 0x7f) << 24 | b << 16 | c << 8 | d;
}
