/**
 * Requests to HTTP/2 origins, each a stream of a session that others share. What goes and what comes is as
 * with HTTP/1.1 (http_origin_client.ts), and so are the rules for sending a request again; one that the
 * origin refused, or passed over as it went, certainly had no effect and may always go out again.
 *
 * Loaded by routes that want it alone: `node:http2` and what it needs take their time.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { ByteString, Reply, SizedBody } from "../exchange.ts";
import type { ServiceStatus, Stateful } from "../handler.ts";
import { interpretOrigin, type OriginReply } from "../protocol/http1_response.ts";
import { readHead } from "../protocol/http2_message.ts";
import { Http2Body } from "./http2_body.ts";
import { Http2Pool, type Seat, type Site } from "./http2_pool.ts";
import { Http2Stream } from "./http2_stream.ts";
import type { Origin } from "./http_origin.ts";
import { type AnyOriginRequest, isRepeatable, MAX_TRIES } from "./http_origin_client.ts";
import { SHORT_BODY } from "./http_origin_feed.ts";
import type { OriginPoolOptions } from "./http_origin_pool.ts";
import { KeptBody } from "./kept_body.ts";

export interface Http2Request extends AnyOriginRequest {
  /** The head: names and values in turn. */
  fieldsFor(origin: Origin): ByteString[];
}

/** The origins of a route, and the way to ask them. */
export class Http2Origins implements AsyncDisposable, Stateful {
  readonly #pool: Http2Pool;

  constructor(origins: readonly Origin[], options: OriginPoolOptions) {
    this.#pool = new Http2Pool(origins, options);
  }

  status(): ServiceStatus {
    return this.#pool.status();
  }

