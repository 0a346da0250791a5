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
  /** As it was told to {@link WaitingLine.wait}. */
  readonly isEarly: boolean;
  /** Since when it waits, by `performance.now()`. */
  readonly since: number;
  resolve(value: T): void;
  reject(error: Error): void;
}

interface Place<T> extends Waiter<T> {
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

  /** Who waits longest. */
  get first(): Waiter<T> | undefined {
    return this.#places[0];
  }

  /**
   * Waits until somebody takes the request out of the line and settles it. `isEarly`: something to know of
   * the waiter.
   * @throws {GatewayError} 503 `queue-full` or `queue-timeout`, or the lifeline's reason.
   */
  wait(lifeline: Lifeline, isEarly = false): Promise<T> {
    const { queue } = this.#options;
    if (this.#places.length >= queue) {
      return Promise.reject(overCapacity("queue-full", `${queue} requests wait already`));
    }
    return this.#enter(this.#places.length, { lifeline, isEarly, since: performance.now() });
  }

  /** {@link wait}, of one that was lent ({@link lend}) and comes back: it has its place already. */
  waitOn(lifeline: Lifeline, since: number): Promise<T> {
    const later = this.#places.findIndex((place) => place.since > since);
    const index = later < 0 ? this.#places.length : later;
    return this.#enter(index, { lifeline, isEarly: false, since });
  }

  #enter(
    index: number,
    { lifeline, isEarly, since }: Pick<Place<T>, "lifeline" | "isEarly" | "since">,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const leave = (reason: Error) => {
      this.#places.splice(this.#places.indexOf(place), 1);
      this.#called(place);
      lifeline.ledger.queued(since, reason);
      reject(reason);
    };
    const place: Place<T> = { lifeline, isEarly, since, leave, resolve, reject };
    if (index === this.#places.length) this.#places.push(place);
    else this.#places.splice(index, 0, place);
    this.#watch();
    lifeline.onCut(leave);
    return promise;
  }

  /** Takes whoever waits longest out of the line. */
  next(): Waiter<T> | undefined {
    const place = this.lend();
    place?.lifeline.ledger.queued(place.since);
    return place;
  }

  /** {@link next}, of a request that waits on elsewhere: the time is told there. */
  lend(): Waiter<T> | undefined {
    const place = this.#places.shift();
    if (place !== undefined) this.#called(place);
    return place;
  }

  /** Takes off whatever would end the waiting. */
  #called({ lifeline, leave }: Place<T>): void {
    lifeline.forget(leave);
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
