/**
 * `wsgi.input`: a request body as the file that PEP 3333 asks for ("Input and Error Streams"). How the
 * body was cut on its way never shows: a read waits until it has what was asked for, or the body ends.
 *
 * Strategy: pieces of the body are taken one at a time; what is left of the last one waits here. Bytes
 * are copied into what the application gets, so nothing of it is ever overwritten.
 */
import type { SizedBody } from "../exchange.ts";
import type { InputStream } from "./wsgi.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const LINE_FEED = 10;
const NOTHING = new Uint8Array();

/**
 * What a stream has besides PEP 3333's methods, for adapters alone: the next bytes as they come, without
 * waiting for more; undefined at the end. A symbol, for a middleware's own stream is to be read as any.
 */
export const TAKE: unique symbol = Symbol("take");

/** The next bytes of a stream; undefined at the end. */
export async function takeFrom(input: InputStream): Promise<Bytes | undefined> {
  if (TAKE in input && typeof input[TAKE] === "function") return await input[TAKE]();
  const bytes = await input.read(BLOCK);
  return bytes.length === 0 ? undefined : bytes;
}

const BLOCK = 65_536;

export class BodyInput implements InputStream {
  readonly #body: SizedBody | null;
  /** What is left of the last piece. */
  #rest: Uint8Array = NOTHING;
  #ended: boolean;
  #busy = false;

  constructor(body: SizedBody | null) {
    this.#body = body;
    this.#ended = body === null;
  }

  async read(size?: number): Promise<Bytes> {
    using _turn = this.#turn();
    return await this.#collect(limitOf(size), false);
  }

  async readline(size?: number): Promise<Bytes> {
    using _turn = this.#turn();
    return await this.#collect(limitOf(size), true);
  }

  async readlines(hint?: number): Promise<Bytes[]> {
    using _turn = this.#turn();
    const enough = limitOf(hint) || Infinity;
    const lines: Bytes[] = [];
    for (let total = 0; total < enough;) {
      const line = await this.#collect(Infinity, true);
      if (line.length === 0) break;
      lines.push(line);
      total += line.length;
    }
    return lines;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    for (let line = await this.readline(); line.length > 0; line = await this.readline()) {
      yield line;
    }
  }

  async [TAKE](): Promise<Bytes | undefined> {
    using _turn = this.#turn();
    if (!await this.#fill()) return undefined;
    const piece = new Uint8Array(this.#rest);
    this.#rest = NOTHING;
    return piece;
  }

  /** Two reads at once would tear the body apart between them. */
  #turn(): Disposable {
    if (this.#busy) throw new TypeError("Cannot read wsgi.input: the last read is still under way");
    this.#busy = true;
    return { [Symbol.dispose]: () => this.#busy = false };
  }

  /** At most `limit` bytes; up to the end of the line if `line`, else up to the end. */
  async #collect(limit: number, line: boolean): Promise<Bytes> {
    const parts: Uint8Array[] = [];
    let length = 0;
    while (length < limit && await this.#fill()) {
      const feed = line ? this.#rest.indexOf(LINE_FEED) : -1;
      const wanted = feed === -1 ? this.#rest.length : feed + 1;
      const part = this.#rest.subarray(0, Math.min(wanted, limit - length));
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      length += part.length;
      if (feed !== -1 && part.length === wanted) break;
    }
    return joined(parts, length);
  }

  /** Makes sure that there is a rest to take from; false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0 && !this.#ended) {
      const piece = await this.#body?.read();
      if (piece === undefined) this.#ended = true;
      else this.#rest = piece;
    }
    return this.#rest.length > 0;
  }
}

/** As files have it: without a size, or with a negative one, all there is. */
function limitOf(size: number | null | undefined): number {
  if (size === undefined || size === null || size < 0) return Infinity;
  if (Number.isNaN(Number(size))) {
    throw new TypeError("Cannot read wsgi.input: the size is no number");
  }
  return Math.floor(size);
}

function joined(parts: readonly Uint8Array[], length: number): Bytes {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
