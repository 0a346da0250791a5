/**
 * Content codings as streams of bytes: a piece goes in, and all that can be read of it at the other end
 * comes out.
 *
 * The runtime compresses on the thread that serves, whatever Node's interface promises. So long pieces
 * are cut into slices, and others have their turn every two milliseconds.
 */
import { Buffer } from "node:buffer";
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import type { Coding } from "../protocol/content_coding.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What is compressed in one go: a millisecond at most. */
const SLICE = 32_768;
/** How long others wait for their turn. */
const TURN_MS = 2;

/** Levels for replies made on the fly: beyond them time doubles for a few percent of size. */
const GZIP = { level: 6 };
const BROTLI = {
  params: { [constants.BROTLI_PARAM_QUALITY]: 4 },
};
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** One of Node's compressing streams, as far as it is used. */
interface Transform {
  write(chunk: Uint8Array, done: (error?: Error | null) => void): unknown;
  flush(done: () => void): void;
  end(): unknown;
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  once(event: "end", listener: () => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  destroy(): unknown;
}

const TRANSFORMS: Readonly<Record<Coding, () => Transform>> = {
  gzip: () => createGzip(GZIP),
  br: () => createBrotliCompress(BROTLI),
  zstd: () => createZstdCompress(ZSTD),
};

const WHOLE: Readonly<Record<Coding, (bytes: Bytes) => Uint8Array>> = {
  gzip: (bytes) => gzipSync(bytes, GZIP),
  br: (bytes) => brotliCompressSync(bytes, BROTLI),
  zstd: (bytes) => zstdCompressSync(bytes, ZSTD),
};

/** Bodies up to this length are compressed in one go. */
export const MAX_AT_ONCE = 2 * SLICE;

/** A short body, compressed whole. */
export function encodeWhole(coding: Coding, bytes: Bytes): Bytes {
  return new Uint8Array(WHOLE[coding](bytes));
}

export class Encoder {
  readonly #transform: Transform;
  #out: Uint8Array[] = [];
  #failure: Error | undefined;
  /** When others last had their turn. */
  #pausedAt = 0;

  constructor(coding: Coding) {
    this.#transform = TRANSFORMS[coding]();
    this.#transform.on("data", (chunk) => this.#out.push(chunk));
    this.#transform.once("error", (error) => this.#failure = error);
  }

  /** Takes a piece in; gives all that comes of it, flushed. */
  async push(piece: Bytes): Promise<Bytes> {
    const started = performance.now();
    if (started - this.#pausedAt > 2 * TURN_MS) this.#pausedAt = started;
    for (let at = 0; at < piece.length; at += SLICE) {
      const slice = piece.subarray(at, at + SLICE);
      await new Promise<void>((resolve) => this.#transform.write(slice, () => resolve()));
      await new Promise<void>((resolve) => this.#transform.flush(resolve));
      if (performance.now() - this.#pausedAt > TURN_MS) await this.#pause();
    }
    return this.#take();
  }

  /** What is left when nothing more goes in. */
  async end(): Promise<Bytes> {
    await new Promise<void>((resolve) => {
      this.#transform.once("end", resolve);
      this.#transform.once("error", () => resolve());
      this.#transform.end();
    });
    return this.#take();
  }

  /** The rest is not wanted. */
  abandon(): void {
    this.#transform.destroy();
  }

  /** A timer, for the runtime runs many immediates before it looks at its sockets again. */
  async #pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#pausedAt = performance.now();
  }

  #take(): Bytes {
    if (this.#failure !== undefined) throw this.#failure;
    const bytes = Buffer.concat(this.#out);
    this.#out = [];
    return new Uint8Array(bytes);
  }
}
