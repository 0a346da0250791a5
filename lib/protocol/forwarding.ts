/**
 * Who is the client: what a trusted proxy says of the hops before it, by `Forwarded` (RFC 7239) or
 * `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, or of the client by a CDN's own field. One rule yields
 * address, scheme, authority and port.
 *
 * Each hop appends at the right what it saw; whatever stands further left may be a client's invention.
 * So the walk starts at the peer and goes left past trusted addresses up to the first that is not: the
 * last one that somebody trusted vouches for. It also reads from the right, element by element: an
 * unclosed quote that a client sent ahead cannot swallow what its proxy appended.
 */
import type { Endpoint } from "../exchange.ts";
import { parseAuthority } from "./authority.ts";
import { parsePort, readAddress, readElement, trimBlanks, walk } from "./forwarded_hops.ts";
import { contains, parseIp, parseRange, type Range } from "./ip.ts";

type Scheme = "http" | "https";

/** What the server itself knows of how a request came in. */
export interface Received {
  readonly scheme: Scheme;
  readonly authority: string;
  readonly serverPort: number;
}

/** How the request came to the outermost trusted proxy; as received if none speaks. */
export interface Forwarded extends Received {
  /** IPv4 where it is IPv4-mapped. `port` is 0 if a proxy did not tell it. */
  readonly client: Endpoint;
  /** `Forwarded` and `X-Forwarded-*` contradict each other: one of them is likely forged. */
  readonly contested: boolean;
  /** True for the fields (by lower-case name) that were not believed: no program may see them. */
  readonly withholds: (lowerName: string) => boolean;
}

export interface Trust {
  /** Never throws: what cannot be read is ignored, together with all that stands left of it. */
  resolve(peer: Endpoint, headers: Headers, own: Received): Forwarded;
}

const MAX_PEERS = 1024;

/**
 * Compiles a list of ranges; see {@link parseRange}. An empty list trusts nobody. `clientField` is one
 * in which trusted proxies tell the client's address, such as CF-Connecting-IP.
 */
export function createTrust(cidrs: readonly string[], clientField?: string): Trust {
  const ranges = readRanges(cidrs);
  const trusts = peersOf(ranges);
  const named = clientField === undefined ? undefined : clientFieldOf(clientField);
  const strange = named === undefined ? NO_CLAIM : { withholds: named.withholds };
  return {
    resolve(peer, headers, own) {
      const arrival = { peer: plainEndpoint(peer), own };
      if (ranges.length === 0 || !trusts(peer)) return settle(strange, arrival);
      const told = believe(ranges, headers, arrival);
      const client = named?.read(headers);
      return client === undefined ? told : { ...told, client };
    },
  };
}

/** Whether a peer is one of these. */
export function peersOf(ranges: readonly Range[]): (peer: Endpoint) => boolean {
  // Few proxies send many requests: a bounded map spares reading the same address each time.
  const peers = new Map<string, boolean>();
  return (peer) => {
    const known = peers.get(peer.address);
    if (known !== undefined) return known;
    const subject = parseIp(peer.address) ?? (peer.port === 0 ? "unix" : undefined);
    const isOne = contains(ranges, subject);
    if (peers.size >= MAX_PEERS) peers.clear();
    peers.set(peer.address, isOne);
    return isOne;
  };
}

/** @throws {TypeError} for what is no range. */
export function readRanges(cidrs: readonly string[]): readonly Range[] {
  return cidrs.map((text) => {
    const range = parseRange(text);
    if (range !== undefined) return range;
    throw new TypeError(`Cannot read "${text}" as a range: write 10.0.0.0/8, ::1 or unix`);
  });
}

/**
 * A CDN's own field: one address, set by the edge that the client spoke to. It wins over the hops, since
 * it is what the operator chose to believe; what holds no single address says nothing.
 */
function clientFieldOf(name: string) {
  const lowerName = name.toLowerCase();
  return {
    withholds: (other: string) => other === lowerName || isForwardingField(other),
    read(headers: Headers): Endpoint | undefined {
      const { ip, port } = readAddress(trimBlanks(headers.get(lowerName) ?? "")) ?? {};
      return ip === undefined ? undefined : { address: ip.text, port: port ?? 0 };
    },
  };
}

/**
 * Fields that speak of the client in a proxy's name. From a peer that is not trusted they are forged or
 * meaningless, and many programs believe them blindly, so they are withheld: `Forwarded`, all of
 * `X-Forwarded-*` (with -Server, -By, -Prefix, -Ssl, -Client-Cert), and the names in common use for the
 * bare address, those of the large CDNs among them.
 */
export function isForwardingField(lowerName: string): boolean {
  return isXForwarded(lowerName) || isForwarded(lowerName) || ADDRESS_FIELDS.has(lowerName);
}

const ADDRESS_FIELDS: ReadonlySet<string> = new Set([
  "cf-connecting-ip",
  "cf-connecting-ipv6",
  "cf-pseudo-ipv4",
  "client-ip",
  "cloudfront-forwarded-proto",
  "cloudfront-viewer-address",
  "fastly-client-ip",
  "fastly-ssl",
  "fly-client-ip",
  "true-client-ip",
  "x-azure-clientip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-original-forwarded-for",
  "x-real-ip",
]);

