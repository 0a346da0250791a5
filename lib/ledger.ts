/**
 * What a request cost, for its access line: whoever works on it writes down, the gateway reads when all
 * is settled. Nothing here decides anything.
 */
export class Ledger {
  /** Time spent waiting for a process or a connection to be free. */
  queuedMs: number | undefined;
  /** Time spent on connecting to the upstream; undefined: a kept connection served. */
  connectMs: number | undefined;
  /** Bytes of the request's body that arrived. */
  receivedBytes: number | undefined;
  /** How the process ended: its exit code, or the name of the signal that ended it. */
  exit: number | string | undefined;
  /** Processor time of the process, user and system. */
  cpuMs: number | undefined;
  /** The process's largest resident memory. */
  peakBytes: number | undefined;
  #open = 0;
  #whenSettled: (() => void) | undefined;

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
}
