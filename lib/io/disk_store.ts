/**
 * Stored replies in a folder, within a number of bytes, there again after a restart: an index in memory,
 * a file for each copy. All who name the folder share it; of several workers each has a folder within.
 *
 * Strategy: the folder's `copies` is ours alone: what a start finds there is a whole copy, or goes. Copies
 * are written behind whoever reads them, and what cannot be written is not kept: no request waits for it,
 * or fails by it.
 */
import { CacheFile, readCacheFile } from "./cache_file.ts";
import { type Asked, CacheStore, keyOf, type Stored } from "./cache_store.ts";
import { DiskCopy } from "./disk_copy.ts";
import type { Overflow } from "./recording.ts";
import type { Part } from "../part.ts";
import { WorkQueue } from "./work_queue.ts";

/** What file systems give out. */
const BLOCK = 4096;
/** Each costs a KiB or so of memory. */
const MAX_COPIES = 131_072;
/** Bytes that wait to be written; what comes on top is not kept. */
const MAX_BEHIND = 32 * 2 ** 20;
const AT_ONCE = 4;
/** How often a line says that copies cannot be written. */
const NOTICE_MS = 60_000;
const OWN_NAME = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A start lets others have a turn after so many files. */
const LOADED_AT_ONCE = 64;

export interface DiskStoreOptions {
  readonly maxSize: number;
  /** Of several workers each has copies of its own, and room for as much as falls to it. */
  readonly part?: Part | undefined;
  notice(message: string): void;
}

export class DiskStore implements AsyncDisposable {
  readonly #copies: string;
  readonly #notice: (message: string) => void;
  readonly #index: CacheStore;
  /** What is being written, by what it will answer. */
  readonly #coming = new Map<string, DiskCopy>();
  readonly #writes = new WorkQueue(AT_ONCE);
  readonly #removals = new WorkQueue(AT_ONCE);
  #behind = 0;
  #noticedAt = -Infinity;

