/**
 * What a request cost, for its access line: whoever works on it writes down, the gateway reads when all
 * is settled. Nothing here decides anything.
 */
import type { PhaseName, Trace } from "./trace.ts";

export class Ledger {
  /** Time spent waiting for a process or a connection to be free. */
  queuedMs: number | undefined;
  /** Time spent on connecting to the upstream; undefined: a kept connection served. */
  connectMs: number | undefined;
  /** Time that starting the process took. */
  spawnMs: number | undefined;
  /** How often the request was sent again, to the same upstream or another. */
  resends = 0;
  /** Bytes of the request's body that arrived. */
  receivedBytes: number | undefined;
  /** How the process ended: its exit code, or the name of the signal that ended it. */
  exit: number | string | undefined;
  /** Processor time of the process, user and system. */
  cpuMs: number | undefined;
  /** The process's largest resident memory. */
  peakBytes: number | undefined;
  readonly #trace: Trace | undefined;
  #open = 0;
  #whenSettled: (() => void) | undefined;

  /** `trace`: wants to know the times too. */
  constructor(trace?: Trace) {
    this.#trace = trace;
  }

  /** It waited for a process or a connection, from `since` (`performance.now()`) until now; `error`: in vain. */
  queued(since: number, error?: Error, now = performance.now()): void {
    this.#trace?.ended("queue", since, error);
    this.queuedMs = (this.queuedMs ?? 0) + now - since;
  }

  /** The upstream was connected to. */
  connected(since: number): void {
    this.connectMs = (this.connectMs ?? 0) + this.#ended("connect", since);
  }

  /** The process was started. */
  spawned(since: number): void {
    this.spawnMs = this.#ended("spawn", since);
  }

  /** Something is still to be written down; {@link settle} says when it has been. */
  expect(): void {
    this.#open++;
  }

  settle(): void {
    this.#open--;
    if (this.#open > 0) return;
    const listener = this.#whenSettled;
    this.#whenSettled = undefined;
    listener?.();
  }

  /** Calls `listener` when all is written down; at once if it is. */
  whenSettled(listener: () => void): void {
    if (this.#open === 0) listener();
    else this.#whenSettled = listener;
  }

  /** How long it took. */
  #ended(phase: PhaseName, since: number, error?: Error): number {
    this.#trace?.ended(phase, since, error);
    return performance.now() - since;
  }
}
