/**
 * One request's conversation with an upstream that closes the connection behind its reply.
 *
 * Strategy: the request's head and a short body leave in one write; a longer body is fed while the reply
 * is read, so an application that answers early cannot deadlock. Reads go one behind the other into one
 * buffer for as long as something comes soon: a reply that was written in one go (most are) becomes plain
 * bytes, never a stream.
 *
 * The end of the connection ends a reply that promised no length. A reset ends none: whoever crashes or
 * is killed looks like that.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { ByteSource, Exchange, Outcome, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import {
  HeadReader,
  type HeadReply,
  type Interpreted,
  interpretHead,
} from "../protocol/cgi_response.ts";
import type { ClosingUpstream, Reached } from "./closing_upstream.ts";
import { writeAll } from "./dial.ts";
import { replyOf } from "./reply.ts";
import { copyOf } from "./short_copy.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface ClosingRequest {
  readonly exchange: Exchange;
  /** The encoded head, and the beginning of the body as far as `body` does not bring it. */
  readonly packet: Bytes;
  /** What is to follow the packet; null: nothing. */
  readonly body: SizedBody | null;
  /** Bytes of reply head at most. */
  readonly maxReplyHead: number;
  readonly log: ServiceLog;
  /** Why an upstream may have closed the connection without a word, as far as the request tells. */
  readonly suspicion: string;
}

/**
 * How long the end of a reply without a length may take until what came is streamed. Most come at once, but
 * turns of the event loop bring nothing: immediates run many times before the runtime looks at its sockets.
 */
const SOON_MS = 2;
/** Pieces of a streamed body up to this many bytes are copied out of the buffer, which stays in use. */
const SHORT_PIECE = 16_384;

/**
 * Sends a request and reads its reply's head.
 * @throws {GatewayError} as {@link ClosingUpstream.reach}.
 * @throws {ProtocolError} when the reply breaks RFC 3875's rules before its head is whole.
 */
export function converse(upstream: ClosingUpstream, request: ClosingRequest): Promise<Outcome> {
  return new Conversation(upstream, request).begin();
}

/** Of who has no connection yet. */
const NO_BUFFER: Bytes = new Uint8Array(0);

/**
 * Up to the reply's head one step calls the next: with a connection for each request, promises that wait
 * for promises were a fifth of all the work.
 */
class Conversation implements ByteSource {
  readonly #upstream: ClosingUpstream;
  readonly #request: ClosingRequest;
  readonly #outcome = Promise.withResolvers<Outcome>();
  readonly #head: HeadReader;
  /** Undefined: not connected yet. */
  #reached: Reached | undefined;
  #buffer = NO_BUFFER;
  /** How far the buffer is filled. */
  #filled = 0;
  /** The read under way, if one is. */
  #reading: Promise<number | null> | undefined;
  /** What was read ahead of the client's asking. */
  #early: Bytes | undefined;
  /** Bytes of body that the head promised and that are still due; undefined: no promise. */
  #due: number | undefined;
  #reset = false;
  #released = false;

  constructor(upstream: ClosingUpstream, request: ClosingRequest) {
    this.#upstream = upstream;
    this.#request = request;
    this.#head = new HeadReader(request.maxReplyHead);
  }

  /** Settles with the head, or why there is none. */
  begin(): Promise<Outcome> {
    const { lifeline } = this.#request.exchange;
    lifeline.onCut(this.#fail);
    if (!this.#released) this.#upstream.reach(lifeline).then(this.#converse, this.#fail);
    return this.#outcome.promise;
  }

  readonly #converse = (reached: Reached): void => {
    if (this.#released) return this.#upstream.leave(reached);
    this.#reached = reached;
    this.#buffer = this.#upstream.takeBuffer();
    this.#feed(reached);
    this.#request.exchange.lifeline.handOver();
    this.#receiveHead(reached);
  };

  readonly #fail = (error: unknown): void => {
    this.#release();
    this.#outcome.reject(error);
  };

  async read(): Promise<Bytes | undefined> {
    const early = this.#early;
    if (early !== undefined) {
      this.#early = undefined;
      return this.#count(early);
    }
    const piece = this.#due === 0 ? undefined : await this.#receivePiece();
    if (piece !== undefined) return this.#count(piece);
    this.#release();
    if (this.#reset && this.#due !== 0) throw this.#cutShort();
    return undefined;
  }

  cancel(): void {
    this.#release();
  }

  /** Writes the request, while the reply is being read. */
  async #feed({ socket }: Reached): Promise<void> {
    const { packet, body, exchange } = this.#request;
    try {
      const written = await socket.write(packet);
      if (written < packet.length) await writeAll(socket, packet.subarray(written));
      if (body === null) return;
      let piece = await body.read(true);
      for (; piece !== undefined; piece = await body.read(true)) await writeAll(socket, piece);
    } catch (error) {
      // A connection that breaks under the feed shows in the reply; a client's fault ends it all.
      const isClients = error instanceof ClientGone || error instanceof GatewayError;
      if (isClients && !this.#released) exchange.lifeline.cut(error);
    } finally {
      body?.close();
    }
  }

  #receiveHead({ socket }: Reached): void {
    this.#reading = socket.read(this.#room());
    this.#reading.then(this.#takeHead, this.#missHead);
  }

  readonly #missHead = (): void => {
    this.#reset = true;
    this.#takeHead(null);
  };

