/**
 * A ring of records in memory that two threads share: the one writes, the other reads. A record is a
 * number, a list of short texts and perhaps some bytes.
 *
 * Strategy: what is written shows when it is published, all of it at once; a reader is woken only if it
 * said that it sleeps. What does not fit, or is not ASCII, is refused and has to go another way. The reader
 * believes nothing that would lead it out of the ring: who writes may be an application gone astray. Pure.
 */
import { latin1FromBytes } from "./latin1.ts";

/** Called for each record; the bytes are valid until it returns. */
export type Take = (number: number, texts: string[], bytes: Uint8Array | null) => void;

/** Where things stand among the marks, each on a cache line of its own. Positions count in words. */
const TAIL = 0;
const HEAD = 16;
const ASLEEP = 32;
/** Never changes: it is only waited at. */
const BELL = 48;
const MARKS = 64;

const WORD = 4;
/** A record's words before the lengths of its texts: its size, number, characters, texts, bytes. */
const FIXED = 5;
const NO_BYTES = -1;
/** In the place of a size: what follows stands at the ring's beginning. */
const TURN_ROUND = 0;

const ENCODER = new TextEncoder();

/** Memory for a ring of so many bytes, a power of two. */
export function newRing(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(MARKS * WORD + bytes);
}

/** Both ends' view of a ring. */
class Ring {
  readonly marks: Int32Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly bytes: Uint8Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer) {
    this.marks = new Int32Array(memory, 0, MARKS);
    this.words = new Int32Array(memory, MARKS * WORD);
    this.bytes = new Uint8Array(memory, MARKS * WORD);
  }
}

export class RingWriter {
  readonly #ring: Ring;
  #tail: number;
  /** As far as it was looked. */
  #head: number;
  #published: number;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
    this.#tail = this.#published = Atomics.load(this.#ring.marks, TAIL);
    this.#head = Atomics.load(this.#ring.marks, HEAD);
  }

  /** Whether a record could be written. */
  write(number: number, texts: readonly string[], bytes: Uint8Array | null): boolean {
    let text = "";
    for (const one of texts) text += one;
    const letters = wordsOf(text.length);
    const size = FIXED + texts.length + letters + wordsOf(bytes?.length ?? 0);
    const start = this.#room(size);
    if (start === undefined) return false;
    const { words, bytes: memory } = this.#ring;
    const at = start & (words.length - 1);
    const textAt = (at + FIXED + texts.length) * WORD;
    // What is not ASCII takes more bytes than characters, or does not find room.
    const room = memory.subarray(textAt, textAt + text.length);
    const { read, written } = ENCODER.encodeInto(text, room);
    if (read !== text.length || written !== text.length) return false;
    words[at] = size;
    words[at + 1] = number;
    words[at + 2] = text.length;
    words[at + 3] = texts.length;
    words[at + 4] = bytes === null ? NO_BYTES : bytes.length;
    for (let i = 0; i < texts.length; i++) words[at + FIXED + i] = texts[i]?.length ?? 0;
    if (bytes !== null) memory.set(bytes, textAt + letters * WORD);
    this.#tail = (start + size) | 0;
    return true;
  }

  /** Shows what was written, and wakes the reader if it sleeps. */
  publish(): void {
    if (this.#published === this.#tail) return;
    const { marks } = this.#ring;
    this.#published = this.#tail;
    Atomics.store(marks, TAIL, this.#tail);
    if (Atomics.exchange(marks, ASLEEP, 0) === 1) Atomics.notify(marks, BELL);
  }

  /** Where so many words in a row are free; undefined: nowhere. */
  #room(size: number): number | undefined {
    const { marks, words } = this.#ring;
    const at = this.#tail & (words.length - 1);
    const rest = words.length - at;
    const skipped = size > rest ? rest : 0;
    if (!this.#isFree(skipped + size)) {
      this.#head = Atomics.load(marks, HEAD);
      if (!this.#isFree(skipped + size)) return undefined;
    }
    if (skipped > 0) words[at] = TURN_ROUND;
    return (this.#tail + skipped) | 0;
  }

  #isFree(size: number): boolean {
    return ((this.#tail - this.#head) | 0) + size <= this.#ring.words.length;
  }
}

export class RingReader {
  readonly #ring: Ring;
  #head: number;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
    this.#head = Atomics.load(this.#ring.marks, HEAD);
  }

  /**
   * Takes all records that are published by now.
   * @throws {RangeError} when what is there is no record: nothing can be read any more.
   */
  drain(take: Take): void {
    const { marks, words } = this.#ring;
    const tail = Atomics.load(marks, TAIL);
    if (tail === this.#head) return;
    while (tail !== this.#head) {
      const at = this.#head & (words.length - 1);
      const size = words[at] ?? 0;
      const length = size === TURN_ROUND ? words.length - at : size;
      const left = (tail - this.#head) | 0;
      if (length < 0 || length > left || at + length > words.length) throw broken();
      this.#head = (this.#head + length) | 0;
      if (size !== TURN_ROUND) this.#take(at, size, take);
    }
    Atomics.store(marks, HEAD, tail);
  }

  /** From now on it is woken; false if there is something already. */
  sleep(): boolean {
    const { marks } = this.#ring;
    Atomics.store(marks, ASLEEP, 1);
    return Atomics.load(marks, TAIL) === this.#head;
  }

  /** It will look by itself and needs no waking. */
  wake(): void {
    Atomics.store(this.#ring.marks, ASLEEP, 0);
  }

  /**
   * Resolves when it is woken after having gone to sleep later than this.
   * @throws {RangeError} when nobody can wait here.
   */
  woken(): Promise<unknown> {
    const waiting = Atomics.waitAsync(this.#ring.marks, BELL, 0);
    if (!waiting.async) throw broken();
    return waiting.value;
  }

  /** Wakes whoever waits at this end. */
  ring(): void {
    Atomics.notify(this.#ring.marks, BELL);
  }

  #take(at: number, size: number, take: Take): void {
    const { words, bytes } = this.#ring;
    const number = words[at + 1] ?? 0;
    const length = words[at + 2] ?? 0;
    const count = words[at + 3] ?? 0;
    const more = words[at + 4] ?? 0;
    const letters = wordsOf(length);
    const wanted = FIXED + count + letters + wordsOf(Math.max(more, 0));
    if (length < 0 || count < 0 || more < NO_BYTES || wanted !== size) throw broken();
    const textAt = (at + FIXED + count) * WORD;
    const text = latin1FromBytes(bytes, textAt, textAt + length);
    const texts: string[] = [];
    let from = 0;
    for (let i = 0; i < count; i++) {
      const to = from + (words[at + FIXED + i] ?? 0);
      texts.push(text.substring(from, to));
      from = to;
    }
    const bytesAt = textAt + letters * WORD;
    take(number, texts, more === NO_BYTES ? null : bytes.subarray(bytesAt, bytesAt + more));
  }
}

function wordsOf(bytes: number): number {
  return (bytes + WORD - 1) >>> 2;
}

function broken(): RangeError {
  return new RangeError("Cannot read the ring: this is no record");
}
