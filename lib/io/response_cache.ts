/**
 * What the routes of one cache share, and a reload keeps: the copies, the requests under way that others
 * wait for, and the URLs whose answers are known to be for one alone.
 */
import type { CacheOptions } from "../handler.ts";
import type { Flight } from "./cache_flight.ts";
import { CacheStore, type Stored } from "./cache_store.ts";

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

export class ResponseCache implements AsyncDisposable {
  readonly options: CacheOptions;
  readonly store: CacheStore;
  /** Requests that were looked up, and those of them that a copy answered. */
  lookUps = 0;
  hits = 0;
  /** What became of requests that no copy answered at once, by the words of Cache-Status (RFC 9211). */
  readonly forwarded = new Map<string, number>();
  readonly #flights = new Map<string, Flight>();
  readonly #underWay = new Set<UnderWay>();
  readonly #passes = new Map<string, number>();

  constructor(options: CacheOptions) {
    this.options = options;
    this.store = new CacheStore(options.maxSize);
  }

  /** Forgets copies; gives their number. What is under way is not stored either. */
  purge(what: Purge): number {
    // Which keys an answer under way will bear is not known yet.
    for (const fetch of this.#underWay) {
      if (!("url" in what) || fetch.url === normalUrl(what.url)) fetch.isOutdated = true;
    }
    if ("url" in what) return this.store.deleteUrl(normalUrl(what.url));
    return "tag" in what ? this.store.deleteTag(what.tag) : this.store.clear();
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
    this.store.put(stored);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.store.clear();
    return Promise.resolve();
  }
}

/** A URL as copies are kept under it: the authority in lower case, the rest as it is. */
export function normalUrl(url: string): string {
  return url.replace(/^[^/?#]*\/\/[^/?#]*/, (origin) => origin.toLowerCase()).replace(/#.*$/, "");
}
