/**
 * One connection that several requests share (FCGI_MPXS_CONNS=1): what comes is sorted by request id into
 * a channel for each, which looks to its request like a connection of its own.
 *
 * Back-pressure: the connection is read only as fast as its slowest reader takes what is due to it, once
 * that is more than a quarter of a MiB. While it lags, no further request joins the connection; those that
 * share it already wait a second at most, then the request that holds them up is aborted and its reply
 * cut off. A request that is alone may be as slow as it likes.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import type { Address } from "../fields.ts";
import { FcgiDecoder } from "../protocol/fastcgi_decoder.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { FcgiSplitter, type SplitSink } from "../protocol/fastcgi_splitter.ts";
import { joinedOrOnly } from "../protocol/joined.ts";
import type { Arrival, FcgiLink } from "./fastcgi_connection.ts";
import type { PooledConnection } from "./fastcgi_site.ts";

const MAX_BUFFERED = 262_144;
const STALL_MS = 1000;
/** How long END_REQUEST may follow ABORT_REQUEST before the connection is given no more requests. */
const ABORT_GRACE_MS = 1000;

export class SharedConnection implements SplitSink {
  readonly connection: PooledConnection;
  readonly #max: number;
  readonly #onEnd: () => void;
  readonly #channels = new Map<number, FcgiChannel>();
  readonly #freeIds: number[];
  #written: Promise<unknown> = Promise.resolve();
  /** Called when a channel that held up the others has room again. */
  #onRoom: (() => void) | undefined;
  #lagging: FcgiChannel | undefined;
  #worn = false;

  /** `max`: requests at once. `onEnd`: the connection has ended. */
  constructor(connection: PooledConnection, max: number, onEnd: () => void) {
    this.connection = connection;
    this.#max = max;
    this.#onEnd = onEnd;
    this.#freeIds = Array.from({ length: max }, (_, index) => max - index);
    this.#read();
  }

  get active(): number {
    return this.#channels.size;
  }

  get hasRoom(): boolean {
    const fits = this.#channels.size < this.#max;
    return fits && this.#lagging === undefined && !this.#worn && !this.connection.closed;
  }

  /** A channel for one request; {@link leave} is owed for it. */
  open(): FcgiChannel {
    const id = this.#freeIds.pop() ?? this.#channels.size + 1;
    const channel = new FcgiChannel(this, id, this.connection.served++);
    this.#channels.set(id, channel);
    return channel;
  }

