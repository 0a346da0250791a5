/**
 * FastCGI upstreams as the configuration describes them: an application that listens somewhere, or one
 * that is started with the server. From the fields to an open pool, and to the permissions it takes.
 */
import * as v from "valibot";
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
  oneOrMore,
  optional,
  text,
} from "../fields.ts";
import type { Context, Permission, Place, Shared } from "../handler.ts";
import { resolvePath } from "../values.ts";
import { type Endpoint, FcgiPool, type PoolOptions } from "./fastcgi_pool.ts";
import {
  namesSocket,
  type SpawnOptions,
  spawnPermissions,
  spawnUpstream,
  type Upstream,
} from "./spawn.ts";

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

/** The fields by which a kind is told of its upstream. */
export const upstreamFields = {
  connect: described(
    optional(oneOrMore(address)),
    'Where the application listens: "host:port" or "unix:/path", or a list of them.',
  ),
  spawn: described(
    optional(v.union([spawnCommand, spawnFields])),
    "A command to start with the server, or a map with `command`, `processes`, …",
  ),
  pool: described(optional(poolFields), "How connections are kept and shared."),
  connectTimeout: described(optional(duration), "How long connecting may take; default 5s."),
};

/** What {@link upstreamFields} come to. */
export interface UpstreamOptions {
  readonly connect?: readonly Address[] | undefined;
  readonly spawn?: readonly string[] | SpawnOptions | undefined;
  readonly pool?: v.InferOutput<typeof poolFields> | undefined;
  readonly connectTimeout?: number | undefined;
}

/** The upstream in one short line. */
export function describeUpstream({ connect, spawn }: UpstreamOptions): string {
  return connect?.map(formatAddress).join(", ") ?? spawnOptions(spawn)?.command.join(" ") ?? "";
}

/** What starting or reaching it takes. */
export function upstreamPermissions(
  { connect = [], spawn }: UpstreamOptions,
  place: Place,
): readonly Permission[] {
  const options = spawnOptions(spawn);
  if (options !== undefined) return spawnPermissions(options, place);
  return connect.flatMap((where) => connectPermissions(resolveAddress(where, place)));
}

/** A share in the pool of this upstream: routes that describe it alike use one. */
export function openUpstream(
  { connect, spawn, pool, connectTimeout }: UpstreamOptions,
  context: Context,
): Promise<Shared<FcgiPool>> {
  const options = { connect, spawn, pool, connectTimeout };
  return context.share(`fastcgi ${JSON.stringify(options)}`, () => openPool(options, context));
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

function resolveAddress(where: Address, place: Place): Address {
  if (where.transport === "tcp") return where;
  return { transport: "unix", path: resolvePath(where.path, place.folder) };
}

function spawnOptions(spawn: UpstreamOptions["spawn"]): SpawnOptions | undefined {
  if (spawn === undefined) return undefined;
  return "command" in spawn ? spawn : { command: spawn };
}

async function openPool(options: UpstreamOptions, context: Context): Promise<FcgiPool> {
  const { connect = [], pool } = options;
  const spawn = spawnOptions(options.spawn);
  const tuning = poolOptions(options);
  if (spawn === undefined) {
    const max = Math.ceil((pool?.max ?? DEFAULT_MAX) / connect.length);
    const endpoints = connect.map((where): Endpoint => ({
      address: resolveAddress(where, context.place),
      max,
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

function poolOptions({ pool = {}, connectTimeout }: UpstreamOptions): PoolOptions {
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
