/**
 * The request path, top to bottom: receive, match, serve, answer. One instance is one generation of the
 * route table; a reload makes another beside it.
 *
 * Strategy: whatever can be answered without waiting is answered without a promise. Only requests that
 * do wait, or whose answers stream, are watched by the sweeper.
 */
import type { RouteConfig, Table } from "./config/table.ts";
import { deliver } from "./delivery.ts";
import { errorPage } from "./error_page.ts";
import { ClientGone, GatewayError, toGatewayError } from "./errors.ts";
import type { Exchange, HeaderPair, Outcome, ReadyResponse, Reply } from "./exchange.ts";
import type { Log } from "./observe/log.ts";
import type { Metrics } from "./observe/metrics.ts";
import type { Tracer } from "./observe/tracer.ts";
import type { Trust } from "./protocol/forwarding.ts";
import { forbidsBody } from "./protocol/http_fields.ts";
import { openResponse, readyResponse, wholeResponse } from "./response.ts";
import { type Connection, receive, redirected } from "./receive.ts";
import { createRouter, type Router } from "./router/router.ts";
import type { Sweeper } from "./sweeper.ts";
import { type OpenRoute, Visit } from "./visit.ts";

/** RFC 3875 §6.2.2 asks for a limit. */
const MAX_LOCAL_REDIRECTS = 10;

export interface GatewayOptions {
  readonly table: Table;
  readonly routes: readonly OpenRoute[];
  readonly log: Log;
  readonly sweeper: Sweeper;
  readonly trust: Trust;
  /** Undefined: nobody counts. */
  readonly metrics?: Metrics | undefined;
  /** Undefined: nobody traces. */
  readonly tracer?: Tracer | undefined;
}

export class Gateway {
  readonly #routes: readonly OpenRoute[];
  readonly #router: Router;
  readonly #log: Log;
  readonly #sweeper: Sweeper;
  readonly #trust: Trust;
  readonly #dev: boolean;
  readonly #metrics: Metrics | undefined;
  readonly #tracer: Tracer | undefined;
  readonly #slowMs: number;
  readonly #sendTimeoutMs: number | undefined;
  readonly #counts: boolean;
  #active = 0;
  #whenIdle: (() => void) | undefined;

  constructor({ table, routes, log, sweeper, trust, metrics, tracer }: GatewayOptions) {
    this.#routes = routes;
    this.#router = createRouter(table.routes);
    this.#log = log;
    this.#sweeper = sweeper;
    this.#trust = trust;
    this.#dev = table.server.dev;
    this.#metrics = metrics;
    this.#sendTimeoutMs = table.server.sendTimeoutMs || undefined;
    this.#tracer = tracer;
    this.#slowMs = table.server.slowRequestMs ?? Infinity;
    this.#counts = metrics !== undefined || tracer !== undefined || this.#slowMs < Infinity;
  }

  /** Requests whose answers are not yet complete. */
  get active(): number {
    return this.#active;
  }

