/**
 * `proxy`: passes requests to HTTP origins, streaming both ways, and WebSockets through. HTTP/2 is the
 * runtime's (io/http2_origin.ts), for routes that ask for it. The client of HTTP/1.1 is our own (io/http_origin_client.ts): the runtime's `fetch` rewrites targets, joins fields, hides where
 * a response was cut, and costs twice as much a request (tests/bench, proxy).
 */
import * as v from "valibot";
import type { ByteString, Exchange, Mount, Outcome, Reply, SizedBody } from "../exchange.ts";
import { GatewayError } from "../errors.ts";
import { described, duration, fields, flag, optional, text, word } from "../fields.ts";
import type {
  Context,
  Explanation,
  Permission,
  Place,
  Question,
  RouteOptions,
  Service,
  Shared,
  Stateful,
} from "../handler.ts";
import { defineKind } from "../handler.ts";
import { declaredLength } from "../io/body.ts";
import { balanceField } from "../io/endpoint_fields.ts";
import type { Http2Origins, Http2Request } from "../io/http2_origin.ts";
import type { Origin } from "../io/http_origin.ts";
import { converse, type OriginRequest } from "../io/http_origin_client.ts";
import {
  DEFAULT_IDLE,
  DEFAULT_IDLE_MS,
  DEFAULT_MAX,
  DEFAULT_QUEUE,
  describeOrigins,
  originBase,
  originPermissions,
  originPool,
  origins,
  resolveOrigin,
} from "../io/http_origin_fields.ts";
import { OriginPool, type OriginPoolOptions } from "../io/http_origin_pool.ts";
import { asksForWebSocket, joinWebSockets } from "../io/http_websocket.ts";
import { partOf } from "../part.ts";
import { ByteWriter } from "../protocol/byte_writer.ts";
import { requestFields } from "../protocol/http2_message.ts";
import { latin1FromBytes } from "../protocol/latin1.ts";
import { timesSeen, writeRequestHead } from "../protocol/http1_request.ts";
import type { OriginReply } from "../protocol/http1_response.ts";
import { originTarget, publicLocation, writePath } from "../protocol/proxy_target.ts";
import { resolvePath } from "../values.ts";

const CONNECT_TIMEOUT_MS = 5000;
/** A chain of Porticos may be meant; a longer one goes in circles. */
const MAX_SEEN = 8;

const schema = fields({
  to: described(
    origins,
    'The origin: "http://host:port", "https://host" or "unix:/path", {address, backup}, or a list of ' +
      "them. A path behind the host stands before every request's.",
  ),
  stripPrefix: described(
    optional(flag),
    "Whether what stands before the route's final `/*` is cut off; default false.",
  ),
  preserveHost: described(
    optional(flag),
    "Whether the origin gets the client's Host rather than its own; default false.",
  ),
  protocol: described(
    optional(word("http/1.1", "h2")),
    "What the origins speak: http/1.1 (default), or h2: HTTP/2, agreed on in the TLS handshake with " +
      "https origins, by prior knowledge (h2c) with others.",
  ),
  balance: balanceField,
  pool: described(optional(originPool), "How connections are kept and shared."),
  ca: described(optional(text), "A file of certificates (PEM) that vouch for https origins too."),
  timeout: described(optional(duration), "The longest a request may take."),
  connectTimeout: described(optional(duration), "How long connecting may take; default 5s."),
});

type Options = v.InferOutput<typeof schema>;

export const proxy = defineKind({
  summary: "Passes requests to HTTP origins, WebSockets too.",
  schema,
  requestBody: "stream",
  short: "to",
  describe: ({ to }) => describeOrigins(to),
  permissions,
  explain,
  open,
});

function permissions({ to, ca }: Options, place: Place): readonly Permission[] {
  const reach = originPermissions(to, place);
  if (ca === undefined) return reach;
  const reason = "to read the certificates that vouch for the origin";
  return [...reach, { name: "read", value: resolvePath(ca, place.folder), reason }];
}

/** Writes the request down and reads it back: what is told is what would be sent. */
async function explain(options: Options, question: Question): Promise<Explanation> {
  const { exchange, mount, route } = question;
  const [origin] = options.to;
  const target = describeOrigins(options.to);
  const notes = stripFault(options, route) ?? [];
  if (origin === undefined) return { target, ...mount, environ: {}, notes };
  const { line, fields } = headOf(options, origin, exchange, mount);
  const environ = Object.fromEntries(fields);
  const sent = `sends ${line} with these fields to ${origin.name}`;
  return await Promise.resolve({ target, ...mount, environ, notes: [...notes, sent] });
}

