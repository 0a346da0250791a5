/**
 * Watches the frames that an HTTP/2 origin sends (RFC 9113 §4.1) go by, and tells what of each stream has
 * come: how many bytes of body, and whether the origin has ended it itself (END_STREAM). The runtime's
 * client shows a stream that was reset with NO_ERROR in the middle of its body as one that has ended, and
 * one whose connection ends behind it as broken; here they are told apart.
 *
 * Strategy: frame heads are read, payloads are skipped. Nothing is judged: what breaks the protocol is the
 * runtime's to refuse.
 */

const HEAD_SIZE = 9;
const DATA = 0;
const HEADERS = 1;
const END_STREAM = 1;
const PADDED = 8;

/** A part of a stream has gone by: bytes of its body, and whether it was the last. */
export type OnPassed = (stream: number, size: number, isLast: boolean) => void;

export class FrameWatch {
  readonly #passed: OnPassed;
  readonly #head = new Uint8Array(HEAD_SIZE);
  #headSize = 0;
  /** Bytes of payload that are still to come. */
  #due = 0;
  /** Of the frame that is coming in, if it is a part of a stream that counts; 0: it is none. */
  #stream = 0;
  #size = 0;
  #isLast = false;
  /** The first byte of the payload says how many at its end are none of the body's (§6.1). */
  #isPadded = false;

  constructor(passed: OnPassed) {
    this.#passed = passed;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      at += this.#due > 0 ? this.#skip(chunk, at) : this.#readHead(chunk, at);
    }
  }

  #skip(chunk: Uint8Array, at: number): number {
    if (this.#isPadded) {
      this.#isPadded = false;
      this.#size = Math.max(0, this.#size - 1 - (chunk[at] ?? 0));
    }
    const count = Math.min(this.#due, chunk.length - at);
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
    this.#isLast = (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0;
    this.#stream = type === DATA || this.#isLast ? streamOf(head) : 0;
    this.#size = type === DATA ? this.#due : 0;
    this.#isPadded = type === DATA && (flags & PADDED) !== 0;
    if (this.#due === 0) this.#frameOver();
    return part.length;
  }

  #frameOver(): void {
    if (this.#stream !== 0) this.#passed(this.#stream, this.#size, this.#isLast);
  }
}

/** The highest bit is reserved. */
function streamOf([, , , , , a = 0, b = 0, c = 0, d = 0]: Uint8Array): number {
  return (a & 0x7f) << 24 | b << 16 | c << 8 | d;
}
