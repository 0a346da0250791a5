/**
 * The one environ walk (RFC 3875 §4.1): every protocol receives the same variables from here and only
 * differs in how it writes them down. No handler adds, renames or drops one.
 *
 * Strategy: what never changes on a route is planned once ({@link planEnviron}); per request one walk
 * tells a sink the rest, without closures or intermediate maps.
 */
import {
  type ByteString,
  ENCODED_SLASH,
  type Exchange,
  type FieldReader,
  type HeaderPair,
  type Mount,
} from "../exchange.ts";
import type { Trace } from "../trace.ts";
import { isHopByHop } from "./http_fields.ts";
import { byteString } from "./latin1.ts";

export const SERVER_SOFTWARE = "Portico/0.1.0";
/** The runtime does not tell which version the client spoke; every client speaks at least this. */
const SERVER_PROTOCOL = "HTTP/1.1";

/** Takes variables down in its protocol's way. A name comes at most once. */
export interface EnvironSink {
  set(name: string, value: ByteString): void;
}

/** The part of a route's environ that is the same for every request. */
export interface EnvironPlan {
  readonly constants: readonly (readonly [name: string, value: ByteString])[];
  /** Names that the configuration sets; they win over the walk's own. Null if there are none. */
  readonly overridden: ReadonlySet<string> | null;
  readonly documentRoot: ByteString | undefined;
}

/** What only the handler knows of a request. */
export interface EnvironFacts {
  readonly scriptName: ByteString;
  readonly pathInfo: ByteString;
  readonly scriptFilename: ByteString | undefined;
  /** Bytes of the body; undefined when there is none or its length is not known (RFC 3875 §4.1.2). */
  readonly contentLength: number | undefined;
}

/** Plans a route's environ. Values are text as the configuration has it and become bytes here. */
export function planEnviron(
  env: Readonly<Record<string, string>>,
  documentRoot: string | undefined,
): EnvironPlan {
  const root = documentRoot === undefined ? undefined : byteString(documentRoot);
  const constants: [string, ByteString][] = [
    ["GATEWAY_INTERFACE", "CGI/1.1"],
    ["SERVER_SOFTWARE", SERVER_SOFTWARE],
    ["REDIRECT_STATUS", "200"],
    ["SERVER_PROTOCOL", SERVER_PROTOCOL],
  ];
  if (root !== undefined) constants.push(["DOCUMENT_ROOT", root]);
  const overridden = new Set(Object.keys(env));
  return {
    constants: [
      ...constants.filter(([name]) => !overridden.has(name)),
      ...Object.entries(env).map(([name, value]) => [name, byteString(value)] as const),
    ],
    overridden: overridden.size === 0 ? null : overridden,
    documentRoot: root,
  };
}

/** Tells `sink` every variable of this request but the plan's constants. */
export function walkEnviron(
  plan: EnvironPlan,
  exchange: Exchange,
  facts: EnvironFacts,
  sink: EnvironSink,
): void {
  let target = plan.overridden === null ? sink : new Except(plan.overridden, sink);
  const { trace } = exchange.lifeline;
  if (trace !== undefined) target = walkTrace(trace, target);
  if (exchange.variables !== undefined) {
    target = walkVariables(plan, exchange.variables, target);
  }
  walkRequest(exchange, facts, target);
  walkFiles(plan, exchange, facts, target);
  walkEnds(exchange, target);
  walkHeaders(exchange, target);
}

/** What the gateway found out stands above what the request says, and below the configuration. */
function walkVariables(
  { constants }: EnvironPlan,
  variables: readonly HeaderPair[],
  sink: EnvironSink,
): EnvironSink {
  const told = new Set<string>();
  for (const [name, value] of variables) {
    if (told.has(name) || constants.some(([constant]) => constant === name)) continue;
    told.add(name);
    sink.set(name, value);
  }
  return new Except(told, sink);
}

/**
 * Where the request stands in its trace, in the form of a request field and in that of programs that are
 * started (OpenTelemetry, "Environment Variables as Context Propagation Carriers").
 */
function walkTrace({ traceparent, tracestate }: Trace, sink: EnvironSink): EnvironSink {
  sink.set("HTTP_TRACEPARENT", traceparent);
  sink.set("TRACEPARENT", traceparent);
  if (tracestate !== undefined) {
    sink.set("HTTP_TRACESTATE", tracestate);
    sink.set("TRACESTATE", tracestate);
  }
  return new Except(TRACE_VARIABLES, sink);
}

/** What the client says of its trace is not for the program. */
const TRACE_VARIABLES: ReadonlySet<string> = new Set(["HTTP_TRACEPARENT", "HTTP_TRACESTATE"]);

/** The whole environ as text-by-name; for `explain`, tests and protocols that need a map anyway. */
export function collectEnviron(
  plan: EnvironPlan,
  exchange: Exchange,
  facts: EnvironFacts,
): Record<string, ByteString> {
  const environ: Record<string, ByteString> = Object.create(null);
  walkEnviron(plan, exchange, facts, { set: (name, value) => environ[name] = value });
  for (const [name, value] of plan.constants) environ[name] = value;
  return environ;
}

