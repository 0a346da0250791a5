/**
 * Which replies are worth compressing, and what compressing does to their fields (RFC 9110 §8.4). What is
 * left alone: what is short, a part, compressed already, or not to be transformed (§7.7).
 */
import type { HeaderPair } from "../exchange.ts";
import { declaredLength, fieldOf, varyingBy, weakened, without } from "./header_list.ts";

/** zstd: RFC 8878; br: RFC 7932; gzip: RFC 1952. */
export type Coding = "zstd" | "br" | "gzip";

/** All, best first. */
export const CODINGS: readonly Coding[] = ["zstd", "br", "gzip"];

/** Shorter bodies fit into one packet either way, and grow as often as they shrink. */
export const MIN_COMPRESSED = 1024;

/** Text, and the formats that are text or as loose as text. */
const TYPES =
  /^(?:text\/|[^;]*[+/](?:json|xml|javascript|x-javascript|ecmascript|wasm|manifest|svg|x-ndjson|graphql|rtf)(?:[; \t]|$)|[^;]*\+(?:json|xml|text)|font\/(?:ttf|otf)|application\/vnd\.ms-fontobject|image\/(?:bmp|x-icon|vnd\.microsoft\.icon))/i;

/**
 * Whether the reply is one that is compressed for those who want it. What it is for one client it has to
 * be for all, for caches are told that it varies.
 */
export function isCompressible(
  status: number,
  headers: readonly HeaderPair[],
  length = declaredLength(headers),
): boolean {
  if (status < 200 || status === 204 || status === 205 || status === 206 || status === 304) {
    return false;
  }
  if (length !== undefined && length < MIN_COMPRESSED) return false;
  if (!TYPES.test(fieldOf(headers, "content-type") ?? "")) return false;
  if (AS_IT_IS.some((name) => fieldOf(headers, name) !== undefined)) return false;
  return !/\bno-transform\b/i.test(fieldOf(headers, "cache-control") ?? "");
}

const AS_IT_IS = ["content-encoding", "content-range"];

/** The fields of a reply that might have been compressed, and is not. */
export function negotiated(headers: readonly HeaderPair[]): HeaderPair[] {
  return varyingBy(headers, "Accept-Encoding");
}

/** The fields of the same reply in other bytes. */
export function encoded(headers: readonly HeaderPair[], coding: Coding): HeaderPair[] {
  const kept = weakened(without(headers, ...OF_OTHER_BYTES));
  return [...negotiated(kept), ["content-encoding", coding]];
}

/** What was said of the bytes that went in (RFC 9530 has the digests). */
const OF_OTHER_BYTES = [
  "accept-ranges",
  "content-digest",
  "content-length",
  "content-md5",
  "digest",
  "repr-digest",
];

/**
 * The fields of a 304 on a route that compresses. Whoever asks with a weak tag has the compressed reply,
 * and is told the tag that this one bears: a cache updates what it has by it (RFC 9111 §4.3.4).
 */
export function notModified(headers: readonly HeaderPair[], asked: Headers): HeaderPair[] {
  const etag = fieldOf(headers, "etag");
  const hasWeak = etag !== undefined && asked.get("if-none-match")?.includes(`W/${etag}`) === true;
  return negotiated(hasWeak ? weakened(headers) : headers);
}
