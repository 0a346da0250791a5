/**
 * The body of one request to a collector, filled span by span. Spans become bytes at once: text that waits
 * would be moved about by the garbage collector, which costs several times what making it does.
 */

/** What stands around spans. */
export interface Envelope {
  readonly head: string;
  readonly tail: string;
}

const FIRST_SIZE = 16_384;
/** A longer body is sent without waiting for more. */
const FULL = 262_144;
const UTF8 = new TextEncoder();

export class SpanBatch {
  readonly #envelope: Envelope;
  #bytes = new Uint8Array(FIRST_SIZE);
  #length = 0;
  #spans = 0;

  constructor(envelope: Envelope) {
    this.#envelope = envelope;
    this.#write(envelope.head);
  }

  get spans(): number {
    return this.#spans;
  }

  get isFull(): boolean {
    return this.#length >= FULL;
  }

  /** `text`: so many spans, with commas between them. */
  add(text: string, spans: number): void {
    this.#write(this.#spans > 0 ? "," + text : text);
    this.#spans += spans;
  }

  /** The whole body; nothing is added any more. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#write(this.#envelope.tail);
    return this.#bytes.subarray(0, this.#length);
  }

  #write(text: string): void {
    const most = this.#length + 3 * text.length;
    if (most > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(most, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#length += UTF8.encodeInto(text, this.#bytes.subarray(this.#length)).written;
  }
}
