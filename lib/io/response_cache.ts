/**
 * What the routes of one cache share, and a reload keeps: the copies, the requests under way that others
 * wait for, and the URLs whose answers are known to be for one alone.
 */
import type { ReplyBody } from "../exchange.ts";
import type { CacheOptions, Shared } from "../handler.ts";
import { CacheFile } from "./cache_file.ts";
import type { Flight } from "./cache_flight.ts";
import { type Asked, CacheStore, costOf, keyOf, type Stored } from "./cache_store.ts";
import type { DiskStore } from "./disk_store.ts";
import type { Overflow } from "./recording.ts";

/** What to forget. */
export type Purge =
  /** All copies of a URL, with scheme and host. */
  | { readonly url: string }
  /** All copies that bear a surrogate key. */
  | { readonly tag: string }
  | { readonly all: true };

/** An answer that is being fetched. */
export interface UnderWay {
  readonly url: string;
  /** Set when a purge or a change comes in between: what comes is out of date already. */
  isOutdated: boolean;
}

/** How long a URL is remembered as one whose answers are not for all. */
const PASS_MS = 10_000;
const MAX_PASSES = 4096;
/** What is read from the disk at once, and then kept in memory. */
const SHORT = 2 ** 21;

export class ResponseCache implements AsyncDisposable {
  readonly options: CacheOptions;
  /** In memory. */
  readonly store: CacheStore;
  readonly #shared: Shared<DiskStore> | undefined;
  /** Requests that were looked up, and those of them that a copy answered. */
  lookUps = 0;
  hits = 0;
  /** What became of requests that no copy answered at once, by the words of Cache-Status (RFC 9211). */
  readonly forwarded = new Map<string, number>();
  readonly #flights = new Map<string, Flight>();
  readonly #underWay = new Set<UnderWay>();
  readonly #passes = new Map<string, number>();

  /** `disk`: where copies are kept that memory has no room for. */
  constructor(options: CacheOptions, disk?: Shared<DiskStore>) {
    this.options = options;
    this.store = new CacheStore(options.maxSize);
    this.#shared = disk;
  }

  get disk(): DiskStore | undefined {
    return this.#shared?.value;
  }

  /** The longest body that can be kept at all. */
  get longest(): number {
    const { maxEntry, store } = this.options;
    return Math.max(maxEntry, store?.maxEntry ?? 0);
  }

  /** The copy that answers such a request. */
  find(url: string, asked: Asked): Stored | undefined {
    return this.store.find(url, asked) ?? this.disk?.find(url, asked);
  }

  has(url: string): boolean {
    return this.store.has(url) || this.disk?.has(url) === true;
  }

  /** The fields that copies of this URL depend on. */
  varyingFields(url: string): readonly string[] {
    const names = this.store.varyingFields(url);
    return names.length === 0 ? this.disk?.varyingFields(url) ?? names : names;
  }

  /** The body of a copy; undefined: the disk has it no more, and the copy is forgotten. */
  bodyOf(stored: Stored): Exclude<ReplyBody, null> | undefined {
    const { body } = stored;
    if (!(body instanceof CacheFile)) return body;
    const isShort = body.length <= Math.min(this.options.maxEntry, SHORT);
    const found = isShort ? body.read() : body.source();
    if (found === undefined) this.forget(stored);
    else if (found instanceof Uint8Array) this.#remember({ ...stored, body: found });
    return found;
  }

  /** Takes a body that is too long for memory; undefined: nobody does. */
  overflow(stored: Stored): Overflow | undefined {
    const { store } = this.options;
    return store && this.disk?.begin(stored, store.maxEntry);
  }

  /** Forgets copies; gives their number. What is under way is not stored either. */
  purge(what: Purge): number {
    // Which keys an answer under way will bear is not known yet.
    for (const fetch of this.#underWay) {
      if (!("url" in what) || fetch.url === normalUrl(what.url)) fetch.isOutdated = true;
    }
    const gone = new Set<string>();
    for (const store of [this.store, this.disk]) {
      for (const stored of store === undefined ? [] : forgotten(store, what)) {
        gone.add(keyOf(stored));
      }
    }
    return gone.size;
  }

  /** Resolves once nothing of what was purged is left on the disk. */
  async purged(): Promise<void> {
    await this.disk?.removed();
  }

  /** Keeps an eye on something under way until it is `over`. */
  watch(fetch: UnderWay): { over(): void } {
    this.#underWay.add(fetch);
    return { over: () => this.#underWay.delete(fetch) };
  }

  countForwarded(why: string): void {
    this.forwarded.set(why, (this.forwarded.get(why) ?? 0) + 1);
  }

  flight(key: string): Flight | undefined {
    return this.#flights.get(key);
  }

  takeOff(key: string, flight: Flight): void {
    this.#flights.set(key, flight);
  }

  touchDown(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  /** Remembers that answers are for one alone: nobody is to wait for them. */
  pass(key: string, nowMs: number): void {
    this.#passes.delete(key);
    this.#passes.set(key, nowMs + PASS_MS);
    const [oldest] = this.#passes.keys();
    if (this.#passes.size > MAX_PASSES && oldest !== undefined) this.#passes.delete(oldest);
  }

  isPassed(key: string, nowMs: number): boolean {
    const until = this.#passes.get(key);
    if (until === undefined) return false;
    if (nowMs < until) return true;
    this.#passes.delete(key);
    return false;
  }

  put(stored: Stored): void {
    if (!this.#remember(stored)) this.store.deleteLike(stored);
    this.disk?.put(stored);
  }

  forget(stored: Stored): void {
    this.store.deleteLike(stored);
    this.disk?.delete(stored);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store.clear();
    await this.#shared?.[Symbol.asyncDispose]();
  }

  /** Keeps a copy in memory; false: it is too long for that. */
  #remember(stored: Stored): boolean {
    const { maxSize, maxEntry } = this.options;
    const { body } = stored;
    const fits = body instanceof Uint8Array && body.length <= maxEntry && costOf(stored) <= maxSize;
    if (fits) this.store.put(stored);
    return fits;
  }
}

function forgotten(store: CacheStore | DiskStore, what: Purge): readonly Stored[] {
  if ("url" in what) return store.deleteUrl(normalUrl(what.url));
  return "tag" in what ? store.deleteTag(what.tag) : store.clear();
}

/** A URL as copies are kept under it: the authority in lower case, the rest as it is. */
export function normalUrl(url: string): string {
  return url.replace(/^[^/?#]*\/\/[^/?#]*/, (origin) => origin.toLowerCase()).replace(/#.*$/, "");
}
