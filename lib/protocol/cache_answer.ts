/**
 * What a cache does to fields: those that a copy keeps, those that a 304 brings up to date (RFC 9111
 * §3.1, §3.2), those that tell of the copy (Age, and Cache-Status of RFC 9211), and those that name it
 * (Surrogate-Key, Cache-Tag).
 */
import type { ByteString, HeaderPair } from "../exchange.ts";
import { fieldOf, tokensOf, without } from "./header_list.ts";
import { formatHttpDate } from "./http_date.ts";

/** The fields of a reply as they are kept with a copy; its length is that of its bytes. */
export function keptFields(headers: readonly HeaderPair[], nowMs: number): HeaderPair[] {
  const kept = without(headers, "age", "content-length");
  // RFC 9110 §6.6.1. Where nothing is reckoned from it, Age says all that a Date would, and the runtime
  // dates the answer.
  if (fieldOf(kept, "date") === undefined && fieldOf(kept, "expires") !== undefined) {
    kept.push(["date", formatHttpDate(nowMs)]);
  }
  return kept;
}

/** The fields of a copy that a 304 has confirmed: all that it says anew, but for what the body says. */
export function freshenedFields(
  stored: readonly HeaderPair[],
  confirmed: readonly HeaderPair[],
): HeaderPair[] {
  const news = without(confirmed, ...OF_THE_BODY);
  const named = new Set(news.map(([name]) => name.toLowerCase()));
  // The copy's own Date and Age are those of the reply that it was.
  return [...without(stored, ...named, "date", "age"), ...news];
}

const OF_THE_BODY = [
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "transfer-encoding",
];

/** Whether a 304 can be about the copy with these fields (RFC 9111 §4.3.4). */
export function confirms(
  confirmed: readonly HeaderPair[],
  stored: readonly HeaderPair[],
): boolean {
  const etag = fieldOf(confirmed, "etag");
  if (etag === undefined) return true;
  const opaque = (tag: ByteString | undefined) => tag?.replace(/^W\//, "");
  return opaque(etag) === opaque(fieldOf(stored, "etag"));
}

/** Request fields that ask whether the copy still holds; undefined: it has no validator. */
export function validatingFields(stored: readonly HeaderPair[]): HeaderPair[] | undefined {
  const etag = fieldOf(stored, "etag");
  const modified = fieldOf(stored, "last-modified");
  const fields: HeaderPair[] = [];
  if (etag !== undefined) fields.push(["if-none-match", etag]);
  if (modified !== undefined) fields.push(["if-modified-since", modified]);
  return fields.length === 0 ? undefined : fields;
}

/** The names that Vary lists, in lower case and in order. */
export function varyNames(headers: readonly HeaderPair[]): string[] {
  return [...new Set(tokensOf(headers, "vary"))].sort();
}

/** A request's field in the form in which two are compared (RFC 9111 §4.1). */
export function comparable(value: ByteString | null): ByteString {
  return value === null ? "" : value.replace(/[ \t]*,[ \t,]*/g, ",").trim();
}

/** Surrogate keys: words of Surrogate-Key, items of Cache-Tag. */
export function tagsOf(headers: readonly HeaderPair[]): string[] {
  const words = fieldOf(headers, "surrogate-key")?.split(/[\s,]+/) ?? [];
  const items = fieldOf(headers, "cache-tag")?.split(",").map((item) => item.trim()) ?? [];
  return [...new Set([...words, ...items])].filter((tag) => tag !== "");
}

/** Whole seconds, as Age and ttl say them. */
export function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** The fields, with what this cache has to tell behind what others have told (RFC 9211 §2). */
export function withStatus(headers: readonly HeaderPair[], status: string): HeaderPair[] {
  const before = fieldOf(headers, "cache-status");
  const own = `portico; ${status}`;
  if (before === undefined) return [...headers, ["cache-status", own]];
  return [...without(headers, "cache-status"), ["cache-status", `${before}, ${own}`]];
}

/**
 * The URLs that an answer to an unsafe method may have changed besides its own (RFC 9111 §4.4): those of
 * Location and Content-Location, on the same origin.
 */
export function changedUrls(url: string, headers: readonly HeaderPair[]): string[] {
  const changed: string[] = [];
  for (const name of ["location", "content-location"]) {
    const value = fieldOf(headers, name);
    const to = value === undefined ? null : URL.parse(value, url);
    if (to !== null && to.origin === URL.parse(url)?.origin) {
      changed.push(to.href.replace(/#.*/, ""));
    }
  }
  return changed;
}