function headOf(options: Options, origin: Origin, exchange: Exchange, mount: Mount) {
  const heads = new Heads(options);
  const facts = { exchange, mount, body: declaredBody(exchange) };
  if (options.protocol === "h2") {
    const flat = heads.fieldsFor(origin, facts);
    const pairs = flat.flatMap((name, at) => at % 2 === 0 ? [[name, flat[at + 1] ?? ""]] : []);
    return { line: "a request of HTTP/2", fields: pairs };
  }
  const writer = new ByteWriter();
  heads.write(writer, origin, facts);
  const [line = "", ...lines] = latin1FromBytes(writer.take()).trimEnd().split("\r\n");
  const pairs = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  return { line, fields: pairs };
}

function declaredBody(exchange: Exchange): number | "chunked" | undefined {
  const length = declaredLength(exchange.headers);
  return length ?? (exchange.headers.has("transfer-encoding") ? "chunked" : undefined);
}

/** Why these options do not fit their route; undefined: they do. */
function stripFault({ stripPrefix = false }: Options, { path }: RouteOptions) {
  if (!stripPrefix || path.endsWith("/*")) return undefined;
  return [`Cannot strip a prefix: the path ${path} has no final /*`];
}

async function open(options: Options, context: Context): Promise<Service> {
  const [fault] = stripFault(options, context.options) ?? [];
  if (fault !== undefined) throw new Error(fault);
  const key = `proxy ${JSON.stringify(reachOf(options))}`;
  const pool = await context.share(key, async () => {
    const list = options.to.map((origin) => resolveOrigin(origin, context.place));
    return new OriginPool(list, await poolOptions(options, context));
  });
  if (options.protocol !== "h2") return new ProxyService(options, context, pool);
  const http2 = await context.share(`h2 ${key}`, async () => {
    const { Http2Origins } = await import("../io/http2_origin.ts");
    const list = options.to.map((origin) => resolveOrigin(origin, context.place));
    return new Http2Origins(list, await poolOptions(options, context));
  });
  return new ProxyService(options, context, pool, http2);
}

/** What routes must have in common to share connections. */
function reachOf({ to, pool = {}, balance, connectTimeout, ca }: Options) {
  return { to, pool, balance, connectTimeout, ca };
}

async function poolOptions(
  options: Options,
  { place, log, part }: Context,
): Promise<OriginPoolOptions> {
  const { to, pool = {}, balance, connectTimeout, ca } = options;
  const primaries = to.filter(({ backup }) => !backup).length;
  const file = ca === undefined ? undefined : resolvePath(ca, place.folder);
  return {
    balance: balance ?? "least-connections",
    max: partOf(Math.ceil((pool.max ?? DEFAULT_MAX) / primaries), part),
    maxIdle: partOf(pool.maxIdle ?? DEFAULT_IDLE, part),
    idleMs: pool.idleTimeout ?? DEFAULT_IDLE_MS,
    queue: partOf(pool.queue ?? DEFAULT_QUEUE, part),
    queueTimeoutMs: pool.queueTimeout ?? 30_000,
    connectTimeoutMs: connectTimeout ?? CONNECT_TIMEOUT_MS,
    caCerts: file === undefined ? [] : [await Deno.readTextFile(file)],
    notice: (message) => log.notice(message),
  };
}

/** A request as far as its head tells of it. */
interface HeadFacts {
  readonly exchange: Exchange;
  readonly mount: Mount;
  readonly body: number | "chunked" | undefined;
  /** The lines of an upgrade, and the fields that they replace. */
  readonly upgrade?: { readonly lines: string; readonly replaces: ReadonlySet<string> };
}

/** Writes the heads of a route's requests. */
class Heads {
  readonly #strip: boolean;
  readonly #preserveHost: boolean;
  readonly #connection: string;

  constructor({ stripPrefix = false, preserveHost = false, pool = {} }: Options) {
    this.#strip = stripPrefix;
    this.#preserveHost = preserveHost;
    this.#connection = pool.maxIdle === 0 ? "connection: close\r\n" : "";
  }

