/**
 * One call of a fetch handler that is mounted by itself: no environ is built for it, and the request is
 * the one that came where that is true as it stands.
 *
 * The lifeline ends a call that is waited for; of a Response that comes too late the body is cancelled.
 */
import type { Exchange, Mount, SizedBody } from "../exchange.ts";
import { faultOf } from "./wsgi_call.ts";
import type { Answer } from "./wsgi_draw.ts";
import type { FetchHandler } from "./wsgi_fetch.ts";
import { originalRequest, type Received, requestFromExchange } from "./wsgi_request.ts";
import { answerFrom, checkedResponse } from "./wsgi_response.ts";

export class FetchCall {
  readonly #exchange: Received;
  readonly #mount: Mount;
  readonly #body: SizedBody | null;
  /** Made for a request of our own. One that came has its own signal, which follows the client. */
  #controller: AbortController | undefined;
  #over = false;

  constructor(exchange: Exchange, mount: Mount, body: SizedBody | null) {
    this.#exchange = exchange;
    this.#mount = mount;
    this.#body = body;
  }

  /** Calls the handler. Rejects with what went wrong before there was a head. */
  run(handler: FetchHandler): Promise<Answer> {
    const { lifeline } = this.#exchange;
    return new Promise((resolve, reject) => {
      const cut = (reason: Error) => {
        this.#finish(reason);
        reject(reason);
      };
      lifeline.handOver();
      lifeline.onCut(cut);
      this.#ask(handler).then(resolve, (error) => {
        this.#finish();
        reject(faultOf(error));
      }).finally(() => lifeline.forget(cut));
    });
  }

  async #ask(handler: FetchHandler): Promise<Answer> {
    const response = checkedResponse(await handler.fetch(this.#request(), this.#info()));
    if (this.#over) await response.body?.cancel();
    return await answerFrom(response, this.#exchange.method, (reason) => this.#finish(reason));
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