  private constructor(folder: string, { maxSize, part, notice }: DiskStoreOptions) {
    this.#copies = `${ownFolder(folder, part?.index ?? 0)}/copies`;
    this.#notice = notice;
    this.#index = new CacheStore(maxSize, {
      costOf: ({ body }) => body instanceof CacheFile ? roundUp(body.size) : 0,
      dropped: (stored) => this.#dropped(stored),
      maxCount: MAX_COPIES,
    });
  }

  /** Opens a folder with all that is whole in it; rejects if there can be none. */
  static async open(folder: string, options: DiskStoreOptions): Promise<DiskStore> {
    const store = new DiskStore(folder, options);
    await removeUnowned(folder, options.part);
    await Deno.mkdir(store.#copies, { recursive: true, mode: 0o700 });
    await store.#load();
    return store;
  }

  get count(): number {
    return this.#index.count;
  }

  /** Bytes in use. */
  get size(): number {
    return this.#index.size;
  }

  get maxSize(): number {
    return this.#index.maxSize;
  }

  set maxSize(bytes: number) {
    this.#index.maxSize = bytes;
  }

  has(url: string): boolean {
    return this.#index.has(url);
  }

  find(url: string, asked: Asked): Stored | undefined {
    return this.#index.find(url, asked);
  }

  varyingFields(url: string): readonly string[] {
    return this.#index.varyingFields(url);
  }

  /** Stores a copy. One whose body lies here already has its new head until the next start. */
  put(stored: Stored): void {
    const { body } = stored;
    if (body instanceof CacheFile) {
      body.owner = stored;
      return this.#index.put(stored);
    }
    if (this.#behind + body.length > MAX_BEHIND) return this.#index.deleteLike(stored);
    this.#behind += body.length;
    const copy = this.#begin(stored, body.length);
    this.#writes.add(async () => {
      if (body.length > 0) await copy.write(body);
      await copy.end();
      this.#behind -= body.length;
    });
  }

  /** Takes the body of a copy as it comes; undefined: one like it is coming already. */
  begin(stored: Stored, maxLength: number): Overflow | undefined {
    const known = this.#coming.get(keyOf(stored));
    if (known !== undefined && !known.isOutdated) return undefined;
    const copy = this.#begin(stored, maxLength);
    return {
      write: (piece) => copy.write(piece),
      end: () => this.#writes.add(() => copy.end()),
      abort: () => this.#removals.add(() => copy.abort()),
    };
  }

  /** Removes the copies that answer the same requests as this one. */
  delete(stored: Stored): void {
    this.#outdate((coming) => keyOf(coming) === keyOf(stored));
    this.#index.deleteLike(stored);
  }

  /** Removes all copies of a URL, and gives them. */
  deleteUrl(url: string): readonly Stored[] {
    this.#outdate((coming) => coming.url === url);
    return this.#index.deleteUrl(url);
  }

  deleteTag(tag: string): readonly Stored[] {
    this.#outdate(({ tags }) => tags.includes(tag));
    return this.#index.deleteTag(tag);
  }

  clear(): readonly Stored[] {
    this.#outdate(() => true);
    return this.#index.clear();
  }

  /** Resolves once what was removed is gone from the disk. */
  removed(): Promise<void> {
    return this.#removals.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writes.settled();
    await this.#removals.settled();
  }

  #begin(stored: Stored, maxLength: number): DiskCopy {
    const key = keyOf(stored);
    const known = this.#coming.get(key);
    if (known !== undefined) known.isOutdated = true;
    const copy = new DiskCopy(stored, {
      path: `${this.#copies}/${crypto.randomUUID()}`,
      index: this.#index,
      maxLength,
      failed: (error) => this.#failed(error),
      over: () => {
        if (this.#coming.get(key) === copy) this.#coming.delete(key);
      },
    });
    this.#coming.set(key, copy);
    return copy;
  }

  #outdate(isMeant: (stored: Stored) => boolean): void {
    for (const copy of this.#coming.values()) {
      if (isMeant(copy.stored)) copy.isOutdated = true;
    }
  }

  #dropped(stored: Stored): void {
    const { body } = stored;
    if (body instanceof CacheFile && body.owner === stored) this.#remove(body.path);
  }

  #remove(path: string): void {
    this.#removals.add(() => Deno.remove(path).catch(() => {}));
  }

  #failed(error: unknown): void {
    const now = performance.now();
    if (now - this.#noticedAt < NOTICE_MS) return;
    this.#noticedAt = now;
    this.#notice(`Cannot store copies in ${this.#copies}: ${error}`);
  }

  /** Puts all into the index that is whole, the oldest first, and removes the rest. */
  async #load(): Promise<void> {
    const found: { readonly stored: Stored; readonly at: number }[] = [];
    let count = 0;
    for await (const { name } of Deno.readDir(this.#copies)) {
      if (++count % LOADED_AT_ONCE === 0) await new Promise((resolve) => setTimeout(resolve));
      const path = `${this.#copies}/${name}`;
      const known = OWN_NAME.test(name) ? readCacheFile(path) : undefined;
      if (known === undefined) {
        this.#remove(path);
        continue;
      }
      const { file: body, head, at } = known;
      const stored = { ...head, body, retryAt: 0, wasUsed: false, head: undefined };
      body.owner = stored;
      found.push({ stored, at });
    }
    for (const { stored } of found.sort((a, b) => a.at - b.at)) this.#index.put(stored);
    await this.#removals.settled();
  }
}

/** The first worker's is where one without others has its own. */
function ownFolder(folder: string, index: number): string {
  return index === 0 ? folder : `${folder}/worker-${index + 1}`;
}

/** There may have been more workers before: what theirs have left would take room for ever. */
async function removeUnowned(folder: string, part: Part | undefined): Promise<void> {
  if (part !== undefined && part.index > 0) return;
  const of = part?.of ?? 1;
  for (const name of await namesIn(folder)) {
    const [, number] = /^worker-(\d{1,3})$/.exec(name) ?? [];
    if (number === undefined || Number(number) <= of) continue;
    await Deno.remove(`${folder}/${name}`, { recursive: true }).catch(() => {});
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  } catch {
    // It is made, or complained of, right after.
    return [];
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}
