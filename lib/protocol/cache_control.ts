/**
 * Directives for caches (RFC 9111 §5.2): Cache-Control, and the targeted field that speaks to CDNs alone
 * and wins over it (RFC 9213).
 *
 * Cache-Control is read leniently and to the safe side: names in any case, arguments quoted or not, and
 * of two that differ the one that allows less (§4.2.1). The targeted field is a Structured Field, and one
 * that cannot be read is as good as absent (RFC 9213 §2.1).
 */
import type { ByteString, HeaderPair } from "../exchange.ts";
import { fieldOf } from "./header_list.ts";

/** Directives by lower-case name; true for one without an argument. */
export type Directives = ReadonlyMap<string, ByteString | true>;

/** One directive (§5.2): a token, and perhaps a token or a quoted string. */
const DIRECTIVE =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",]*)))?[^,]*(?:,|$)/y;

/** Reads Cache-Control; a directive that cannot be read is skipped. */
export function parseCacheControl(field: ByteString | undefined | null): Directives {
  const directives = new Map<string, ByteString | true>();
  if (field === undefined || field === null) return directives;
  for (let at = 0; at < field.length;) {
    DIRECTIVE.lastIndex = at;
    const match = DIRECTIVE.exec(field);
    if (match === null) {
      const comma = field.indexOf(",", at);
      at = comma === -1 ? field.length : comma + 1;
      continue;
    }
    at = DIRECTIVE.lastIndex;
    const [, name = "", quoted, plain] = match;
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain?.trim() ?? true;
    const lower = name.toLowerCase();
    const known = directives.get(lower);
    directives.set(lower, known === undefined ? value : lesser(known, value));
  }
  return directives;
}

/** Of two arguments the one that allows less; what is no number allows nothing. */
function lesser(a: ByteString | true, b: ByteString | true): ByteString | true {
  return seconds(a) <= seconds(b) ? a : b;
}

/** The greatest lifetime there is (RFC 9111 §1.2.2). */
const MAX_SECONDS = 2 ** 31;

/** Delta-seconds; 0 for what is none: it is then stale at once (§4.2.1). */
export function seconds(value: ByteString | true | undefined): number {
  if (typeof value !== "string" || !/^\d+$/.test(value)) return 0;
  return Math.min(Number(value), MAX_SECONDS);
}

/** A dictionary of RFC 8941, as far as directives need one: tokens, whole numbers, strings, switches. */
const MEMBER =
  /[ \t]*([a-z*][a-z0-9_.*-]*)(?:=(?:(-?\d{1,15})|"((?:[^"\\]|\\["\\])*)"|([A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)|\?([01])))?((?:;[ ]*[a-z*][a-z0-9_.*-]*(?:=(?:-?\d+(?:\.\d+)?|"[^"]*"|[A-Za-z*][^ ;,"]*|\?[01]))?)*)[ \t]*(,|$)/y;

/** Directives whose argument is a time: a whole number (RFC 9213 §2.1). */
const TIMES = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

/** Reads a targeted field; undefined if it is absent, empty or malformed. */
export function parseTargeted(field: ByteString | undefined): Directives | undefined {
  if (field === undefined || field.trim() === "") return undefined;
  const directives = new Map<string, ByteString | true>();
  for (let at = 0; at < field.length;) {
    MEMBER.lastIndex = at;
    const match = MEMBER.exec(field);
    if (match === null) return undefined;
    at = MEMBER.lastIndex;
    const [, name = "", integer, text, token, truth, , separator] = match;
    if (separator === "," && field.slice(at).trim() === "") return undefined;
    if (TIMES.includes(name) && integer === undefined) return undefined;
    if (truth === "0") directives.delete(name);
    else directives.set(name, integer ?? text ?? token ?? true);
  }
  return directives;
}

/** What a reply says to a shared cache such as this one. */
export interface Instructions {
  readonly directives: Directives;
  /** Whether the targeted field said it: Expires and Pragma then mean nothing (RFC 9213 §2.2). */
  readonly isTargeted: boolean;
}

export function instructionsOf(headers: readonly HeaderPair[]): Instructions {
  const targeted = parseTargeted(fieldOf(headers, "cdn-cache-control"));
  if (targeted !== undefined) return { directives: targeted, isTargeted: true };
  const directives = parseCacheControl(fieldOf(headers, "cache-control"));
  return { directives, isTargeted: false };
}
