/**
 * A request's body that streams and can yet be sent again, as long as little of it was read: that much is
 * kept. An upstream that passes a request over has taken no more of it than its first window.
 */
import type { SizedBody } from "../exchange.ts";

/** Bytes that are kept at most. */
const LIMIT = 128 * 1024;

export class KeptBody implements SizedBody {
  readonly #source: SizedBody;
  /** What was read so far, unless that was too much. */
  #pieces: Uint8Array[] = [];
  #size = 0;
  /** How many of them were given since the beginning. */
  #given = 0;
  #isOver = false;

  constructor(source: SizedBody) {
    this.#source = source;
  }

  get length(): number | undefined {
    return this.#source.length;
  }

  get bytes(): Uint8Array | undefined {
    return this.#source.bytes;
  }

  async read(borrow?: boolean): Promise<Uint8Array | undefined> {
    const kept = this.#pieces[this.#given];
    if (kept !== undefined) this.#given++;
    if (kept !== undefined || this.#isOver) return kept;
    const piece = await this.#source.read(borrow);
    if (piece === undefined) this.#isOver = true;
    else this.#keep(piece);
    return piece;
  }

  /** Whether its beginning is still there. */
  get isKept(): boolean {
    return this.#size <= LIMIT;
  }

  /** The next read gives the beginning. */
  rewind(): void {
    this.#given = 0;
  }

  close(): void {
    this.#source.close();
  }

  #keep(piece: Uint8Array): void {
    this.#size += piece.length;
    if (this.isKept) this.#given = this.#pieces.push(piece.slice());
    else this.#pieces = [];
  }
}
