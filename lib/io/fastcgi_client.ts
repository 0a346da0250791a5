/**
 * One request's conversation with a FastCGI application, over a connection of the pool.
 *
 * Strategy: BEGIN_REQUEST, PARAMS and a short STDIN leave in one write; a longer body is fed while the
 * reply is read, so an application that answers early cannot deadlock. A reply that is complete when its
 * head is (most are: one read brings it all) becomes plain bytes, never a stream.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { ByteSource, Exchange, Outcome, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { HeadReader, type HeadReply, interpretHead } from "../protocol/cgi_response.ts";
import type { FcgiRole } from "../protocol/fastcgi.ts";
import type { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import type { FcgiLink } from "./fastcgi_connection.ts";
import { FcgiReply } from "./fastcgi_reply.ts";
import { type FcgiSource, IDEMPOTENT } from "./fastcgi_source.ts";
import { explainedFault, replyOf } from "./reply.ts";
import { giveBack } from "./taken.ts";

export interface FcgiRequest {
  readonly exchange: Exchange;
  readonly role: FcgiRole;
  readonly body: SizedBody | null;
  /** Bytes of reply head at most. */
  readonly maxReplyHead: number;
  readonly log: ServiceLog;
  /** Writes the environ as name-value pairs. */
  writeParams(encoder: FcgiEncoder): void;
}

/** How often one request is sent at most. */
const MAX_TRIES = 3;
/** Bodies up to this many bytes travel in the first write. */
const SHORT_BODY = 65_536;
/** How long END_REQUEST may follow the end of STDOUT. */
const END_GRACE_MS = 1000;
const NOTHING = new Uint8Array(0);

/**
 * Sends a request and reads its reply's head.
 * @throws {GatewayError} as the pool; 503 `fcgi-overloaded`.
 * @throws {ProtocolError} when the reply breaks FastCGI's or RFC 3875's rules before its head is whole.
 */
export async function converse<Link extends FcgiLink>(
  source: FcgiSource<Link>,
  request: FcgiRequest,
): Promise<Outcome> {
  const { exchange: { lifeline }, body } = request;
  try {
    const acquired = source.acquire(lifeline, !isRepeatable(request));
    let link = acquired instanceof Promise ? await acquired : acquired;
    for (let tries = 1;; tries++) {
      const outcome = await new Conversation(source, link, request, tries === MAX_TRIES).open();
      if (outcome !== undefined) return outcome;
      link = await source.fresh(lifeline);
    }
  } catch (error) {
    body?.close();
    throw error;
  }
}

/** Whether a request may be sent again, although the first try may have had its effect. */
function isRepeatable({ exchange, body }: FcgiRequest): boolean {
  return IDEMPOTENT.has(exchange.method) && (body === null || body.bytes !== undefined);
}

class Conversation<Link extends FcgiLink> implements ByteSource {
  readonly #source: FcgiSource<Link>;
  readonly #link: Link;
  readonly #request: FcgiRequest;
  /** The request was sent often enough. */
  readonly #isLast: boolean;
  readonly #onCut = (reason: Error) => this.#abort(reason);
  readonly #reply: FcgiReply;
  /** The application may have got something of the request. */
  #sent = true;
  #fed = true;
  #released = false;
  /** A piece of body that came with the head. */
  #early: Uint8Array<ArrayBuffer> = NOTHING;
  /** The piece that was given out last. */
  #taken: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes of body that the head promised and that are still due; undefined: no promise. */
  #due: number | undefined;

  constructor(source: FcgiSource<Link>, link: Link, request: FcgiRequest, isLast: boolean) {
    this.#source = source;
    this.#link = link;
    this.#request = request;
    this.#isLast = isLast;
    this.#reply = new FcgiReply(link, request);
  }

