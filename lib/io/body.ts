/**
 * Request bodies, sized before they travel on. `spool` collects a body first, in memory up to 1 MiB and
 * then in an unlinked temporary file, so that its length is exact and a slow sender occupies no program;
 * `stream` passes it on as it comes. Both count what arrives against the limit and the promised length.
 */
import { ClientGone, GatewayError } from "../errors.ts";
import type { Exchange, SizedBody } from "../exchange.ts";
import type { Spool, SpoolFile } from "./spool.ts";

const MEMORY_LIMIT = 2 ** 20;

export interface SizeOptions {
  readonly mode: "spool" | "stream";
  /** Bytes; 413 past it. */
  readonly max: number;
  readonly spool: Spool;
}

/**
 * Takes the exchange's body in hand; null if there is none.
 * @throws {GatewayError} 400 `bad-content-length`, 413 `body-too-large`, 503 `spool-full`.
 * @throws {ClientGone} when the client leaves before all has arrived.
 */
export async function sizeBody(
  exchange: Exchange,
  options: SizeOptions,
): Promise<SizedBody | null> {
  // Methods such as GET never carry a body here: the runtime discards it and says null.
  const { body } = exchange;
  if (body === null) return null;
  const declared = declaredLength(exchange.headers);
  if (
    declared === undefined && !exchange.headers.has("transfer-encoding") && isKnownEmpty(exchange)
  ) {
    await body.cancel();
    return null;
  }
  if (declared !== undefined && declared > options.max) {
    await body.cancel();
    throw tooLarge(options.max);
  }
  const incoming = new IncomingBody(exchange, body, declared, options.max);
  return options.mode === "stream" ? incoming : await collect(incoming, options.spool);
}

/**
 * HTTP/1.1 without a length and without a transfer coding means no body (RFC 9112 §6.3); HTTP/2 frames
 * its bodies itself and has no Host field.
 */
function isKnownEmpty(exchange: Exchange): boolean {
  return exchange.headers.has("host");
}

/**
 * The promised length. The runtime joins repeated equal fields into `5, 5` (RFC 9110 §8.6 allows to
 * take them as one).
 */
export function declaredLength(headers: Headers): number | undefined {
  const value = headers.get("content-length");
  if (value === null) return undefined;
  const first = value.split(",", 1)[0]?.trim() ?? "";
  const same = value.split(",").every((part) => part.trim() === first);
  const length = Number(first);
  if (!same || !/^\d+$/.test(first) || !Number.isSafeInteger(length)) {
    throw new GatewayError(400, "bad-content-length", `Cannot read "${value}" as a length`);
  }
  return length;
}

function tooLarge(max: number): GatewayError {
  return new GatewayError(413, "body-too-large", `The request body exceeds ${max} bytes`);
}

/** The body as it comes off the wire, counted. */
class IncomingBody implements SizedBody {
  readonly length: number | undefined;
  readonly bytes = undefined;
  readonly #exchange: Exchange;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #max: number;
  readonly #stop = () => this.close();
  #received = 0;
  #closed = false;

  constructor(
    exchange: Exchange,
    body: ReadableStream<Uint8Array<ArrayBuffer>>,
    length: number | undefined,
    max: number,
  ) {
    this.#exchange = exchange;
    this.#reader = body.getReader();
    this.length = length;
    this.#max = max;
    exchange.lifeline.onCut(this.#stop);
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value, done } = await this.#next();
    this.#exchange.lifeline.throwIfCut();
    if (this.#closed) return undefined;
    if (done || value === undefined) {
      // A clean end before the promised length is how an aborted HTTP/2 upload looks.
      if (this.length !== undefined && this.#received < this.length) throw new ClientGone();
      this.close();
      return undefined;
    }
    this.#received += value.length;
    if (this.#received > this.#max) {
      this.close();
      throw tooLarge(this.#max);
    }
    return value;
  }

  async #next() {
    try {
      return await this.#reader.read();
    } catch {
      this.#exchange.lifeline.throwIfCut();
      throw new ClientGone();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#exchange.lifeline.forget(this.#stop);
    this.#reader.cancel().catch(() => {});
  }
}

/** Reads all of a body before anything is started for it. */
async function collect(incoming: IncomingBody, spool: Spool): Promise<SizedBody> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let file: SpoolFile | undefined;
  try {
    for (let piece = await incoming.read(); piece !== undefined; piece = await incoming.read()) {
      length += piece.length;
      if (file === undefined && length > MEMORY_LIMIT) {
        file = await spool.create();
        for (const earlier of pieces.splice(0)) await file.append(earlier);
      }
      if (file === undefined) pieces.push(piece);
      else await file.append(piece);
    }
    await file?.rewind();
  } catch (error) {
    file?.close();
    incoming.close();
    throw error;
  }
  return file === undefined ? new BodyInMemory(join(pieces, length)) : new BodyInFile(file, length);
}

function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

class BodyInMemory implements SizedBody {
  readonly length: number;
  #read = false;
  constructor(readonly bytes: Uint8Array) {
    this.length = bytes.length;
  }
  read(): Promise<Uint8Array | undefined> {
    const rest = this.#read || this.length === 0 ? undefined : this.bytes;
    this.#read = true;
    return Promise.resolve(rest);
  }
  close(): void {}
}

class BodyInFile implements SizedBody {
  readonly bytes = undefined;
  constructor(readonly file: SpoolFile, readonly length: number) {}
  async read(): Promise<Uint8Array | undefined> {
    const piece = await this.file.read();
    if (piece === undefined) this.close();
    return piece;
  }
  close(): void {
    this.file.close();
  }
}
