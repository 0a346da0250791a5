/**
 * `proxy`: passes requests to HTTP/1.1 origins, streaming both ways, and WebSockets through. The client of
 * it is our own (io/http_origin_client.ts): the runtime's `fetch` rewrites targets, joins fields, hides where
 * a response was cut, and costs twice as much a request (tests/bench, proxy).
 */
import * as v from "valibot";
import type { Exchange, Mount, Outcome, Reply, SizedBody } from "../exchange.ts";
import { GatewayError } from "../errors.ts";
import { described, duration, fields, flag, optional, text } from "../fields.ts";
import type {
  Context,
  Explanation,
  Permission,
  Place,
  Question,
  RouteOptions,
  Service,
  Shared,
} from "../handler.ts";
import { defineKind } from "../handler.ts";
import { declaredLength } from "../io/body.ts";
import { balanceField } from "../io/endpoint_fields.ts";
import type { Origin } from "../io/http_origin.ts";
import { converse, type OriginRequest } from "../io/http_origin_client.ts";
import type { OriginConnection } from "../io/http_origin_connection.ts";
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
import { OriginPool } from "../io/http_origin_pool.ts";
import { asksForWebSocket, joinWebSockets } from "../io/http_websocket.ts";
import { partOf } from "../part.ts";
import { ByteWriter } from "../protocol/byte_writer.ts";
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
  const writer = new ByteWriter();
  new Heads(options).write(writer, origin, { exchange, mount, body: declaredBody(exchange) });
  const [line = "", ...lines] = latin1FromBytes(writer.take()).trimEnd().split("\r\n");
  const environ = Object.fromEntries(lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 2)];
  }));
  const sent = `sends ${line} with these fields to ${origin.name}`;
  return await Promise.resolve({ target, ...mount, environ, notes: [...notes, sent] });
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
  const { to, pool = {}, balance, connectTimeout, ca } = options;
  const key = `proxy ${JSON.stringify({ to, pool, balance, connectTimeout, ca })}`;
  const shared = await context.share(key, async () => {
    const list = to.map((origin) => resolveOrigin(origin, context.place));
    const primaries = list.filter(({ backup }) => !backup).length;
    const file = ca === undefined ? undefined : resolvePath(ca, context.place.folder);
    return new OriginPool(list, {
      balance: balance ?? "least-connections",
      max: partOf(Math.ceil((pool.max ?? DEFAULT_MAX) / primaries), context.part),
      maxIdle: partOf(pool.maxIdle ?? DEFAULT_IDLE, context.part),
      idleMs: pool.idleTimeout ?? DEFAULT_IDLE_MS,
      queue: partOf(pool.queue ?? DEFAULT_QUEUE, context.part),
      queueTimeoutMs: pool.queueTimeout ?? 30_000,
      connectTimeoutMs: connectTimeout ?? CONNECT_TIMEOUT_MS,
      caCerts: file === undefined ? [] : [await Deno.readTextFile(file)],
      notice: (message) => context.log.notice(message),
    });
  });
  return new ProxyService(options, context, shared);
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

  write(writer: ByteWriter, origin: Origin, { exchange, mount, body, upgrade }: HeadFacts): void {
    writeRequestHead(writer, exchange, {
      target: originTarget(exchange, mount, { prefix: origin.prefix, strip: this.#strip }),
      host: this.#preserveHost ? exchange.authority : origin.host,
      cut: this.cut(mount),
      body,
      connection: upgrade?.lines ?? this.#connection,
      ...(upgrade && { replaces: upgrade.replaces }),
    });
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
  readonly #heads: Heads;

  constructor(options: Options, context: Context, pool: Shared<OriginPool>) {
    this.timeoutMs = options.timeout;
    this.#context = context;
    this.#pool = pool;
    this.#heads = new Heads(options);
  }

  readonly serve = async (exchange: Exchange, mount: Mount): Promise<Outcome> => {
    if (timesSeen(exchange.headers) > MAX_SEEN) {
      throw new GatewayError(508, "proxy-loop", `Seen ${MAX_SEEN} times already, by its Via`);
    }
    if (asksForWebSocket(exchange)) return await this.#join(exchange, mount);
    const body = await this.#context.sizeBody(exchange);
    const length = body === null ? undefined : body.length ?? "chunked";
    const request = this.#request({ exchange, mount, body: length }, body);
    const outcome = await converse(this.#pool.value, request);
    if (outcome.type !== "switched") return outcome;
    throw new TypeError("Switched protocols unasked");
  };

  /** A WebSocket: the client's is accepted when the origin has accepted ours. */
  #join(exchange: Exchange, mount: Mount): Promise<Outcome> {
    const { log } = this.#context;
    return joinWebSockets({ exchange, log, pool: this.#pool.value }, (lines, replaces) => ({
      ...this.#request({ exchange, mount, body: undefined, upgrade: { lines, replaces } }, null),
      upgrade: "websocket",
    }));
  }

  #request(facts: HeadFacts, body: SizedBody | null): OriginRequest {
    const { exchange, mount } = facts;
    return {
      exchange,
      body,
      maxReplyHead: this.#context.options.maxReplyHead,
      writeHead: ({ writer, origin }) => this.#heads.write(writer, origin, facts),
      finish: (reply, connection) => this.#finish(reply, connection, mount),
    };
  }

  #finish({ headers }: OriginReply, { origin }: OriginConnection, mount: Mount): Reply["headers"] {
    if (!headers.some(isLocation)) return headers;
    const name = { base: originBase(origin), prefix: origin.prefix };
    const cut = this.#heads.cut(mount);
    return headers.map((field) =>
      isLocation(field) ? [field[0], publicLocation(field[1], name, cut)] : field
    );
  }

  get state(): OriginPool {
    return this.#pool.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

function isLocation([name]: Reply["headers"][number]): boolean {
  return name.length === "location".length && name.toLowerCase() === "location";
}
