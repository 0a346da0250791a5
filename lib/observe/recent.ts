/** The last requests that failed and the slowest of the last minutes, for people who look for a cause. */
import type { Done } from "./done.ts";

/** What is kept of a request: its path without the query, which may hold secrets. */
export interface Remembered {
  /** By Date.now(): when it was over. */
  readonly at: number;
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly status: number;
  readonly failure: string | undefined;
  readonly durationMs: number;
  readonly firstByteMs: number;
  readonly queueMs: number | undefined;
  readonly connectMs: number | undefined;
}

const MOST = 50;
/** For how long a request counts among the slowest. */
const SLOW_FOR_MS = 10 * 60_000;
const MAX_PATH = 200;

export class Recent {
  readonly #failed: Remembered[] = [];
  #slowest: Remembered[] = [];
  /** What a request has to exceed to be among the slowest. */
  #leastMs = 0;
  #lookAgainAt = 0;

  /** The newest first. */
  get failed(): readonly Remembered[] {
    return this.#failed.toReversed();
  }

  /** The slowest first. */
  slowest(now: number): readonly Remembered[] {
    this.#forgetOld(now);
    return this.#slowest.toSorted((a, b) => b.durationMs - a.durationMs);
  }

  /** What another has kept. */
  absorb(failed: readonly Remembered[], slowest: readonly Remembered[]): void {
    this.#failed.push(...failed);
    this.#failed.sort((a, b) => a.at - b.at);
    this.#failed.splice(0, this.#failed.length - MOST);
    for (const remembered of slowest) {
      if (remembered.durationMs > this.#leastMs || this.#slowest.length < MOST) {
        this.#addSlow(remembered);
      }
    }
  }

  note(done: Done, route: string, { now, failed }: { now: number; failed: boolean }): void {
    if (now >= this.#lookAgainAt) this.#forgetOld(now);
    const isSlow = done.durationMs > this.#leastMs || this.#slowest.length < MOST;
    if (!failed && !isSlow) return;
    const remembered = remember(done, route, now);
    if (failed) {
      this.#failed.push(remembered);
      if (this.#failed.length > MOST) this.#failed.shift();
    }
    if (isSlow) this.#addSlow(remembered);
  }

  #addSlow(remembered: Remembered): void {
    this.#slowest.push(remembered);
    if (this.#slowest.length > MOST) this.#slowest.splice(this.#fastest(), 1);
    this.#leastMs = this.#slowest[this.#fastest()]?.durationMs ?? 0;
  }

  #fastest(): number {
    let index = 0;
    for (let at = 1; at < this.#slowest.length; at++) {
      const [one, other] = [this.#slowest[at], this.#slowest[index]];
      if (one !== undefined && other !== undefined && one.durationMs < other.durationMs) index = at;
    }
    return index;
  }

  #forgetOld(now: number): void {
    this.#lookAgainAt = now + 10_000;
    this.#slowest = this.#slowest.filter(({ at }) => now - at < SLOW_FOR_MS);
  }
}

function remember(done: Done, route: string, at: number): Remembered {
  const { id, method, status, failure, durationMs, firstByteMs, ledger } = done;
  const [path = ""] = done.target.split("?", 1);
  return {
    at,
    id,
    method,
    path: path.length > MAX_PATH ? `${path.slice(0, MAX_PATH)}...` : path,
    route,
    status,
    failure,
    durationMs,
    firstByteMs,
    queueMs: ledger?.queuedMs,
    connectMs: ledger?.connectMs,
  };
}
