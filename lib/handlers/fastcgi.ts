/**
 * `fastcgi`: an application that outlives its requests (FastCGI 1.0). Either it runs already and is
 * reached at an address (`connect`), or it is started with the server and supervised (`spawn`).
 *
 * Which script a request means is settled here: one for the whole route (`script`), or the one that the
 * path names in a tree (`root`, cut by `split`), or none, for applications that are one program.
 */
import * as v from "valibot";
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Mount } from "../exchange.ts";
import {
  type Address,
  address,
  command,
  count,
  described,
  duration,
  environment,
  fields,
  flag,
  formatAddress,
  list,
  oneOrMore,
  optional,
  text,
  word,
} from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type RouteOptions,
  type Service,
  type Shared,
  treePath,
} from "../handler.ts";
import { converse } from "../io/fastcgi_client.ts";
import { type Endpoint, FcgiPool, type PoolOptions } from "../io/fastcgi_pool.ts";
import { resolvePath } from "../values.ts";
import { refuseEncodedSlash } from "../io/script_finder.ts";
import {
  namesSocket,
  type SpawnOptions,
  spawnPermissions,
  spawnUpstream,
  type Upstream,
} from "../io/spawn.ts";
import {
  byteString,
  collectEnviron,
  type EnvironFacts,
  type EnvironPlan,
  planEnviron,
  textOf,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { splitScript } from "../protocol/cgi_path.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";

const DEFAULT_MAX = 128;
const DEFAULT_QUEUE = 1024;
const CONNECT_TIMEOUT_MS = 5000;

/** A program is to be told where to listen. */
const spawnCommand = v.pipe(
  command,
  v.check(
    (words: string[]) => namesSocket(words),
    "Cannot tell the program where to listen: write {socket} where it takes a Unix socket's path",
  ),
);

const spawnFields = fields({
  command: described(
    spawnCommand,
    "The program and its arguments. `{socket}` stands for the socket it shall listen on; `deno` is " +
      "the runtime that runs Portico. php-cgi needs no mention of the socket.",
  ),
  processes: described(optional(count(1)), "How many to run; default 1."),
  env: described(
    optional(environment),
    "The processes' environment; nothing else is in it but PATH.",
  ),
  cwd: described(optional(text), "The processes' working folder; default: that of the file."),
  startTimeout: described(optional(duration), "How long one may take to listen; default 10s."),
});

const poolFields = fields({
  max: described(optional(count(1)), `Connections at once; default ${DEFAULT_MAX}.`),
  keepAlive: described(optional(flag), "Keep connections for further requests; default true."),
  maxIdle: described(optional(count(0)), "Connections kept while idle; default 16."),
  idleTimeout: described(optional(duration), "How long one is kept idle; default 2s."),
  queue: described(
    optional(count(0)),
    `Requests that may wait; 503 past it. Default ${DEFAULT_QUEUE}.`,
  ),
  queueTimeout: described(optional(duration), "How long one may wait; 503 past it. Default 30s."),
});

const schema = v.pipe(
  fields({
    connect: described(
      optional(oneOrMore(address)),
      'Where the application listens: "host:port" or "unix:/path", or a list of them.',
    ),
    spawn: described(
      optional(v.union([spawnCommand, spawnFields])),
      "A command to start with the server, or a map with `command`, `processes`, …",
    ),
    root: described(optional(text), "The tree of scripts (DOCUMENT_ROOT)."),
    script: described(optional(text), "The one script for every request (SCRIPT_FILENAME)."),
    index: described(optional(text), "The script of a folder; default index.php."),
    split: described(
      optional(list(text)),
      'Suffixes that end a script\'s name in the path; default [".php"].',
    ),
    env: described(optional(environment), "Variables added to the environ; they win."),
    pool: described(optional(poolFields), "How connections are kept and shared."),
    timeout: described(optional(duration), "The longest a request may take."),
    connectTimeout: described(optional(duration), "How long connecting may take; default 5s."),
    role: described(
      optional(word("responder", "authorizer")),
      "The FastCGI role; default responder.",
    ),
  }),
  v.check(
    ({ connect, spawn }) => (connect === undefined) !== (spawn === undefined),
    "Cannot tell where the application is: write either connect or spawn",
  ),
  v.check(
    ({ script, root }) => script === undefined || root === undefined,
    "Cannot have both: write either script or root",
  ),
);

type Options = v.InferOutput<typeof schema>;

export const fastcgi = defineKind({
  summary: "Passes requests to a FastCGI application, running already or started by Portico.",
  schema,
  requestBody: "spool",
  short: "connect",
  describe: ({ connect, spawn }) =>
    connect?.map(formatAddress).join(", ") ?? spawnOptions(spawn)?.command.join(" ") ?? "",
  permissions,
  explain,
  open: async (options, context) => {
    const pool = await context.share(
      `fastcgi ${JSON.stringify(upstreamOf(options))}`,
      () => openPool(options, context),
    );
    return new FcgiService(options, context, pool);
  },
});

function permissions(options: Options, place: Place): readonly Permission[] {
  const spawn = spawnOptions(options.spawn);
  if (spawn !== undefined) return spawnPermissions(spawn, place);
  return (options.connect ?? []).flatMap((where) => connectPermissions(where));
}

/** A Unix socket takes three grants: the runtime asks for its file and for the connection. */
function connectPermissions(where: Address): Permission[] {
  const reason = "to connect to the application";
  const net: Permission = { name: "net", value: formatAddress(where), reason };
  if (where.transport === "tcp") return [net];
  return [
    net,
    { name: "read", value: where.path, reason },
    { name: "write", value: where.path, reason },
  ];
}

function spawnOptions(spawn: Options["spawn"]): SpawnOptions | undefined {
  if (spawn === undefined) return undefined;
  return Array.isArray(spawn) ? { command: spawn } : spawn;
}

/** What makes two routes' upstreams the same one. */
function upstreamOf({ connect, spawn, pool, connectTimeout }: Options): unknown {
  return { connect, spawn, pool, connectTimeout };
}

async function openPool(options: Options, context: Context): Promise<FcgiPool> {
  const spawn = spawnOptions(options.spawn);
  const tuning = poolOptions(options);
  if (spawn === undefined) {
    const max = options.pool?.max ?? DEFAULT_MAX;
    const each = Math.ceil(max / (options.connect ?? []).length);
    const endpoints = (options.connect ?? []).map((where): Endpoint => ({
      address: where,
      max: each,
    }));
    return new FcgiPool(endpoints, tuning);
  }
  const upstream = await spawnUpstream(spawn, context);
  // A process serves one connection at a time: a second one would wait behind the first.
  const endpoints = upstream.sockets.map((path): Endpoint => ({
    address: { transport: "unix", path },
    max: 1,
  }));
  const patienceMs = tuning.connectTimeoutMs;
  return new SpawnedPool(endpoints, { ...tuning, maxIdle: endpoints.length, patienceMs }, upstream);
}

function poolOptions({ pool = {}, connectTimeout }: Options): PoolOptions {
  return {
    keepAlive: pool.keepAlive ?? true,
    connectTimeoutMs: connectTimeout ?? CONNECT_TIMEOUT_MS,
    idleMs: pool.idleTimeout ?? 2000,
    maxIdle: pool.maxIdle ?? 16,
    queue: pool.queue ?? DEFAULT_QUEUE,
    queueTimeoutMs: pool.queueTimeout ?? 30_000,
    patienceMs: 0,
  };
}

/** A pool that owns the processes it connects to. */
class SpawnedPool extends FcgiPool {
  readonly #upstream: Upstream;

  constructor(endpoints: readonly Endpoint[], options: PoolOptions, upstream: Upstream) {
    super(endpoints, options);
    this.#upstream = upstream;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.#upstream[Symbol.asyncDispose]();
  }
}

async function explain(options: Options, question: Question): Promise<Explanation> {
  const { place, route, exchange, mount } = question;
  const scripts = new Scripts(options, place, route);
  try {
    const facts = scripts.find(exchange, mount, undefined);
    return await Promise.resolve({
      target: fastcgi.describe(options),
      scriptName: facts.scriptName,
      pathInfo: facts.pathInfo,
      environ: collectEnviron(scripts.plan, exchange, facts),
      notes: facts.scriptFilename === undefined ? [] : [`runs ${textOf(facts.scriptFilename)}`],
    });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const note = `would answer ${error.status}: ${error.message}`;
    return { target: fastcgi.describe(options), ...mount, environ: {}, notes: [note] };
  }
}

/** Settles SCRIPT_NAME, PATH_INFO and SCRIPT_FILENAME. */
class Scripts {
  readonly plan: EnvironPlan;
  readonly #route: RouteOptions;
  readonly #root: ByteString | undefined;
  readonly #script: ByteString | undefined;
  readonly #index: ByteString;
  readonly #split: readonly ByteString[];

  constructor(options: Options, place: Place, route: RouteOptions) {
    const { root, script, index = "index.php", split = [".php"], env = {} } = options;
    const folder = root === undefined ? undefined : resolvePath(root, place.folder);
    this.plan = planEnviron(env, folder);
    this.#route = route;
    this.#root = folder === undefined ? undefined : byteString(folder);
    this.#script = script === undefined ? undefined : byteString(resolvePath(script, place.folder));
    this.#index = byteString(index);
    this.#split = split.map(byteString);
  }

  find(exchange: Exchange, mount: Mount, contentLength: number | undefined): EnvironFacts {
    const { scriptName, pathInfo } = mount;
    if (this.#root === undefined) {
      return { scriptName, pathInfo, scriptFilename: this.#script, contentLength };
    }
    refuseEncodedSlash(exchange);
    const path = treePath(this.#route, mount);
    const named = path === "" || path.endsWith("/") ? `${path || "/"}${this.#index}` : path;
    const split = splitScript(named, this.#split) ?? splitScript(path, this.#split);
    // Anything else that lies in the tree is no script, and php-cgi would run it as one.
    if (split === undefined) {
      throw new GatewayError(404, "no-script", `No script (${this.#split}) in the path`);
    }
    const before = this.#route.path.endsWith("/*") ? scriptName : "";
    return {
      scriptName: before + split.script,
      pathInfo: split.rest,
      scriptFilename: this.#root + split.script,
      contentLength,
    };
  }
}

class FcgiService implements Service {
  readonly timeoutMs: number | undefined;
  readonly #context: Context;
  readonly #pool: Shared<FcgiPool>;
  readonly #scripts: Scripts;
  readonly #role: "responder" | "authorizer";
  /** The plan's constants as name-value pairs, encoded once. */
  readonly #constants: Uint8Array;

  constructor(options: Options, context: Context, pool: Shared<FcgiPool>) {
    this.timeoutMs = options.timeout;
    this.#context = context;
    this.#pool = pool;
    this.#scripts = new Scripts(options, context.place, context.options);
    this.#role = options.role ?? "responder";
    const encoder = new FcgiEncoder();
    for (const [name, value] of this.#scripts.plan.constants) encoder.pair(name, value);
    this.#constants = encoder.take().slice();
  }

  readonly serve = async (exchange: Exchange, mount: Mount) => {
    const { options, log } = this.#context;
    const facts = this.#scripts.find(exchange, mount, undefined);
    const body = await this.#context.sizeBody(exchange);
    const sized = body === null ? facts : { ...facts, contentLength: body.length };
    return await converse(this.#pool.value, {
      exchange,
      role: this.#role,
      body,
      maxReplyHead: options.maxReplyHead,
      log,
      writeParams: (encoder) => {
        walkEnviron(this.#scripts.plan, exchange, sized, encoder);
        encoder.append(this.#constants);
      },
    });
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
