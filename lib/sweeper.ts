/**
 * Watches requests that take their time: cuts a lifeline when the client has left or a time has run out.
 *
 * Strategy: one timer looks over all pending requests every 50 ms. A request that is answered before the
 * first look costs nothing beyond its place in a set: no timer of its own, and its abort signal, which
 * is dear to create, is never touched.
 */
import { ClientGone, GatewayError } from "./errors.ts";
import type { Lifeline } from "./lifeline.ts";

const INTERVAL_MS = 50;
/** Looks at an empty set before the timer rests. */
const IDLE_LOOKS = 20;

/** One pending request. */
export interface Pending {
  readonly request: Request;
  readonly lifeline: Lifeline;
  /** By `performance.now()`. */
  readonly startedAt: number;
  readonly timeoutMs: number | undefined;
  readonly firstByteTimeoutMs: number | undefined;
  /** How long the client may take nothing of what it was offered; undefined: any time. */
  readonly sendTimeoutMs: number | undefined;
  /** When it was offered what it has not taken yet; 0: nothing waits for it. */
  readonly offeredAt: number;
  /** False: the work goes on when the client leaves (`onAbort: finish`). */
  readonly followsClient: boolean;
  /** True once the reply's head is there. */
  readonly answered: boolean;
  /** Set by the sweeper. */
  followed: boolean;
  /** Set by the sweeper: where it stands among the pending; -1 if it does not. */
  place: number;
}

export class Sweeper {
  /**
   * An array in which each knows its place. A Set that requests go through makes new tables all the time,
   * and each dead table that has grown old keeps the next one alive, with the requests in it, until the
   * next full collection: that was a sixth of the processor time of short requests.
   */
  readonly #pending: Pending[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #idleLooks = 0;

  get size(): number {
    return this.#pending.length;
  }

  add(pending: Pending): void {
    if (pending.place >= 0) return;
    pending.place = this.#pending.push(pending) - 1;
    this.#timer ??= setInterval(() => this.#look(), INTERVAL_MS);
  }

  delete(pending: Pending): void {
    const { place } = pending;
    if (place < 0) return;
    pending.place = -1;
    const last = this.#pending.pop();
    if (last === undefined || last === pending) return;
    last.place = place;
    this.#pending[place] = last;
  }

  /** Cuts every pending request: the server stops. */
  cutAll(reason: Error): void {
    for (const { lifeline } of [...this.#pending]) lifeline.cut(reason);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#idleLooks = this.#pending.length === 0 ? this.#idleLooks + 1 : 0;
    if (this.#idleLooks > IDLE_LOOKS) this.close();
    const now = performance.now();
    for (const pending of [...this.#pending]) {
      if (pending.followsClient && !pending.followed) follow(pending);
      const overdue = overdueReason(pending, now);
      if (overdue !== undefined) pending.lifeline.cut(overdue);
    }
  }
}

function follow(pending: Pending): void {
  pending.followed = true;
  const { signal } = pending.request;
  const gone = () => {
    // After the answer was handed over the body's own cancellation tells; the signal then may mean
    // no more than that all went well.
    if (!pending.answered) pending.lifeline.cut(new ClientGone());
  };
  if (signal.aborted) gone();
  else signal.addEventListener("abort", gone, { once: true });
}

function overdueReason(pending: Pending, now: number): Error | undefined {
  const { timeoutMs, firstByteTimeoutMs, startedAt, lifeline } = pending;
  if (timeoutMs !== undefined && now - startedAt > timeoutMs) {
    return new GatewayError(504, "timeout", `The whole request took longer than ${timeoutMs} ms`);
  }
  const { sendTimeoutMs, offeredAt } = pending;
  if (sendTimeoutMs !== undefined && offeredAt > 0 && now - offeredAt > sendTimeoutMs) {
    const message = `The client took nothing of its answer for ${sendTimeoutMs} ms`;
    return new GatewayError(408, "send-timeout", message);
  }
  const handedOver = lifeline.handedOverAt;
  if (firstByteTimeoutMs === undefined || handedOver === 0 || pending.answered) return undefined;
  if (now - handedOver <= firstByteTimeoutMs) return undefined;
  return new GatewayError(
    504,
    "first-byte-timeout",
    `No reply head within ${firstByteTimeoutMs} ms of handing the request over`,
  );
}
