/**
 * What the gateway itself keeps of one request, from its arrival to its last byte: for the sweeper while
 * it runs, for the log and the metrics when it is over.
 */
import type { RouteConfig } from "./config/table.ts";
import type { Exchange } from "./exchange.ts";
import type { Service, Stateful } from "./handler.ts";
import type { Ledger } from "./ledger.ts";
import { Lifeline } from "./lifeline.ts";
import type { LoggedRequest } from "./observe/log.ts";
import type { Done } from "./observe/done.ts";
import type { RouteMeter } from "./observe/metrics.ts";
import { type Connection, newRequestId } from "./receive.ts";
import type { Pending } from "./sweeper.ts";

/** A route with its kind opened. */
export interface OpenRoute {
  readonly config: RouteConfig;
  readonly service: Service;
  /** The program or upstream, for log lines. */
  readonly upstream: string;
  /** What its kind tells of itself; undefined: nothing. */
  readonly state?: Stateful | undefined;
  /** Undefined: nobody counts. */
  readonly meter?: RouteMeter | undefined;
}

export class Visit implements Pending, Done {
  readonly id = newRequestId();
  /** By `performance.now()`; 0 for as long as nobody wants to know. */
  startedAt: number;
  readonly lifeline = new Lifeline();
  /** As the client sent it, whatever local redirects made of it. */
  exchange: Exchange | undefined;
  route: OpenRoute | undefined;
  /** The reply's head was there. */
  answered = false;
  /** When it was; 0 if nobody wants to know. */
  answeredAt = 0;
  /** What was answered has a life of its own, to which no time limit of a request applies. */
  isHanded = false;
  followed = false;
  place = -1;
  sendTimeoutMs: number | undefined;
  offeredAt = 0;
  /** What was answered; 0 until the end. */
  status = 0;
  /** How much of it was sent; undefined: nobody knows. */
  bytes: number | undefined = 0;
  endedAt = 0;
  /** The stable name of what went wrong. */
  failure: string | undefined;

  /** `isTold`: somebody will be told how long it took. Asking for the time is a tenth of a short answer. */
  constructor(
    readonly request: Request,
    readonly connection: Connection,
    readonly isTold: boolean,
  ) {
    this.startedAt = isTold ? performance.now() : 0;
  }

  /** It will take its time: from here on at the latest that is measured. */
  linger(): void {
    // Asking for the time costs something, and what was handed over was handed over just now.
    if (this.startedAt === 0) this.startedAt = this.lifeline.handedOverAt || performance.now();
  }

  answer(): void {
    this.answered = true;
    if (this.isTold) this.answeredAt = performance.now();
  }

  /** It has come to this route: perhaps by a detour over another. */
  enter(route: OpenRoute): void {
    if (route.meter !== undefined) {
      if (this.route?.meter !== undefined) this.route.meter.active--;
      route.meter.active++;
    }
    this.route = route;
  }

  end(status: number, bytes: number | undefined): void {
    this.endedAt = performance.now();
    this.status = status;
    this.bytes = bytes;
    if (this.route?.meter !== undefined) this.route.meter.active--;
  }

  get method(): string {
    return this.request.method;
  }

  get target(): string {
    return this.logged.target;
  }

  get durationMs(): number {
    return this.endedAt - this.startedAt;
  }

  get firstByteMs(): number {
    return this.answeredAt - this.startedAt;
  }

  /** Undefined: nothing that is worth telling. */
  get ledger(): Ledger | undefined {
    return this.lifeline.writtenLedger;
  }

  /** What the access log tells of it. */
  get logged(): LoggedRequest {
    return this.exchange ?? refused(this);
  }

  get isHead(): boolean {
    return this.request.method === "HEAD";
  }

  get timeoutMs(): number | undefined {
    if (this.isHanded) return undefined;
    return this.route?.config.options.timeoutMs ?? this.route?.service.timeoutMs;
  }

  get firstByteTimeoutMs(): number | undefined {
    return this.route?.config.options.firstByteTimeoutMs;
  }

  get followsClient(): boolean {
    return this.route?.config.options.onAbort !== "finish";
  }
}

/** A request that was refused before it was understood. */
function refused({ id, request, connection }: Visit): LoggedRequest {
  const { method, headers, url } = request;
  const path = url.indexOf("/", url.indexOf("://") + 3);
  return {
    id,
    method,
    headers,
    target: path === -1 ? url : url.slice(path),
    authority: headers.get("host") ?? "",
    client: connection.peer,
  };
}
