/**
 * `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling"): a file, or whatever reads
 * like one, as something that an application returns. It begins at the file's current position.
 */
import { type AppResult, breach, type FileLike } from "./wsgi.ts";

const BLOCK = 65_536;
const SECTION = "Optional Platform-Specific File Handling";

/** Wraps a file. Nothing is read before the result is iterated; closing it closes the file. */
export function wrapFile(file: FileLike, blockSize: number = BLOCK): AppResult {
  if (typeof file?.read !== "function") {
    throw breach("file", "Cannot wrap what has no read() method", SECTION);
  }
  if (!Number.isSafeInteger(blockSize) || blockSize < 1) {
    throw breach("file", `Cannot read a file in blocks of ${blockSize} bytes`, SECTION);
  }
  return new WrappedFile(file, blockSize);
}

class WrappedFile implements AsyncIterable<Uint8Array> {
  readonly #file: FileLike;
  readonly #blockSize: number;

  constructor(file: FileLike, blockSize: number) {
    this.#file = file;
    this.#blockSize = blockSize;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      // A new one each time: the last may still be on its way.
      const block = new Uint8Array(this.#blockSize);
      const count = await this.#file.read(block);
      if (count === null) return;
      yield block.subarray(0, count);
    }
  }

  close(): unknown {
    return this.#file.close?.();
  }
}
