/**
 * Reads a request's body into memory that is lent to it. The runtime gives long bodies as byte streams,
 * which do just that; one that had arrived with the head is a plain stream, and its pieces are copied. So
 * are those of a body in chunks, which has to be read in small steps.
 */
import { GatewayError } from "../errors.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface BodyReader {
  /** The memory comes back with what was read; with nothing, at the end. */
  read(view: Bytes): Promise<Piece>;
  cancel(): Promise<void>;
}

interface Piece {
  readonly done: boolean;
  readonly value?: Bytes | undefined;
}

/** Gives pieces of its own choice, each valid until the next is asked for. */
interface Source {
  read(): Promise<Piece>;
  cancel(): Promise<void>;
}

/** For a short body a copy costs less than finding out. */
const SHORT = 65_536;
/**
 * How much to ask for of a body in chunks. Each read lets the runtime take as much as was ever asked for
 * off the socket, but gives no more than one chunk; what is over piles up inside it, and is moved at every
 * read: asked for 64 KiB each time, 200 MiB in chunks of 8 KiB (as git sends them) took a minute. So we ask
 * for little, and for more when the sender's chunks prove to be all of one size, as most are: then for
 * just that, or while they are much longer than what was asked for. Less than the runtime's own buffer
 * (1 KiB) would gain nothing, and could stall: it waits for more to arrive when a read has no room for a
 * chunk's whole size line, even if all has arrived.
 */
const FIRST_STEP = 1024;
const LAST_STEP = 65_536;
/** What frames a chunk at most: its size in hexadecimal, two line ends. */
const FRAME = 12;
/** Steps that a chunk must be long to be worth a larger one: what is over is at most one step of them. */
const RUN = 16;
/** Chunks of one size that prove a habit. */
const HABIT = 3;
/** Bytes that may pile up: to move them takes half a millisecond or so, at every read. */
const MAX_PILE = 2 ** 22;
const MAX_SPENT_MS = 2000;
/** Bytes in a piece, on average, that no sender in earnest stays below. */
const SMALL = 1000;
/** A read that took longer has waited for the client. */
const CALM_MS = 10;

/** @param length What was promised; undefined: the body comes in chunks, or over HTTP/2. */
export function readerOf(body: ReadableStream<Bytes>, length: number | undefined): BodyReader {
  if (length !== undefined && length <= SHORT) return new CopyingReader(body.getReader());
  const reader = byobReaderOf(body);
  if (reader === undefined) return new CopyingReader(body.getReader());
  return length === undefined ? new CopyingReader(new StepSource(reader)) : reader;
}

function byobReaderOf(body: ReadableStream<Bytes>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
}

class StepSource implements Source {
  readonly #reader: ReadableStreamBYOBReader;
  #memory = new ArrayBuffer(FIRST_STEP);
  /** Bytes of the chunk that is being read, and the pieces that they came in. */
  #chunk = 0;
  #pieces = 0;
  #lastChunk = 0;
  /** How many chunks in a row were as long as the last. */
  #alike = 0;
  /** What may have piled up inside the runtime, in bytes. */
  #pile = 0;
  /** What reads took since it may be too much. */
  #spent = 0;
  #reads = 0;
  #bytes = 0;

  constructor(reader: ReadableStreamBYOBReader) {
    this.#reader = reader;
  }

  async read(): Promise<Piece> {
    const asked = performance.now();
    const { done, value } = await this.#reader.read(new Uint8Array(this.#memory));
    if (done || value === undefined) return { done };
    this.#memory = value.buffer;
    this.#watchPile(value.length, performance.now() - asked);
    const step = this.#nextStep(value.length);
    if (step > this.#memory.byteLength) this.#memory = new ArrayBuffer(step);
    return { done, value };
  }

  /** @throws {GatewayError} 413 `chunks-too-small`. */
  #watchPile(length: number, ms: number): void {
    this.#reads++;
    this.#bytes += length;
    const more = this.#memory.byteLength - length - FRAME;
    if (ms > CALM_MS) {
      // Who has to wait for the client has nothing piled up.
      this.#pile = this.#spent = 0;
      return;
    }
    this.#pile = Math.max(0, this.#pile + more);
    if (this.#pile <= MAX_PILE || this.#bytes >= SMALL * this.#reads) return;
    // As much as that may be there; whether it is shows in what the reads take.
    this.#spent += ms;
    if (this.#spent <= MAX_SPENT_MS) return;
    throw new GatewayError(
      413,
      "chunks-too-small",
      `The request body comes in chunks of ${length} bytes or so, faster than they can be taken apart`,
    );
  }

  /** Between two pieces that leave room lies a chunk: its own frame takes some of the first. */
  #nextStep(length: number): number {
    const step = this.#memory.byteLength;
    this.#chunk += length;
    this.#pieces++;
    const isFirst = this.#pieces === 1 && length >= step - FRAME;
    if (length === step || isFirst) {
      return this.#pieces > RUN ? Math.max(step, Math.min(2 * step, LAST_STEP)) : step;
    }
    this.#alike = this.#chunk === this.#lastChunk ? this.#alike + 1 : 0;
    this.#lastChunk = this.#chunk;
    this.#chunk = this.#pieces = 0;
    // With room to spare, so that a whole chunk is told from the first piece of one.
    return this.#alike < HABIT ? step : Math.min(this.#lastChunk, LAST_STEP) + 2 * FRAME;
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

class CopyingReader implements BodyReader {
  readonly #source: Source;
  #rest: Bytes | undefined;

  constructor(source: Source) {
    this.#source = source;
  }

  async read(view: Bytes): Promise<Piece> {
    while (this.#rest === undefined || this.#rest.length === 0) {
      const { done, value } = await this.#source.read();
      if (done) return { done, value: view.subarray(0, 0) };
      this.#rest = value;
    }
    const piece = this.#rest.subarray(0, view.length);
    this.#rest = this.#rest.subarray(piece.length);
    view.set(piece);
    return { done: false, value: view.subarray(0, piece.length) };
  }

  cancel(): Promise<void> {
    return this.#source.cancel();
  }
}
