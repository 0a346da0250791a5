/**
 * One call of a fetch handler that is mounted by itself: no environ is built for it, and the request is
 * the one that came where that is true as it stands.
 *
 * Strategy: the runtime does not tell whether a Response's body lies in memory or streams, and asking for
 * its stream costs more than all the rest. So where nothing needs a look at the body, the Response goes out
 * as it is, without a promise if the handler answers without one. Else the lifeline ends a call that is
 * waited for; of a Response that comes too late the body is cancelled.
 */
import type { Exchange, Mount, ReadyResponse, SizedBody } from "../exchange.ts";
import { faultOf } from "./wsgi_call.ts";
import type { Answer } from "./wsgi_draw.ts";
import type { FetchHandler } from "./wsgi_fetch.ts";
import { isSendable } from "./wsgi_head.ts";
import { originalRequest, requestFromExchange } from "./wsgi_request.ts";
import { answerFrom, checkedResponse } from "./wsgi_response.ts";

/** What a fetch handler's Response comes to. */
export type Fetched = Answer | ReadyResponse;

export class FetchCall {
  readonly #exchange: Exchange;
  readonly #mount: Mount;
  readonly #body: SizedBody | null;
  /** Whether a Response may go out as it is, if it is such. */
  readonly #passesOn: boolean;
  /** Made for a request of our own. One that came has its own signal, which follows the client. */
  #controller: AbortController | undefined;
  #over = false;

  constructor(exchange: Exchange, mount: Mount, body: SizedBody | null, passesOn: boolean) {
    this.#exchange = exchange;
    this.#mount = mount;
    this.#body = body;
    this.#passesOn = passesOn && body === null && exchange.method !== "HEAD";
  }

  /** Calls the handler. Throws, or rejects with, what went wrong before there was a head. */
  run(handler: FetchHandler): Fetched | Promise<Fetched> {
    const answering = this.#call(handler);
    if (answering instanceof Promise) return this.#wait(answering);
    return this.#passed(answering) ?? this.#wait(Promise.resolve(answering));
  }

  #call(handler: FetchHandler): Response | Promise<Response> {
    this.#exchange.lifeline.handOver();
    try {
      const answering: unknown = handler.fetch(this.#request(), this.#info());
      if (answering instanceof Response) return answering;
      return Promise.resolve(answering).then(checkedResponse);
    } catch (error) {
      this.#finish();
      throw faultOf(error);
    }
  }

  #wait(answering: Promise<Response>): Promise<Fetched> {
    const { lifeline } = this.#exchange;
    return new Promise((resolve, reject) => {
      const cut = (reason: Error) => {
        this.#finish(reason);
        reject(reason);
      };
      lifeline.onCut(cut);
      this.#settle(answering).then(resolve, (error) => {
        this.#finish();
        reject(faultOf(error));
      }).finally(() => lifeline.forget(cut));
    });
  }

  async #settle(answering: Promise<Response>): Promise<Fetched> {
    const response = await answering;
    if (this.#over) await response.body?.cancel();
    const passed = this.#over ? undefined : this.#passed(response);
    if (passed !== undefined) return passed;
    return await answerFrom(response, this.#exchange.method, (reason) => this.#finish(reason));
  }

  /** The Response as it is, if nothing speaks against it. */
  #passed(response: Response): ReadyResponse | undefined {
    // The signal of a request of our own ends with a body that we draw.
    if (!this.#passesOn || this.#controller !== undefined) return undefined;
    if (!isSendable(response)) return undefined;
    const { sent } = this.#exchange;
    if (sent === undefined) return undefined;
    this.#over = true;
    return { type: "response", response, ended: sent };
  }

  #request(): Request {
    const original = this.#body === null ? originalRequest(this.#exchange) : undefined;
    if (original !== undefined) return original;
    this.#controller = new AbortController();
    return requestFromExchange(this.#exchange, this.#body, this.#controller.signal);
  }

  #info() {
    const { client, id } = this.#exchange;
    const remoteAddr = { transport: "tcp", hostname: client.address, port: client.port } as const;
    return { remoteAddr, params: this.#mount.params, requestId: id };
  }

  #finish(reason?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#body?.close();
    if (reason !== undefined) this.#controller?.abort(reason);
  }
}