  /** Undefined: the connection broke, and the request may safely go out again on another. */
  async open(): Promise<Outcome | undefined> {
    const { lifeline } = this.#request.exchange;
    try {
      lifeline.throwIfCut();
      lifeline.onCut(this.#onCut);
      await this.#send();
      lifeline.handOver();
      return await this.#readHead();
    } catch (error) {
      this.#release(false);
      throw lifeline.reason ?? error;
    }
  }

  async #send(): Promise<void> {
    const { encoder, requestId } = this.#link;
    const { body, role } = this.#request;
    encoder.beginRequest(requestId, role, this.#source.keepAlive);
    encoder.beginParams(requestId);
    this.#request.writeParams(encoder);
    encoder.endParams();
    const short = body === null ? NOTHING : body.bytes;
    if (short !== undefined && short.length <= SHORT_BODY) {
      encoder.stream("stdin", requestId, short);
      encoder.endStream("stdin", requestId);
    } else {
      this.#fed = false;
    }
    try {
      this.#sent = await this.#link.flush();
    } catch {
      // The application has a part and is gone: the reply will not come.
      return;
    }
    if (this.#sent && !this.#fed && body !== null) this.#feed(body);
  }

  /** Sends the body while the reply is being read. */
  async #feed(body: SizedBody): Promise<void> {
    const { encoder, requestId } = this.#link;
    try {
      // What lies in memory is not used up: the request may have to be sent again.
      for (let piece = body.bytes ?? await body.read(); piece !== undefined;) {
        // §6.2: an application may end the request without having read its input.
        if (this.#reply.ended || this.#released) return body.close();
        encoder.stream("stdin", requestId, piece);
        if (!await this.#link.flush()) return body.close();
        piece = body.bytes === undefined ? await body.read() : undefined;
      }
      encoder.endStream("stdin", requestId);
      await this.#link.flush();
      this.#fed = true;
    } catch (error) {
      body.close();
      // A connection that breaks under the feed shows in the reply; a client's fault ends it all.
      const isClients = error instanceof ClientGone || error instanceof GatewayError;
      if (isClients) this.#request.exchange.lifeline.cut(error);
    }
  }

  async #readHead(): Promise<Outcome | undefined> {
    const reader = new HeadReader(this.#request.maxReplyHead);
    try {
      return await this.#takeHead(reader);
    } catch (error) {
      throw explainedFault(error, reader.fields, this.#reply.excerpt);
    }
  }

  async #takeHead(reader: HeadReader): Promise<Outcome | undefined> {
    let isFresh = this.#link.served === 0;
    for (;;) {
      const stdout = this.#sent ? await this.#reply.receive() : undefined;
      if (stdout === undefined) {
        if (!this.#reply.heard && this.#link.served === 0) this.#source.broken(this.#link);
        if (this.#mayRepeat()) return this.#giveUp();
        throw this.#noHead(reader);
      }
      if (isFresh) this.#source.heard(this.#link);
      isFresh = false;
      const head = stdout.length === 0 ? undefined : reader.push(stdout);
      if (head !== undefined) return this.#outcome(interpretHead(head.fields), head.rest);
      if (this.#reply.unshared && !this.#isLast) return this.#unshare();
      if (this.#reply.ended || this.#reply.stdoutEnded) throw this.#noHead(reader);
    }
  }

  #outcome(head: HeadReply | Exclude<Outcome, { type: "reply" }>, rest: Uint8Array<ArrayBuffer>) {
    if (head.type === "local-redirect") {
      this.#release(this.#reply.ended);
      return head;
    }
    const { exchange, log } = this.#request;
    if (this.#reply.ended) {
      const bytes = rest.slice();
      this.#release(true);
      return replyOf(head, bytes, exchange, log);
    }
    // The connection's buffer is about to be used again.
    this.#early = rest.slice();
    this.#due = head.contentLength;
    return replyOf(head, this, exchange, log);
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const early = this.#early;
    this.#early = NOTHING;
    if (early.length > 0) return this.#count(early);
    while (!this.#reply.ended && !this.#reply.stdoutEnded) {
      let piece: Uint8Array<ArrayBuffer> | undefined;
      giveBack(this.#taken);
      this.#taken = undefined;
      try {
        piece = await this.#reply.receive();
      } catch (error) {
        this.#release(false);
        throw error;
      }
      if (piece === undefined) {
        this.#release(false);
        if (this.#due === 0) return undefined;
        throw new ProtocolError(
          "reply-cut",
          `${this.#reply.where} closed before the reply was whole`,
        );
      }
      if (piece.length > 0) {
        this.#link.keepBuffer();
        this.#taken = piece;
        return this.#count(piece);
      }
    }
    if (this.#reply.ended) this.#release(true);
    else this.#awaitEnd();
    return undefined;
  }

  cancel(reason: Error): void {
    this.#abort(reason);
    this.#release(false);
  }

  #count(piece: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    if (this.#due !== undefined) this.#due = Math.max(0, this.#due - piece.length);
    return piece;
  }

  /** STDOUT has ended but the request has not: lets the application finish, for a while. */
  async #awaitEnd(): Promise<void> {
    const timer = setTimeout(() => this.#link.close(), END_GRACE_MS);
    let complete = false;
    try {
      while (!this.#reply.ended && await this.#reply.receive() !== undefined);
      complete = this.#reply.ended;
    } catch {
      // What came was no end of this request: the connection goes, the reply was whole.
    }
    clearTimeout(timer);
    this.#release(complete);
  }

  /** Nothing came back. What was not even sent may always be sent; the rest if it does no harm. */
  #mayRepeat(): boolean {
    if (this.#isLast || this.#reply.heard) return false;
    if (!this.#sent) return true;
    const { lifeline } = this.#request.exchange;
    const isPrompt = performance.now() - lifeline.handedOverAt < this.#source.retryWindowMs;
    return isPrompt && isRepeatable(this.#request);
  }

  #giveUp(): undefined {
    this.#release(false, true);
    return undefined;
  }

  /** §5.5: the request was not looked at. It has its own connection the next time. */
  #unshare(): undefined {
    const { body } = this.#request;
    this.#source.unshare?.();
    if (body === null || body.bytes !== undefined) return this.#giveUp();
    throw new ProtocolError("fcgi-cant-mpx", `${this.#reply.where} refuses a second request`);
  }

  #noHead(reader: HeadReader): Error {
    const fault = reader.end();
    const closed = this.#reply.ended ? "" : ` (${this.#reply.where} closed the connection)`;
    return new ProtocolError(fault.failure, fault.message + closed);
  }

  #abort(_reason: Error): void {
    if (!this.#released && !this.#link.closed) this.#link.abort();
  }

  /** Gives the connection back, once. It can serve again only if nothing is left over on it. */
  #release(complete: boolean, repeats = false): void {
    if (this.#released) return;
    this.#released = true;
    this.#request.exchange.lifeline.forget(this.#onCut);
    if (!repeats) this.#request.body?.close();
    this.#reply.closeLog();
    const { decoder } = this.#link;
    const clean = complete && this.#fed && !this.#reply.spoilt && decoder.drained &&
      decoder.atBorder;
    this.#source.release(this.#link, clean);
  }
}
