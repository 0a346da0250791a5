/**
 * What may stand as a host: authorities (RFC 9110 §7.2, RFC 3986 §3.2.2, without userinfo). The reader is
 * strict, since routing and SERVER_NAME hang on what it lets through: the runtime hands over a Host such as
 * `a/b` or `a?b` as it came, and two joined Host fields as `a, b`.
 *
 * A server meets few authorities and meets them often, so the hot path is one look into a bounded map.
 */
import { parseIp } from "./ip.ts";

/** A host and perhaps a port, as a client names them. */
export interface Authority {
  /** Lower case; IPv6 in brackets. */
  readonly hostname: string;
  /** Undefined if none was written, or an empty one (`host:`). */
  readonly port: number | undefined;
}

// The lengths also bound what a hostile client can make the cache hold.
const AUTHORITY = /^([A-Za-z0-9._-]{1,255}|\[([0-9A-Fa-f:.]{2,45})\])(?::(\d{0,5}))?$/;
const MAX_CACHED = 1024;
const cache = new Map<string, Authority>();

/**
 * Reads `host`, `host:port` or `[IPv6]:port`. Undefined for anything else: userinfo, percent-escapes,
 * zone identifiers, controls, blanks, an empty host, a port above 65535.
 */
export function parseAuthority(text: string): Authority | undefined {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const authority = readAuthority(text);
  if (authority === undefined) return undefined;
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(text, authority);
  return authority;
}

function readAuthority(text: string): Authority | undefined {
  const [, hostname, ipv6, digits] = AUTHORITY.exec(text) ?? [];
  if (hostname === undefined) return undefined;
  if (ipv6 !== undefined && (!ipv6.includes(":") || parseIp(ipv6) === undefined)) return undefined;
  if (ipv6 === undefined && !isName(hostname.toLowerCase())) return undefined;
  const port = digits ? Number(digits) : undefined;
  if (port !== undefined && port > 65_535) return undefined;
  return { hostname: hostname.toLowerCase(), port };
}

/**
 * Whether URLs take the name, and for what it is: they refuse `a.127` and `xn--a`, so that an application
 * that reads its request's URL would fail, and turn `2130706433` and `0x7f.1` into 127.0.0.1.
 */
function isName(lowerName: string): boolean {
  return URL.parse(`http://${lowerName}/`)?.hostname === lowerName;
}
