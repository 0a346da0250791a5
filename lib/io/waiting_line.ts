/** A bounded line of requests that wait for something scarce: a process, a connection. */
import { GatewayError } from "../errors.ts";
import type { Lifeline } from "../lifeline.ts";

export interface WaitingOptions {
  /** How many may wait; 503 past it. */
  readonly queue: number;
  /** How long one may wait; 503 past it. */
  readonly queueTimeoutMs: number;
}

/** The request at the head of the line, out of it now. */
export interface Waiter<T> {
  readonly lifeline: Lifeline;
  resolve(value: T): void;
  reject(error: Error): void;
}

interface Place<T> extends Waiter<T> {
  /** Takes off whatever would end the waiting. */
  called(): void;
}

export class WaitingLine<T> {
  readonly #options: WaitingOptions;
  readonly #places: Place<T>[] = [];

  constructor(options: WaitingOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#places.length;
  }

  /**
   * Waits until somebody takes the request out of the line and settles it.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or the lifeline's reason.
   */
  wait(lifeline: Lifeline): Promise<T> {
    const { queue, queueTimeoutMs } = this.#options;
    if (this.#places.length >= queue) {
      return Promise.reject(overCapacity("queue-full", `${queue} requests wait already`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const since = performance.now();
    const leave = (reason: Error) => {
      this.#places.splice(this.#places.indexOf(place), 1);
      called(reason);
      reject(reason);
    };
    const timer = setTimeout(
      () => leave(overCapacity("queue-timeout", `Waited ${queueTimeoutMs} ms for a turn`)),
      queueTimeoutMs,
    );
    const called = (reason?: Error) => {
      clearTimeout(timer);
      lifeline.forget(leave);
      lifeline.ledger.queued(since, reason);
    };
    const place: Place<T> = { lifeline, called, resolve, reject };
    this.#places.push(place);
    lifeline.onCut(leave);
    return promise;
  }

  /** Takes whoever waits longest out of the line. */
  next(): Waiter<T> | undefined {
    const place = this.#places.shift();
    place?.called();
    return place;
  }
}

/** The answer of a full house. */
function overCapacity(failure: string, message: string): GatewayError {
  return new GatewayError(503, failure, message, { headers: [["retry-after", "1"]] });
}
