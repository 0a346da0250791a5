/**
 * Whether a shared cache may store a reply, and for how long it may be used (RFC 9111 §3, §4.2, §5.2).
 *
 * Strategy: http-cache-semantics decides what may be stored and how long it lives. It is told of the reply
 * in a plain form: one set of directives, targeted ones put in their place, dates and ages that can be
 * read. What it takes for stale at once (must-revalidate, proxy-revalidate) is a rule about stale
 * replies alone (§5.2.2.2) and is kept from it; so are fields that are weighed here, more strictly.
 */
// @ts-types="npm:@types/http-cache-semantics@4.2.0"
import CachePolicy from "http-cache-semantics";
import type { ByteString, HeaderPair } from "../exchange.ts";
import { type Directives, instructionsOf, parseCacheControl, seconds } from "./cache_control.ts";
import { fieldOf } from "./header_list.ts";
import { parseHttpDate } from "./http_date.ts";

/** What is decided of a reply that may be stored. Times in milliseconds. */
export interface Judgement {
  /** For how long it is fresh, from when it was made. 0: it has to be validated each time. */
  readonly lifetimeMs: number;
  /** How old it was when it came. */
  readonly initialAgeMs: number;
  /** How long past that it may be used while a new one is fetched, or when none can be had (RFC 5861). */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Whether requests with credentials may be answered with it (§3.5). */
  readonly isForAll: boolean;
}

/** What the route says where the reply says nothing. */
export interface PolicyOptions {
  readonly defaultTtlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Leave to store replies that set cookies. */
  readonly storeCookies: boolean;
}

export interface PolicyQuestion {
  readonly asked: Headers;
  /** Whether the client is known by name: by credentials, or to the gateway. */
  readonly isAuthenticated: boolean;
  readonly status: number;
  readonly headers: readonly HeaderPair[];
}

/** Judges the reply to a GET; undefined: it must not be stored, or there is no use in it. */
export function judge(
  { asked, isAuthenticated, status, headers }: PolicyQuestion,
  options: PolicyOptions,
  nowMs = Date.now(),
): Judgement | undefined {
  const { directives, isTargeted } = instructionsOf(headers);
  if (fieldOf(headers, "vary")?.includes("*") === true) return undefined;
  if (!options.storeCookies && fieldOf(headers, "set-cookie") !== undefined) return undefined;
  // A stream of events has no end to be stored by.
  if (/^text\/event-stream/i.test(fieldOf(headers, "content-type") ?? "")) return undefined;
  const isForAll = ["public", "s-maxage", "must-revalidate"].some((name) => directives.has(name));
  if (isAuthenticated && !isForAll) return undefined;
  if (parseCacheControl(asked.get("cache-control")).has("no-store")) return undefined;
  const facts = plainFacts(status, headers, { directives, isTargeted });
  const policy = new CachePolicy({ method: "GET", headers: {} }, facts, {
    shared: true,
    // A guess about when a page may change is for its owner to make.
    cacheHeuristic: 0,
    immutableMinTimeToLive: 0,
  });
  if (!policy.storable()) return undefined;
  const hasOwn = isTargeted || SAYS_OWN.some((name) => fieldOf(headers, name) !== undefined);
  const isGuessed = !hasOwn && !asked.has("cookie") && BY_DEFAULT.has(status);
  const lifetimeMs = isGuessed ? options.defaultTtlMs : policy.maxAge() * 1000;
  const stale = staleTimes(directives, options);
  const canValidate = fieldOf(headers, "etag") !== undefined ||
    fieldOf(headers, "last-modified") !== undefined;
  if (lifetimeMs <= 0 && (!hasOwn || !canValidate)) return undefined;
  return { lifetimeMs, initialAgeMs: initialAge(headers, nowMs), ...stale, isForAll };
}

const SAYS_OWN = ["cache-control", "expires", "pragma"];

/** Statuses that are cached without being told to (RFC 9110 §15.1), but for 206. */
const BY_DEFAULT: ReadonlySet<number> = new Set([
  200,
  203,
  204,
  300,
  301,
  308,
  404,
  405,
  410,
  414,
  501,
]);

