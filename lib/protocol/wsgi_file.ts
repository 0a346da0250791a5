/**
 * `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling"): a file, or whatever reads
 * like one, as something that an application returns. It begins at the file's current position.
 *
 * Strategy: where the server itself is given the result, a regular file is asked for what is left of it:
 * that becomes the Content-Length, and blocks are as large as serves the disk. A middleware that iterates
 * it gets blocks of the usual size.
 */
import { type AppResult, breach, type FileLike } from "./wsgi.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const BLOCK = 65_536;
/** For files of a known length. */
const LARGE_BLOCK = 262_144;
const SECTION = "Optional Platform-Specific File Handling";

/** Wraps a file. Nothing is read before the result is iterated; closing it closes the file. */
export function wrapFile(file: FileLike, blockSize?: number): AppResult {
  if (typeof file?.read !== "function") {
    throw breach("file", "Cannot wrap what has no read() method", SECTION);
  }
  if (blockSize !== undefined && (!Number.isSafeInteger(blockSize) || blockSize < 1)) {
    throw breach("file", `Cannot read a file in blocks of ${blockSize} bytes`, SECTION);
  }
  return new WrappedFile(file, blockSize);
}

export class WrappedFile implements AsyncIterable<Bytes> {
  readonly #file: FileLike;
  readonly #blockSize: number | undefined;

  constructor(file: FileLike, blockSize: number | undefined) {
    this.#file = file;
    this.#blockSize = blockSize;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    for (;;) {
      const block = await this.#read(this.#blockSize ?? BLOCK);
      if (block === undefined) return;
      yield block;
    }
  }

  close(): unknown {
    return this.#file.close?.();
  }

  /** For the server: what is left of the file, if it can be told. */
  blocks(): FileBlocks {
    return new FileBlocks({
      left: () => leftOf(this.#file),
      read: (left) => this.#read(Math.min(left ?? BLOCK, this.#blockSize ?? LARGE_BLOCK)),
    });
  }

  async #read(size: number): Promise<Bytes | undefined> {
    // A new one each time: the last may still be on its way.
    const block = new Uint8Array(size);
    const count = await this.#file.read(block);
    return count === null ? undefined : block.subarray(0, count);
  }
}

interface BlockSource {
  left(): Promise<number | undefined>;
  read(left: number | undefined): Promise<Bytes | undefined>;
}

/** A file's blocks, and how many bytes they are together. */
export class FileBlocks implements AsyncIterator<Bytes> {
  readonly #source: BlockSource;
  #left: number | undefined;
  #length: number | undefined;
  #begun = false;

  constructor(source: BlockSource) {
    this.#source = source;
  }

  /** Known, if at all, once the first block was asked for. */
  get length(): number | undefined {
    return this.#length;
  }

  async next(): Promise<IteratorResult<Bytes>> {
    if (!this.#begun) {
      this.#begun = true;
      this.#length = this.#left = await this.#source.left();
    }
    const block = this.#left === 0 ? undefined : await this.#source.read(this.#left);
    if (block === undefined) return { done: true, value: undefined };
    if (this.#left !== undefined) this.#left -= block.length;
    return { done: false, value: block };
  }
}

/** `Deno.SeekMode.Current`. */
const FROM_HERE = 1;

/** The bytes from a regular file's position to its end; undefined for all else. */
async function leftOf(file: FileLike): Promise<number | undefined> {
  if (file.stat === undefined || file.seek === undefined) return undefined;
  try {
    const { size, isFile } = await file.stat();
    if (!isFile) return undefined;
    const left = size - await file.seek(0, FROM_HERE);
    // The files of /proc claim to be empty.
    return size > 0 && left >= 0 ? left : undefined;
  } catch {
    // What cannot tell where it is can still be read.
    return undefined;
  }
}
