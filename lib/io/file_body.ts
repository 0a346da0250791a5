/**
 * Slices of an open file as a reply's body. A body is exactly as long as was promised when the file was
 * looked at: what grows is cut, and what shrinks under way aborts the body, which never looks whole.
 */
import { GatewayError } from "../errors.ts";
import type { BodyPiece, ByteSource, ReplyBody } from "../exchange.ts";
import type { ByteRange } from "../protocol/http_range.ts";
import { ReadyResponses } from "./ready_responses.ts";

/** What is read at once: four times less doubles the work, and the runtime's own readers are no faster. */
const READ_SIZE = 262_144;

/** What is read in one go, and then shared by all who ask for it. nginx reads twice as much. */
const SHORT = 2 ** 20;

/**
 * The body that these pieces make: its bytes if it is one short slice. Closes the file when it has no more
 * use for it.
 * @throws {GatewayError} 500 `file-shrank`.
 */
export function fileBody(
  file: Deno.FsFile,
  pieces: readonly BodyPiece[],
): Uint8Array<ArrayBuffer> | ByteSource {
  const [first] = pieces;
  const isShort = pieces.length <= 1 && !(first instanceof Uint8Array) &&
    sizeOf(first) <= SHORT;
  if (!isShort) return fileSource(file, pieces);
  try {
    return readShort(file, first);
  } finally {
    file.close();
  }
}

/** The same, read piece by piece however short it is. */
export function fileSource(file: Deno.FsFile, pieces: readonly BodyPiece[]): ByteSource {
  return new FileBody(file, pieces);
}

function sizeOf(slice: ByteRange | undefined): number {
  return slice === undefined ? 0 : slice.end - slice.start;
}

/** In one go: a short file lies in the system's memory, and a turn of the event loop costs more. */
function readShort(file: Deno.FsFile, slice: ByteRange | undefined): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeOf(slice));
  if (slice !== undefined && slice.start > 0) file.seekSync(slice.start, Deno.SeekMode.Start);
  for (let at = 0; at < bytes.length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) throw shrank(bytes.length - at);
    at += count;
  }
  return bytes;
}

/** The runtime copies bytes that it is given at once, and sends those of a stream from where they lie. */
const WORTH_A_STREAM = 16_384;

/** Bytes as a body. Nobody may write to them any more. */
export function bodyOf(bytes: Uint8Array<ArrayBuffer>): ReplyBody {
  return bytes.length > WORTH_A_STREAM ? new OnePiece(bytes) : bytes;
}

/** From here on a copy of the bytes, or of the text they are, takes longer than a clone. */
const WORTH_A_CLONE = 4096;

/** Bytes that are kept, and sent over and over, as a body. */
export function keptBodyOf(bytes: Uint8Array<ArrayBuffer>): ReplyBody {
  return bytes.length > WORTH_A_CLONE ? new KeptPiece(bytes) : bytes;
}

/** As much again as is kept of files, and shared with stored copies. */
const ready = new ReadyResponses(32 * 2 ** 20);

class OnePiece implements ByteSource {
  readonly whole: Uint8Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.whole = bytes;
    this.#bytes = bytes;
  }

  read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return Promise.resolve(bytes);
  }

  cancel(): void {}
}

class KeptPiece extends OnePiece {
  response(): Response {
    return ready.of(this.whole);
  }
}

function shrank(missing: number): GatewayError {
  return new GatewayError(500, "file-shrank", `The file ended ${missing} bytes early`);
}

class FileBody implements ByteSource {
  readonly #file: Deno.FsFile;
  #pieces: readonly BodyPiece[];
  #next = 0;
  /** Bytes of the present slice that are still to be read. */
  #left = 0;
  #closed = false;

  constructor(file: Deno.FsFile, pieces: readonly BodyPiece[]) {
    this.#file = file;
    this.#pieces = pieces;
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#left > 0) return await this.#readOn();
    const piece = this.#pieces[this.#next];
    this.#next++;
    if (piece instanceof Uint8Array) {
      this.#closeIfDone();
      return piece;
    }
    if (piece === undefined) return undefined;
    this.#left = sizeOf(piece);
    try {
      await this.#file.seek(piece.start, Deno.SeekMode.Start);
    } catch (error) {
      this.#close();
      throw error;
    }
    return await this.#readOn();
  }

  slices(pieces: readonly BodyPiece[]): ByteSource {
    this.#pieces = pieces;
    return this;
  }

  cancel(): void {
    this.#close();
  }

  async #readOn(): Promise<Uint8Array<ArrayBuffer>> {
    const buffer = new Uint8Array(Math.min(this.#left, READ_SIZE));
    try {
      const count = await this.#file.read(buffer);
      if (count === null) throw shrank(this.#left);
      this.#left -= count;
      this.#closeIfDone();
      return count === buffer.length ? buffer : buffer.subarray(0, count);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** At once, for the last piece may take a slow client long. */
  #closeIfDone(): void {
    if (this.#left === 0 && this.#next >= this.#pieces.length) this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }
}
