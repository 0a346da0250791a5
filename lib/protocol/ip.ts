/**
 * IP addresses and networks of them (RFC 4291, RFC 4632). The readers are strict, since trust hangs on
 * what they let through. Written out: packages for it take in what is an address to some readers alone,
 * and longer to load than all else that a request meets.
 */

/** 4 bytes of IPv4, or 16 of IPv6. */
export interface Ip {
  readonly bytes: readonly number[];
  /** In its plain form (RFC 5952). */
  readonly text: string;
}

/**
 * Reads an IP address without brackets, port or zone. IPv4 is four decimal numbers without leading
 * zeros and nothing else: `010.0.0.1` is 8.0.0.1 to some readers, so it is an address to none. An
 * IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is the IPv4 address it holds, so that a dual-stack
 * listener and a plain one see the same client.
 */
export function parseIp(text: string): Ip | undefined {
  if (text.length > MAX_IP) return undefined;
  if (!text.includes(":")) {
    const bytes = parseIpv4(text);
    return bytes && { bytes, text };
  }
  const groups = parseIpv6(text);
  if (groups === undefined) return undefined;
  const bytes = groups.flatMap((group) => [group >> 8, group & 0xff]);
  const mapped = MAPPED.every((group, i) => groups[i] === group) ? bytes.slice(-4) : undefined;
  return mapped === undefined
    ? { bytes, text: formatIpv6(groups) }
    : { bytes: mapped, text: mapped.join(".") };
}

/** Spares the expressions the 64 KiB that a field may hold. */
const MAX_IP = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;
/** What an IPv4-mapped address begins with. */
const MAPPED = [0, 0, 0, 0, 0, 0xffff];

function parseIpv4(text: string): number[] | undefined {
  return IPV4.test(text) ? text.split(".").map(Number) : undefined;
}

/** The eight groups of an IPv6 address. */
function parseIpv6(text: string): number[] | undefined {
  const [head = "", tail, ...more] = withoutDots(text)?.split("::") ?? ["", "", ""];
  if (more.length > 0) return undefined;
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  if (![...before, ...after].every((group) => GROUP.test(group))) return undefined;
  const zeros = Array.from({ length: missing }, () => "0");
  return [...before, ...zeros, ...after].map((group) => parseInt(group, 16));
}

/** An IPv6 address with its dotted tail, if any, in hexadecimal; undefined if that is no IPv4 address. */
function withoutDots(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const border = text.lastIndexOf(":") + 1;
  const tail = parseIpv4(text.slice(border));
  if (tail === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = tail;
  return `${text.slice(0, border)}${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
}

/** RFC 5952 §4: small letters, no leading zeros, the first of the longest runs of zeros left out. */
function formatIpv6(groups: readonly number[]): string {
  let start = 0;
  let length = 0;
  for (let at = 0; at < groups.length; at++) {
    let end = at;
    while (groups[end] === 0) end++;
    if (end - at > length) [start, length] = [at, end - at];
    at = end;
  }
  const written = groups.map((group) => group.toString(16));
  if (length < 2) return written.join(":");
  return `${written.slice(0, start).join(":")}::${written.slice(start + length).join(":")}`;
}

/** Whether it is of this very machine (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3). */
export function isLoopback({ bytes, text }: Ip): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : text === "::1";
}

/** Addresses whose word is taken: a network, or every peer on a Unix socket. */
export type Range = "unix" | { readonly ip: Ip; readonly bits: number };

/** Reads `10.0.0.0/8`, `2001:db8::/32`, one address, or the word `unix`. */
export function parseRange(text: string): Range | undefined {
  if (text === "unix") return "unix";
  const [address = "", prefix, ...rest] = text.split("/");
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0) return undefined;
  const width = 8 * ip.bytes.length;
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
    return begins(subject.bytes, range.ip.bytes, range.bits);
  });
}

/** Whether two addresses of one sort have their first bits in common. */
function begins(bytes: readonly number[], others: readonly number[], bits: number): boolean {
  if (bytes.length !== others.length) return false;
  return bytes.every((byte, i) => {
    const ignored = Math.min(8, Math.max(0, 8 * (i + 1) - bits));
    return byte >> ignored === (others[i] ?? 0) >> ignored;
  });
}