  write(writer: ByteWriter, origin: Origin, facts: HeadFacts): void {
    const { upgrade } = facts;
    writeRequestHead(writer, facts.exchange, {
      ...this.#common(origin, facts),
      connection: upgrade?.lines ?? this.#connection,
      ...(upgrade && { replaces: upgrade.replaces }),
    });
  }

  /** The same for HTTP/2: names and values in turn. */
  fieldsFor(origin: Origin, facts: HeadFacts): ByteString[] {
    const scheme = origin.secure ? "https" : "http";
    return requestFields(facts.exchange, { ...this.#common(origin, facts), scheme });
  }

  #common(origin: Origin, { exchange, mount, body }: HeadFacts) {
    return {
      target: originTarget(exchange, mount, { prefix: origin.prefix, strip: this.#strip }),
      host: this.#preserveHost ? exchange.authority : origin.host,
      cut: this.cut(mount),
      body,
    };
  }

  /** What is cut off a path, encoded. */
  cut({ scriptName }: Mount): string {
    return this.#strip ? writePath(scriptName) : "";
  }
}

class ProxyService implements Service {
  readonly timeoutMs: number | undefined;
  readonly #context: Context;
  readonly #pool: Shared<OriginPool>;
  /** Where requests go that are no WebSockets, if the route wants HTTP/2. */
  readonly #http2: Shared<Http2Origins> | undefined;
  readonly #heads: Heads;

  constructor(
    options: Options,
    context: Context,
    pool: Shared<OriginPool>,
    http2?: Shared<Http2Origins>,
  ) {
    this.#http2 = http2;
    this.timeoutMs = options.timeout;
    this.#context = context;
    this.#pool = pool;
    this.#heads = new Heads(options);
  }

  readonly serve = (exchange: Exchange, mount: Mount): Promise<Outcome> => {
    if (timesSeen(exchange.headers) > MAX_SEEN) {
      throw new GatewayError(508, "proxy-loop", `Seen ${MAX_SEEN} times already, by its Via`);
    }
    if (asksForWebSocket(exchange)) return this.#join(exchange, mount);
    // Most requests have no body, and need not wait for one.
    if (exchange.body === null) return this.#converse(exchange, mount, null);
    return this.#context.sizeBody(exchange).then((body) => this.#converse(exchange, mount, body));
  };

  async #converse(exchange: Exchange, mount: Mount, body: SizedBody | null): Promise<Outcome> {
    const length = body === null ? undefined : body.length ?? "chunked";
    const request = this.#request({ exchange, mount, body: length }, body);
    if (this.#http2 !== undefined) return await this.#http2.value.converse(request);
    const outcome = await converse(this.#pool.value, request);
    if (outcome.type !== "switched") return outcome;
    throw new TypeError("Switched protocols unasked");
  }

  /** A WebSocket: the client's is accepted when the origin has accepted ours. */
  #join(exchange: Exchange, mount: Mount): Promise<Outcome> {
    const { log } = this.#context;
    return joinWebSockets({ exchange, log, pool: this.#pool.value }, (lines, replaces) => ({
      ...this.#request({ exchange, mount, body: undefined, upgrade: { lines, replaces } }, null),
      upgrade: "websocket",
    }));
  }

  #request(facts: HeadFacts, body: SizedBody | null): OriginRequest & Http2Request {
    const { exchange, mount } = facts;
    return {
      exchange,
      body,
      maxReplyHead: this.#context.options.maxReplyHead,
      writeHead: ({ writer, origin }) => this.#heads.write(writer, origin, facts),
      fieldsFor: (origin) => this.#heads.fieldsFor(origin, facts),
      finish: (reply, origin) => this.#finish(reply, origin, mount),
    };
  }

  #finish({ headers }: OriginReply, origin: Origin, mount: Mount): Reply["headers"] {
    if (!headers.some(isLocation)) return headers;
    const name = { base: originBase(origin), prefix: origin.prefix };
    const cut = this.#heads.cut(mount);
    return headers.map((field) =>
      isLocation(field) ? [field[0], publicLocation(field[1], name, cut)] : field
    );
  }

  get state(): Stateful {
    return this.#http2?.value ?? this.#pool.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http2?.[Symbol.asyncDispose]();
    await this.#pool[Symbol.asyncDispose]();
  }
}

function isLocation([name]: Reply["headers"][number]): boolean {
  return name.length === "location".length && name.toLowerCase() === "location";
}
