/**
 * Request to Exchange: everything that is read off a request before it is routed, once. The raw target
 * is taken from the runtime's URL string and never through `URL`, which rewrites it.
 *
 * The runtime concatenates scheme, Host and target unparsed, so a hostile Host could pose as part of the
 * path. Hence the Host is checked by grammar and against the authority found in the URL
 * (RFC 9112 §3.2, RFC 9113 §8.3.1).
 */
import { type ByteString, type Endpoint, type Exchange, type LocalRedirect } from "./exchange.ts";
import { GatewayError } from "./errors.ts";
import type { Lifeline } from "./lifeline.ts";
import { type Authority, parseAuthority } from "./protocol/authority.ts";
import { decodeTarget } from "./protocol/cgi_path.ts";
import type { Trust } from "./protocol/forwarding.ts";

/** What is known of the connection that a request came by. */
export interface Connection {
  readonly peer: Endpoint;
  /** The listener's own end. */
  readonly local: Endpoint;
  readonly scheme: "http" | "https";
  /** Tells when the answer has been sent, or that it was not; asking costs something. */
  readonly sending?: { readonly completed: Promise<void> } | undefined;
}

// Ids are unique within a process and differ between processes; they are not secrets.
const ID_PREFIX = crypto.randomUUID().slice(0, 8);
let lastId = 0;

/** A new request id. */
export function newRequestId(): string {
  return `${ID_PREFIX}-${(++lastId).toString(36)}`;
}

/**
 * Reads a request.
 * @throws {GatewayError} 400 `bad-host`, `no-host` or `bad-target`, and what `trust` throws.
 */
export function receive(
  request: Request,
  connection: Connection,
  trust: Trust,
  { id, lifeline }: { readonly id: string; readonly lifeline: Lifeline },
): Exchange {
  const { headers } = request;
  const split = splitUrl(request, connection);
  const decoded = decodeTarget(split.target);
  const { peer, local, scheme } = connection;
  const forwarded = trust.resolve(peer, headers, {
    scheme,
    authority: split.authority,
    serverPort: local.port,
  });
  const authority = parseAuthority(forwarded.authority);
  if (authority === undefined) throw badHost(forwarded.authority);
  const server = forwarded.serverPort === local.port
    ? local
    : { address: local.address, port: forwarded.serverPort };
  return new ReceivedExchange(request, decoded, connection, {
    id,
    lifeline,
    hostname: authority.hostname,
    authority: forwarded.authority,
    scheme: forwarded.scheme,
    client: forwarded.client,
    server,
    withholds: forwarded.withholds,
  });
}

/** The request that a program's local redirect asks for: GET, without a body (RFC 3875 §6.2.2). */
export function redirected(exchange: Exchange, redirect: LocalRedirect): Exchange {
  const headers = new Headers(exchange.headers);
  for (const name of BODY_FIELDS) headers.delete(name);
  const { id, hostname, authority, scheme, client, server } = exchange;
  const { withholds, lifeline } = exchange;
  return {
    ...decodeTarget(redirect.target),
    id,
    // HEAD stays: the client wants no body, whichever resource answers.
    method: exchange.method === "HEAD" ? "HEAD" : "GET",
    headers,
    hostname,
    authority,
    scheme,
    client,
    server,
    withholds,
    lifeline,
    body: null,
  };
}

const BODY_FIELDS = ["content-length", "content-type", "content-encoding", "transfer-encoding"];

interface Ends {
  readonly id: string;
  readonly lifeline: Lifeline;
  readonly hostname: string;
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly client: Endpoint;
  readonly server: Endpoint;
  readonly withholds: (lowerName: string) => boolean;
}

interface Target {
  readonly target: ByteString;
  readonly path: ByteString;
  readonly query: ByteString;
}

/** An exchange over a live request: what costs something is asked of the request only when needed. */
class ReceivedExchange implements Exchange {
  readonly method: string;
  readonly target: ByteString;
  readonly path: ByteString;
  readonly query: ByteString;
  readonly headers: Headers;
  readonly hostname: string;
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly client: Endpoint;
  readonly server: Endpoint;
  readonly withholds: (lowerName: string) => boolean;
  readonly id: string;
  readonly lifeline: Lifeline;
  readonly request: Request;
  readonly #connection: Connection;

