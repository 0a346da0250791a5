/**
 * One connection to an HTTP/2 origin and the requests that share it (RFC 9113). It is there once the origin
 * has sent its SETTINGS: until then nobody knows how many streams it takes, nor that it speaks HTTP/2.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { GatewayError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";
import { FrameWatch } from "../protocol/http2_frames.ts";
import { noHttp2, type Origin, type ReachOptions, reachOrigin } from "./http_origin.ts";
import { SessionSocket } from "./http2_socket.ts";

/** What an origin may send of one response that its client has not taken yet. */
const WINDOW = 256 * 1024;
/** Of all together: it holds nobody back, for a session takes at once what comes. Seldom told anew. */
const SESSION_WINDOW = 16 * 2 ** 20;
/** Fields of a head, and bytes of it: the route's own limit is checked behind. */
const MAX_FIELDS = 4096;
const MAX_HEAD = 16 * 2 ** 20;

/** A request's stream, and what has come of its response, by the frames. */
export interface Opened {
  readonly stream: ClientHttp2Stream;
  /** Bytes of body. */
  size: number;
  /** The origin has ended it itself. */
  isAll: boolean;
}

export class Http2Session {
  /** Requests under way, and answered so far. */
  active = 0;
  served = 0;
  /** When the origin was last heard (`performance.now()`). */
  heardAt = performance.now();
  restingSince = 0;
  /** Called once, when it takes no more requests: the origin has gone, or goes. */
  onLeave: (() => void) | undefined;

  readonly #session: ClientHttp2Session;
  /** Those that are open, by their numbers. */
  readonly #streams = new Map<number, Opened>();
  /** The last stream that the origin has looked at, once it says that it goes (§6.8). */
  #lastStream = Infinity;
  #leaving = false;
  #isLost = false;

  constructor(session: ClientHttp2Session, readonly origin: Origin) {
    this.#session = session;
    // What broke it shows at each of its streams.
    session.on("error", () => {});
    session.on("close", () => this.leave());
    session.on("goaway", (_code: number, lastStream: number) => {
      this.#lastStream = Math.min(this.#lastStream, lastStream);
      this.leave();
    });
  }

  /** @throws {GatewayError} as {@link reachOrigin}; 502 `no-http2`. */
  static async open(origin: Origin, options: ReachOptions): Promise<Http2Session> {
    const since = performance.now();
    const socket = await reachOrigin(origin, options, "h2");
    const watch = new FrameWatch((...part) => self.#count(...part));
    const stream = new SessionSocket(socket, (bytes) => {
      self.heardAt = performance.now();
      watch.push(bytes);
    });
    const session = connect(`http://${origin.host}`, {
      createConnection: () => stream,
      settings: { enablePush: false, initialWindowSize: WINDOW, maxHeaderListSize: MAX_HEAD },
      maxHeaderListPairs: MAX_FIELDS,
    });
    const self = new Http2Session(session, origin);
    // A session does not notice by itself that a stream of ours has ended below it.
    for (const event of ["end", "close"]) stream.once(event, () => self.#lose());
    session.once("connect", () => session.setLocalWindowSize(SESSION_WINDOW));
    await self.#settled(Math.max(1, options.connectTimeoutMs - (performance.now() - since)));
    return self;
  }

  /** Streams that the origin takes at once. One that takes none for now is asked all the same. */
  get max(): number {
    return Math.max(1, this.#session.remoteSettings.maxConcurrentStreams ?? Infinity);
  }

  get hasRoom(): boolean {
    return !this.#leaving && !this.closed && this.active < this.max;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  get closed(): boolean {
    return this.#isLost || this.#session.closed || this.#session.destroyed;
  }

  /** The connection has ended, as it may in the midst of anything. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Begins a request. Undefined: the session is gone. */
  request(fields: readonly ByteString[], endStream: boolean): Opened | undefined {
    if (this.closed) return undefined;
    const opened = { stream: this.#session.request(fields, { endStream }), size: 0, isAll: false };
    const { id = 0 } = opened.stream;
    this.#streams.set(id, opened);
    opened.stream.once("close", () => this.#forget(id));
    return opened;
  }

  /** Whether the origin goes and has not looked at the stream. */
  passedOver({ id }: ClientHttp2Stream): boolean {
    return (id ?? Infinity) > this.#lastStream;
  }

  /** Takes no more requests; those under way go on. */
  leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.onLeave?.();
  }

  /** Ends it, with whatever is under way. */
  close(): void {
    this.leave();
    this.#session.destroy();
  }

  #count(stream: number, size: number, isLast: boolean): void {
    const opened = this.#streams.get(stream);
    if (opened === undefined) return;
    opened.size += size;
    opened.isAll = isLast;
  }

  #forget(id: number): void {
    this.#streams.delete(id);
    if (this.#isLost && this.#streams.size === 0) this.#session.destroy();
  }

  /** The connection has ended. What came whole is still there for its reader; the rest is over. */
  #lose(): void {
    this.#isLost = true;
    this.leave();
    for (const { stream, isAll } of this.#streams.values()) if (!isAll) stream.destroy();
    if (this.#streams.size === 0) this.#session.destroy();
  }

  #settled(timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { name } = this.origin;
    const timer = setTimeout(() => {
      const message = `${name} has not begun to speak HTTP/2 within ${timeoutMs.toFixed()} ms`;
      reject(new GatewayError(504, "connect-timeout", message));
      this.close();
    }, timeoutMs);
    const failed = () => reject(noHttp2(name));
    this.#session.once("remoteSettings", resolve);
    this.#session.once("close", failed);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#session.off("close", failed);
    });
  }
}
