/**
 * A wait for something that ought to have come already: how long it may still take until it is given up.
 *
 * A plain timer measures the clock. But when a crowd arrives the runtime is late to hand out what lies in
 * a pipe, by half a second and more, and not in the order in which things happened: a process is told to
 * have exited well before its last words are. A timer that fires meanwhile takes a whole reply for none, or
 * cuts its end off. So the wait goes in slices, and one that itself is late does not count: only an event
 * loop that has time to be punctual has also seen what there is to see.
 */

const SLICES = 10;
/** What a slice may be late by and still count. */
const PUNCTUAL_MS = 10;
/** A loop that never comes to rest: so many times the time is enough. */
const MOST_TIMES = 30;

export class Patience {
  readonly #slice: number;
  readonly #onEnd: () => void;
  readonly #latest: number;
  #left = SLICES;
  #due = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls `onEnd` after so many milliseconds of calm, unless it is ended before. */
  constructor(ms: number, onEnd: () => void) {
    this.#slice = ms / SLICES;
    this.#onEnd = onEnd;
    this.#latest = performance.now() + ms * MOST_TIMES;
    this.#next();
  }

  /** It has come. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #next(): void {
    this.#due = performance.now() + this.#slice;
    this.#timer = setTimeout(this.#tick, this.#slice);
  }

  readonly #tick = () => {
    const now = performance.now();
    if (now - this.#due < PUNCTUAL_MS) this.#left--;
    if (this.#left === 0 || now > this.#latest) this.#onEnd();
    else this.#next();
  };
}