  constructor(request: Request, decoded: Target, connection: Connection, ends: Ends) {
    this.#connection = connection;
    this.id = ends.id;
    this.lifeline = ends.lifeline;
    this.request = request;
    this.method = request.method;
    this.headers = request.headers;
    this.target = decoded.target;
    this.path = decoded.path;
    this.query = decoded.query;
    this.hostname = ends.hostname;
    this.authority = ends.authority;
    this.scheme = ends.scheme;
    this.client = ends.client;
    this.server = ends.server;
    this.withholds = ends.withholds;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.request.body;
  }

  get sent(): Promise<void> | undefined {
    return this.#connection.sending?.completed;
  }
}

/** Splits the runtime's URL string into authority and raw target, and checks one against the Host. */
function splitUrl(
  { url, headers, method }: Request,
  { local, scheme }: Connection,
): { authority: string; target: string } {
  const host = headers.get("host");
  const start = url.indexOf("://") + 3;
  const end = endOfAuthority(url, start);
  const hasPath = url[end] === "/";
  // No route takes CONNECT without naming it, and none can name its target.
  if (!hasPath && (method === "CONNECT" || host === null)) {
    throw new GatewayError(400, "bad-target", "Cannot route a target without a path");
  }
  const authority = url.slice(start, end);
  // Absolute form may leave out the root (RFC 9110 §4.2.3).
  const target = hasPath ? url.slice(end) : `/${url.slice(end)}`;
  if (host === null) {
    checkHostless(url.slice(0, start - 3), authority, { headers, local, scheme });
  } else {
    checkScheme(url, scheme, local);
    if (host !== authority) checkHosts(host, authority);
  }
  if (parseAuthority(authority) === undefined) throw badHost(authority);
  return { authority, target };
}

function endOfAuthority(url: string, start: number): number {
  for (let at = start; at < url.length; at++) {
    const char = url[at];
    if (char === "/" || char === "?") return at;
  }
  return url.length;
}

/** Absolute form may name any scheme; this listener serves one (RFC 9110 §7.4). */
function checkScheme(url: string, own: string, local: Endpoint): void {
  if (url.startsWith(own) && url.startsWith("://", own.length)) return;
  // In any case (RFC 9110 §4.2.3).
  if (url.slice(0, url.indexOf("://")).toLowerCase() === own) return;
  if (local.port === 0 && url.startsWith("http+unix://")) return;
  throw new GatewayError(400, "bad-target", `The target's scheme is not ${own}`);
}

/**
 * Absolute form: its authority replaces the Host (RFC 9112 §3.2.2), but a front that went by the Host
 * would have judged another site than the one that answers. The same holds for a Host beside HTTP/2's
 * `:authority`.
 */
function checkHosts(host: string, authority: string): void {
  const asked = parseAuthority(host);
  const named = parseAuthority(authority);
  if (asked === undefined) throw badHost(host);
  if (named !== undefined && isSame(asked, named)) return;
  const message = `Host "${host}" differs from the target's "${authority}"`;
  throw new GatewayError(400, "bad-host", message);
}

function isSame(a: Authority, b: Authority): boolean {
  return a.hostname === b.hostname && a.port === b.port;
}

/** What HTTP/1 has and HTTP/2 forbids (RFC 9113 §8.2.2): whoever sends it without a Host forgot that. */
const OF_HTTP1 = ["connection", "keep-alive", "upgrade", "transfer-encoding"];

/**
 * A request without a Host is HTTP/2, which has `:authority` instead, or breaks RFC 9112 §3.2; the
 * runtime tells neither the version nor that it put `localhost` and the port there itself. Under TLS
 * that name is an everyday one for HTTP/2; without, only HTTP/1 is.
 */
function checkHostless(
  scheme: string,
  authority: string,
  { headers, local, scheme: own }: Pick<Connection, "local" | "scheme"> & { headers: Headers },
): void {
  const invented = local.port === 0
    ? authority.startsWith("%2F")
    : own === "http" && authority === `localhost:${local.port}`;
  if (invented || OF_HTTP1.some((name) => headers.has(name))) {
    throw new GatewayError(400, "no-host", "The request has no Host");
  }
  // Behind a TLS front HTTP/2 may tell the client's scheme (RFC 9113 §8.3.1).
  if (scheme !== "http" && scheme !== "https" && scheme !== "http+unix") {
    throw new GatewayError(400, "bad-target", `Cannot serve the scheme "${scheme}"`);
  }
}

function badHost(host: string): GatewayError {
  return new GatewayError(400, "bad-host", `Cannot read ${JSON.stringify(host)} as a host`);
}
