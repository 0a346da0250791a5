/**
 * One item of `routes`: the fields that every kind has, and the one handler key. What stands under that
 * key is the kind's own business; its short form stands for one field of the long one.
 */
import * as v from "valibot";
import { described, duration, fields, list, optional, size, word } from "../fields.ts";
import type { Kind, RouteOptions } from "../handler.ts";
import { suggest } from "../maps.ts";
import { isToken } from "../protocol/http_fields.ts";
import { parsePattern, PatternError } from "../router/pattern.ts";
import { cannotRead, nearest, quote } from "../values.ts";
import { auth } from "./auth.ts";
import { authorize } from "./authorize.ts";
import { check } from "./check.ts";
import { distinct } from "./distinct.ts";
import { host } from "./host.ts";
import type { Kinds } from "./kinds.ts";
import { cache, compress, conditional } from "./layers.ts";
import type { Report } from "./position.ts";
import { responseHeaders } from "./response_headers.ts";
import { sendfile } from "./sendfile.ts";
import type { RouteConfig } from "./table.ts";
import { type Entry, type MapNode, type Node, type Slot, toPlain, valueOf } from "./tree.ts";

const notAMethod = cannotRead("a method", "a name such as GET");
/** Methods are case-sensitive (RFC 9110 §9.1), and no known one has a small letter. */
const method = v.pipe(
  v.string(notAMethod),
  v.regex(/^[!#$%&'*+.^_`|~0-9A-Z-]+$/, (issue) => {
    const upper = String(issue.input).toUpperCase();
    return isToken(upper) ? cannotRead("a method", upper)(issue) : notAMethod(issue);
  }),
);

const limit = v.pipe(duration, v.minValue(1, "Cannot be 0: leave it out for no limit"));

const notAName = cannotRead("a name", "text of one line, in quotes");

export const routeFields = {
  path: described(
    v.pipe(
      v.string(cannotRead("a path", '"/", "/git/*" or "/users/:id"')),
      v.metadata({ pattern: "^\\{?/", examples: ["/", "/git/*", "/users/:id", "/*.php"] }),
    ),
    "Which paths the route takes, in URLPattern's syntax. A final /* also takes what stands before it.",
  ),
  host: described(optional(host), "Which host the route takes, without a port; by default any."),
  methods: described(
    optional(v.pipe(
      list(method),
      v.minLength(1, "Cannot be empty: write a method, or leave it out for all"),
      distinct((name) => name),
    )),
    "Which methods the route takes; GET brings HEAD. By default all.",
  ),
  name: described(
    optional(v.pipe(v.string(notAName), v.regex(/^[\x20-\x7e\u00a0-\uffff]+$/, notAName))),
    "What logs and metrics call the route; by default its host and path.",
  ),
  maxRequestBody: described(
    optional(size),
    "The longest request body; a longer one is answered with 413. By default the server's.",
  ),
  timeout: described(optional(limit), "The longest a whole request may take; by default no limit."),
  firstByteTimeout: described(
    // What nginx allows: a program that never answers must not hold a client that the runtime cannot
    // see leave.
    v.optional(limit, "60s"),
    "The longest a reply's head may take from handing the request over; 504 past it.",
  ),
  headers: described(optional(responseHeaders), "What to change in the header of each response."),
  onAbort: described(
    v.optional(word("kill", "finish"), "kill"),
    "Whether the work for a client that left is ended or may finish.",
  ),
  maxReplyHead: described(
    v.optional(size, "64KiB"),
    "The longest header that a program may send before its reply is refused with 502.",
  ),
  requestBody: described(
    optional(word("spool", "stream")),
    "Whether the request's body is collected before the program sees it; by default the kind's choice.",
  ),
  sendfile: described(
    optional(sendfile),
    "Folders that the program may have files sent from (X-Accel-Redirect, X-Sendfile), by prefix.",
  ),
  auth: described(optional(auth), "Who may use the route, by name and password."),
  authorize: described(
    optional(authorize),
    "A FastCGI authorizer to ask before the route serves: its address, or a map of fields.",
  ),
  conditional: described(
    optional(conditional),
    "Whether a program's replies are cut to what a conditional or range request asks for.",
  ),
  compress: described(
    optional(compress),
    "Whether replies are compressed for those who want it, or by which codings, best first.",
  ),
  cache: described(
    optional(cache),
    "Whether replies are kept and used again as their fields allow, or a map of fields.",
  ),
};

const routeSchema = fields(routeFields);

/** What one route says by itself. */
export interface Draft extends Omit<RouteConfig, "index" | "name" | "line" | "column"> {
  /** As written; a route without a name gets one when all are known. */
  readonly name: string | undefined;
}

export interface RouteContext {
  readonly kinds: Kinds;
  /** The server's, for routes without one. */
  readonly maxRequestBody: number;
  readonly report: Report;
}