  /** Resolves when no request is under way. */
  async idle(): Promise<void> {
    if (this.#active > 0) await new Promise<void>((resolve) => this.#whenIdle = resolve);
  }

  /** Answers one request. Never throws. */
  handle(request: Request, connection: Connection): Response | Promise<Response> {
    const visit = new Visit(request, connection, this.#counts || this.#log.wantsAccess);
    this.#active++;
    if (this.#tracer !== undefined) visit.lifeline.trace = this.#tracer.begin(visit);
    try {
      const exchange = receive(request, connection, this.#trust, visit);
      visit.exchange = exchange;
      const outcome = this.#dispatch(visit, exchange);
      if (!(outcome instanceof Promise)) {
        if (outcome.type === "reply") return this.#answer(visit, outcome);
        if (outcome.type === "response") return this.#hand(visit, outcome);
      }
      return this.#wait(visit, exchange, outcome);
    } catch (error) {
      return this.#fail(visit, error);
    }
  }

  #dispatch(visit: Visit, exchange: Exchange): Outcome | Promise<Outcome> {
    const match = this.#router.match(exchange.method, exchange.hostname, exchange.path);
    switch (match.type) {
      case "found": {
        const route = this.#routes[match.index];
        if (route === undefined) throw new GatewayError(404, "no-route", "No route matches");
        visit.enter(route);
        return route.service.serve(exchange, match.mount);
      }
      case "wrong-method":
        throw new GatewayError(405, "wrong-method", `No route takes ${exchange.method} here`, {
          headers: [["allow", match.allow.join(", ")]],
        });
      case "not-found":
        throw new GatewayError(404, "no-route", "No route matches");
      default:
        return match satisfies never;
    }
  }

  async #wait(
    visit: Visit,
    exchange: Exchange,
    first: Outcome | Promise<Outcome>,
  ): Promise<Response> {
    this.#watch(visit);
    try {
      let outcome = await first;
      for (let redirects = 1; outcome.type === "local-redirect"; redirects++) {
        if (redirects > MAX_LOCAL_REDIRECTS) {
          throw new GatewayError(
            508,
            "redirect-loop",
            `More than ${MAX_LOCAL_REDIRECTS} local redirects, the last to ${outcome.target}`,
          );
        }
        visit.lifeline.throwIfCut();
        outcome = await this.#dispatch(visit, redirected(exchange, outcome));
      }
      return outcome.type === "reply" ? this.#answer(visit, outcome) : this.#hand(visit, outcome);
    } catch (error) {
      return this.#fail(visit, error);
    }
  }

  /** Passes a response on as it is. The request lasts as long as the work behind it. */
  #hand(visit: Visit, { response, ended }: ReadyResponse): Response {
    visit.answer();
    visit.isHanded = true;
    const { status } = response;
    // Why the rest was not sent, the runtime does not tell; most often the client has left.
    const cut = () => {
      visit.failure = "answer-cut";
      this.#end(visit, status, undefined);
    };
    // How much a response of others' making holds, nobody knows.
    ended.then(() => this.#end(visit, status, undefined), cut);
    return response;
  }

  #answer(visit: Visit, reply: Reply): Response {
    visit.answer();
    const { status, body } = reply;
    if (reply.file !== undefined) this.#log.notice(UNSENT_FILE, visit.id);
    const headers = visit.route === undefined
      ? reply.headers
      : routeHeaders(visit.route.config, reply.headers);
    if (body === null || body instanceof Uint8Array) {
      const response = body === null || forbidsBody(status)
        ? openResponse(status, headers, null)
        : wholeResponse(status, headers, body, reply.again);
      this.#end(visit, status, visit.isHead || body === null ? 0 : body.length);
      return response;
    }
    if (visit.isHead || forbidsBody(status)) {
      // RFC 3875 §4.3.3: what a program sends after the head is discarded; it need not go on.
      body.cancel(new ClientGone());
      // Of null the runtime tells HEAD that GET's body has no bytes; nobody knows how many it has.
      const nothing = forbidsBody(status)
        ? null
        : new ReadableStream({ start: (it) => it.close() });
      const response = openResponse(status, headers, nothing);
      this.#end(visit, status, 0);
      return response;
    }
    if (status === 200 && body.whole !== undefined && body.response !== undefined) {
      const { length } = body.whole;
      const response = readyResponse(headers, body.response(), length);
      this.#end(visit, status, length);
      return response;
    }
    return openResponse(status, headers, this.#stream(visit, reply, body));
  }

  #stream(visit: Visit, reply: Reply, body: Exclude<Reply["body"], Uint8Array | null>) {
    // Even if it was answered without waiting, it may take its time from here on.
    visit.sendTimeoutMs = this.#sendTimeoutMs;
    this.#watch(visit);
    return deliver(body, {
      lifeline: visit.lifeline,
      progress: visit,
      onAbort: visit.route?.config.options.onAbort ?? "kill",
      done: (bytes, failure) => {
        visit.lifeline.trace?.ended("response_body", visit.answeredAt, failure);
        if (failure !== undefined) this.#report(visit, reply.status, failure, "answer cut short: ");
        this.#end(visit, reply.status, bytes);
      },
    });
  }

  /** The one place where an error becomes an answer (DESIGN: answers). */
  #fail(visit: Visit, error: unknown): Response {
    const failure = toGatewayError(visit.lifeline.reason ?? error);
    visit.answer();
    this.#report(visit, failure.status, failure, "");
    const page = errorPage(visit.id, failure, this.#dev ? visit.route : null);
    const { status } = failure;
    const response = new Response(page.body, { status, headers: page.headers });
    const unseen = visit.isHead || failure.status === CLIENT_GONE;
    this.#end(visit, status, unseen ? 0 : page.body.length);
    return response;
  }

  #report(visit: Visit, status: number, error: Error, prefix: string): void {
    const failure = toGatewayError(error);
    visit.failure = failure.failure;
    // A missing page and a client that leaves are everyday life: the access log has them.
    if (failure.status < 500 && !TELLING.has(failure.status)) return;
    this.#log.failure({
      id: visit.id,
      route: visit.route?.config.name ?? "-",
      kind: visit.route?.config.key ?? "-",
      upstream: visit.route?.upstream ?? "-",
      status,
      failure: failure.failure,
      message: prefix + failure.message,
    });
  }

  #watch(visit: Visit): void {
    visit.linger();
    this.#sweeper.add(visit);
  }

  /** `bytes`: undefined: nobody knows. */
  #end(visit: Visit, status: number, bytes: number | undefined): void {
    this.#sweeper.delete(visit);
    this.#active--;
    if (this.#active === 0) this.#whenIdle?.();
    if (!visit.isTold) return;
    visit.end(status, bytes);
    const { ledger } = visit;
    // A process may end after its answer did.
    if (ledger === undefined) this.#tell(visit);
    else ledger.whenSettled(() => this.#tell(visit));
  }

  /** All is known of the request now. */
  #tell(visit: Visit): void {
    this.#metrics?.count(visit, visit.route?.meter);
    this.#tracer?.finish(visit);
    if (visit.durationMs > this.#slowMs) this.#tellSlow(visit);
    if (!this.#log.wantsAccess) return;
    const { logged: request, status, bytes, durationMs, firstByteMs, ledger } = visit;
    const route = visit.route?.config.name ?? "-";
    this.#log.access({ request, route, status, bytes, durationMs, firstByteMs, ledger });
  }

  #tellSlow({ id, route, status, method, target, durationMs, firstByteMs, ledger }: Visit): void {
    this.#log.slow({
      id,
      route: route?.config.name ?? "-",
      kind: route?.config.key ?? "-",
      upstream: route?.upstream ?? "-",
      status,
      method,
      path: target.split("?", 1)[0] ?? "",
      durationMs,
      firstByteMs,
      ledger,
    });
  }
}

const UNSENT_FILE = "The reply asks for a file and its route has no sendfile: the body is sent";

/** nginx's number for a client that left before its answer; it only ever stands in the log. */
const CLIENT_GONE = 499;

/** Client faults that an operator wants to see the cause of. */
const TELLING: ReadonlySet<number> = new Set([400, 408, 413]);

/** Applies the route's own `headers: {set, remove}`. */
function routeHeaders(config: RouteConfig, headers: readonly HeaderPair[]): readonly HeaderPair[] {
  const { set, remove } = config.headers;
  if (set.length === 0 && remove.length === 0) return headers;
  const gone = new Set([...remove, ...set.map(([name]) => name)].map((name) => name.toLowerCase()));
  return [...headers.filter(([name]) => !gone.has(name.toLowerCase())), ...set];
}
