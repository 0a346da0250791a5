/**
 * Requests to an HTTP origin, from an Exchange to bytes (RFC 9112 §3) or to fields (HTTP/2's). Who the client is, is told anew
 * from what the gateway believes; of what the client itself sent, the fields that end at this hop
 * (RFC 9110 §7.6.1) stay behind, and those that a program may take for others (see {@link passes}).
 *
 * Strategy: fields go straight into one buffer that is used again; a name is judged once and remembered.
 */
import type { ByteString, Exchange } from "../exchange.ts";
import { isTraceField } from "../trace.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { isHopByHop } from "./http_fields.ts";

/** What an Exchange does not say of the request. */
export interface RequestFacts {
  /** Path and query as the origin gets them. */
  readonly target: ByteString;
  readonly host: ByteString;
  /** What was cut off the path; empty: nothing. */
  readonly cut: ByteString;
  /** Bytes of body; "chunked": nobody knows; undefined: there is none. */
  readonly body: number | "chunked" | undefined;
  /** Lines of the connection's own, each with its line end. */
  readonly connection: ByteString;
  /** Fields by lower-case name that the connection's own lines replace. */
  readonly replaces?: ReadonlySet<string>;
}

/** The name by which Portico goes in Via (RFC 9110 §7.6.3). */
const PSEUDONYM = "portico";

/** Writes the head of a request. */
export function writeRequestHead(
  writer: ByteWriter,
  exchange: Exchange,
  facts: RequestFacts,
): void {
  writer.text(`${exchange.method} ${facts.target} HTTP/1.1\r\nhost: ${facts.host}\r\n`);
  eachRequestField(exchange, facts, (name, value) => writer.text(`${name}: ${value}\r\n`));
  writer.text(`${bodyField(facts.body, exchange.method)}${facts.connection}\r\n`);
}

/** Gives the fields that go on, names in lower case, but for Host and those that tell of the body. */
export function eachRequestField(
  exchange: Exchange,
  { cut, replaces }: Pick<RequestFacts, "cut" | "replaces">,
  put: (name: string, value: ByteString) => void,
): void {
  const { headers } = exchange;
  const nominated = nominatedFields(headers.get("connection"));
  const { trace } = exchange.lifeline;
  headers.forEach((value, name) => {
    if (!passes(name) || exchange.withholds(name)) return;
    if (nominated !== null && nominated.includes(name)) return;
    if (replaces !== undefined && replaces.has(name)) return;
    if (trace !== undefined && isTraceField(name)) return;
    put(name, value);
  });
  if (trace !== undefined) {
    put("traceparent", trace.traceparent);
    if (trace.tracestate !== undefined) put("tracestate", trace.tracestate);
  }
  putHopFields(exchange, cut, put);
}

/** Methods whose requests are expected to have content: its absence is to be told (RFC 9110 §8.6). */
const EXPECT_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

function bodyField(body: RequestFacts["body"], method: string): ByteString {
  if (body === "chunked") return "transfer-encoding: chunked\r\n";
  const length = lengthToTell(body, method);
  return length === undefined ? "" : `content-length: ${length}\r\n`;
}

/** The Content-Length that goes with a request, if one does. */
export function lengthToTell(body: RequestFacts["body"], method: string): number | undefined {
  if (body === undefined) return EXPECT_BODY.has(method) ? 0 : undefined;
  return body === "chunked" ? undefined : body;
}

/** Who asks, by whom and for what: RFC 7239, its forerunners, RFC 9110 §7.6.3. */
function putHopFields(
  { client, scheme, authority, headers }: Exchange,
  cut: ByteString,
  put: (name: string, value: ByteString) => void,
): void {
  const hasAddress = client.port !== 0 || isAddress(client.address);
  const node = hasAddress ? nodeOf(client.address) : "unknown";
  const host = /[^A-Za-z0-9._-]/.test(authority) ? `"${authority}"` : authority;
  const via = headers.get("via");
  // HTTP/2 has no Host field; the runtime tells the version in no other way.
  const version = headers.has("host") ? "1.1" : "2.0";
  put("forwarded", `for=${node};host=${host};proto=${scheme}`);
  if (hasAddress) put("x-forwarded-for", client.address);
  put("x-forwarded-proto", scheme);
  put("x-forwarded-host", authority);
  if (cut !== "") put("x-forwarded-prefix", cut);
  put("via", `${via === null ? "" : `${via}, `}${version} ${PSEUDONYM}`);
}

/** RFC 7239 §6: IPv6 in brackets, and thus in quotes. */
function nodeOf(address: string): string {
  return address.includes(":") ? `"[${address}]"` : address;
}

/** A peer on a Unix socket has a path, or nothing, in its stead. */
function isAddress(text: string): boolean {
  return /^[0-9A-Fa-f.:]+$/.test(text);
}

/** How often the request has been through a Portico, by its Via. */
export function timesSeen(headers: Headers): number {
  const via = headers.get("via");
  if (via === null) return 0;
  return via.split(",").filter((hop) => hop.trim().split(/[ \t]+/)[1] === PSEUDONYM).length;
}

/** The fields that Connection declares to end here; null for the everyday values. */
function nominatedFields(connection: string | null): readonly string[] | null {
  if (connection === null || connection === "keep-alive" || connection === "close") return null;
  return connection.toLowerCase().split(",").map((name) => name.trim());
}

const verdicts = new Map<string, boolean>();
const MAX_VERDICTS = 1024;

/** Whether the field goes to the origin as it came. `name` is in lower case. */
function passes(name: string): boolean {
  const known = verdicts.get(name);
  if (known !== undefined) return known;
  // `X_Foo` and `X.Foo` would pose as `X-Foo` to programs behind the origin, as in the environ.
  const verdict = !OWN.has(name) && !isHopByHop(name) && /^[a-z0-9-]+$/.test(name);
  // Names come from clients: without a bound they could fill the memory.
  if (verdicts.size < MAX_VERDICTS) verdicts.set(name, verdict);
  return verdict;
}

/**
 * What is written anew; Expect, which the runtime has answered (RFC 9110 §10.1.1); `Proxy`, which would
 * become HTTP_PROXY behind the origin (httpoxy, CVE-2016-5385).
 */
const OWN: ReadonlySet<string> = new Set([
  "content-length",
  "expect",
  "forwarded",
  "host",
  "proxy",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-prefix",
  "x-forwarded-proto",
]);
