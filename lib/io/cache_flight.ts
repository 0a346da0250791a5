/**
 * One request to the application that others wait for, so that it is asked once (request collapsing).
 *
 * Strategy: the first who misses leads; its request has a lifeline of its own, for it may leave before
 * those who wait. The work ends when nobody waits any more.
 */
import { ClientGone } from "../errors.ts";
import type { ByteSource } from "../exchange.ts";
import type { Ledger } from "../ledger.ts";
import { type CutListener, Lifeline } from "../lifeline.ts";
import type { Stored } from "./cache_store.ts";
import type { Recording } from "./recording.ts";

/** What those who wait are given. */
export type Landing =
  /** A copy that answers requests like the first one. */
  | { readonly type: "stored"; readonly stored: Stored }
  /** Such a copy while its body is coming, of so many bytes. */
  | {
    readonly type: "coming";
    readonly stored: Stored;
    readonly length: number;
    readonly body: () => ByteSource;
  }
  /** An answer for one alone: each asks for its own. */
  | { readonly type: "alone" }
  /** The application cannot be asked: nobody needs to try at once again. */
  | { readonly type: "failed"; readonly error: Error };

/** Whoever waits longer than this asks on its own. */
const PATIENCE_MS = 5000;

const ALONE: Landing = { type: "alone" };

export class Flight {
  /** Ends the work on the application's side. */
  readonly lifeline: Lifeline;
  readonly landed: Promise<Landing>;
  /** A purge or a change came in between: what comes is already out of date. */
  isOutdated = false;
  /** Set once a body is coming that is kept. */
  recording: Recording | undefined;
  readonly #land: (landing: Landing) => void;
  #waiting = 0;
  #isLed = true;

  /** `leader`: the first client's; undefined: nobody waits in person. */
  constructor(readonly url: string, leader: Lifeline | undefined) {
    const { promise, resolve } = Promise.withResolvers<Landing>();
    this.landed = promise;
    this.#land = resolve;
    this.lifeline = leader === undefined ? new Lifeline() : new LedLifeline(leader);
  }

  /** Whether somebody but the leader waits. */
  get isAwaited(): boolean {
    return this.#waiting > 0;
  }

  /** False once the leader has left while others wait. */
  get isLed(): boolean {
    return this.#isLed;
  }

  land(landing: Landing): void {
    this.#land(landing);
  }

  /** The leader's request was cut. */
  leaderCut(reason: Error): void {
    this.#isLed = false;
    if (this.isAwaited && reason instanceof ClientGone) return;
    this.lifeline.cut(reason);
  }

  /** Waits for the landing. Rejects when `lifeline` is cut. */
  async wait(lifeline: Lifeline): Promise<Landing> {
    this.#waiting++;
    try {
      const landing = await withinCut(lifeline, this.landed, { timeoutMs: PATIENCE_MS }) ?? ALONE;
      if (landing.type !== "coming") return landing;
      // Before this one stops waiting: a body that nobody waits for is cancelled.
      const body = landing.body();
      return { ...landing, body: () => body };
    } finally {
      this.#waiting--;
      this.#leave(lifeline.reason ?? new ClientGone());
    }
  }

  #leave(reason: Error): void {
    if (this.isAwaited) return;
    this.recording?.release(reason);
    if (!this.#isLed && this.recording === undefined) this.lifeline.cut(reason);
  }
}

/** The leader pays, and its clocks are those that count. */
class LedLifeline extends Lifeline {
  readonly #leader: Lifeline;

  constructor(leader: Lifeline) {
    super();
    this.#leader = leader;
    this.trace = leader.trace;
  }

  override get ledger(): Ledger {
    return this.#leader.ledger;
  }

  override handOver(): void {
    super.handOver();
    this.#leader.handOver();
  }
}

export interface Limits {
  /** Undefined: as long as it takes. */
  readonly timeoutMs?: number;
  /** Which cuts end the waiting; by default all. */
  readonly heeds?: (reason: Error) => boolean;
}

/** The promise's value; rejects when the lifeline is cut, gives undefined when time is up. */
export function withinCut<T>(
  lifeline: Lifeline,
  promise: Promise<T>,
  { timeoutMs, heeds = () => true }: Limits = {},
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cut: CutListener = (reason) => {
      if (heeds(reason)) settle(() => reject(reason));
    };
    const late = () => settle(() => resolve(undefined));
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      lifeline.forget(cut);
      outcome();
    };
    lifeline.onCut(cut);
    promise.then((value) => settle(() => resolve(value)), (error) => settle(() => reject(error)));
  });
}
