/**
 * One request's stream in an HTTP/2 session: what comes is asked for, never pushed, so an origin is held
 * back by whoever reads slowly; what goes waits until the origin takes it.
 */
import { type ClientHttp2Stream, constants } from "node:http2";
import type { ByteString } from "../exchange.ts";
import type { Http2Session, Opened } from "./http2_session.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export class Http2Stream {
  readonly #opened: Opened;
  readonly #stream: ClientHttp2Stream;
  readonly #session: Http2Session;
  #head: readonly ByteString[] | undefined;
  /** Bytes of body that were read. */
  #size = 0;
  #isClosed = false;
  /** Whoever waits for something to come, and for the origin to take what was written. */
  #wake: (() => void) | undefined;
  #giveUp: (() => void) | undefined;

  constructor(opened: Opened, session: Http2Session) {
    const { stream } = opened;
    this.#opened = opened;
    this.#stream = stream;
    this.#session = session;
    // It closes behind its errors, and its code tells more than they do.
    stream.on("error", () => {});
    stream.on("response", (...[, , raw]: unknown[]) => {
      // The third holds them as they came; its place in the type is still empty.
      this.#head = Array.isArray(raw) ? raw.map(String) : [];
      this.#call();
    });
    stream.on("end", () => this.#call());
    stream.on("close", () => {
      this.#isClosed = true;
      this.#giveUp?.();
      this.#call();
    });
  }

  /** The final response's head, names and values in turn; undefined: the stream ended without one. */
  async head(): Promise<readonly ByteString[] | undefined> {
    while (this.#head === undefined && !this.#isClosed) await this.#something();
    this.#stream.on("readable", () => this.#call());
    return this.#head;
  }

  /** The next piece; undefined: there is none any more. Whether that was the end, {@link isWhole} tells. */
  async next(): Promise<Bytes | undefined> {
    for (;;) {
      const piece: unknown = this.#stream.read();
      if (piece instanceof Uint8Array) {
        this.#size += piece.length;
        return bytesOf(piece);
      }
      if (this.isWhole || this.#isClosed) return undefined;
      await this.#something();
    }
  }

  /** Whether all of the response has come, though perhaps it was not read yet. */
  get isHere(): boolean {
    return this.#opened.isAll;
  }

  /** Whether the response ended by the origin's will, and all of it was read. */
  get isWhole(): boolean {
    return this.isHere && this.#size === this.#opened.size;
  }

  /** Writes all. False: the stream takes no more. */
  write(bytes: Uint8Array): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#giveUp = () => resolve(false);
      this.#stream.write(bytes, (error) => resolve(error === undefined || error === null));
    });
  }

  end(bytes?: Uint8Array): void {
    if (bytes === undefined) this.#stream.end();
    else this.#stream.end(bytes);
  }

  /**
   * Ends it before its time, by a reset. Not by `close`: that would end the request's body first, and an
   * upload that broke off would look whole.
   */
  cancel(): void {
    this.#isClosed = true;
    this.#stream.destroy(new Error("Cancelled"));
    this.#giveUp?.();
    this.#call();
  }

  /** The origin has certainly done nothing about the request (§8.7): it may go out again. */
  get wasRefused(): boolean {
    return this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || this.wasPassedOver;
  }

  /** The origin was about to leave. */
  get wasPassedOver(): boolean {
    return this.#session.passedOver(this.#stream);
  }

  /** What ended it, for people. */
  get fate(): string {
    const { rstCode = 0 } = this.#stream;
    if (this.#session.isLost) return "closed the connection";
    return `reset the stream (${CODES[rstCode] ?? `code ${rstCode}`})`;
  }

  #something(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #call(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** §7. */
const CODES: readonly string[] = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
];

function bytesOf(piece: Uint8Array): Bytes {
  const { buffer, byteOffset, length } = piece;
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer, byteOffset, length) : piece.slice();
}
