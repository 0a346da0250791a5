/**
 * How fast clients must send. A client that pauses too long in the midst of a body, or that on average
 * is slower than a least rate, is answered 408 (RFC 9110 §15.5.9).
 *
 * Strategy: one timer looks over all bodies that are arriving. Only time in which the client was waited
 * for at two looks in a row counts, so a program that does not read is never held against its client,
 * and a piece that arrives costs no clock, no timer and no promise.
 */
import { GatewayError } from "../errors.ts";

export interface PaceLimits {
  /** The longest pause; 0: any. */
  readonly idleTimeoutMs: number;
  /** Bytes a second; 0: any. */
  readonly minRate: number;
}

/** A body that is arriving. */
export interface Sender {
  /** True while the client is waited for, false while the program is. */
  readonly isWaiting: boolean;
  /** Bytes so far. */
  readonly received: number;
  /** Called at most once. */
  tooSlow(error: GatewayError): void;
}

interface Account {
  wasWaiting: boolean;
  received: number;
  idleMs: number;
  /** Time that the sender may still take: bytes earn it, waiting spends it. */
  creditMs: number;
}

/** What the rate is averaged over where no idle time is set. */
const WINDOW_MS = 30_000;
const LONGEST_INTERVAL_MS = 1000;
const SHORTEST_INTERVAL_MS = 20;

export class Pace {
  readonly #limits: PaceLimits;
  /** No credit exceeds this: a fast start does not pay for hours of trickling. */
  readonly #windowMs: number;
  readonly #intervalMs: number;
  readonly #accounts = new Map<Sender, Account>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #lookedAt = 0;

  constructor(limits: PaceLimits) {
    this.#limits = limits;
    this.#windowMs = limits.idleTimeoutMs || WINDOW_MS;
    const interval = Math.min(LONGEST_INTERVAL_MS, this.#windowMs / 8);
    this.#intervalMs = Math.max(SHORTEST_INTERVAL_MS, interval);
  }

  watch(sender: Sender): void {
    const { idleTimeoutMs, minRate } = this.#limits;
    if (idleTimeoutMs === 0 && minRate === 0) return;
    const creditMs = this.#windowMs;
    this.#accounts.set(sender, { wasWaiting: false, received: 0, idleMs: 0, creditMs });
    if (this.#timer !== undefined) return;
    this.#lookedAt = performance.now();
    this.#timer = setInterval(() => this.#look(), this.#intervalMs);
  }

  forget(sender: Sender): void {
    this.#accounts.delete(sender);
    if (this.#accounts.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = performance.now();
    // When the server itself was held up, its clients had no chance to be heard.
    const elapsed = Math.min(now - this.#lookedAt, 2 * this.#intervalMs);
    this.#lookedAt = now;
    for (const [sender, account] of this.#accounts) {
      this.#settle(sender, account, elapsed);
      const message = this.#faultOf(account);
      if (message === undefined) continue;
      this.forget(sender);
      sender.tooSlow(new GatewayError(408, "body-too-slow", message));
    }
  }

  #settle(sender: Sender, account: Account, elapsed: number): void {
    const arrived = sender.received - account.received;
    const waited = account.wasWaiting && sender.isWaiting;
    account.received = sender.received;
    account.wasWaiting = sender.isWaiting;
    if (arrived > 0) account.idleMs = 0;
    else if (waited) account.idleMs += elapsed;
    const earned = arrived / this.#limits.minRate * 1000;
    const spent = waited ? elapsed : 0;
    account.creditMs = Math.min(account.creditMs + earned, this.#windowMs) - spent;
  }

  #faultOf({ idleMs, creditMs }: Account): string | undefined {
    const { idleTimeoutMs, minRate } = this.#limits;
    if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs) {
      return `Nothing of the request body came for ${idleTimeoutMs} ms`;
    }
    if (minRate > 0 && creditMs < 0) {
      return `The request body came at less than ${minRate} bytes a second`;
    }
    return undefined;
  }
}
