/**
 * One request's conversation with a FastCGI application, over a connection of the pool.
 *
 * Strategy: BEGIN_REQUEST, PARAMS and a short STDIN leave in one write; a longer body is fed while the
 * reply is read, so an application that answers early cannot deadlock. A reply that is complete when its
 * head is (most are: one read brings it all), or soon after, becomes plain bytes, never a stream.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { Outcome, SizedBody } from "../exchange.ts";
import { HeadReader, type HeadReply, interpretHead } from "../protocol/cgi_response.ts";
import { FcgiBody } from "./fastcgi_body.ts";
import { type FcgiLink, nextTurn } from "./fastcgi_connection.ts";
import { FcgiReply, OVERLOADED } from "./fastcgi_reply.ts";
import { type FcgiRequest, isEarly, isKept, isRepeatable } from "./fastcgi_request.ts";
import type { FcgiSource } from "./fastcgi_source.ts";
import { explainedFault, replyOf } from "./reply.ts";
import { copyOf } from "./short_copy.ts";

/** How often one request is sent at most. */
const MAX_TRIES = 3;
/** Bodies up to this many bytes travel in the first write. */
const SHORT_BODY = 65_536;
const NOTHING = new Uint8Array(0);

/**
 * Sends a request and reads its reply's head.
 * @throws {GatewayError} as the pool; 503 `fcgi-overloaded`.
 * @throws {ProtocolError} when the reply breaks FastCGI's or RFC 3875's rules before its head is whole.
 */
export function converse<Link extends FcgiLink>(
  source: FcgiSource<Link>,
  request: FcgiRequest,
): Promise<Outcome> {
  const { exchange: { lifeline } } = request;
  const acquire = () => source.acquire(lifeline, !isRepeatable(request), isEarly(request));
  return begin(source, request, 1, acquire);
}

/** Every layer of promises shows in what a short request costs: here is none for a link at hand. */
function begin<Link extends FcgiLink>(
  source: FcgiSource<Link>,
  request: FcgiRequest,
  tries: number,
  acquire: () => Link | Promise<Link>,
): Promise<Outcome> {
  const failed = (error: unknown) => {
    request.body?.close();
    return Promise.reject(error);
  };
  const open = (link: Link) => new Conversation(source, link, request, tries).open();
  try {
    const acquired = acquire();
    return acquired instanceof Promise ? acquired.then(open, failed) : open(acquired);
  } catch (error) {
    return failed(error);
  }
}

class Conversation<Link extends FcgiLink> {
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
  #hasAnswered = false;
  #fed = true;
  #released = false;

  constructor(source: FcgiSource<Link>, link: Link, request: FcgiRequest, tries: number) {
    this.#source = source;
    this.#link = link;
    this.#request = request;
    this.#tries = tries;
    this.#reply = new FcgiReply(link, request);
  }

