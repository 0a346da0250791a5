/**
 * One connection to an HTTP/1.1 origin, used for one request at a time.
 *
 * Strategy: as with FastCGI, a read is always under way, also while the connection idles: an origin that
 * closes it is noticed at once. Bytes move by raw `read` and `write`; reads go one behind the other into
 * one buffer, so that what came in several is still there when it turns out to be a whole response.
 */
import { ByteWriter } from "../protocol/byte_writer.ts";
import { closeQuietly } from "./dial.ts";
import type { Origin, OriginSocket } from "./http_origin.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const READ_SIZE = 65_536;

export class OriginConnection {
  readonly origin: Origin;
  /** What requests are written into. */
  readonly writer = new ByteWriter();
  /** Requests answered so far. */
  served = 0;
  /** Called when the origin closes the connection while it idles. */
  onIdleClose: (() => void) | undefined;

  readonly #socket: OriginSocket;
  #buffer: Bytes = new Uint8Array(READ_SIZE);
  /** How far the buffer is filled. */
  #filled = 0;
  #reading: Promise<number | null> | undefined;
  #wasReset = false;
  #idle = false;
  #closed = false;

  constructor(socket: OriginSocket, origin: Origin) {
    this.#socket = socket;
    this.origin = origin;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether the connection broke rather than ended. */
  get wasReset(): boolean {
    return this.#wasReset;
  }

  /** Marks the start of a request. */
  occupy(): void {
    this.#idle = false;
  }

  /** Marks the end of a request; watches for the origin closing the connection meanwhile. */
  rest(): void {
    this.#idle = true;
    this.startOver();
    const notice = () => this.#noticeIdleEnd();
    this.#startReading().then(notice, notice);
  }

  /** Writes all; tells whether the origin may have got any of it. Rejects if it is gone behind a part. */
  async send(bytes: Uint8Array): Promise<boolean> {
    let written: number;
    try {
      written = await this.#socket.write(bytes);
    } catch {
      // A write fails as a whole: had the peer been able to take a part, it would have said so.
      return false;
    }
    while (written < bytes.length) written += await this.#socket.write(bytes.subarray(written));
    return true;
  }

  /** The next bytes, behind those before them in the buffer; undefined at the end. */
  async receive(): Promise<Bytes | undefined> {
    let count: number | null;
    try {
      count = await this.#startReading();
    } catch {
      this.#wasReset = true;
      return undefined;
    } finally {
      this.#reading = undefined;
    }
    if (count === null) return undefined;
    const start = this.#filled;
    this.#filled += count;
    return this.#buffer.subarray(start, this.#filled);
  }

  /** Whether there is room behind what was received. */
  get hasRoom(): boolean {
    return this.#filled < this.#buffer.length;
  }

  /** Begins to read, and tells whether that was all it took. */
  async comesNow(): Promise<boolean> {
    let here = false;
    const settled = () => here = true;
    this.#startReading().then(settled, settled);
    await nextTurn();
    return here;
  }

  /** Nobody looks at what was received any more: the buffer may be filled anew. */
  startOver(): void {
    if (this.#reading === undefined) this.#filled = 0;
  }

  /** Hands the buffer over to whoever has views of it; the next read gets a fresh one. */
  keepBuffer(): void {
    this.#buffer = new Uint8Array(READ_SIZE);
    this.#filled = 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#socket);
  }

  #startReading(): Promise<number | null> {
    if (this.#reading !== undefined) return this.#reading;
    if (!this.hasRoom) this.#filled = 0;
    return this.#reading = this.#socket.read(this.#buffer.subarray(this.#filled));
  }

  /** Nothing may come while no request is active: an end, or bytes that belong to nobody. */
  #noticeIdleEnd(): void {
    if (!this.#idle || this.#closed) return;
    this.close();
    this.onIdleClose?.();
  }
}

/** Lets the runtime hand out what lies in its sockets. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
