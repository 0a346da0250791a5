/**
 * What an application returned, piece by piece, and its end: whatever happens, a generator is returned
 * and `close` is called, once (PEP 3333, "Specification Details").
 *
 * Strategy: a synchronous iterable is read without a promise. A fault while closing can no longer change
 * the answer: it is reported.
 */
import { breach } from "./wsgi.ts";
import { type FileBlocks, WrappedFile } from "./wsgi_file.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Step = IteratorResult<unknown, unknown>;

const SECTION = "Specification Details";

/** Takes a fault that no client gets to see. */
export type Report = (what: string, error: unknown) => void;

/** Whether a piece is bytes. Memory that threads share is left for the runtime to refuse. */
export function isBytes(piece: unknown): piece is Bytes {
  return piece instanceof Uint8Array;
}

export function notBytes(piece: unknown): Error {
  return breach("piece", `Cannot send ${nameOf(piece)}: a piece must be a Uint8Array`, SECTION);
}

/** Ends a result of which nothing was iterated, or all of an array. */
export async function closeResult(result: unknown, report: Report): Promise<void> {
  if (typeof result !== "object" || result === null) return;
  try {
    if ("close" in result && typeof result.close === "function") await result.close();
  } catch (error) {
    report("close()", error);
  }
  // The platform's own streams have no close().
  if (result instanceof ReadableStream && !result.locked) await result.cancel().catch(() => {});
}

export class ResultReader {
  readonly #result: object;
  readonly #report: Report;
  readonly #sync: Iterator<unknown> | undefined;
  readonly #async: AsyncIterator<unknown> | undefined;
  readonly #file: FileBlocks | undefined;
  /** The iterator came to its end, or threw: there is nothing to return. */
  #ended = false;
  #waiting = false;
  #closed = false;

  /** @throws {GatewayError} 500 `wsgi-result` if it cannot be iterated. */
  constructor(result: unknown, report: Report) {
    this.#report = report;
    this.#result = checkedResult(result);
    if (result instanceof ReadableStream) this.#async = iterateStream(result);
    else if (result instanceof WrappedFile) this.#async = this.#file = result.blocks();
    else if (isAsyncIterable(result)) this.#async = result[Symbol.asyncIterator]();
    else if (isIterable(result)) this.#sync = result[Symbol.iterator]();
  }

  /** Bytes in all, where they are known by the first piece. */
  get length(): number | undefined {
    return this.#file?.length;
  }

  /** The next piece that is not empty; undefined at the end. Throws what the application throws. */
  next(): Bytes | undefined | Promise<Bytes | undefined> {
    if (this.#sync === undefined) return this.#nextLater();
    for (;;) {
      const piece = this.#taken(this.#step(this.#sync));
      if (piece === undefined || piece.length > 0) return piece;
    }
  }

  /** No more is wanted. What the iterable does to end its work goes on by itself. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
  }

  async #nextLater(): Promise<Bytes | undefined> {
    for (;;) {
      const piece = this.#taken(await this.#stepLater());
      if (piece === undefined || piece.length > 0) return piece;
    }
  }

  #step(iterator: Iterator<unknown>): Step {
    try {
      return iterator.next();
    } catch (error) {
      throw this.#ends(error);
    }
  }

  async #stepLater(): Promise<Step | undefined> {
    this.#waiting = true;
    try {
      return await this.#async?.next();
    } catch (error) {
      throw this.#ends(error);
    } finally {
      this.#waiting = false;
    }
  }

  #ends<Reason>(reason: Reason): Reason {
    this.#ended = true;
    this.close();
    return reason;
  }

  #taken(step: Step | undefined): Bytes | undefined {
    if (step === undefined || step.done === true) return this.#ends(undefined);
    if (isBytes(step.value)) return step.value;
    this.close();
    throw notBytes(step.value);
  }

  async #release(): Promise<void> {
    try {
      const returned = this.#ended ? undefined : (this.#async ?? this.#sync)?.return?.();
      // A step under way may be waiting for what close() ends: it cannot be waited for.
      if (returned instanceof Promise && !this.#waiting) await returned;
    } catch (error) {
      this.#report("return()", error);
    }
    await closeResult(this.#result, this.#report);
  }
}

/** A stream's own iterator would only be cancelled after its next piece, which may never come. */
export function iterateStream(stream: ReadableStream<unknown>): AsyncIterator<unknown> {
  const reader = stream.getReader();
  return {
    async next() {
      const { done, value } = await reader.read();
      return { done, value };
    },
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

function checkedResult(result: unknown): object {
  const bytes = ArrayBuffer.isView(result) || result instanceof ArrayBuffer;
  if (typeof result === "object" && result !== null && !bytes) {
    if (isAsyncIterable(result) || isIterable(result)) return result;
  }
  const hint = bytes ? ": put them into an array" : "";
  const message = `Cannot send ${nameOf(result)}: return an iterable of Uint8Arrays${hint}`;
  throw breach("result", message, SECTION);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return hasMethod(value, Symbol.iterator);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return hasMethod(value, Symbol.asyncIterator);
}

function hasMethod(value: unknown, name: symbol): boolean {
  return typeof value === "object" && value !== null && name in value &&
    typeof Reflect.get(value, name) === "function";
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  return value.constructor?.name ?? "an object";
}
