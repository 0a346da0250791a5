/**
 * Calls under way, by their numbers.
 *
 * Strategy: a number leads to its place in an array, and one whose place is taken is not given out. Of a
 * `Map` that all calls pass through the old tables keep dead calls alive, until the garbage collection of
 * them costs more than the calls. Pure.
 */

interface Numbered {
  readonly number: number;
}

const FIRST_SIZE = 64;
/** Numbers are 32 bits wide and never negative. */
const MAX_NUMBER = 0x7fff_ffff;

export class CallTable<Call extends Numbered> {
  #places: (Call | undefined)[] = emptyPlaces(FIRST_SIZE);
  #size = 0;
  #last = 0;

  get size(): number {
    return this.#size;
  }

  get(number: number): Call | undefined {
    const found = this.#places[number & (this.#places.length - 1)];
    return found?.number === number ? found : undefined;
  }

  /** A number for a call that is about to be added. */
  next(): number {
    if (this.#size * 2 > this.#places.length) this.#grow();
    const mask = this.#places.length - 1;
    do this.#last = (this.#last + 1) & MAX_NUMBER; while (this.#places[this.#last & mask]);
    return this.#last;
  }

  /** Adds a call. Who numbers them may have more places. */
  add(call: Call): void {
    while (this.#places[call.number & (this.#places.length - 1)] !== undefined) this.#grow();
    this.#places[call.number & (this.#places.length - 1)] = call;
    this.#size++;
  }

  delete(call: Call): void {
    if (this.get(call.number) !== call) return;
    this.#places[call.number & (this.#places.length - 1)] = undefined;
    this.#size--;
  }

  /** Those that are there now. */
  all(): Call[] {
    return this.#places.filter((call) => call !== undefined);
  }

  #grow(): void {
    const calls = this.all();
    this.#places = emptyPlaces(this.#places.length * 2);
    for (const call of calls) this.#places[call.number & (this.#places.length - 1)] = call;
  }
}

function emptyPlaces<Call>(size: number): (Call | undefined)[] {
  return Array.from({ length: size }, () => undefined);
}
