/**
 * Stored replies, in memory or on disk, within a number of bytes: by URL, several a URL where they vary,
 * and by the keys that their program gave them.
 *
 * Strategy: a map keeps its order, so the oldest stands first. A hit only sets a mark; whoever looks for
 * room gives a marked one a second chance. That is nearly least-recently-used, and a hit moves nothing.
 */
import type { Again, ByteString, HeaderPair } from "../exchange.ts";
import type { CacheFile } from "./cache_file.ts";

/** A reply that may be used again. Times by steadyNow(). */
export interface Stored {
  readonly url: string;
  readonly status: number;
  /** All but what tells of the copy: Age and Cache-Status. */
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array<ArrayBuffer> | CacheFile;
  /** The request's fields that the reply depends on, with what they were (RFC 9111 §4.1). */
  readonly vary: readonly HeaderPair[];
  /** When it would have been made, had it been new when it came. */
  readonly bornAt: number;
  readonly freshUntil: number;
  readonly staleUntil: number;
  readonly errorUntil: number;
  readonly isForAll: boolean;
  /** Surrogate keys. */
  readonly tags: readonly string[];
  /** A copy that failed to be validated is not tried again before then. */
  retryAt: number;
  wasUsed: boolean;
  /** The head of a hit, as it is in this second. */
  head:
    | { readonly second: number; readonly headers: readonly HeaderPair[]; readonly again: Again }
    | undefined;
}

/** Looks a field of the request up, in the form in which replies vary by it. */
export type Asked = (lowerName: string) => ByteString;

/** What a copy costs beyond its text. */
const OVERHEAD = 512;

export interface StoreOptions {
  /** What a copy counts for. */
  readonly costOf?: (stored: Stored) => number;
  /** Told of each copy that goes. */
  readonly dropped?: (stored: Stored) => void;
  readonly maxCount?: number;
}

export class CacheStore {
  #maxSize: number;
  readonly #options: Required<StoreOptions>;
  /** Each URL's copies, the newest first. */
  readonly #urls = new Map<string, Stored[]>();
  readonly #tags = new Map<string, Set<Stored>>();
  #order = new Set<Stored>();
  #size = 0;
  /** The part of it that no copy has yet. */
  #reserved = 0;

  constructor(maxSize: number, options: StoreOptions = {}) {
    this.#maxSize = maxSize;
    this.#options = { costOf, dropped: () => {}, maxCount: Infinity, ...options };
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  set maxSize(bytes: number) {
    this.#maxSize = bytes;
    this.#makeRoom();
  }

  /** Bytes in use. */
  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#order.size;
  }

  has(url: string): boolean {
    return this.#urls.has(url);
  }

  /** The copy that answers such a request. */
  find(url: string, asked: Asked): Stored | undefined {
    const copies = this.#urls.get(url);
    if (copies === undefined) return undefined;
    for (const stored of copies) {
      if (answers(stored, asked)) {
        stored.wasUsed = true;
        return stored;
      }
    }
    return undefined;
  }

  /** The fields that copies of this URL depend on. */
  varyingFields(url: string): readonly string[] {
    return this.#urls.get(url)?.[0]?.vary.map(([name]) => name) ?? [];
  }

  /** Stores a copy in place of the one that answered the same requests. */
  put(stored: Stored): void {
    this.deleteLike(stored);
    this.#urls.set(stored.url, [stored, ...this.#urls.get(stored.url) ?? []]);
    this.#order.add(stored);
    for (const tag of stored.tags) {
      const tagged = this.#tags.get(tag) ?? new Set();
      this.#tags.set(tag, tagged.add(stored));
    }
    this.#size += this.#options.costOf(stored);
    this.#makeRoom();
  }

  /** Makes room for what is to come; false: there is not so much. Whoever has it gives it back. */
  reserve(bytes: number): boolean {
    if (this.#reserved + bytes > this.#maxSize) return false;
    this.#reserved += bytes;
    this.#size += bytes;
    this.#makeRoom();
    return true;
  }

  giveBack(bytes: number): void {
    this.#reserved -= bytes;
    this.#size -= bytes;
  }

  /** Removes the copies that answer the same requests as this one. */
  deleteLike(stored: Stored): void {
    const asked: Asked = (name) => stored.vary.find(([own]) => own === name)?.[1] ?? "";
    for (const old of this.#urls.get(stored.url) ?? []) {
      if (isSameVary(old, stored) && answers(old, asked)) this.delete(old);
    }
  }

  delete(stored: Stored): void {
    if (!this.#order.delete(stored)) return;
    this.#size -= this.#options.costOf(stored);
    this.#options.dropped(stored);
    const rest = (this.#urls.get(stored.url) ?? []).filter((one) => one !== stored);
    if (rest.length === 0) this.#urls.delete(stored.url);
    else this.#urls.set(stored.url, rest);
    for (const tag of stored.tags) {
      const tagged = this.#tags.get(tag);
      tagged?.delete(stored);
      if (tagged?.size === 0) this.#tags.delete(tag);
    }
  }

  /** Removes all copies of a URL, and gives them. */
  deleteUrl(url: string): readonly Stored[] {
    return this.#deleteAll(this.#urls.get(url) ?? []);
  }

  /** Removes all copies that bear a surrogate key. */
  deleteTag(tag: string): readonly Stored[] {
    return this.#deleteAll([...this.#tags.get(tag) ?? []]);
  }

  clear(): readonly Stored[] {
    return this.#deleteAll([...this.#order]);
  }

  #deleteAll(copies: readonly Stored[]): readonly Stored[] {
    for (const stored of copies) this.delete(stored);
    return copies;
  }

  #makeRoom(): void {
    while (this.#size > this.#maxSize || this.#order.size > this.#options.maxCount) {
      const [oldest] = this.#order;
      if (oldest === undefined) return;
      if (oldest.wasUsed) {
        oldest.wasUsed = false;
        this.#order.delete(oldest);
        this.#order.add(oldest);
      } else this.delete(oldest);
    }
  }
}

function isSameVary(a: Stored, b: Stored): boolean {
  return a.vary.length === b.vary.length && a.vary.every(([name], at) => b.vary[at]?.[0] === name);
}

function answers({ vary }: Stored, asked: Asked): boolean {
  for (const [name, value] of vary) if (asked(name) !== value) return false;
  return true;
}

/** Bytes that a copy takes up, roughly: text is counted by two. */
export function costOf({ url, headers, body, vary, tags }: Stored): number {
  let text = url.length;
  for (const [name, value] of headers) text += name.length + value.length;
  for (const [name, value] of vary) text += name.length + value.length;
  for (const tag of tags) text += tag.length;
  return OVERHEAD + 2 * text + body.length;
}

/** What tells a copy from all others that may stand beside it. */
export function keyOf({ url, vary }: Pick<Stored, "url" | "vary">): string {
  return vary.length === 0 ? url : `${url}\n${JSON.stringify(vary)}`;
}
