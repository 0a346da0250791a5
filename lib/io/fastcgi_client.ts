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
import type { FcgiConnection } from "./fastcgi_connection.ts";
import type { FcgiPool } from "./fastcgi_pool.ts";
import { FcgiReply } from "./fastcgi_reply.ts";
import { replyOf } from "./reply.ts";

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

/** Our only request id: one request at a time on a connection. */
const REQUEST_ID = 1;
/** Bodies up to this many bytes travel in the first write. */
const SHORT_BODY = 65_536;
/** How long END_REQUEST may follow the end of STDOUT. */
const END_GRACE_MS = 1000;
/** Methods that may be sent again when the first try had no effect we know of (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "PUT",
  "DELETE",
  "OPTIONS",
  "TRACE",
]);
const NOTHING = new Uint8Array(0);

/**
 * Sends a request and reads its reply's head.
 * @throws {GatewayError} as the pool; 503 `fcgi-overloaded`.
 * @throws {ProtocolError} when the reply breaks FastCGI's or RFC 3875's rules before its head is whole.
 */
export async function converse(pool: FcgiPool, request: FcgiRequest): Promise<Outcome> {
  const { exchange: { lifeline }, body } = request;
  try {
    const acquired = pool.acquire(lifeline, !isRepeatable(request));
    let connection = acquired instanceof Promise ? await acquired : acquired;
    for (;;) {
      const outcome = await new Conversation(pool, connection, request).open();
      if (outcome !== undefined) return outcome;
      // The application had closed the kept connection before it saw the request.
      connection = await pool.fresh(lifeline);
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

class Conversation implements ByteSource {
  readonly #pool: FcgiPool;
  readonly #connection: FcgiConnection;
  readonly #request: FcgiRequest;
  readonly #onCut = (reason: Error) => this.#abort(reason);
  readonly #reply: FcgiReply;
  #fed = true;
  #released = false;
  /** A piece of body that came with the head. */
  #early: Uint8Array<ArrayBuffer> = NOTHING;
  /** Bytes of body that the head promised and that are still due; undefined: no promise. */
  #due: number | undefined;

  constructor(pool: FcgiPool, connection: FcgiConnection, request: FcgiRequest) {
    this.#pool = pool;
    this.#connection = connection;
    this.#request = request;
    this.#reply = new FcgiReply(connection, request, REQUEST_ID);
  }

  /** Undefined: the connection was stale, and the request may safely go out again on another. */
  async open(): Promise<Outcome | undefined> {
    const { lifeline } = this.#request.exchange;
    try {
      lifeline.throwIfCut();
      lifeline.onCut(this.#onCut);
      const written = await this.#send();
      lifeline.handOver();
      return written || !this.#isStale() ? await this.#readHead() : this.#giveUp();
    } catch (error) {
      this.#release(false);
      throw lifeline.reason ?? error;
    }
  }

  async #send(): Promise<boolean> {
    const { encoder } = this.#connection;
    const { body, role } = this.#request;
    encoder.beginRequest(REQUEST_ID, role, this.#pool.keepAlive);
    encoder.beginParams(REQUEST_ID);
    this.#request.writeParams(encoder);
    encoder.endParams();
    const short = body === null ? NOTHING : body.bytes;
    if (short !== undefined && short.length <= SHORT_BODY) {
      encoder.stream("stdin", REQUEST_ID, short);
      encoder.endStream("stdin", REQUEST_ID);
    } else {
      this.#fed = false;
    }
    try {
      await this.#connection.flush();
    } catch {
      return false;
    }
    if (!this.#fed && body !== null) this.#feed(body);
    return true;
  }

  /** Sends the body while the reply is being read. */
  async #feed(body: SizedBody): Promise<void> {
    const { encoder } = this.#connection;
    try {
      // What lies in memory is not used up: the request may have to be sent again.
      for (let piece = body.bytes ?? await body.read(); piece !== undefined;) {
        // §6.2: an application may end the request without having read its input.
        if (this.#reply.ended || this.#released) return body.close();
        encoder.stream("stdin", REQUEST_ID, piece);
        await this.#connection.flush();
        piece = body.bytes === undefined ? await body.read() : undefined;
      }
      encoder.endStream("stdin", REQUEST_ID);
      await this.#connection.flush();
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
    for (;;) {
      const stdout = await this.#reply.receive();
      if (stdout === undefined) {
        if (this.#isStale()) return this.#giveUp();
        throw this.#noHead(reader);
      }
      const head = stdout.length === 0 ? undefined : reader.push(stdout);
      if (head !== undefined) return this.#outcome(interpretHead(head.fields), head.rest);
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
        this.#connection.keepBuffer();
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
    const timer = setTimeout(() => this.#connection.close(), END_GRACE_MS);
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

  #isStale(): boolean {
    const fresh = this.#connection.served === 0;
    return !fresh && !this.#reply.heard && isRepeatable(this.#request);
  }

  #giveUp(): undefined {
    this.#release(false);
    return undefined;
  }

  #noHead(reader: HeadReader): Error {
    const fault = reader.end();
    const closed = this.#reply.ended ? "" : ` (${this.#reply.where} closed the connection)`;
    return new GatewayError(502, fault.failure, fault.message + closed, {
      cause: fault,
      ...(this.#reply.excerpt === "" ? {} : { detail: this.#reply.excerpt }),
    });
  }

  /** §5.4, and closing, which means the same on a connection with one request (§3.5). */
  #abort(_reason: Error): void {
    if (this.#released || this.#connection.closed) return;
    const { encoder } = this.#connection;
    encoder.take();
    encoder.abortRequest(REQUEST_ID);
    this.#connection.flush().catch(() => {});
    this.#connection.close();
  }

  /** Gives the connection back, once. It can serve again only if nothing is left over on it. */
  #release(complete: boolean): void {
    if (this.#released) return;
    this.#released = true;
    this.#request.exchange.lifeline.forget(this.#onCut);
    this.#request.body?.close();
    this.#reply.closeLog();
    const { decoder } = this.#connection;
    const clean = complete && this.#fed && !this.#reply.spoilt && decoder.drained &&
      decoder.atBorder;
    this.#pool.release(this.#connection, clean);
  }
}