  async open(): Promise<Outcome> {
    const { exchange: { lifeline }, maxReplyHead } = this.#request;
    const reader = new HeadReader(maxReplyHead);
    try {
      lifeline.throwIfCut();
      lifeline.onCut(this.#onCut);
      this.#send();
      lifeline.handOver();
      for (;;) {
        const stdout = this.#reply.take(await this.#link.receive());
        if (stdout === undefined && await this.#foundNobody()) break;
        if (stdout?.length === 0 && this.#unshares()) break;
        const outcome = this.#takeHead(reader, stdout);
        // Nearly all are here: to wait would take another turn.
        if (outcome !== undefined) return outcome instanceof Promise ? await outcome : outcome;
      }
    } catch (error) {
      if (lifeline.reason !== undefined || !this.#isRefused(error)) {
        this.#release(false);
        throw lifeline.reason ?? explainedFault(error, reader.fields, this.#reply.excerpt);
      }
    }
    return await this.#again();
  }

  /** The request may safely go out again, on another connection. */
  #again(): Promise<Outcome> {
    this.#release(false, true);
    const { lifeline } = this.#request.exchange;
    const fresh = () => this.#source.fresh(lifeline, this.#link);
    // Nobody has tried yet: it was in line all the time.
    if (this.#link.isAhead) return begin(this.#source, this.#request, this.#tries, fresh);
    lifeline.ledger.resends++;
    return begin(this.#source, this.#request, this.#tries + 1, fresh);
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
      this.#writing = this.#link.flushFirst();
    } else {
      this.#fed = false;
      this.#writing = this.#link.flushFirst();
      this.#writing.then((sent) => sent && body !== null ? this.#feed(body) : undefined);
    }
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
      this.#fed = await this.#link.flush();
    } catch (error) {
      body.close();
      // A connection that breaks under the feed shows in the reply; a client's fault ends it all.
      const isClients = error instanceof ClientGone || error instanceof GatewayError;
      if (isClients) this.#request.exchange.lifeline.cut(error);
    }
  }

  /** Takes a piece of STDOUT for the head; undefined: more is to come. */
  #takeHead(
    reader: HeadReader,
    stdout: Uint8Array<ArrayBuffer> | undefined,
  ): Outcome | Promise<Outcome> | undefined {
    if (stdout === undefined) throw this.#noHead(reader);
    const { served, isAhead } = this.#link;
    if (!this.#hasAnswered && (served === 0 || isAhead)) this.#source.heard(this.#link);
    this.#hasAnswered = true;
    const head = stdout.length === 0 ? undefined : reader.push(stdout);
    if (head !== undefined) return this.#outcome(interpretHead(head.fields), head.rest);
    if (this.#reply.ended || this.#reply.stdoutEnded) throw this.#noHead(reader);
    return undefined;
  }

  /** No reply came: whether the request may be sent again. */
  async #foundNobody(): Promise<boolean> {
    this.#sent = await this.#writing ?? true;
    // What was answered before, and so tells that its turn had come, is read in the same turn of the loop.
    if (this.#link.isAhead && !this.#link.closed) await nextTurn();
    this.#blame();
    return this.#mayRepeat();
  }

  #outcome(
    head: HeadReply | Extract<Outcome, { type: "local-redirect" }>,
    rest: Uint8Array<ArrayBuffer>,
  ): Outcome | Promise<Outcome> {
    if (head.type === "local-redirect") {
      this.#release(this.#reply.ended);
      return head;
    }
    const { exchange, log } = this.#request;
    if (!this.#reply.ended) return this.#draw(head, rest);
    const bytes = copyOf(rest);
    this.#release(true);
    return replyOf(head, bytes, exchange, log);
  }

  /** The reply, as plain bytes if the rest of it is on its way. */
  async #draw(head: HeadReply, rest: Uint8Array<ArrayBuffer>): Promise<Outcome> {
    const { exchange, log } = this.#request;
    const body = new FcgiBody(this.#link, this.#reply, {
      due: head.contentLength,
      abort: (reason) => this.#abort(reason),
      release: (complete) => this.#release(complete),
    });
    return replyOf(head, await body.gather(rest) ?? body, exchange, log);
  }

  /** A fresh connection without an answer; one request that no application survives counts but once. */
  #blame(): void {
    const { served, isAhead } = this.#link;
    const isFresh = served === 0 && !this.#reply.heard && !isAhead;
    if (isFresh && this.#tries === 1) this.#source.broken(this.#link);
  }

  /** Nothing came back. What was not even sent may always be sent; the rest if it does no harm. */
  #mayRepeat(): boolean {
    if (this.#link.isAhead) return true;
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

  /** §5.5: the request was not looked at. It has its own connection the next time. */
  #unshares(): boolean {
    if (!this.#reply.unshared || this.#tries === MAX_TRIES) return false;
    this.#source.unshare?.();
    if (isKept(this.#request)) return true;
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
