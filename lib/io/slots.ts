/** A bound on how many run at once, with a bounded queue in front of it. */
import { GatewayError } from "../errors.ts";
import type { Lifeline } from "../lifeline.ts";

export interface SlotOptions {
  readonly max: number;
  /** How many may wait; 503 past it. */
  readonly queue: number;
  readonly queueTimeoutMs: number;
}

interface Waiter {
  go(): void;
}

export class Slots {
  readonly #options: SlotOptions;
  readonly #queue: Waiter[] = [];
  #taken = 0;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Takes a slot, in the order of asking; undefined when one was free at once.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or the lifeline's reason.
   */
  take(lifeline: Lifeline): Promise<void> | undefined {
    if (this.#taken < this.#options.max) {
      this.#taken++;
      return undefined;
    }
    const { queue, queueTimeoutMs } = this.#options;
    if (this.#queue.length >= queue) {
      return Promise.reject(overCapacity("queue-full", `${queue} requests wait already`));
    }
    return new Promise((resolve, reject) => {
      const leave = (reason: Error) => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1);
        clearTimeout(timer);
        lifeline.forget(leave);
        reject(reason);
      };
      const timer = setTimeout(
        () => leave(overCapacity("queue-timeout", `Waited ${queueTimeoutMs} ms for a turn`)),
        queueTimeoutMs,
      );
      const waiter: Waiter = {
        go: () => {
          clearTimeout(timer);
          lifeline.forget(leave);
          resolve();
        },
      };
      this.#queue.push(waiter);
      lifeline.onCut(leave);
    });
  }

  /** Gives a slot back; whoever waited longest takes it over. */
  give(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#taken--;
    else next.go();
  }
}

/** The answer of a full house. */
export function overCapacity(failure: string, message: string): GatewayError {
  return new GatewayError(503, failure, message, { headers: [["retry-after", "1"]] });
}
