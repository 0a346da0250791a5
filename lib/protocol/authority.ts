/**
 * What may stand as a host: authorities (RFC 9110 §7.2, RFC 3986 §3.2.2, without userinfo) and IP
 * addresses. Both readers are strict, since routing, SERVER_NAME and trust hang on what they let through:
 * the runtime hands over a Host such as `a/b` or `a?b` as it came, and two joined Host fields as `a, b`.
 *
 * A server meets few authorities and meets them often, so the hot path is one look into a bounded map.
 */
import ipaddr from "ipaddr.js";

/** A host and perhaps a port, as a client names them. */
export interface Authority {
  /** Lower case; IPv6 in brackets. */
  readonly hostname: string;
  /** Undefined if none was written, or an empty one (`host:`). */
  readonly port: number | undefined;
}

export type Ip = ipaddr.IPv4 | ipaddr.IPv6;

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
  const port = digits ? Number(digits) : undefined;
  if (port !== undefined && port > 65_535) return undefined;
  return { hostname: hostname.toLowerCase(), port };
}

/** Spares the library's expressions the 64 KiB that a field may hold. */
const MAX_IP = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;
const HEX_GROUPS = /^[0-9A-Fa-f:]+$/;

/**
 * Reads an IP address without brackets, port or zone. IPv4 is four decimal numbers without leading
 * zeros and nothing else: `010.0.0.1` is 8.0.0.1 to some readers, so it is an address to none. An
 * IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is the IPv4 address it holds, so that a dual-stack
 * listener and a plain one see the same client.
 */
export function parseIp(text: string): Ip | undefined {
  if (text.length > MAX_IP) return undefined;
  if (!text.includes(":")) return parseIpv4(text);
  const groups = withoutDots(text);
  if (groups === undefined || !HEX_GROUPS.test(groups)) return undefined;
  if (!ipaddr.IPv6.isValid(groups)) return undefined;
  const ip = ipaddr.IPv6.parse(groups);
  return ip.isIPv4MappedAddress() ? ip.toIPv4Address() : ip;
}

function parseIpv4(text: string): ipaddr.IPv4 | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined;
}

/**
 * An IPv6 address with its dotted tail, if any, in hexadecimal. ipaddr.js takes octal and hexadecimal
 * numbers in that tail, and `::1.2.3.4` for `::ffff:1.2.3.4`; it is not left to it.
 */
function withoutDots(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const border = text.lastIndexOf(":") + 1;
  const tail = parseIpv4(text.slice(border));
  if (tail === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = tail.octets;
  return `${text.slice(0, border)}${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
}

/** Addresses whose word is taken: a network, or every peer on a Unix socket. */
export type Range = "unix" | { readonly ip: Ip; readonly bits: number };

/** Reads `10.0.0.0/8`, `2001:db8::/32`, one address, or the word `unix`. */
export function parseRange(text: string): Range | undefined {
  if (text === "unix") return "unix";
  const [address = "", prefix, ...rest] = text.split("/");
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0) return undefined;
  const width = ip.kind() === "ipv4" ? 32 : 128;
  if (prefix === undefined) return { ip, bits: width };
  const unmapped = width === 32 && address.includes(":") ? 96 : 0;
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) - unmapped : -1;
  return bits < 0 || bits > width ? undefined : { ip, bits };
}

/** Whether an address, or a Unix socket's end, lies in one of the ranges. */
export function contains(ranges: readonly Range[], subject: Ip | "unix" | undefined): boolean {
  if (subject === undefined) return false;
  return ranges.some((range) => {
    if (range === "unix" || subject === "unix") return range === subject;
    return range.ip.kind() === subject.kind() && subject.match(range.ip, range.bits);
  });
}
