/** Work that nobody waits for: so many at once, in the order of asking, and an end that can be waited for. */

/** Does not reject: whoever adds it sees to its failures. */
export type Job = () => Promise<void>;

export class WorkQueue {
  readonly #max: number;
  readonly #waiting: Job[] = [];
  readonly #workers = new Set<Promise<void>>();

  /** @param max Jobs at once. */
  constructor(max: number) {
    this.#max = max;
  }

  add(job: Job): void {
    this.#waiting.push(job);
    if (this.#workers.size >= this.#max) return;
    const worker = this.#work().finally(() => this.#workers.delete(worker));
    this.#workers.add(worker);
  }

  /** Resolves once nothing is left to do. */
  async settled(): Promise<void> {
    while (this.#workers.size > 0) await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) {
      await job();
    }
  }
}
