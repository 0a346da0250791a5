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
import type { ByteSource, Outcome, SizedBody } from "../exchange.ts";
import { HeadReader, type HeadReply, interpretHead } from "../protocol/cgi_response.ts";
import type { FcgiLink } from "./fastcgi_connection.ts";
import { FcgiReply, OVERLOADED } from "./fastcgi_reply.ts";
import { type FcgiRequest, isKept, isRepeatable } from "./fastcgi_request.ts";
import type { FcgiSource } from "./fastcgi_source.ts";
import { explainedFault, replyOf } from "./reply.ts";
import { giveBack } from "./taken.ts";

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
      const outcome = await new Conversation(source, link, request, tries).open();
      if (outcome !== undefined) return outcome;
      link = await source.fresh(lifeline, link);
    }
  } catch (error) {
    body?.close();
    throw error;
  }
}

class Conversation<Link extends FcgiLink> implements ByteSource {
  readonly #source: FcgiSource<Link>;
  readonly #link: Link;
  readonly #request: FcgiRequest;
  /** Which one this is of the times that the request may be sent. */
  readonly #tries: number;
  readonly #onCut = (reason: Error) => this.#abort(reason);
  readonly #reply: FcgiReply;
  /** The first write; tells whether the application may have got something of the request. */
  #writing: Promise<boolean> | undefined;
  #sent = true;
  #fed = true;
  #released = false;
  /** A piece of body that came with the head. */
  #early: Uint8Array<ArrayBuffer> = NOTHING;
  /** The piece that was given out last. */
  #taken: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes of body that the head promised and that are still due; undefined: no promise. */
  #due: number | undefined;

  constructor(source: FcgiSource<Link>, link: Link, request: FcgiRequest, tries: number) {
    this.#source = source;
    this.#link = link;
    this.#request = request;
    this.#tries = tries;
    this.#reply = new FcgiReply(link, request);
  }

  /** Undefined: the connection broke, and the request may safely go out again on another. */
  async open(): Promise<Outcome | undefined> {
    const { lifeline } = this.#request.exchange;
    try {
      lifeline.throwIfCut();
      lifeline.onCut(this.#onCut);
      this.#send();
      lifeline.handOver();
      return await this.#takeHead();
    } catch (error) {
      if (lifeline.reason === undefined && this.#isRefused(error)) return this.#giveUp();
      this.#release(false);
      throw lifeline.reason ?? error;
    }
  }

  /** Writes all but a long body, and reads the reply meanwhile: a write that fails shows there. */
  #send(): void {
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
      this.#write();
    } else {
      this.#fed = false;
      this.#feedBehind(body);
    }
  }

  /** Writes what the encoder holds, the first of the request; says whether the rest may follow. */
  async #write(): Promise<boolean> {
    try {
      this.#writing = this.#link.flush();
      if (await this.#writing) return true;
      // Nobody has the request: no reply is to come, and whoever waits for it need not.
      this.#link.close();
    } catch {
      // The application has a part and is gone. It may have answered before: the reading tells.
    }
    return false;
  }

  async #feedBehind(body: SizedBody | null): Promise<void> {
    if (await this.#write() && body !== null) await this.#feed(body);
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

  async #takeHead(): Promise<Outcome | undefined> {
    const reader = new HeadReader(this.#request.maxReplyHead);
    let isFresh = this.#link.served === 0;
    try {
      for (;;) {
        const stdout = await this.#reply.receive();
        if (stdout === undefined) {
          if (await this.#foundNobody()) return this.#giveUp();
          throw this.#noHead(reader);
        }
        if (isFresh) this.#source.heard(this.#link);
        isFresh = false;
        const head = stdout.length === 0 ? undefined : reader.push(stdout);
        if (head !== undefined) return this.#outcome(interpretHead(head.fields), head.rest);
        if (this.#reply.unshared && this.#tries < MAX_TRIES) return this.#unshare();
        if (this.#reply.ended || this.#reply.stdoutEnded) throw this.#noHead(reader);
      }
    } catch (error) {
      throw explainedFault(error, reader.fields, this.#reply.excerpt);
    }
  }

  /** No reply came: whether the request may be sent again. */
  async #foundNobody(): Promise<boolean> {
    this.#sent = await this.#writing?.catch(() => true) ?? true;
    this.#blame();
    return this.#mayRepeat();
  }

  #outcome(
    head: HeadReply | Extract<Outcome, { type: "local-redirect" }>,
    rest: Uint8Array<ArrayBuffer>,
  ) {
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

  /** A fresh connection without an answer; one request that no application survives counts but once. */
  #blame(): void {
    const isFresh = this.#link.served === 0 && !this.#reply.heard;
    if (isFresh && this.#tries === 1) this.#source.broken(this.#link);
  }

  /** Nothing came back. What was not even sent may always be sent; the rest if it does no harm. */
  #mayRepeat(): boolean {
    if (this.#tries === MAX_TRIES || this.#reply.heard) return false;
    if (!this.#sent) return true;
    const { lifeline } = this.#request.exchange;
    const isPrompt = performance.now() - lifeline.handedOverAt < this.#source.retryWindowMs;
    return isPrompt && isRepeatable(this.#request);
  }

  /** §5.5: an overloaded application has not looked at the request; another may. */
  #isRefused(error: unknown): boolean {
    const isOverload = error instanceof GatewayError && error.failure === OVERLOADED;
    if (!isOverload || this.#tries === MAX_TRIES || !isKept(this.#request)) return false;
    return this.#source.hasOther?.(this.#link) ?? false;
  }

  #giveUp(): undefined {
    this.#release(false, true);
    return undefined;
  }

  /** §5.5: the request was not looked at. It has its own connection the next time. */
  #unshare(): undefined {
    this.#source.unshare?.();
    if (isKept(this.#request)) return this.#giveUp();
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