  readonly #takeHead = (count: number | null): void => {
    this.#reading = undefined;
    const reached = this.#reached;
    if (this.#released || reached === undefined) return;
    try {
      if (count === null) throw this.#noHead(reached);
      const head = this.#head.push(this.#take(count));
      if (head === undefined) return this.#receiveHead(reached);
      this.#tell(interpretHead(head.fields), head.rest.length);
    } catch (error) {
      this.#fail(error);
    }
  };

  /** @param rest Bytes of body at the buffer's end. */
  #tell(head: Interpreted, rest: number): void {
    const { exchange } = this.#request;
    if (head.type !== "reply") {
      this.#release();
      return this.#outcome.resolve(head);
    }
    const start = this.#filled - rest;
    if (exchange.method === "HEAD") return this.#open(head, start);
    // What an answer to HEAD promises is not to come (RFC 9110 §8.6).
    this.#due = head.contentLength;
    if (this.#due !== undefined && rest >= this.#due) return this.#finish(head, start);
    this.#arrives(start).then((whole) => {
      if (this.#released) return;
      if (whole) this.#finish(head, start);
      else this.#open(head, start);
    }, this.#fail);
  }

  /** Answers with bytes. */
  #finish(head: HeadReply, start: number): void {
    const { exchange, log } = this.#request;
    const body = copyOf(this.#buffer.subarray(start, this.#filled));
    this.#release();
    this.#outcome.resolve(replyOf(head, body, exchange, log));
  }

  /** Answers with a stream. */
  #open(head: HeadReply, start: number): void {
    const { exchange, log } = this.#request;
    if (this.#filled > start) this.#early = this.#buffer.slice(start, this.#filled);
    this.#outcome.resolve(replyOf(head, this, exchange, log));
  }

  /** Reads on for as long as something comes soon. Tells whether the whole body did. */
  async #arrives(start: number): Promise<boolean> {
    while (this.#due === undefined || this.#filled - start < this.#due) {
      if (this.#filled === this.#buffer.length || this.#reset) return false;
      if (!await this.#comesSoon()) return false;
      if (await this.#receive() === undefined) return !this.#reset;
    }
    return true;
  }

  /** Begins to read, and tells whether something came soon. */
  async #comesSoon(): Promise<boolean> {
    let here = false;
    const reading = this.#startReading().then(() => here = true);
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([reading, new Promise((late) => timer = setTimeout(late, SOON_MS))]);
    clearTimeout(timer);
    return here;
  }

  /** The next bytes, behind those before them; undefined at the connection's end. */
  async #receive(): Promise<Bytes | undefined> {
    const count = await this.#startReading();
    this.#reading = undefined;
    this.#request.exchange.lifeline.throwIfCut();
    return count === null ? undefined : this.#take(count);
  }

  /** Where the next bytes go. */
  #room(): Bytes {
    if (this.#filled === this.#buffer.length) this.#filled = 0;
    return this.#filled === 0 ? this.#buffer : this.#buffer.subarray(this.#filled);
  }

  /** So many bytes have come. */
  #take(count: number): Bytes {
    const start = this.#filled;
    this.#filled += count;
    return this.#buffer.subarray(start, this.#filled);
  }

  /** The next bytes, for somebody else to keep. */
  async #receivePiece(): Promise<Bytes | undefined> {
    // What was read before has been handed out: the buffer may be filled anew.
    if (this.#reading === undefined) this.#filled = 0;
    const piece = await this.#receive();
    if (piece === undefined || piece.length <= SHORT_PIECE) return piece?.slice();
    this.#buffer = this.#upstream.takeBuffer();
    this.#filled = 0;
    return piece;
  }

  #startReading(): Promise<number | null> {
    return this.#reading ??= this.#read();
  }

  async #read(): Promise<number | null> {
    try {
      return await this.#reached?.socket.read(this.#room()) ?? null;
    } catch {
      this.#reset = true;
      return null;
    }
  }

  #count(piece: Bytes): Bytes {
    if (this.#due !== undefined) this.#due = Math.max(0, this.#due - piece.length);
    return piece;
  }

  #noHead({ where }: Reached): GatewayError {
    const fault = this.#head.end();
    const { suspicion } = this.#request;
    const because = fault.failure === "no-output" && suspicion !== "" ? `: ${suspicion}` : "";
    const end = `${where} ${this.#reset ? "reset" : "closed"} the connection`;
    const message = `${fault.message} (${end}${because})`;
    return new GatewayError(502, fault.failure, message, { cause: fault });
  }

  #cutShort(): ProtocolError {
    const where = this.#reached?.where;
    return new ProtocolError("reply-cut", `${where} reset the connection before the reply's end`);
  }

  /** Closes the connection, once. */
  #release(): void {
    if (this.#released) return;
    this.#released = true;
    const { exchange, body } = this.#request;
    exchange.lifeline.forget(this.#fail);
    body?.close();
    if (this.#reached === undefined) return;
    this.#upstream.leave(this.#reached);
    if (this.#reading === undefined) this.#upstream.giveBuffer(this.#buffer);
  }
}