  /**
   * Sends a request and reads its response's head.
   * @throws {GatewayError} as the pool; 503 `stream-refused`.
   * @throws {ProtocolError} when the response breaks off or breaks HTTP before its head is whole.
   */
  async converse(request: Http2Request): Promise<Reply> {
    const { exchange: { lifeline } } = request;
    const body = request.body && new KeptBody(request.body);
    const kept = { ...request, body };
    const refused = new Set<Site>();
    try {
      for (let tries = 1;; tries++) {
        const seat = await this.#pool.acquire(lifeline, refused);
        const outcome = await new Conversation(this.#pool, seat, kept, tries).open();
        if (typeof outcome !== "string") return outcome;
        if (outcome === "refused") refused.add(seat.site);
        lifeline.ledger.resends++;
      }
    } catch (error) {
      body?.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

interface KeptRequest extends Http2Request {
  readonly body: KeptBody | null;
}

/** How often a request is sent to origins that leave: each takes some of those that wait with it. */
const MAX_PASSED_OVER = 20;

/** Why a request may go out again. */
type Again = "refused" | "lost";

class Conversation {
  readonly #pool: Http2Pool;
  readonly #seat: Seat;
  readonly #request: KeptRequest;
  readonly #tries: number;
  readonly #since = performance.now();
  readonly #onCut = () => this.#stream?.cancel();
  #stream: Http2Stream | undefined;
  #hasHead = false;
  /** The request's body has gone out. */
  #fed = true;
  #feeding: Promise<void> | undefined;
  #released = false;
  /** The request goes out again, its body with it. */
  #repeats = false;

  constructor(pool: Http2Pool, seat: Seat, request: KeptRequest, tries: number) {
    this.#pool = pool;
    this.#seat = seat;
    this.#request = request;
    this.#tries = tries;
  }

  async open(): Promise<Reply | Again> {
    const { lifeline } = this.#request.exchange;
    try {
      lifeline.throwIfCut();
      const stream = this.#send();
      if (stream === undefined) return await this.#again("lost");
      lifeline.onCut(this.#onCut);
      lifeline.handOver();
      const head = await stream.head();
      lifeline.throwIfCut();
      if (head === undefined) return await this.#retry(stream);
      this.#hasHead = true;
      this.#pool.heard(this.#seat);
      const { maxReplyHead, exchange: { method } } = this.#request;
      return await this.#reply(stream, interpretOrigin(readHead(head, maxReplyHead), method));
    } catch (error) {
      this.#blame(lifeline.reason);
      this.#release(false);
      throw lifeline.reason ?? error;
    }
  }

  #send(): Http2Stream | undefined {
    const { body } = this.#request;
    const { session } = this.#seat;
    const raw = session.request(this.#request.fieldsFor(session.origin), body === null);
    if (raw === undefined) return undefined;
    const stream = this.#stream = new Http2Stream(raw, session);
    if (body === null) return stream;
    if (body.bytes !== undefined && body.bytes.length <= SHORT_BODY) stream.end(body.bytes);
    else {
      this.#fed = false;
      this.#feeding = this.#feed(stream, body);
    }
    return stream;
  }

  /** Sends the body while the response is being read. */
  async #feed(stream: Http2Stream, body: SizedBody): Promise<void> {
    try {
      this.#fed = await this.#pass(stream, body);
      if (this.#fed) stream.end();
    } catch (error) {
      // A stream that breaks under the feed shows in the response; a client's fault ends it all.
      const isClients = error instanceof ClientGone || error instanceof GatewayError;
      const isOver = this.#released && !this.#repeats;
      if (isClients && !isOver) this.#request.exchange.lifeline.cut(error);
    }
    if (!this.#fed && (this.#hasHead || this.#released) && !this.#repeats) body.close();
  }

  /** False: the stream takes no more, or nobody wants the rest. */
  async #pass(stream: Http2Stream, body: SizedBody): Promise<boolean> {
    if (body.bytes !== undefined) return await stream.write(body.bytes);
    let due = body.length ?? Infinity;
    while (due > 0) {
      const piece = await body.read(true);
      if (this.#released) return false;
      if (piece === undefined) break;
      due -= piece.length;
      if (!await stream.write(piece)) return false;
    }
    return true;
  }

  async #reply(stream: Http2Stream, reply: OriginReply): Promise<Reply> {
    const { exchange: { lifeline, method } } = this.#request;
    const { origin } = this.#seat.session;
    const { status, file, framing } = reply;
    const headers = this.#request.finish(reply, origin);
    const body = new Http2Body(stream, {
      length: framing.type === "length" ? framing.length : undefined,
      name: origin.name,
      lifeline,
      ended: (isWhole) => this.#release(isWhole),
    });
    const bytes = await body.open();
    return {
      type: "reply",
      status,
      headers,
      // What GET would bring is not known to be nothing.
      body: method === "HEAD" ? body : bytes ?? body,
      ...(file === undefined ? {} : { file }),
    };
  }

  /**
   * Nothing came back. What was refused may be sent again if its body is still there; what was lost, if
   * besides it does no harm and the session had served before, as with a kept connection.
   */
  async #retry(stream: Http2Stream): Promise<Again> {
    const { session } = this.#seat;
    const { name } = session.origin;
    const isLast = this.#tries >= (stream.wasPassedOver ? MAX_PASSED_OVER : MAX_TRIES);
    if (stream.wasRefused) {
      if (isLast || this.#request.body?.isKept === false) throw this.#refused();
      return await this.#again("refused");
    }
    const isLost = session.closed && session.served > 0;
    if (!isLast && isLost && isRepeatable(this.#request)) return await this.#again("lost");
    throw new ProtocolError("no-output", `There was no response: ${name} ${stream.fate}`);
  }

  #refused(): GatewayError {
    const { name } = this.#seat.session.origin;
    const message = `${name} refuses the request: it has too many, or is about to leave`;
    return new GatewayError(503, "stream-refused", message, { headers: [["retry-after", "1"]] });
  }

  /** A fresh session without an answer, or an answer that did not come in time. */
  #blame(reason: Error | undefined): void {
    if (this.#hasHead) return;
    const { session } = this.#seat;
    if (reason instanceof GatewayError && reason.status === 504) {
      this.#pool.broken(this.#seat, reason.message);
      // Nothing at all has come meanwhile: perhaps nobody is there any more.
      if (session.heardAt < this.#since) session.leave();
    } else if (reason === undefined && session.served === 0 && session.closed) {
      this.#pool.broken(this.#seat, "it closed a connection without an answer");
    }
  }

  /** The body is not read by two at once: what is being read of it is waited for. */
  async #again(why: Again): Promise<Again> {
    const { body, exchange: { lifeline } } = this.#request;
    this.#repeats = true;
    this.#release(true);
    await this.#feeding;
    lifeline.throwIfCut();
    if (body?.isKept === false) throw this.#refused();
    body?.rewind();
    return why;
  }

  /** Gives the place back, once. What is still under way in the stream ends. */
  #release(isWhole: boolean): void {
    if (this.#released) return;
    this.#released = true;
    this.#request.exchange.lifeline.forget(this.#onCut);
    if (!this.#repeats) this.#request.body?.close();
    if (!isWhole || !this.#fed) this.#stream?.cancel();
    this.#pool.release(this.#seat);
  }
}