function isXForwarded(lowerName: string): boolean {
  return lowerName.startsWith("x-forwarded");
}

function isForwarded(lowerName: string): boolean {
  return lowerName === "forwarded";
}

/** What one family of fields says; undefined where it says nothing that can be read. */
interface Claim extends Pick<Forwarded, "withholds"> {
  readonly client?: Endpoint | undefined;
  readonly scheme?: Scheme | undefined;
  readonly authority?: string | undefined;
  readonly port?: number | undefined;
}

const NO_CLAIM: Claim = { withholds: isForwardingField };

/** The request as the server itself saw it. */
interface Arrival {
  readonly peer: Endpoint;
  readonly own: Received;
}

/**
 * Chooses between the families; never mixes them. X-Forwarded-* speaks if it names a client, although
 * `Forwarded` is the standard: nearly every proxy writes X-Forwarded-For and lets a client's own
 * Forwarded through (nginx, Apache, Caddy, the clouds' balancers), so that "the standard wins" would
 * let clients choose their address. Not even agreement on the client helps a Forwarded field: clients
 * know their own address, and would add a false `host`. Falling back to the peer on a contradiction
 * would be worse still, for that address is often 127.0.0.1 and privileged. The price: behind a proxy
 * that writes Forwarded alone, it must strip X-Forwarded-For, or the server refuse what is contested.
 */
function believe(ranges: readonly Range[], headers: Headers, arrival: Arrival): Forwarded {
  const legacy = claimOfXForwarded(ranges, headers);
  const text = headers.get("forwarded");
  const standard = text === null ? undefined : claimOfForwarded(ranges, text);
  if (standard === undefined) return settle(legacy, arrival);
  const spoken = legacy.client === undefined ? standard : legacy;
  return settle(spoken, arrival, contradict(legacy, standard));
}

function contradict(a: Claim, b: Claim): boolean {
  return differ(a.client?.address, b.client?.address) || differ(a.scheme, b.scheme) ||
    differ(hostnameOf(a), hostnameOf(b));
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

function hostnameOf({ authority }: Claim): string | undefined {
  return authority === undefined ? undefined : parseAuthority(authority)?.hostname;
}

const DEFAULT_PORT = { http: 80, https: 443 } as const;

function settle(claim: Claim, { peer, own }: Arrival, contested = false): Forwarded {
  const scheme = claim.scheme ?? own.scheme;
  const authority = claim.authority ?? own.authority;
  const client = claim.client ?? peer;
  const serverPort = portOf(claim, own);
  return { client, scheme, authority, serverPort, contested, withholds: claim.withholds };
}

/** The port must fit scheme and authority: the client never saw the one that the proxy connected to. */
function portOf(claim: Claim, own: Received): number {
  if (claim.port !== undefined) return claim.port;
  if (claim.scheme === undefined && claim.authority === undefined) return own.serverPort;
  const stated = parseAuthority(claim.authority ?? own.authority)?.port;
  return stated ?? DEFAULT_PORT[claim.scheme ?? own.scheme];
}

function claimOfXForwarded(ranges: readonly Range[], headers: Headers): Claim {
  const { client, depth } = walk(ranges, headers.get("x-forwarded-for") ?? "", readAddress);
  return {
    client,
    scheme: parseScheme(alongside(headers.get("x-forwarded-proto"), depth)),
    authority: validAuthority(alongside(headers.get("x-forwarded-host"), depth)),
    port: parsePort(alongside(headers.get("x-forwarded-port"), depth)),
    withholds: isForwarded,
  };
}

/**
 * The element of a list that was written along with the address at `depth`: as many from the right, or
 * the leftmost if fewer hops wrote one (most proxies replace these fields, so that one stands for all).
 */
function alongside(text: string | null, depth: number): string | undefined {
  if (text === null || !text.includes(",")) return text ?? undefined;
  const elements = text.split(",").map(trimBlanks).filter((element) => element !== "");
  return elements.at(-1 - Math.min(Math.max(depth, 0), elements.length - 1));
}

/** Undefined if not even the rightmost element can be read. */
function claimOfForwarded(ranges: readonly Range[], text: string): Claim | undefined {
  const { client, hop } = walk(ranges, text, readElement);
  if (hop === undefined) return undefined;
  const scheme = parseScheme(hop.proto);
  return { client, scheme, authority: validAuthority(hop.host), withholds: isXForwarded };
}

// RFC 7239 §4, with blanks around `;` as its own examples have them; RFC 9110 §5.6.2 and §5.6.4.
function parseScheme(text: string | undefined): Scheme | undefined {
  const scheme = text?.toLowerCase();
  return scheme === "http" || scheme === "https" ? scheme : undefined;
}

function validAuthority(text: string | undefined): string | undefined {
  return text === undefined || parseAuthority(text) === undefined ? undefined : text;
}

/** An endpoint with an IPv4-mapped address (a dual-stack listener's) as the IPv4 one it is. */
function plainEndpoint(peer: Endpoint): Endpoint {
  if (!peer.address.startsWith("::ffff:")) return peer;
  const ip = parseIp(peer.address);
  return ip === undefined ? peer : { address: ip.text, port: peer.port };
}
