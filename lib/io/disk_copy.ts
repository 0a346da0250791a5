/**
 * One copy on its way to the disk. It takes room before it takes bytes; whatever goes wrong ends it alone:
 * whoever brings the bytes never learns of it.
 */

import { CacheFileWriter } from "./cache_file.ts";
import type { CacheStore, Stored } from "./cache_store.ts";

export interface DiskCopyOptions {
  /** What the file will be called. */
  readonly path: string;
  readonly index: CacheStore;
  /** The longest body. */
  readonly maxLength: number;
  readonly failed: (error: unknown) => void;
  /** Called once, whatever came of it. */
  readonly over: () => void;
}

export class DiskCopy {
  /** The copy but for its body. */
  readonly stored: Stored;
  /** Set by a purge, or by a newer copy: it is not to be kept. */
  isOutdated = false;
  readonly #options: DiskCopyOptions;
  #writer: CacheFileWriter | undefined;
  #length = 0;
  #reserved = 0;
  #isOver = false;

  constructor(stored: Stored, options: DiskCopyOptions) {
    this.stored = stored;
    this.#options = options;
  }

  /** One at a time. */
  async write(piece: Uint8Array): Promise<void> {
    if (this.#isOver) return;
    const { path, index, maxLength } = this.#options;
    this.#length += piece.length;
    if (this.isOutdated || this.#length > maxLength || !index.reserve(piece.length)) {
      return await this.abort();
    }
    this.#reserved += piece.length;
    try {
      this.#writer ??= await CacheFileWriter.begin(path);
      await this.#writer.append(piece);
    } catch (error) {
      await this.#fail(error);
    }
    if (this.#isOver) await this.#writer?.abort();
  }

  /** That was all of it. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    const { path, index } = this.#options;
    try {
      this.#writer ??= await CacheFileWriter.begin(path);
      await this.#writer.finish(this.stored);
      // From here to the index nothing comes in between.
      if (this.#isOver) return await this.#writer.abort();
      if (this.isOutdated) return await this.abort();
      const body = this.#writer.commit();
      const stored = { ...this.stored, body, head: undefined, wasUsed: false };
      body.owner = stored;
      this.#finish();
      index.put(stored);
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Nothing more will come, and it was not all. */
  async abort(): Promise<void> {
    if (this.#isOver) return;
    this.#finish();
    await this.#writer?.abort();
  }

  async #fail(error: unknown): Promise<void> {
    // Given up meanwhile: the file was closed.
    if (!this.#isOver) this.#options.failed(error);
    await this.abort();
  }

  #finish(): void {
    this.#isOver = true;
    this.#options.index.giveBack(this.#reserved);
    this.#options.over();
  }
}
