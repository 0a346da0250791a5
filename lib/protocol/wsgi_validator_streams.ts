/**
 * `wsgi.input`, `wsgi.errors` and write() under the validator's eye (PEP 3333, "Input and Error
 * Streams", "The write() Callable"): how they are called, and what they give.
 */
import { TAKE, takeFrom } from "./wsgi_input.ts";
import { breach, type ErrorStream, type InputStream, type Write } from "./wsgi.ts";

const STREAMS = "Input and Error Streams";

type Bytes = Uint8Array<ArrayBuffer>;

export class CheckedInput implements InputStream {
  readonly #input: InputStream;
  #busy = false;

  constructor(input: InputStream) {
    this.#input = input;
  }

  async read(...sizes: [number?]): Promise<Bytes> {
    return await this.#piece("read", sizes, (size) => this.#input.read(size));
  }

  async readline(...sizes: [number?]): Promise<Bytes> {
    const line = await this.#piece("readline", sizes, (size) => this.#input.readline(size));
    const feed = line.indexOf(10);
    if (feed === -1 || feed === line.length - 1) return line;
    throw fault("input-line", "readline() gave more than a line");
  }

  async readlines(...hints: [number?]): Promise<Bytes[]> {
    const lines = await this.#turn("readlines", hints, (hint) => this.#input.readlines(hint));
    if (!Array.isArray(lines)) throw fault("input-lines", "readlines() gave no array");
    for (const line of lines) checkBytes("readlines", line);
    return lines;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    for await (const line of this.#input) {
      checkBytes("iteration", line);
      yield line;
    }
  }

  async [TAKE](): Promise<Bytes | undefined> {
    return await this.#turn("take", [], () => takeFrom(this.#input));
  }

  close(): never {
    throw fault("input-close", "wsgi.input is not the application's to close");
  }

  async #piece(
    name: string,
    sizes: readonly unknown[],
    read: (size?: number) => Promise<Bytes>,
  ): Promise<Bytes> {
    const bytes = await this.#turn(name, sizes, read);
    checkBytes(name, bytes);
    const [size] = sizes;
    if (typeof size === "number" && size >= 0 && bytes.length > size) {
      throw fault("input-long", `${name}(${size}) gave ${bytes.length} bytes`);
    }
    return bytes;
  }

  async #turn<T>(
    name: string,
    sizes: readonly unknown[],
    read: (size?: number) => Promise<T>,
  ): Promise<T> {
    const size = checkSize(name, sizes);
    if (this.#busy) throw fault("input-overlap", `${name}() came before the last read had ended`);
    this.#busy = true;
    try {
      return await read(size);
    } finally {
      this.#busy = false;
    }
  }
}

function checkSize(name: string, sizes: readonly unknown[]): number | undefined {
  if (sizes.length > 1) {
    throw fault("input-arguments", `${name}() takes one argument at most, not ${sizes.length}`);
  }
  const [size] = sizes;
  if (size === undefined || size === null) return undefined;
  if (typeof size === "number" && Number.isInteger(size)) return size;
  throw fault("input-size", `${name}() takes a whole number`);
}

function checkBytes(name: string, value: unknown): void {
  if (value instanceof Uint8Array) return;
  throw fault("input-bytes", `${name} of wsgi.input gave ${typeof value}, not a Uint8Array`);
}

export class CheckedErrors implements ErrorStream {
  readonly #errors: ErrorStream;

  constructor(errors: ErrorStream) {
    this.#errors = errors;
  }

  write(text: string, ...more: unknown[]): void {
    if (typeof text !== "string") throw fault("errors-text", "wsgi.errors takes strings alone");
    if (more.length > 0) {
      throw fault("errors-arguments", "write() of wsgi.errors takes one argument");
    }
    this.#errors.write(text);
  }

  writelines(lines: Iterable<string>): void {
    if (typeof lines === "string" || !isIterable(lines)) {
      throw fault("errors-lines", "writelines() takes an iterable of strings");
    }
    for (const line of lines) this.write(line);
  }

  flush(): void {
    this.#errors.flush();
  }

  close(): never {
    throw fault("errors-close", "wsgi.errors is not the application's to close");
  }
}

function isIterable(value: unknown): boolean {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/** Checks what is written, then tells `count` how much it is. */
export function checkedWrite(write: unknown, count: (bytes: number) => void): Write {
  if (typeof write !== "function") {
    const message = "Cannot go on: start_response has returned no write()";
    throw breach("write-missing", message, "The start_response() Callable");
  }
  return (...pieces: readonly unknown[]) => {
    const [piece] = pieces;
    if (pieces.length !== 1) throw writeFault("arguments", `one argument, not ${pieces.length}`);
    if (!(piece instanceof Uint8Array)) {
      throw writeFault("bytes", `a Uint8Array, not ${typeof piece}`);
    }
    count(piece.length);
    return write(piece);
  };
}

function writeFault(rule: string, what: string): Error {
  return breach(`write-${rule}`, `Cannot write: write() takes ${what}`, "The write() Callable");
}

function fault(rule: string, message: string): Error {
  return breach(rule, `Cannot use the stream so: ${message}`, STREAMS);
}
