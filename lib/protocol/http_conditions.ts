/**
 * Conditional requests (RFC 9110 §13): what the client already has, or insists on, weighed against the
 * validators of what would be sent.
 *
 * Strategy: the steps of §13.2.2 in their order, each a guard. What cannot be read does the safe thing:
 * an unreadable date is no condition (§13.1.3, §13.1.4), an unreadable tag matches nothing.
 */
import type { ByteString } from "../exchange.ts";
import { parseHttpDate } from "./http_date.ts";

/** What tells one state of a resource from another (RFC 9110 §8.8). */
export interface Validators {
  /** An entity-tag, in quotes, with `W/` if it is weak. */
  readonly etag: ByteString | undefined;
  /** Last-Modified: whole seconds, in milliseconds since 1970. */
  readonly modifiedMs: number | undefined;
}

export type Verdict =
  /** Answer as if there were no condition; a Range field counts only with leave. */
  | { readonly type: "proceed"; readonly allowsRange: boolean }
  /** 304: the client has it. */
  | { readonly type: "not-modified" }
  /** 412: this is not what the client insists on. */
  | { readonly type: "failed" };

const PROCEED: Verdict = { type: "proceed", allowsRange: true };
const PROCEED_WHOLE: Verdict = { type: "proceed", allowsRange: false };
const NOT_MODIFIED: Verdict = { type: "not-modified" };
const FAILED: Verdict = { type: "failed" };

/**
 * Weighs the conditions of a request (§13.2.2) whose answer without them would be a 200. Only a GET has
 * leave for ranges (§14.2).
 */
export function weighConditions(
  method: string,
  headers: Headers,
  { etag, modifiedMs }: Validators,
  nowMs = Date.now(),
): Verdict {
  const isRead = method === "GET" || method === "HEAD";
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null) {
    if (!listHolds(ifMatch, etag, isStrongMatch)) return FAILED;
  } else if (modifiedMs !== undefined) {
    const since = dateOf(headers.get("if-unmodified-since"), nowMs);
    if (since !== undefined && modifiedMs > since) return FAILED;
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null) {
    if (listHolds(ifNoneMatch, etag, isWeakMatch)) return isRead ? NOT_MODIFIED : FAILED;
  } else if (isRead && modifiedMs !== undefined) {
    const since = dateOf(headers.get("if-modified-since"), nowMs);
    if (since !== undefined && modifiedMs <= since) return NOT_MODIFIED;
  }
  if (method !== "GET") return PROCEED_WHOLE;
  const ifRange = headers.get("if-range");
  const keeps = ifRange === null || isUnchanged(ifRange, { etag, modifiedMs }, nowMs);
  return keeps ? PROCEED : PROCEED_WHOLE;
}

function dateOf(value: string | null, nowMs: number): number | undefined {
  return value === null ? undefined : parseHttpDate(value, nowMs);
}

/**
 * If-Range (§13.1.5): both validators must be strong. A date is as strong as its second is past
 * (§8.8.2.2), and it has to be the same, not just no earlier.
 */
function isUnchanged(value: ByteString, { etag, modifiedMs }: Validators, nowMs: number): boolean {
  const tag = tagAt(value, 0);
  if (tag !== undefined) return tag.length === value.length && isStrongMatch(tag, etag);
  const date = parseHttpDate(value, nowMs);
  return date !== undefined && date === modifiedMs && nowMs - date >= 1000;
}

type Match = (tag: ByteString, etag: ByteString | undefined) => boolean;

/** §8.8.3.2: both strong and the same. */
function isStrongMatch(tag: ByteString, etag: ByteString | undefined): boolean {
  return tag === etag && !tag.startsWith("W/");
}

/** §8.8.3.2: the same, weak or not. */
function isWeakMatch(tag: ByteString, etag: ByteString | undefined): boolean {
  return etag !== undefined && opaque(tag) === opaque(etag);
}

function opaque(tag: ByteString): ByteString {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}

/**
 * Whether `*` or a list of entity-tags (§5.6.1, §8.8.3) names the tag. A tag may hold commas; the list
 * ends at the first thing that is no tag.
 */
function listHolds(list: ByteString, etag: ByteString | undefined, matches: Match): boolean {
  // There is something to be sent, else nobody would ask.
  if (list === "*") return true;
  for (let at = afterGap(list, 0); at < list.length;) {
    const tag = tagAt(list, at);
    if (tag === undefined) return false;
    if (matches(tag, etag)) return true;
    const end = at + tag.length;
    at = afterGap(list, end);
    if (at < list.length && !list.slice(end, at).includes(",")) return false;
  }
  return false;
}

/** Where the run of commas and white space that begins at `at` ends. */
function afterGap(list: ByteString, at: number): number {
  let end = at;
  while (end < list.length && " \t,".includes(list.charAt(end))) end++;
  return end;
}

/** The entity-tag that begins at `at`. */
function tagAt(text: ByteString, at: number): ByteString | undefined {
  const open = text.startsWith("W/", at) ? at + 2 : at;
  if (text.charAt(open) !== '"') return undefined;
  const close = text.indexOf('"', open + 1);
  return close === -1 ? undefined : text.slice(at, close + 1);
}
