/**
 * Requests to an HTTP/1.1 origin, from an Exchange to bytes (RFC 9112 §3). Who the client is, is told anew
 * from what the gateway believes; of what the client itself sent, the fields that end at this hop
 * (RFC 9110 §7.6.1) stay behind, and those that a program may take for others (see {@link passes}).
 *
 * Strategy: fields go straight into one buffer that is used again; a name is judged once and remembered.
 */
import type { ByteString, Exchange } from "../exchange.ts";
import { isTraceField, type Trace } from "../trace.ts";
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
  const { headers, method } = exchange;
  writer.text(`${method} ${facts.target} HTTP/1.1\r\nhost: ${facts.host}\r\n`);
  const nominated = nominatedFields(headers.get("connection"));
  const { replaces } = facts;
  const { trace } = exchange.lifeline;
  headers.forEach((value, name) => {
    if (!passes(name) || exchange.withholds(name)) return;
    if (nominated !== null && nominated.includes(name)) return;
    if (replaces !== undefined && replaces.has(name)) return;
    if (trace !== undefined && isTraceField(name)) return;
    writer.text(`${name}: ${value}\r\n`);
  });
  if (trace !== undefined) writer.text(traceFields(trace));
  writer.text(
    `${hopFields(exchange, facts.cut)}${bodyField(facts.body, method)}${facts.connection}\r\n`,
  );
}

function traceFields({ traceparent, tracestate }: Trace): ByteString {
  const state = tracestate === undefined ? "" : `tracestate: ${tracestate}\r\n`;
  return `traceparent: ${traceparent}\r\n${state}`;
}

/** Methods whose requests are expected to have content: its absence is to be told (RFC 9110 §8.6). */
const EXPECT_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

function bodyField(body: RequestFacts["body"], method: string): ByteString {
  if (body === undefined) return EXPECT_BODY.has(method) ? "content-length: 0\r\n" : "";
  return body === "chunked" ? "transfer-encoding: chunked\r\n" : `content-length: ${body}\r\n`;
}

/** Who asks, by whom and for what: RFC 7239, its forerunners, RFC 9110 §7.6.3. */
function hopFields(exchange: Exchange, cut: ByteString): ByteString {
  const { client, scheme, authority, headers } = exchange;
  const hasAddress = client.port !== 0 || isAddress(client.address);
  const node = hasAddress ? nodeOf(client.address) : "unknown";
  const host = /[^A-Za-z0-9._-]/.test(authority) ? `"${authority}"` : authority;
  const via = headers.get("via");
  // HTTP/2 has no Host field; the runtime tells the version in no other way.
  const version = headers.has("host") ? "1.1" : "2.0";
  return `forwarded: for=${node};host=${host};proto=${scheme}\r\n` +
    (hasAddress ? `x-forwarded-for: ${client.address}\r\n` : "") +
    `x-forwarded-proto: ${scheme}\r\nx-forwarded-host: ${authority}\r\n` +
    (cut === "" ? "" : `x-forwarded-prefix: ${cut}\r\n`) +
    `via: ${via === null ? "" : `${via}, `}${version} ${PSEUDONYM}\r\n`;
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
