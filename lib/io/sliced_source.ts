/**
 * Parts of a body (RFC 9110 §14) out of the whole while it flows by: what lies before a slice is read and
 * dropped, what lies behind the last one is not waited for.
 */
import type { BodyPiece, ByteSource } from "../exchange.ts";
import { joinedOrOnly } from "../protocol/joined.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const EMPTY: Bytes = new Uint8Array(0);

/** The pieces in one, cut from bytes that are all there. */
export function slicesOf(bytes: Bytes, pieces: readonly BodyPiece[]): Bytes {
  const parts = pieces.map((piece) =>
    piece instanceof Uint8Array ? piece : bytes.subarray(piece.start, piece.end)
  );
  return joinedOrOnly(parts);
}

export class SlicedSource implements ByteSource {
  readonly #source: ByteSource;
  readonly #left: BodyPiece[];
  /** Where in the body `#rest` begins. */
  #at = 0;
  #rest: Bytes = EMPTY;
  #over = false;

  /** Slices among the pieces have to begin where the one before has ended, or later. */
  constructor(source: ByteSource, pieces: readonly BodyPiece[]) {
    this.#source = source;
    this.#left = [...pieces];
  }

  async read(): Promise<Bytes | undefined> {
    const [piece] = this.#left;
    if (piece === undefined) {
      this.#stop(new Error("The rest was not asked for"));
      return undefined;
    }
    if (piece instanceof Uint8Array) {
      this.#left.shift();
      return piece;
    }
    while (this.#at + this.#rest.length <= piece.start) await this.#next();
    const from = piece.start - this.#at;
    let part = this.#rest.subarray(from, piece.end - this.#at);
    this.#rest = this.#rest.subarray(from + part.length);
    // The runtime takes the memory of what it sends; what is left must not lie in it.
    if (this.#rest.length > 0) part = part.slice();
    this.#at = piece.start + part.length;
    if (this.#at === piece.end) this.#left.shift();
    else this.#left[0] = { start: this.#at, end: piece.end };
    return part;
  }

  cancel(reason: Error): void {
    this.#stop(reason);
  }

  async #next(): Promise<void> {
    // Before the next read, which may move the memory of this one.
    this.#at += this.#rest.length;
    this.#rest = EMPTY;
    const read = await this.#source.read();
    if (read === undefined) {
      this.#over = true;
      throw new Error("The body is shorter than its Content-Length");
    }
    this.#rest = read;
  }

  #stop(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#source.cancel(reason);
  }
}
