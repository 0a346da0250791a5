/**
 * The body of an HTTP/2 origin's response, held to the length that its head promised. It is whole when the
 * origin has ended the stream; a reset, whatever its code, cuts it.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteSource } from "../exchange.ts";
import type { Lifeline } from "../lifeline.ts";
import { joinedOrOnly } from "../protocol/joined.ts";
import { nextTurn } from "./http_origin_connection.ts";
import type { Http2Stream } from "./http2_stream.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Http2BodyOptions {
  /** Bytes that were promised; undefined: none were. */
  readonly length: number | undefined;
  /** The origin. */
  readonly name: string;
  readonly lifeline: Lifeline;
  /** The body is over. May be called again. */
  readonly ended: (isWhole: boolean) => void;
}

export class Http2Body implements ByteSource {
  readonly #stream: Http2Stream;
  readonly #options: Http2BodyOptions;
  #size = 0;

  constructor(stream: Http2Stream, options: Http2BodyOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  /** Gives the whole body if it is there already. */
  async open(): Promise<Bytes | undefined> {
    if (!this.#stream.isHere) await nextTurn();
    if (!this.#stream.isHere) return undefined;
    const pieces: Bytes[] = [];
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) {
      pieces.push(piece);
    }
    return joinedOrOnly(pieces);
  }

  async read(): Promise<Bytes | undefined> {
    try {
      const piece = await this.#stream.next();
      this.#options.lifeline.throwIfCut();
      this.#count(piece);
      if (piece === undefined) this.#options.ended(true);
      return piece;
    } catch (error) {
      this.#options.ended(false);
      throw error;
    }
  }

  cancel(): void {
    this.#options.ended(false);
  }

  #count(piece: Bytes | undefined): void {
    const { length, name } = this.#options;
    this.#size += piece?.length ?? 0;
    if (piece === undefined && !this.#stream.isWhole) {
      throw new ProtocolError(
        "reply-cut",
        `${name} ${this.#stream.fate} before the response was whole`,
      );
    }
    if (length === undefined || this.#size === length) return;
    if (piece !== undefined && this.#size < length) return;
    const than = this.#size > length ? "more" : "less";
    throw new ProtocolError(
      "reply-cut",
      `${name} sent ${than} than the ${length} bytes it promised`,
    );
  }
}
