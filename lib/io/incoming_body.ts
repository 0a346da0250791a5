/**
 * A request body as it comes off the wire: counted against its limit and its promised length, watched
 * for its pace, and let go of when the request is cut. Reads go into memory that is used again: the
 * runtime hands each buffer back with what it read into it.
 */
import { ClientGone, GatewayError } from "../errors.ts";
import type { Exchange, SizedBody } from "../exchange.ts";
import { type BodyReader, readerOf } from "./body_reader.ts";
import type { Pace, Sender } from "./pace.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface IncomingOptions {
  /** Bytes that were promised; undefined: no promise. */
  readonly length: number | undefined;
  /** Bytes; 413 past it. */
  readonly max: number;
  readonly pace?: Pace | undefined;
}

/**
 * The most to ask for at a time. After a longer read the runtime goes on reading ahead without limit
 * whenever we pause, and then moves all that it holds at each read: a quarter of the speed.
 */
export const PIECE = 65_536;
/** Longer than it takes to notice that the client left: the sweeper's look, and a turn after it. */
const ABORT_LAG_MS = 70;
const NOTHING: Bytes = new Uint8Array(0);

export function tooLarge(max: number): GatewayError {
  return new GatewayError(413, "body-too-large", `The request body exceeds ${max} bytes`);
}

export class IncomingBody implements SizedBody, Sender {
  readonly length: number | undefined;
  readonly bytes = undefined;
  isWaiting = false;
  received = 0;
  readonly #exchange: Exchange;
  readonly #options: IncomingOptions;
  readonly #reader: BodyReader;
  readonly #stop = () => this.close();
  readonly #since = performance.now();
  #memory: ArrayBuffer | undefined;
  #fault: GatewayError | undefined;
  #closed = false;

  constructor(exchange: Exchange, body: ReadableStream<Bytes>, options: IncomingOptions) {
    this.#exchange = exchange;
    this.#reader = readerOf(body, options.length);
    this.#options = options;
    this.length = options.length;
    exchange.lifeline.onCut(this.#stop);
    options.pace?.watch(this);
  }

  async read(borrow = false): Promise<Bytes | undefined> {
    // One byte more than was promised, for the end to be read into.
    this.#memory ??= new ArrayBuffer(Math.min(PIECE, (this.length ?? PIECE) + 1));
    const piece = await this.fill(new Uint8Array(this.#memory));
    this.#memory = piece.buffer;
    if (piece.length === 0) return undefined;
    return borrow ? piece : piece.slice();
  }

  /** Reads into the view, whose memory comes back with the piece: empty at the end. */
  async fill(view: Bytes): Promise<Bytes> {
    if (this.#closed) return this.#over();
    const { value, done } = await this.#next(view);
    if (this.#closed) return this.#over();
    if (done || value === undefined) {
      await this.#requireWhole();
      this.close();
      return value ?? NOTHING;
    }
    this.received += value.length;
    if (this.received > this.#options.max) {
      this.close();
      throw tooLarge(this.#options.max);
    }
    return value;
  }

  tooSlow(error: GatewayError): void {
    this.#fault = error;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.pace?.forget(this);
    const { lifeline } = this.#exchange;
    lifeline.forget(this.#stop);
    lifeline.ledger.receivedBytes = this.received;
    lifeline.trace?.ended("request_body", this.#since, lifeline.reason ?? this.#fault);
    this.#reader.cancel().catch(() => {});
  }

  /** What a read finds when the body was closed before it or under it. */
  #over(): Bytes {
    this.#exchange.lifeline.throwIfCut();
    if (this.#fault !== undefined) throw this.#fault;
    return NOTHING;
  }

  async #next(view: Bytes) {
    this.isWaiting = true;
    try {
      return await this.#reader.read(view);
    } catch (error) {
      this.#exchange.lifeline.throwIfCut();
      throw error instanceof GatewayError ? error : new ClientGone();
    } finally {
      this.isWaiting = false;
    }
  }

  /** An aborted HTTP/2 upload ends cleanly too: its length, or else the lifeline, tells them apart. */
  async #requireWhole(): Promise<void> {
    if (this.length !== undefined) {
      if (this.received < this.length) throw new ClientGone();
      return;
    }
    const { headers, lifeline } = this.#exchange;
    // HTTP/1.1 requests have a Host field, and their chunks have an end of their own.
    if (headers.has("host") || this.received === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ABORT_LAG_MS);
      lifeline.onCut(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    lifeline.throwIfCut();
  }
}
