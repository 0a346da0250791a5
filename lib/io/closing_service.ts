/**
 * A kind whose upstream closes the connection behind each reply, from the fields of routes.yaml to a
 * service. uwsgi and SCGI differ in how a request is written down, which is all that a kind brings.
 */
import * as v from "valibot";
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Mount, Outcome, SizedBody } from "../exchange.ts";
import {
  type Address,
  address,
  count,
  described,
  duration,
  environment,
  fields,
  formatAddress,
  oneOrMore,
  optional,
} from "../fields.ts";
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
import {
  type EnvironPlan,
  type EnvironSink,
  mountFacts,
  planEnviron,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { partOf } from "../part.ts";
import { resolvePath } from "../values.ts";
import { declaredLength } from "./body.ts";
import { converse } from "./closing_client.ts";
import { ClosingUpstream } from "./closing_upstream.ts";
import { copyOf } from "./short_copy.ts";

const DEFAULT_MAX = 128;
const DEFAULT_QUEUE = 1024;
const CONNECT_TIMEOUT_MS = 5000;
/** Bodies up to this many bytes travel in the first write. */
const SHORT_BODY = 65_536;

/** Writes requests down in a protocol's way. */
export interface RequestEncoder extends EnvironSink {
  /** Begins a request, with what the protocol itself has to say of it. */
  begin(contentLength: number | undefined, scheme: string): void;
  /** Bytes as they are: variables that are encoded already, and the body's beginning. */
  append(bytes: Uint8Array): void;
  /** Ends the head. */
  end(): void;
  /** What was written; valid until the next write. */
  take(): Uint8Array<ArrayBuffer>;
}

/** What a kind is, in the terms of its protocol. */
export interface ClosingProtocol<Options extends ClosingFields> {
  /** The handler key. */
  readonly name: string;
  encoderOf(options: Options): RequestEncoder;
  /** The variables of an encoded head. */
  decode(head: Uint8Array<ArrayBuffer>): ReadonlyMap<string, ByteString> | undefined;
  /** Why an upstream may close the connection at a head of so many bytes; empty: no idea. */
  suspicion(headLength: number): string;
}

const poolFields = fields({
  max: described(optional(count(1)), `Connections at once; default ${DEFAULT_MAX}.`),
  queue: described(
    optional(count(0)),
    `Requests that may wait; 503 past it. Default ${DEFAULT_QUEUE}.`,
  ),
  queueTimeout: described(optional(duration), "How long one may wait; 503 past it. Default 30s."),
});

/** The fields of such a kind. `own` are variables that the protocol says itself. */
export function closingFields(own: readonly string[]) {
  const env = v.pipe(
    environment,
    v.check(
      (variables) => !own.some((name) => name in variables),
      `Cannot set ${own.join(" or ")} here: the protocol itself says it. Leave it out`,
    ),
  );
  return {
    connect: described(
      v.pipe(oneOrMore(address), v.nonEmpty("Cannot be empty: write an address")),
      'Where the application listens: "host:port" or "unix:/path", or a list that take turns.',
    ),
    env: described(optional(env), "Variables added to the environ; they win."),
    pool: described(optional(poolFields), "How many connections there may be."),
    timeout: described(optional(duration), "The longest a request may take."),
    connectTimeout: described(optional(duration), "How long connecting may take; default 5s."),
  };
}

/** What {@link closingFields} come to. */
export interface ClosingFields {
  readonly connect: readonly Address[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly pool?: v.InferOutput<typeof poolFields> | undefined;
  readonly timeout?: number | undefined;
  readonly connectTimeout?: number | undefined;
}

/** The upstream in one short line. */
export function describeClosing({ connect }: ClosingFields): string {
  return connect.map(formatAddress).join(", ");
}

/** What connecting takes. A Unix socket takes three grants: the runtime asks for its file too. */
export function closingPermissions(
  { connect }: ClosingFields,
  place: Place,
  route: RouteOptions,
): Permission[] {
  const reason = "to connect to the application";
  const reach = connect.map((where) => resolveAddress(where, place)).flatMap(
    (where): Permission[] => {
      const net: Permission = { name: "net", value: formatAddress(where), reason };
      if (where.transport === "tcp") return [net];
      const { path } = where;
      return [net, { name: "read", value: path, reason }, { name: "write", value: path, reason }];
    },
  );
  return route.requestBody === "stream" ? [...reach, ...spoolPermissions(place)] : reach;
}

/** Both protocols end a body by its length alone: one that nobody said is spooled, whatever the route says. */
function spoolPermissions({ spoolDir }: Place): Permission[] {
  const reason = "to spool request bodies whose length nobody said";
  return [{ name: "read", value: spoolDir, reason }, { name: "write", value: spoolDir, reason }];
}

/** Encodes the request and reads it back: what is told is what would be sent. */
export async function explainClosing<Options extends ClosingFields>(
  protocol: ClosingProtocol<Options>,
  options: Options,
  { exchange, mount }: Question,
): Promise<Explanation> {
  const target = describeClosing(options);
  try {
    const head = new Heads(protocol.encoderOf(options), options.env);
    head.write(exchange, mount, declaredLength(exchange.headers));
    const environ = Object.fromEntries(protocol.decode(head.encoder.take()) ?? []);
    return await Promise.resolve({ target, ...mount, environ, notes: [] });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const notes = [`would answer ${error.status}: ${error.message}`];
    return { target, ...mount, environ: {}, notes };
  }
}

/** Opens the kind for a route. Routes that describe their upstream alike share its connections. */
export async function openClosing<Options extends ClosingFields>(
  protocol: ClosingProtocol<Options>,
  options: Options,
  context: Context,
): Promise<Service> {
  const { connect, pool = {}, connectTimeout } = options;
  const key = `${protocol.name} ${JSON.stringify({ connect, pool, connectTimeout })}`;
  const upstream = await context.share(key, () => {
    const addresses = connect.map((where) => resolveAddress(where, context.place));
    const tuning = {
      max: partOf(pool.max ?? DEFAULT_MAX, context.part),
      queue: partOf(pool.queue ?? DEFAULT_QUEUE, context.part),
      queueTimeoutMs: pool.queueTimeout ?? 30_000,
      connectTimeoutMs: connectTimeout ?? CONNECT_TIMEOUT_MS,
      notice: (message: string) => context.log.notice(message),
    };
    return Promise.resolve(new ClosingUpstream(addresses, tuning));
  });
  return new ClosingService(protocol, options, context, upstream);
}

function resolveAddress(where: Address, place: Place): Address {
  if (where.transport === "tcp") return where;
  return { transport: "unix", path: resolvePath(where.path, place.folder) };
}

/** Writes the heads of a route's requests, one after the other, into one encoder. */
class Heads {
  readonly encoder: RequestEncoder;
  readonly #plan: EnvironPlan;
  /** The plan's constants, encoded once. */
  readonly #constants: Uint8Array;

  constructor(encoder: RequestEncoder, env: ClosingFields["env"] = {}) {
    this.encoder = encoder;
    this.#plan = planEnviron(env, undefined);
    for (const [name, value] of this.#plan.constants) encoder.set(name, value);
    this.#constants = encoder.take().slice();
  }

  write(exchange: Exchange, mount: Mount, contentLength: number | undefined): void {
    const { encoder } = this;
    encoder.begin(contentLength, exchange.scheme);
    // The length has been said.
    walkEnviron(this.#plan, exchange, mountFacts(mount, undefined), encoder);
    encoder.append(this.#constants);
    encoder.end();
  }
}

class ClosingService<Options extends ClosingFields> implements Service {
  readonly timeoutMs: number | undefined;
  readonly #protocol: ClosingProtocol<Options>;
  readonly #context: Context;
  readonly #upstream: Shared<ClosingUpstream>;
  readonly #heads: Heads;

  constructor(
    protocol: ClosingProtocol<Options>,
    options: Options,
    context: Context,
    upstream: Shared<ClosingUpstream>,
  ) {
    this.timeoutMs = options.timeout;
    this.#protocol = protocol;
    this.#context = context;
    this.#upstream = upstream;
    this.#heads = new Heads(protocol.encoderOf(options), options.env);
  }

  readonly serve = (exchange: Exchange, mount: Mount): Promise<Outcome> =>
    // Most requests have no body, and need not wait for one.
    exchange.body === null
      ? this.#converse(exchange, mount, null)
      : this.#serveBody(exchange, mount);

  async #serveBody(exchange: Exchange, mount: Mount): Promise<Outcome> {
    const body = await this.#context.sizeBody(exchange, true);
    try {
      return await this.#converse(exchange, mount, body);
    } catch (error) {
      body?.close();
      throw error;
    }
  }

  #converse(exchange: Exchange, mount: Mount, body: SizedBody | null): Promise<Outcome> {
    const { options, log } = this.#context;
    const { bytes } = body ?? {};
    const short = bytes !== undefined && bytes.length <= SHORT_BODY ? bytes : undefined;
    const packet = this.#packet(exchange, mount, body, short);
    return converse(this.#upstream.value, {
      exchange,
      packet,
      body: short === undefined ? body : null,
      maxReplyHead: options.maxReplyHead,
      log,
      suspicion: this.#protocol.suspicion(packet.length - (short?.length ?? 0)),
    });
  }

  /** The head, and a short body behind it. A copy: the encoder serves other requests meanwhile. */
  #packet(
    exchange: Exchange,
    mount: Mount,
    body: SizedBody | null,
    short: Uint8Array | undefined,
  ): Uint8Array<ArrayBuffer> {
    this.#heads.write(exchange, mount, body?.length);
    if (short !== undefined) this.#heads.encoder.append(short);
    return copyOf(this.#heads.encoder.take());
  }

  get state(): ClosingUpstream {
    return this.#upstream.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upstream[Symbol.asyncDispose]();
  }
}
