/**
 * The words of an indexed query, `/find?two+words`, which a CGI program may receive as arguments (RFC 3875
 * §4.4). A query is such a one as a whole or not at all: if one word cannot be passed on, none is.
 *
 * Stricter than the RFC in one thing: to most programs a word that begins with `-` is an option. `?-s` made
 * php-cgi show its source and `?-d+...` run foreign code (CVE-2012-1823).
 */
import type { ByteString } from "../exchange.ts";
import { bytesFromLatin1 } from "./http_fields.ts";

/** RFC 3875 §4.4: `search-word = 1*schar`. An unencoded `=` makes the query a form's. */
const SEARCH_WORD = /^(?:[A-Za-z0-9\-_.!~*'();/?:@&,$]|%[0-9A-Fa-f]{2})+$/;

/** Far below what systems take, far above what anybody searches for. */
const MAX_WORDS = 256;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The words to append to the command line; none unless the query has nothing but words fit for it. */
export function searchWords(method: string, query: ByteString): readonly string[] {
  if (method !== "GET" && method !== "HEAD") return [];
  if (query.includes("=")) return [];
  const words: string[] = [];
  for (const encoded of query.split("+", MAX_WORDS + 1)) {
    const word = decodeWord(encoded);
    if (word === undefined || words.length === MAX_WORDS) return [];
    words.push(word);
  }
  return words;
}

/** Undefined: no argument can be this word, or none shall. */
function decodeWord(encoded: ByteString): string | undefined {
  if (!SEARCH_WORD.test(encoded)) return undefined;
  const word = encoded.replace(/%(..)/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  if (word.startsWith("-") || word.includes("\0")) return undefined;
  try {
    // Arguments are text, written as UTF-8: bytes that are not would become other words.
    return UTF8.decode(bytesFromLatin1(word));
  } catch {
    return undefined;
  }
}
