/**
 * The hops that `Forwarded` (RFC 7239 §4) and `X-Forwarded-For` list, read from the right: element by
 * element past trusted addresses, so that what a client wrote further left cannot swallow what its proxy
 * appended.
 */
import type { Endpoint } from "../exchange.ts";
import { contains, type Ip, parseIp, type Range } from "./ip.ts";

/** One element: a hop, as the hop to its right saw it. */
interface Hop {
  /** Undefined if the hop is hidden: `unknown`, obfuscated (RFC 7239 §6.2, §6.3), or left out. */
  readonly ip: Ip | undefined;
  readonly port: number;
  readonly proto?: string | undefined;
  readonly host?: string | undefined;
}

/** Where a walk ended. */
interface Walk {
  /** The last address met; undefined if there was none. */
  readonly client: Endpoint | undefined;
  /** The last element that could be read. */
  readonly hop: Hop | undefined;
  /** Its place, counted from the right. */
  readonly depth: number;
}

/** Goes left past trusted hops. Ends at an untrusted one, a hidden one, a malformed one, or the start. */
export function walk(
  ranges: readonly Range[],
  text: string,
  read: (element: string) => Hop | undefined,
): Walk {
  let client: Endpoint | undefined;
  let hop: Hop | undefined;
  let depth = -1;
  for (let end = text.length; end >= 0;) {
    const start = elementStart(text, end);
    const element = trimBlanks(text.slice(start, end));
    end = start - 1;
    if (element === "") continue; // RFC 9110 §5.6.1.2: empty elements do not count
    const next = read(element);
    if (next === undefined) break;
    hop = next;
    depth++;
    if (hop.ip === undefined) break;
    client = { address: hop.ip.text, port: hop.port };
    if (!contains(ranges, hop.ip)) break;
  }
  return { client, hop, depth };
}

const COMMA = 0x2c;
const QUOTE = 0x22;

/**
 * Where the element that ends before `end` starts. Inside a quoted string an unescaped quote cannot
 * stand, so the nearest `="` to the left of a closing quote is what opened it.
 */
function elementStart(text: string, end: number): number {
  for (let at = end - 1; at >= 0; at--) {
    const unit = text.charCodeAt(at);
    if (unit === COMMA) return at + 1;
    if (unit === QUOTE) at = text.lastIndexOf('="', at - 2);
  }
  return 0;
}

const PAIR =
  /[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)"))?[ \t]*(?:;|$)/y;

/** Reads an element of `Forwarded`; undefined if it breaks the grammar or names a parameter twice. */
export function readElement(element: string): Hop | undefined {
  const pairs = new Map<string, string>();
  for (PAIR.lastIndex = 0; PAIR.lastIndex < element.length;) {
    const match = PAIR.exec(element);
    if (match === null) return undefined;
    const [, name, token, quoted = ""] = match;
    if (name === undefined) continue;
    const key = name.toLowerCase();
    if (pairs.has(key)) return undefined;
    pairs.set(key, token ?? quoted.replace(/\\(.)/g, "$1"));
  }
  const node = pairs.get("for");
  const from = node === undefined ? HIDDEN : readNode(node);
  return from && { ...from, proto: pairs.get("proto"), host: pairs.get("host") };
}

const HIDDEN: Hop = { ip: undefined, port: 0 };
const NODE =
  /^(?:([\d.]+)|\[([\dA-Fa-f.]*:[\dA-Fa-f:.]*)\]|unknown|_[\w.-]+)(?::(?:(\d{1,5})|_[\w.-]+))?$/i;

/** RFC 7239 §6: an IPv4 address, a bracketed IPv6 one, `unknown` or `_name`; perhaps with a port. */
function readNode(node: string): Hop | undefined {
  const match = NODE.exec(node);
  if (match === null) return undefined;
  const port = Number(match[3] ?? 0);
  const address = match[1] ?? match[2];
  const ip = address === undefined ? undefined : parseIp(address);
  const malformed = port > 65_535 || (address !== undefined && ip === undefined);
  return malformed ? undefined : { ip, port };
}

/** An element of X-Forwarded-For: as a node, and also bare IPv6, as nearly all write it. */
export function readAddress(element: string): Hop | undefined {
  const ip = parseIp(element);
  return ip === undefined ? readNode(element) : { ip, port: 0 };
}

export function parsePort(text: string | undefined): number | undefined {
  const port = /^\d{1,5}$/.test(text ?? "") ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Drops blanks (SP, HTAB) at both ends. Not trim(), which also takes U+00A0, a byte of the wire here. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}
