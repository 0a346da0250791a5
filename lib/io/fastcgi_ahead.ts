/**
 * Requests that a process is given before it has answered the one that it has. One that serves one at a
 * time otherwise idles from its answer until the gateway has read that, has found the next request and
 * has written it: for a short answer longer than it works.
 *
 * Strategy: only what may be sent again waits in a process, and only behind what is short: a process has
 * to show first that it is quick. Where the present request turns out to be slow all the same, those
 * behind it are taken back and go where they would have gone, and the process never begins them: it
 * looks whether somebody still wants the answer. Until its turn has come a request counts as waiting.
 */
import type { Lifeline } from "../lifeline.ts";

/** How many a process is given ahead at most. */
export const MAX_AHEAD = 2;
/** How long those ahead of a request may take together, as far as can be foreseen. */
const SHORT_MS = 2;
/** What a process is thought to take that has answered nothing yet. */
const UNKNOWN_MS = 20;
/** The weight of the latest answer in the average. */
const WEIGHT = 1 / 8;
/** A request is slow that is the same at two looks. */
export const LOOK_MS = 5;

/** What a request is sent on. */
interface Way {
  readonly closed: boolean;
  close(): void;
}

/** A request whose turn has not come. */
export interface Early<W extends Way> {
  readonly connection: W;
  readonly lifeline: Lifeline;
}

/** The requests of one process: the present one's times, and those behind it in the order of their turns. */
export class Ahead<W extends Way> {
  readonly #early: Early<W>[] = [];
  readonly #max: number;
  /** When the present request began; undefined: there is none. */
  #began: number | undefined;
  #average = UNKNOWN_MS;
  #turn = 0;
  #seen = 0;
  /** Somebody looks at it. */
  isWatched = false;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#early.length;
  }

  /** Whether one more may be given ahead: it would wait for next to nothing. */
  hasRoom(now: number): boolean {
    const { length } = this.#early;
    if (this.#began === undefined || length >= this.#max) return false;
    return this.#average * (length + 1) < SHORT_MS && now - this.#began < SHORT_MS;
  }

  begin(now: number): void {
    this.#began = now;
    this.#turn++;
  }

  end(now: number): void {
    if (this.#began === undefined) return;
    this.#average += (now - this.#began - this.#average) * WEIGHT;
    this.#began = undefined;
  }

  put(early: Early<W>): void {
    this.#early.push(early);
  }

  /** Whose turn it is. Who has left, or was taken back, has none, and is still to be removed. */
  next(): Early<W> | undefined {
    const index = this.#early.findIndex(({ connection }) => !connection.closed);
    return index < 0 ? undefined : this.#early.splice(index, 1)[0];
  }

  /** Takes a request out; undefined: its turn had come. */
  remove(connection: W): Early<W> | undefined {
    const index = this.#early.findIndex((early) => early.connection === connection);
    return index < 0 ? undefined : this.#early.splice(index, 1)[0];
  }

  /** Whether the present request was the present one at the last look, too. */
  look(): boolean {
    const { isSame } = this;
    this.#seen = this.#turn;
    return isSame;
  }

  /** Whether the present request is the one of the last look. */
  get isSame(): boolean {
    return this.#seen === this.#turn;
  }

  /** Takes all of them back: they find their connections closed. */
  takeBack(): void {
    for (const { connection } of this.#early) connection.close();
  }
}
