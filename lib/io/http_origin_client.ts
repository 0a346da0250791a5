/**
 * One request's conversation with an HTTP/1.1 origin, over a connection of the pool.
 *
 * Strategy: the head and a short body leave in one write; a longer body is fed while the response is read,
 * so an origin that answers early is heard. A response that is there when its head is (most are) becomes
 * plain bytes, never a stream, and its connection serves the next request before this one is sent.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { Exchange, Outcome, Reply, SizedBody } from "../exchange.ts";
import { OriginHeadReader } from "../protocol/http1_head.ts";
import { interpretOrigin, type OriginReply } from "../protocol/http1_response.ts";
import { IDEMPOTENT } from "../protocol/idempotent.ts";
import { OriginBody } from "./http_origin_body.ts";
import type { Origin } from "./http_origin.ts";
import type { OriginConnection } from "./http_origin_connection.ts";
import type { OriginPool, PooledConnection } from "./http_origin_pool.ts";
import { feedOrigin, SHORT_BODY } from "./http_origin_feed.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A request to an origin, whichever version of HTTP it speaks. */
export interface AnyOriginRequest {
  readonly exchange: Exchange;
  readonly body: SizedBody | null;
  /** Bytes of response head at most. */
  readonly maxReplyHead: number;
  /** Makes the reply's fields what the client is to see. */
  finish(reply: OriginReply, origin: Origin): Reply["headers"];
}

export interface OriginRequest extends AnyOriginRequest {
  /** The protocol that the request asks to switch to, if it does. */
  readonly upgrade?: string;
  /** Writes the request's head. */
  writeHead(connection: OriginConnection): void;
}

/** The origin switched protocols: the connection is the caller's, who gives it back to the pool. */
export interface Switched {
  readonly type: "switched";
  readonly connection: PooledConnection;
  readonly headers: Reply["headers"];
  /** What came behind the head. A copy. */
  readonly rest: Bytes;
}

/** How often one request is sent at most. */
export const MAX_TRIES = 3;

/**
 * Sends a request and reads its response's head.
 * @throws {GatewayError} as the pool.
 * @throws {ProtocolError} when the response breaks HTTP before its head is whole.
 */
export async function converse(
  pool: OriginPool,
  request: OriginRequest,
): Promise<Outcome | Switched> {
  const { exchange: { lifeline }, body } = request;
  try {
    const acquired = pool.acquire(lifeline, !isRepeatable(request));
    let connection = acquired instanceof Promise ? await acquired : acquired;
    for (let tries = 1;; tries++) {
      const outcome = await new Conversation(pool, connection, request, tries).open();
      if (outcome !== undefined) return outcome;
      lifeline.ledger.resends++;
      connection = await pool.fresh(lifeline);
    }
  } catch (error) {
    body?.close();
    throw error;
  }
}

/** Whether a request may be sent again, although the first try may have had its effect. */
export function isRepeatable({ exchange, body }: AnyOriginRequest): boolean {
  return IDEMPOTENT.has(exchange.method) && (body === null || body.bytes !== undefined);
}

class Conversation {
  readonly #pool: OriginPool;
  readonly #connection: PooledConnection;
  readonly #request: OriginRequest;
  readonly #tries: number;
  readonly #onCut = () => this.#connection.close();
  readonly #reader: OriginHeadReader;
  /** Set once the head is there. */
  #body: OriginBody | undefined;
  /** The origin may have got something of the request. */
  #sent = true;
  #fed = true;
  #released = false;

  constructor(
    pool: OriginPool,
    connection: PooledConnection,
    request: OriginRequest,
    tries: number,
  ) {
    this.#pool = pool;
    this.#connection = connection;
    this.#request = request;
    this.#tries = tries;
    this.#reader = new OriginHeadReader(request.maxReplyHead);
  }