/** The facts of a request whose script is the mount point itself. */
export function mountFacts(mount: Mount, contentLength: number | undefined): EnvironFacts {
  const { scriptName, pathInfo } = mount;
  return { scriptName, pathInfo, scriptFilename: undefined, contentLength };
}

function walkRequest(exchange: Exchange, facts: EnvironFacts, sink: EnvironSink): void {
  sink.set("REQUEST_METHOD", exchange.method);
  sink.set("REQUEST_URI", exchange.target);
  sink.set("QUERY_STRING", exchange.query);
  sink.set("SCRIPT_NAME", facts.scriptName);
  sink.set("PATH_INFO", facts.pathInfo);
  sink.set("DOCUMENT_URI", facts.scriptName + facts.pathInfo);
  sink.set("REQUEST_ID", exchange.id);
  if (facts.contentLength !== undefined) sink.set("CONTENT_LENGTH", String(facts.contentLength));
}

function walkFiles(
  plan: EnvironPlan,
  exchange: Exchange,
  facts: EnvironFacts,
  sink: EnvironSink,
): void {
  if (facts.scriptFilename !== undefined) sink.set("SCRIPT_FILENAME", facts.scriptFilename);
  // RFC 3875 §4.1.6: only with a PATH_INFO. Dot segments were resolved long before, but a decoded `%2F`
  // could make new ones, and the result must not leave the document root (§9.8).
  const translatable = plan.documentRoot !== undefined && facts.pathInfo !== "";
  if (translatable && !exchange.path.includes(ENCODED_SLASH)) {
    sink.set("PATH_TRANSLATED", plan.documentRoot + facts.pathInfo);
  }
}

function walkEnds(exchange: Exchange, sink: EnvironSink): void {
  const { client, server, scheme } = exchange;
  sink.set("SERVER_NAME", exchange.hostname);
  sink.set("SERVER_PORT", String(server.port || (scheme === "https" ? 443 : 80)));
  sink.set("SERVER_ADDR", server.address);
  sink.set("REMOTE_ADDR", client.address);
  // RFC 3875 §4.1.9 allows the address where no name was looked up.
  sink.set("REMOTE_HOST", client.address);
  if (client.port !== 0) sink.set("REMOTE_PORT", String(client.port));
  sink.set("REQUEST_SCHEME", scheme);
  if (scheme === "https") sink.set("HTTPS", "on");
  sink.set("HTTP_HOST", exchange.authority);
}

function walkHeaders(exchange: Exchange, sink: EnvironSink): void {
  const headers: FieldReader = exchange.fieldList ?? exchange.headers;
  const nominated = nominatedFields(headers.get("connection"));
  // `forEach` costs the runtime less than its iterator (tests/bench, wsgi).
  headers.forEach((value, name) => {
    const variable = variableOf(name);
    if (variable === "") return;
    if (nominated !== null && nominated.includes(name)) return;
    if (exchange.withholds(name)) return;
    sink.set(variable, value);
  });
}

/**
 * The fields that Connection declares to be hop-by-hop (RFC 9110 §7.6.1); null for the everyday values.
 */
function nominatedFields(connection: string | null): readonly string[] | null {
  if (connection === null || connection === "keep-alive" || connection === "close") return null;
  return connection.toLowerCase().split(",").map((name) => name.trim());
}

const variables = new Map<string, string>();
const MAX_VARIABLES = 1024;

/** The variable that a request field becomes; empty if it is withheld. `name` is in lower case. */
function variableOf(name: string): string {
  const known = variables.get(name);
  if (known !== undefined) return known;
  const variable = toVariable(name);
  // Names come from clients: without a bound they could fill the memory.
  if (variables.size < MAX_VARIABLES) variables.set(name, variable);
  return variable;
}

/**
 * RFC 3875 §4.1.18. Withheld are: hop-by-hop fields; Content-Length and Content-Type, which have
 * variables of their own; Host, told from the authority; Proxy-Authorization (§9.2); `Proxy`, which
 * would become HTTP_PROXY (httpoxy, CVE-2016-5385); and names with any character but letters, digits
 * and `-`, since `X_Foo` and `X.Foo` would pose as `X-Foo`.
 */
function toVariable(name: string): string {
  if (name === "content-type") return "CONTENT_TYPE";
  if (WITHHELD.has(name) || isHopByHop(name) || !/^[a-z0-9-]+$/.test(name)) return "";
  return "HTTP_" + name.toUpperCase().replaceAll("-", "_");
}

const WITHHELD: ReadonlySet<string> = new Set([
  "content-length",
  "host",
  "proxy",
  "proxy-authorization",
]);

/** Passes on everything but the names that the configuration sets itself. */
class Except implements EnvironSink {
  constructor(readonly names: ReadonlySet<string>, readonly sink: EnvironSink) {}
  set(name: string, value: ByteString): void {
    if (!this.names.has(name)) this.sink.set(name, value);
  }
}
