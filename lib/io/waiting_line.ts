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
  readonly since: number;
  /** Ends the waiting without a turn. */
  leave(reason: Error): void;
}

export class WaitingLine<T> {
  readonly #options: WaitingOptions;
  readonly #places: Place<T>[] = [];
  /** One for all: nobody is due before who waits longest. One for each would be a tenth of the work. */
  #timer: ReturnType<typeof setTimeout> | undefined;

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
    const { queue } = this.#options;
    if (this.#places.length >= queue) {
      return Promise.reject(overCapacity("queue-full", `${queue} requests wait already`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const leave = (reason: Error) => {
      this.#places.splice(this.#places.indexOf(place), 1);
      this.#called(place, reason);
      reject(reason);
    };
    const place: Place<T> = { lifeline, since: performance.now(), leave, resolve, reject };
    this.#places.push(place);
    this.#watch();
    lifeline.onCut(leave);
    return promise;
  }

  /** Takes whoever waits longest out of the line. */
  next(): Waiter<T> | undefined {
    const place = this.#places.shift();
    if (place !== undefined) this.#called(place);
    return place;
  }

  /** Takes off whatever would end the waiting. */
  #called({ lifeline, since, leave }: Place<T>, reason?: Error): void {
    lifeline.forget(leave);
    lifeline.ledger.queued(since, reason);
    if (this.#places.length > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #watch(): void {
    const [first] = this.#places;
    if (first === undefined || this.#timer !== undefined) return;
    const due = first.since + this.#options.queueTimeoutMs - performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#refuseLate();
      this.#watch();
    }, due);
  }

  #refuseLate(): void {
    const { queueTimeoutMs } = this.#options;
    const latest = performance.now() - queueTimeoutMs;
    for (const place of this.#places.filter(({ since }) => since <= latest)) {
      place.leave(overCapacity("queue-timeout", `Waited ${queueTimeoutMs} ms for a turn`));
    }
  }
}

/** The answer of a full house. */
function overCapacity(failure: string, message: string): GatewayError {
  return new GatewayError(503, failure, message, { headers: [["retry-after", "1"]] });
}
