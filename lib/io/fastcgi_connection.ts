/**
 * One connection to a FastCGI application, used for one request at a time; fastcgi_channel.ts is how
 * several share one.
 *
 * Strategy: a read is always under way, also while the connection idles: an application that closes an
 * idle connection is noticed at once, and the reply's first bytes need no further turn. Bytes move by raw
 * `read` and `write` on reused buffers; a web stream over the socket would cost as much again.
 */
import type { Address } from "../fields.ts";
import { FcgiDecoder } from "../protocol/fastcgi_decoder.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { closeQuietly, type Socket, writeAll } from "./dial.ts";

const READ_SIZE = 65_536;

/** Bytes that came, or undefined at the end of the connection. */
export type Arrival = Uint8Array<ArrayBuffer> | undefined;

/** The way to the application and back that one request has: a connection, or a share in one. */
export interface FcgiLink {
  readonly address: Address;
  /** The id that the request has on its connection (§3.3). */
  readonly requestId: number;
  /** Other requests may be under way on the same connection. */
  readonly isShared: boolean;
  readonly decoder: FcgiDecoder;
  readonly encoder: FcgiEncoder;
  /** Requests that the connection has had before; 0 tells that it may not have been accepted yet. */
  readonly served: number;
  readonly closed: boolean;
  /** The application has not begun the request: it has another one first (fastcgi_ahead.ts). */
  readonly isAhead: boolean;
  /**
   * Writes what the encoder holds; says whether the application may have got any of it. Of one that is
   * gone behind a part the reading tells: it may have answered before.
   */
  flush(): Promise<boolean>;
  /** {@link flush} of a request's first bytes: closes where nobody got them, for no reply is to come. */
  flushFirst(): Promise<boolean>;
  /** The next bytes. They are valid until the next call; {@link keepBuffer} makes them last. */
  receive(): Promise<Arrival>;
  /** Hands the buffer of the last arrival over to the caller; the next read gets a fresh one. */
  keepBuffer(): void;
  /** Tells the application that nobody wants the reply any more (§5.4), and closes. */
  abort(): void;
  close(): void;
}

/** Lets the runtime take note of all that has come. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class FcgiConnection implements FcgiLink {
  readonly address: Address;
  readonly requestId = 1;
  readonly isShared = false;
  readonly decoder = new FcgiDecoder();
  readonly encoder = new FcgiEncoder();
  /** Requests answered so far; 0 also tells that the application has not accepted it for certain. */
  served = 0;
  /** Called when the application closes the connection while it idles. */
  onIdleClose: (() => void) | undefined;

  readonly #socket: Socket;
  #buffer = new Uint8Array(READ_SIZE);
  #reading: Promise<number | null> | undefined;
  #idle = false;
  #closed = false;

  constructor(socket: Socket, address: Address) {
    this.#socket = socket;
    this.address = address;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get isAhead(): boolean {
    return false;
  }

  /** Marks the start of a request. */
  occupy(): void {
    this.#idle = false;
  }

  /** Marks the end of a request; watches for the application closing the connection meanwhile. */
  rest(): void {
    this.#idle = true;
    this.#startReading().then(this.#noticeIdleEnd, this.#noticeIdleEnd);
  }

  flush(): Promise<boolean> {
    return this.send(this.encoder.take());
  }

  flushFirst(): Promise<boolean> {
    return this.#write(this.encoder.take(), this.#unsent);
  }

  /** {@link flush}, of bytes as they are. */
  send(bytes: Uint8Array): Promise<boolean> {
    return this.#write(bytes, isNothing);
  }

  /** `failed`: a write fails as a whole; had the peer been able to take a part, it would have said so. */
  #write(bytes: Uint8Array, failed: () => boolean): Promise<boolean> {
    return this.#socket.write(bytes).then(
      (written) => written === bytes.length || this.#writeRest(bytes.subarray(written)),
      failed,
    );
  }

  async #writeRest(bytes: Uint8Array): Promise<boolean> {
    try {
      await writeAll(this.#socket, bytes);
    } catch {
      // The reading tells.
    }
    return true;
  }

  receive(): Promise<Arrival> {
    return this.#startReading().then(this.#arrived, this.#lost);
  }

  keepBuffer(): void {
    this.#buffer = new Uint8Array(READ_SIZE);
  }

  /** On a connection with one request closing means the same (§3.5), also to who reads no records. */
  abort(): void {
    this.encoder.take();
    this.encoder.abortRequest(this.requestId);
    this.flush();
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#socket);
  }

  #startReading(): Promise<number | null> {
    return this.#reading ??= this.#socket.read(this.#buffer);
  }

  // Functions of the connection rather than of each request: they would be a good part of its garbage.

  readonly #arrived = (count: number | null): Arrival => {
    this.#reading = undefined;
    return count === null ? undefined : this.#buffer.subarray(0, count);
  };

  readonly #unsent = (): boolean => {
    this.close();
    return false;
  };

  /** A reset reads as an end: either way nothing more comes, and the protocol tells what was whole. */
  readonly #lost = (): Arrival => {
    this.#reading = undefined;
    return undefined;
  };

  /** Nothing may come while no request is active: an end, or bytes that belong to nobody. */
  readonly #noticeIdleEnd = (): void => {
    if (!this.#idle || this.#closed) return;
    this.close();
    this.onIdleClose?.();
  };
}

function isNothing(): boolean {
  return false;
}
