/** Chance that can be repeated, and what it does to bytes. */

type Bytes = Uint8Array<ArrayBuffer>;

/** Numbers from a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = this.#state + 0x6d2b79f5 >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ mixed >>> 15, mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) % limit;
  }

  /** Once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("Nothing to pick from");
    return item;
  }
}

/** Bytes that mean something to some parser. */
const TELLING = "\0\x01\t\n\v\f\r\x1b \"#%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xbf\xc0\xff";
/** Numbers at borders. */
const NUMBERS = [
  ...["0", "1", "-1", "9", "10", "127", "128", "255", "256", "65535", "65536", "2147483648"],
  ...["4294967296", "9007199254740993", "18446744073709551616", "1e9", "0x10", "010", "1.5"],
];

/** The most that an input may grow to. */
const MAX_LENGTH = 8192;

/** A changed copy: some small changes, one behind the other. `words` are those of the grammar. */
export function mutate(
  input: Bytes,
  { random, words, other }: { random: Random; words: readonly string[]; other: Bytes },
): Bytes {
  let bytes = input;
  const changes = 1 + random.below(random.once(4) ? 12 : 4);
  for (let count = 0; count < changes; count++) bytes = change(bytes, random, words, other);
  return bytes.slice(0, MAX_LENGTH);
}

function change(bytes: Bytes, random: Random, words: readonly string[], other: Bytes): Bytes {
  const at = random.below(bytes.length + 1);
  const length = Math.min(bytes.length - at, 1 + random.below(random.once(3) ? 64 : 4));
  switch (random.below(10)) {
    case 0:
      return spliced(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ 1 << random.below(8)));
    case 1:
      return spliced(bytes, at, 1, Uint8Array.of(random.below(256)));
    case 2:
      return spliced(bytes, at, random.below(2), latin1(random.pick([...TELLING])));
    case 3:
      return spliced(bytes, at, length, new Uint8Array(0));
    case 4:
      return spliced(bytes, at, 0, bytes.slice(at, at + length));
    case 5:
      return spliced(bytes, random.below(bytes.length + 1), 0, bytes.slice(at, at + length));
    case 6:
      return spliced(bytes, at, random.below(2) * length, latin1(random.pick(NUMBERS)));
    case 7: {
      const from = random.below(other.length + 1);
      return spliced(bytes, at, 0, other.slice(from, from + 1 + random.below(64)));
    }
    case 8:
      return spliced(bytes, at, 0, repeated(bytes.slice(at, at + length), 1 + random.below(40)));
    default:
      if (words.length === 0) return bytes;
      return spliced(bytes, at, random.below(2) * length, latin1(random.pick(words)));
  }
}

function spliced(bytes: Bytes, at: number, gone: number, put: Bytes): Bytes {
  const whole = new Uint8Array(bytes.length - Math.min(gone, bytes.length - at) + put.length);
  whole.set(bytes.subarray(0, at));
  whole.set(put, at);
  whole.set(bytes.subarray(at + gone), at + put.length);
  return whole;
}

function repeated(bytes: Bytes, times: number): Bytes {
  const whole = new Uint8Array(bytes.length * times);
  for (let count = 0; count < times; count++) whole.set(bytes, count * bytes.length);
  return whole;
}

/** Random cuts of bytes, each piece in memory of its own, which is spoilt once the next is asked for. */
export function* cutAtRandom(bytes: Bytes, random: Random): Generator<Bytes, void, undefined> {
  for (let at = 0; at < bytes.length;) {
    const size = random.once(3) ? 1 : 1 + random.below(bytes.length);
    const piece = bytes.slice(at, at + size);
    at += piece.length;
    yield piece;
    piece.fill(0xaa);
  }
}

export function latin1(text: string): Bytes {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Unlike a decoder for text, byte for byte. */
export function latin1Of(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
