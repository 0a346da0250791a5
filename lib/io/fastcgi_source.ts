/** What a conversation asks of whoever provides its connections. */
import type { Lifeline } from "../lifeline.ts";
import type { FcgiLink } from "./fastcgi_connection.ts";

/** Where requests get their ways to the application: a pool. */
export interface FcgiSource<Link extends FcgiLink> {
  /** Whether the application shall leave connections open (§5.1). */
  readonly keepAlive: boolean;
  /** How soon a request must have failed to be sent again. */
  readonly retryWindowMs: number;
  /**
   * `once`: the request cannot be sent again. `isEarly`: it may be sent before the application can begin
   * it, and taken back.
   */
  acquire(lifeline: Lifeline, once: boolean, isEarly: boolean): Link | Promise<Link>;
  /** Another, for a request whose first one broke or was closed: to another endpoint if there is one. */
  fresh(lifeline: Lifeline, broken?: Link): Promise<Link>;
  /** The application answers on a connection that was fresh, or ahead. */
  heard(link: Link): void;
  /** The application closed a fresh connection without an answer. */
  broken(link: Link): void;
  /** Whether another endpoint has room for a request that this one refuses. */
  hasOther?(link: Link): boolean;
  /** The application refuses to have requests share connections (§5.5). */
  unshare?(): void;
  /** The request is over. `complete`: nothing of it is left on the connection. */
  release(link: Link, complete: boolean): void;
}
