/**
 * How far a worker may run ahead of whoever reads its answer: a window of bytes, refilled as they are
 * read. The one side spends, the other counts what it has read and grants half a window at a time. Pure.
 */

/** Bytes that may be on their way, and one piece more. */
export const WINDOW = 131_072;
/** What even the smallest piece costs, so that there are never many of them either. */
const LEAST = 1024;

function costOf(bytes: number): number {
  return Math.max(bytes, LEAST);
}

/** The sender's side. */
export class Credit {
  #left = WINDOW;
  #granted: PromiseWithResolvers<void> | undefined;

  get isSpent(): boolean {
    return this.#left <= 0;
  }

  spend(bytes: number): void {
    this.#left -= costOf(bytes);
  }

  grant(credit: number): void {
    this.#left += credit;
    if (this.isSpent) return;
    this.#granted?.resolve();
    this.#granted = undefined;
  }

  /** Resolves when there is some again. */
  granted(): Promise<void> {
    if (!this.isSpent) return Promise.resolve();
    return (this.#granted ??= Promise.withResolvers()).promise;
  }
}

/** The reader's side. */
export class Consumption {
  #read = 0;

  /** Takes down what was read; gives the credit to grant for it, 0 while that is too little to tell. */
  take(bytes: number): number {
    this.#read += costOf(bytes);
    if (this.#read < WINDOW / 2) return 0;
    const credit = this.#read;
    this.#read = 0;
    return credit;
  }
}
