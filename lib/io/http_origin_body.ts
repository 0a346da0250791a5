/**
 * The body of an HTTP origin's response. One that is there when its head is comes as plain bytes; a longer
 * one as it comes, no further ahead than the client takes it. One that is cut short fails: it never ends as
 * if whole.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteSource } from "../exchange.ts";
import type { Lifeline } from "../lifeline.ts";
import { BodyFramer } from "../protocol/http1_body.ts";
import type { Framing } from "../protocol/http1_response.ts";
import { joined } from "../protocol/joined.ts";
import type { OriginConnection } from "./http_origin_connection.ts";
import { copyOf } from "./short_copy.ts";
import { giveBack } from "./taken.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface OriginBodyOptions {
  readonly lifeline: Lifeline;
  /** The body is over. `isClean`: it was whole, and nothing came behind it. May be called again. */
  readonly ended: (isClean: boolean) => void;
}

/** Pieces up to this many bytes are copied out of the buffer, which stays in use. */
const SHORT_PIECE = 16_384;

export class OriginBody implements ByteSource {
  readonly #connection: OriginConnection;
  readonly #options: OriginBodyOptions;
  readonly #framer: BodyFramer;
  /** The connection has been given back: it may be another request's by now. */
  #isOver = false;
  /** Data that came with the head. */
  #early: Bytes | undefined;
  /** The piece that was given out last. */
  #taken: Bytes | undefined;

  constructor(connection: OriginConnection, framing: Framing, options: OriginBodyOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#framer = new BodyFramer(framing);
  }

  /** Takes what came behind the head. Gives the whole body if it is there already. */
  open(rest: Bytes): Bytes | Promise<Bytes | undefined> {
    const first = this.#framer.push(rest);
    if (!this.#framer.ended) return this.#gather(first);
    const bytes = copyOf(first);
    this.#over();
    return bytes;
  }

  /** Reads on for as long as something is there to be read. */
  async #gather(first: Bytes): Promise<Bytes | undefined> {
    const framer = this.#framer;
    const pieces = [first];
    while (!framer.ended && this.#connection.hasRoom) {
      if (!await this.#connection.comesNow()) break;
      const chunk = await this.#connection.receive();
      if (chunk === undefined) this.#end();
      else pieces.push(framer.push(chunk));
    }
    const bytes = joined(pieces);
    if (framer.ended) {
      this.#over();
      return bytes;
    }
    if (bytes.length > 0) this.#early = bytes;
    return undefined;
  }

  async read(): Promise<Bytes | undefined> {
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) return early;
    giveBack(this.#taken);
    this.#taken = undefined;
    try {
      return await this.#next();
    } catch (error) {
      this.#over(false);
      throw error;
    }
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#connection.close();
    this.#over(false);
  }

  async #next(): Promise<Bytes | undefined> {
    const framer = this.#framer;
    while (!framer.ended && !this.#isOver) {
      this.#connection.startOver();
      const chunk = await this.#connection.receive();
      if (chunk === undefined) {
        this.#end();
        continue;
      }
      const piece = this.#own(framer.push(chunk));
      if (framer.ended) this.#over();
      if (piece.length > 0) return piece;
    }
    this.#over();
    return undefined;
  }

  #over(isClean = this.#framer.ended && !this.#framer.hasExcess): void {
    this.#isOver = true;
    this.#options.ended(isClean);
  }

  /** The data for somebody else to keep. */
  #own(data: Bytes): Bytes {
    if (data.length <= SHORT_PIECE) return data.slice();
    this.#connection.keepBuffer();
    return this.#taken = data;
  }

  /** The connection ended: so must the body have, or it was cut. A reset ends none. */
  #end(): void {
    if (!this.#connection.wasReset && this.#framer.end()) return;
    this.#options.lifeline.throwIfCut();
    throw new ProtocolError(
      "reply-cut",
      `${this.#connection.origin.name} closed before the response was whole`,
    );
  }
}