interface Told {
  readonly directives: Directives;
  readonly isTargeted: boolean;
}

/** The reply as the library can read it. */
function plainFacts(status: number, headers: readonly HeaderPair[], told: Told) {
  const { isTargeted } = told;
  const directives = new Map(told.directives);
  for (const name of ["must-revalidate", "proxy-revalidate"]) directives.delete(name);
  // §5.2.2.3: a cache that knows the status does as the other directives say.
  if (directives.delete("must-understand") && KNOWN.has(status)) directives.delete("no-store");
  for (const name of ["max-age", "s-maxage"]) {
    const value = directives.get(name);
    if (value !== undefined) directives.set(name, String(seconds(value)));
  }
  const plain: Record<string, string> = {};
  if (directives.size > 0) plain["cache-control"] = written(directives);
  const date = parseHttpDate(fieldOf(headers, "date") ?? "");
  if (date !== undefined) plain["date"] = new Date(date).toUTCString();
  const expires = isTargeted ? undefined : fieldOf(headers, "expires");
  if (expires !== undefined) {
    const time = parseHttpDate(expires) ?? parseHttpDate(inOwnCase(expires));
    plain["expires"] = time === undefined ? "0" : new Date(time).toUTCString();
  }
  const pragma = isTargeted ? undefined : fieldOf(headers, "pragma");
  if (pragma !== undefined) plain["pragma"] = pragma;
  return { status: knownStatus(status, directives, expires), headers: plain };
}

/** A date whose names of day, month and zone are written in any case, as they should be. */
function inOwnCase(date: ByteString): ByteString {
  return date.toLowerCase().replace(/\b[a-z]/g, (letter) => letter.toUpperCase())
    .replace(/\bGmt$/, "GMT");
}

/**
 * §3: any final status may be stored if the reply says for how long. The library knows fewer, so the
 * others are told to it as one that it knows.
 */
function knownStatus(status: number, directives: Directives, expires: string | undefined): number {
  const isExplicit = expires !== undefined ||
    ["max-age", "s-maxage", "public"].some((name) => directives.has(name));
  return isExplicit && !PARTIAL.has(status) ? 200 : status;
}

/** A part, or an answer to a condition that only one client has. */
const PARTIAL: ReadonlySet<number> = new Set([206, 304, 412, 416]);

/** Statuses whose meaning for a cache is known here. */
const KNOWN: ReadonlySet<number> = new Set([...BY_DEFAULT, 302, 303, 307]);

function written(directives: Directives): string {
  return Array.from(
    directives,
    ([name, value]) => value === true ? name : `${name}="${clean(value)}"`,
  )
    .join(", ");
}

/** The library splits at commas wherever they stand, and no argument that counts has any. */
function clean(value: ByteString): string {
  return value.replace(/[",]/g, " ");
}

function staleTimes(directives: Directives, options: PolicyOptions) {
  // §4.2.4, §5.2.2.10: stale replies are for those who did not forbid them.
  const forbids = ["must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"]
    .some((name) => directives.has(name));
  const time = (name: string, otherwise: number) => {
    const said = directives.get(name);
    if (said !== undefined) {
      return directives.has("no-cache") || mustValidate(directives) ? 0 : seconds(said) * 1000;
    }
    return forbids ? 0 : otherwise;
  };
  return {
    staleWhileRevalidateMs: time("stale-while-revalidate", options.staleWhileRevalidateMs),
    staleIfErrorMs: time("stale-if-error", options.staleIfErrorMs),
  };
}

function mustValidate(directives: Directives): boolean {
  return directives.has("must-revalidate") || directives.has("proxy-revalidate");
}

/** §4.2.3: by the fields Age and Date, whichever makes it older. */
function initialAge(headers: readonly HeaderPair[], nowMs: number): number {
  const date = parseHttpDate(fieldOf(headers, "date") ?? "");
  const apparent = date === undefined ? 0 : Math.max(0, nowMs - date);
  const [age = ""] = (fieldOf(headers, "age") ?? "").split(",");
  // A Date of this very second says nothing of an age.
  return Math.max(seconds(age.trim()) * 1000, apparent < 2000 ? 0 : apparent);
}