/** Reads one route; undefined after faults were reported. */
export function readRoute(slot: Slot, context: RouteContext): Draft | undefined {
  const { node } = slot;
  const { kinds, report } = context;
  if (node.type !== "map") {
    report(node.start, cannotRead("a route", '"path:" and a handler')({ input: toPlain(node) }));
    return undefined;
  }
  const own = node.entries.filter(({ key }) => Object.hasOwn(routeFields, key));
  const handlers = node.entries.filter(({ key }) => Object.hasOwn(kinds, key));
  const strangers = node.entries.filter((entry) =>
    !own.includes(entry) && !handlers.includes(entry)
  );
  const route = check(routeSchema, { ...slot, node: { ...node, entries: own } }, report);
  checkPath(node, report);
  for (const { key, start } of strangers) report(start, unknownKey(key, handlers, kinds));
  checkHandlers(slot, handlers, strangers, context);
  const served = handlers.map((entry) => readHandler(entry, kinds, report));
  const [handler] = served;
  if (route === undefined || handler === undefined) return undefined;
  const { path, host, methods, name, headers = {} } = route;
  const { set = [], remove = [] } = headers;
  const options = toOptions(route, context.maxRequestBody);
  return { path, host, methods, name, ...handler, options, headers: { set, remove } };
}

function toOptions(
  route: v.InferOutput<typeof routeSchema>,
  maxRequestBody: number,
): RouteOptions {
  return {
    path: route.path,
    maxRequestBody: route.maxRequestBody ?? maxRequestBody,
    timeoutMs: route.timeout,
    firstByteTimeoutMs: route.firstByteTimeout,
    onAbort: route.onAbort,
    maxReplyHead: route.maxReplyHead,
    requestBody: route.requestBody,
    ...(route.sendfile === undefined ? {} : { sendfile: route.sendfile }),
    ...(route.auth === undefined ? {} : { auth: route.auth }),
    ...(route.authorize === undefined ? {} : { authorize: route.authorize }),
    ...(route.conditional === undefined ? {} : { conditional: route.conditional }),
    ...(route.compress === undefined ? {} : { compress: route.compress }),
    ...(route.cache === undefined ? {} : { cache: route.cache }),
  };
}

/** Places a fault of the pattern at its very character where the file has it as it is read. */
function checkPath(route: MapNode, report: Report): void {
  const path = valueOf(route, "path")?.node;
  if (path?.type !== "scalar" || typeof path.value !== "string") return;
  try {
    parsePattern(path.value);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    report(path.start + (path.verbatim ? error.offset : 0), error.message);
  }
}

/** What is no field of a route is often one of its handler. */
function unknownKey(key: string, handlers: readonly Entry[], kinds: Kinds): string {
  const home = handlers.find((handler) => fieldsOf(kinds[handler.key]).includes(key));
  const known = [...Object.keys(routeFields), ...Object.keys(kinds)];
  const hint = home === undefined ? suggest(key, known) : `write it inside "${home.key}"`;
  return `Unknown key ${quote(key)}: ${hint}`;
}

/** The names of a kind's fields. */
function fieldsOf(kind: Kind | undefined): readonly string[] {
  const schema: object | undefined = kind?.schema;
  if (schema === undefined || !("entries" in schema)) return [];
  const { entries } = schema;
  return typeof entries === "object" && entries !== null ? Object.keys(entries) : [];
}

function checkHandlers(
  slot: Slot,
  handlers: readonly Entry[],
  strangers: readonly Entry[],
  { kinds, report }: RouteContext,
): void {
  const known = Object.keys(kinds);
  const [first, ...others] = handlers;
  for (const { key, start } of others) {
    report(start, `Cannot serve a route by both "${first?.key}" and "${key}": keep one of them`);
  }
  // A misspelt handler key has its own fault.
  const misspelt = strangers.some(({ key }) => nearest(key, known) !== undefined);
  if (first === undefined && !misspelt) {
    report(slot.key, `Missing handler: write one of ${known.join(", ")}`);
  }
}

function readHandler({ key, start, value }: Entry, kinds: Kinds, report: Report) {
  const kind = kinds[key];
  if (kind === undefined) return undefined;
  if (value.type === "list" || (value.type === "scalar" && value.value === null)) {
    const right = `${quote(kind.short)} as text, or a map of fields`;
    report(value.start, cannotRead(quote(key), right)({ input: toPlain(value) }));
    return undefined;
  }
  const long = longForm(value, kind.short);
  const known = fieldsOf(kind);
  const isStray = (entry: Entry) =>
    known.length > 0 && !known.includes(entry.key) && Object.hasOwn(routeFields, entry.key);
  const strays = long.entries.filter(isStray);
  for (const stray of strays) {
    report(stray.start, `Unknown key ${quote(stray.key)}: write it beside ${quote(key)}`);
  }
  const node = { ...long, entries: long.entries.filter((entry) => !isStray(entry)) };
  const read = check(kind.schema, { key: start, node }, report);
  return read === undefined || strays.length > 0 ? undefined : { key, kind, fields: read };
}

function longForm(value: Node, short: string): MapNode {
  if (value.type === "map") return value;
  const { start, weight } = value;
  return { type: "map", start, weight, entries: [{ key: short, start, value }] };
}