  /** Undefined: the connection broke, and the request may safely go out again on another. */
  async open(): Promise<Outcome | Switched | undefined> {
    const { lifeline } = this.#request.exchange;
    try {
      lifeline.throwIfCut();
      lifeline.onCut(this.#onCut);
      this.#connection.startOver();
      this.#send();
      lifeline.handOver();
      return await this.#readHead();
    } catch (error) {
      this.#blame(lifeline.reason);
      this.#release(false);
      throw lifeline.reason ?? error;
    }
  }

  /** Writes the request, while the response is being read. */
  #send(): void {
    const { body } = this.#request;
    const { writer } = this.#connection;
    this.#request.writeHead(this.#connection);
    const short = body?.bytes;
    const isShort = short !== undefined && short.length <= SHORT_BODY;
    if (isShort) writer.append(short);
    const rest = isShort ? null : body;
    this.#fed = false;
    this.#connection.send(writer.take()).then((sent) => {
      this.#sent = sent;
      // Nothing will come that answers it: that ends the reading.
      if (!sent) return this.#connection.close();
      if (rest === null) this.#fed = true;
      else if (!this.#released) this.#feed(rest);
    }, () => {
      // The origin has a part and is gone. What it said before is still read.
    });
  }

  /** Sends the body while the response is being read. */
  async #feed(body: SizedBody): Promise<void> {
    try {
      this.#fed = await feedOrigin(this.#connection, body, () => this.#released);
    } catch (error) {
      // A connection that breaks under the feed shows in the response; a client's fault ends it all.
      const isClients = error instanceof ClientGone || error instanceof GatewayError;
      if (isClients && !this.#released) this.#request.exchange.lifeline.cut(error);
    }
    if (!this.#fed) body.close();
  }

  async #readHead(): Promise<Outcome | Switched | undefined> {
    for (;;) {
      const chunk = await this.#connection.receive();
      this.#request.exchange.lifeline.throwIfCut();
      if (chunk === undefined) {
        if (this.#mayRepeat()) return this.#giveUp();
        throw this.#noHead();
      }
      let head = this.#reader.push(chunk);
      // RFC 9110 §15.2: interim responses, and more may be in the same chunk.
      while (head !== undefined && head.status < 200 && head.status !== 101) {
        head = this.#reader.push(head.rest);
      }
      if (head === undefined) continue;
      this.#pool.heard(this.#connection);
      const reply = interpretOrigin(head, this.#request.exchange.method);
      if (reply.status === 101) return this.#switch(reply, head.rest);
      return await this.#reply(reply, head.rest);
    }
  }

  #switch(reply: OriginReply, rest: Bytes): Switched {
    if (this.#request.upgrade === undefined) {
      throw new ProtocolError(
        "bad-status",
        "Cannot switch protocols: the origin answered 101 unasked",
      );
    }
    this.#request.exchange.lifeline.forget(this.#onCut);
    const connection = this.#connection;
    return { type: "switched", connection, headers: reply.headers, rest: rest.slice() };
  }

  async #reply(reply: OriginReply, rest: Bytes): Promise<Reply> {
    const { exchange: { lifeline, method } } = this.#request;
    const { status, file, persists } = reply;
    const headers = this.#request.finish(reply, this.#connection.origin);
    const body = this.#body = new OriginBody(this.#connection, reply.framing, {
      lifeline,
      ended: (isClean) => this.#release(isClean && persists),
    });
    const opened = body.open(rest);
    const bytes = opened instanceof Promise ? await opened : opened;
    return {
      type: "reply",
      status,
      headers,
      // What GET would bring is not known to be nothing.
      body: method === "HEAD" ? body : bytes ?? body,
      ...(file === undefined ? {} : { file }),
    };
  }

  #noHead(): ProtocolError {
    const { failure, message } = this.#reader.end();
    const { name } = this.#connection.origin;
    return new ProtocolError(failure, `${message} (${name} closed the connection)`);
  }

  /** A fresh connection without an answer, or an answer that did not come in time. */
  #blame(reason: Error | undefined): void {
    if (this.#body !== undefined || !this.#reader.isEmpty) return;
    const isLate = reason instanceof GatewayError && reason.status === 504;
    if (reason === undefined && this.#connection.served > 0) return;
    if (reason === undefined || isLate) {
      this.#pool.broken(
        this.#connection,
        reason?.message ?? "it closed a connection without an answer",
      );
    }
  }

  /**
   * Nothing came back. What was not even sent may always be sent; the rest if the connection had served
   * before, so that the origin most likely closed it just then, and if it does no harm.
   */
  #mayRepeat(): boolean {
    if (this.#tries === MAX_TRIES || !this.#reader.isEmpty) return false;
    if (this.#connection.served === 0) return false;
    return !this.#sent || isRepeatable(this.#request);
  }

  #giveUp(): undefined {
    this.#release(false, true);
    return undefined;
  }

  /** Gives the connection back, once. `isClean`: nothing of the response is left over on it. */
  #release(isClean: boolean, repeats = false): void {
    if (this.#released) return;
    this.#released = true;
    this.#request.exchange.lifeline.forget(this.#onCut);
    if (!repeats) this.#request.body?.close();
    this.#pool.release(this.#connection, isClean && this.#fed);
  }
}
