/**
 * One request's conversation with an upstream that closes the connection behind its reply.
 *
 * Strategy: the request's head and a short body leave in one write; a longer body is fed while the reply
 * is read, so an application that answers early cannot deadlock. Reads go one behind the other into one
 * buffer for as long as there is something to read: a reply that was written in one go (most are) becomes
 * plain bytes, never a stream.
 *
 * The end of the connection ends a reply that promised no length. A reset ends none: whoever crashes or
 * is killed looks like that.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { ByteSource, Exchange, Outcome, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { HeadReader, type HeadReply, interpretHead } from "../protocol/cgi_response.ts";
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

/** Pieces of a streamed body up to this many bytes are copied out of the buffer, which stays in use. */
const SHORT_PIECE = 16_384;

/**
 * Sends a request and reads its reply's head.
 * @throws {GatewayError} as {@link ClosingUpstream.reach}.
 * @throws {ProtocolError} when the reply breaks RFC 3875's rules before its head is whole.
 */
export async function converse(
  upstream: ClosingUpstream,
  request: ClosingRequest,
): Promise<Outcome> {
  try {
    const reached = await upstream.reach(request.exchange.lifeline);
    return await new Conversation(upstream, reached, request).open();
  } catch (error) {
    request.body?.close();
    throw error;
  }
}

class Conversation implements ByteSource {
  readonly #upstream: ClosingUpstream;
  readonly #reached: Reached;
  readonly #request: ClosingRequest;
  readonly #onCut = () => this.#release();
  #buffer: Bytes;
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

  constructor(upstream: ClosingUpstream, reached: Reached, request: ClosingRequest) {
    this.#upstream = upstream;
    this.#reached = reached;
    this.#request = request;
    this.#buffer = upstream.takeBuffer();
  }

  async open(): Promise<Outcome> {
    const { lifeline } = this.#request.exchange;
    try {
      lifeline.throwIfCut();
      lifeline.onCut(this.#onCut);
      this.#feed();
      lifeline.handOver();
      return await this.#readHead();
    } catch (error) {
      this.#release();
      throw lifeline.reason ?? error;
    }
  }

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
  async #feed(): Promise<void> {
    const { packet, body, exchange } = this.#request;
    const { socket } = this.#reached;
    try {
      await writeAll(socket, packet);
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

  async #readHead(): Promise<Outcome> {
    const reader = new HeadReader(this.#request.maxReplyHead);
    for (;;) {
      const piece = await this.#receive();
      if (piece === undefined) throw this.#noHead(reader);
      const head = reader.push(piece);
      if (head === undefined) continue;
      const interpreted = interpretHead(head.fields);
      if (interpreted.type === "reply") return await this.#reply(interpreted, head.rest.length);
      this.#release();
      return interpreted;
    }
  }

  /** @param rest Bytes of body at the buffer's end. */
  async #reply(head: HeadReply, rest: number): Promise<Outcome> {
    const { exchange, log } = this.#request;
    const start = this.#filled - rest;
    // What an answer to HEAD promises is not to come (RFC 9110 §8.6).
    this.#due = exchange.method === "HEAD" ? undefined : head.contentLength;
    const whole = exchange.method !== "HEAD" && await this.#arrives(start);
    const bytes = this.#buffer.subarray(start, this.#filled);
    if (whole) {
      const copy = copyOf(bytes);
      this.#release();
      return replyOf(head, copy, exchange, log);
    }
    this.#early = bytes.length === 0 ? undefined : bytes.slice();
    return replyOf(head, this, exchange, log);
  }

  /** Reads on for as long as something is there to be read. Tells whether the whole body was. */
  async #arrives(start: number): Promise<boolean> {
    while (this.#due === undefined || this.#filled - start < this.#due) {
      if (this.#filled === this.#buffer.length || this.#reset) return false;
      if (!await this.#comesNow()) return false;
      if (await this.#receive() === undefined) return !this.#reset;
    }
    return true;
  }

  /** Begins to read, and tells whether that was all it took. */
  async #comesNow(): Promise<boolean> {
    let here = false;
    this.#startReading().then(() => here = true);
    await nextTurn();
    return here;
  }

  /** The next bytes, behind those before them; undefined at the connection's end. */
  async #receive(): Promise<Bytes | undefined> {
    if (this.#filled === this.#buffer.length) this.#filled = 0;
    const count = await this.#startReading();
    this.#reading = undefined;
    this.#request.exchange.lifeline.throwIfCut();
    if (count === null) return undefined;
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
      return await this.#reached.socket.read(this.#buffer.subarray(this.#filled));
    } catch {
      this.#reset = true;
      return null;
    }
  }

  #count(piece: Bytes): Bytes {
    if (this.#due !== undefined) this.#due = Math.max(0, this.#due - piece.length);
    return piece;
  }

  #noHead(reader: HeadReader): GatewayError {
    const fault = reader.end();
    const { suspicion } = this.#request;
    const because = fault.failure === "no-output" && suspicion !== "" ? `: ${suspicion}` : "";
    const end = `${this.#reached.where} ${this.#reset ? "reset" : "closed"} the connection`;
    const message = `${fault.message} (${end}${because})`;
    return new GatewayError(502, fault.failure, message, { cause: fault });
  }

  #cutShort(): ProtocolError {
    const { where } = this.#reached;
    return new ProtocolError("reply-cut", `${where} reset the connection before the reply's end`);
  }

  /** Closes the connection, once. */
  #release(): void {
    if (this.#released) return;
    this.#released = true;
    const { exchange, body } = this.#request;
    exchange.lifeline.forget(this.#onCut);
    body?.close();
    this.#upstream.leave(this.#reached);
    if (this.#reading === undefined) this.#upstream.giveBuffer(this.#buffer);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
