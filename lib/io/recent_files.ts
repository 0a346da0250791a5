/**
 * The bytes of short files that were sent lately. Nothing is sent that the disk no longer has: whoever
 * asks has just looked at the file, and gets bytes only if they were read from what was seen there.
 *
 * A file's times tell two states apart only once the clock has moved on, so one that has just changed is
 * not kept.
 */
import { isSameFile } from "./file_words.ts";

type Bytes = Uint8Array<ArrayBuffer>;

interface Kept {
  readonly bytes: Bytes;
  readonly info: Deno.FileInfo;
}

/** Longer than any clock that file systems take their times from stands still. */
const SETTLED_MS = 1000;

export class RecentFiles {
  /** By path; the least lately used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The whole of a file, as it was seen just now. Not to be written to. */
  get(path: string, info: Deno.FileInfo): Bytes | undefined {
    const kept = this.#kept.get(path);
    if (kept === undefined) return undefined;
    this.#kept.delete(path);
    if (!isSameFile(kept.info, info)) {
      this.#bytes -= kept.bytes.length;
      return undefined;
    }
    this.#kept.set(path, kept);
    return kept.bytes;
  }

  /** Keeps the whole of a file that was seen before it was read. */
  keep(path: string, info: Deno.FileInfo, bytes: Bytes): void {
    const changedMs = Math.max(info.mtime?.getTime() ?? Infinity, info.ctime?.getTime() ?? 0);
    if (bytes.length !== info.size || Date.now() - changedMs < SETTLED_MS) return;
    this.#bytes += bytes.length - (this.#kept.get(path)?.bytes.length ?? 0);
    this.#kept.delete(path);
    this.#kept.set(path, { bytes, info });
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}