  /** The request is over; what still comes of it is dropped. */
  leave(channel: FcgiChannel): void {
    if (channel.ended) {
      channel.close();
      return this.#free(channel.requestId);
    }
    channel.abort();
    // Its id stays taken until the application has done with it (§5.4).
    channel.expectEnd(ABORT_GRACE_MS, () => this.#wear());
  }

  /** Writes behind whatever else is being written. */
  write(bytes: Uint8Array): Promise<boolean> {
    const own = bytes.slice();
    const done = this.#written.then(() => this.connection.send(own));
    this.#written = done;
    return done;
  }

  /** A channel has been read empty. */
  drained(channel: FcgiChannel): void {
    if (channel === this.#lagging) this.#onRoom?.();
  }

  take(id: number, bytes: Uint8Array<ArrayBuffer>): void {
    const channel = this.#channels.get(id);
    if (channel === undefined) return;
    channel.push(bytes);
    if (channel.buffered > MAX_BUFFERED) this.#lagging ??= channel;
  }

  ended(id: number): void {
    const channel = this.#channels.get(id);
    if (channel === undefined) return;
    channel.ended = true;
    if (channel.closed) this.#free(id);
  }

  #free(id: number): void {
    const channel = this.#channels.get(id);
    if (channel === undefined) return;
    channel.settle();
    this.#channels.delete(id);
    this.#freeIds.push(id);
    if (this.#worn && this.#channels.size === 0) this.connection.close();
  }

  /** Something is left over on it: the requests that it has are its last. */
  #wear(): void {
    this.#worn = true;
    const isIdle = Array.from(this.#channels.values()).every(({ closed }) => closed);
    if (isIdle) this.connection.close();
  }

  async #read(): Promise<void> {
    const splitter = new FcgiSplitter(this);
    try {
      for (;;) {
        const arrival = await this.connection.receive();
        if (arrival === undefined) break;
        splitter.push(arrival);
        while (this.#lagging !== undefined) await this.#waitFor(this.#lagging);
      }
    } catch {
      // No FastCGI: nobody can tell any more whose bytes are whose.
    }
    this.connection.close();
    this.#onRoom = undefined;
    for (const channel of this.#channels.values()) channel.end();
    this.#channels.clear();
    this.#onEnd();
  }

  /** Lets a channel catch up; not for long if others wait for it. */
  async #waitFor(channel: FcgiChannel): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onRoom = resolve;
    const others = Array.from(this.#channels.values()).some((one) =>
      one !== channel && !one.closed
    );
    const timer = others ? setTimeout(() => channel.cut(), STALL_MS) : undefined;
    if (channel.buffered > MAX_BUFFERED) await promise;
    clearTimeout(timer);
    this.#onRoom = undefined;
    this.#lagging = Array.from(this.#channels.values())
      .find(({ buffered }) => buffered > MAX_BUFFERED);
  }
}

/** What one request has of a shared connection. */
export class FcgiChannel implements FcgiLink {
  readonly requestId: number;
  readonly served: number;
  readonly isShared = true;
  readonly isAhead = false;
  readonly decoder = new FcgiDecoder();
  readonly encoder = new FcgiEncoder();
  /** END_REQUEST came. */
  ended = false;
  buffered = 0;
  readonly shared: SharedConnection;
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #whole = false;
  #aborted = false;
  #closed = false;
  #reader: ((arrival: Arrival) => void) | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(shared: SharedConnection, requestId: number, served: number) {
    this.shared = shared;
    this.requestId = requestId;
    this.served = served;
  }

  get address(): Address {
    return this.shared.connection.address;
  }

  get closed(): boolean {
    return this.#closed;
  }

  flush(): Promise<boolean> {
    return this.shared.write(this.encoder.take());
  }

  async flushFirst(): Promise<boolean> {
    const sent = await this.flush();
    if (!sent) this.close();
    return sent;
  }

  receive(): Promise<Arrival> {
    if (this.buffered > 0) return Promise.resolve(this.#takeAll());
    if (this.#whole || this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#reader = resolve);
  }

  /** Every arrival has its own buffer. */
  keepBuffer(): void {}

  /** §3.5: never by closing the connection, which is others' as well. */
  abort(): void {
    if (!this.#aborted && !this.ended && !this.#whole) {
      this.encoder.take();
      this.encoder.abortRequest(this.requestId);
      this.flush();
    }
    this.#aborted = true;
    this.close();
  }

  /** Nobody reads any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#drop();
    this.#answer(undefined);
  }

  push(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#closed) return;
    this.#pieces.push(bytes.slice());
    this.buffered += bytes.length;
    if (this.#reader !== undefined) this.#answer(this.#takeAll());
  }

  /** The connection has ended. */
  end(): void {
    this.#whole = true;
    this.settle();
    if (this.buffered === 0) this.#answer(undefined);
  }

  /** It held up the others for too long. */
  cut(): void {
    this.abort();
    this.#drop();
    this.#answer(undefined);
  }

  expectEnd(ms: number, onLate: () => void): void {
    if (!this.#whole) this.#grace ??= setTimeout(onLate, ms);
  }

  settle(): void {
    clearTimeout(this.#grace);
  }

  #takeAll(): Uint8Array<ArrayBuffer> {
    const all = joinedOrOnly(this.#pieces);
    this.#drop();
    return all;
  }

  #drop(): void {
    this.#pieces = [];
    this.buffered = 0;
    this.shared.drained(this);
  }

  #answer(arrival: Arrival): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.(arrival);
  }
}
