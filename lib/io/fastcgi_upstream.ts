/**
 * FastCGI upstreams as the configuration describes them: an application that listens somewhere, or one
 * that is started with the server. From the fields to an open pool, and to the permissions it takes.
 */
import * as v from "valibot";
import { count, described, duration, fields, flag, optional } from "../fields.ts";
import type { Context, Permission, Place, ServiceStatus, Shared, Stateful } from "../handler.ts";
import { exactPartOf, partOf } from "../part.ts";
import { HEALTH, type HealthOptions } from "./balancer.ts";
import type { EndpointSource } from "./endpoint.ts";
import {
  balanceField,
  connectPermissions,
  describeTargets,
  resolveAddress,
  type Target,
  targets,
} from "./endpoint_fields.ts";
import type { FcgiLink } from "./fastcgi_connection.ts";
import { FcgiMultiplexer } from "./fastcgi_multiplexer.ts";
import { FcgiPool, type PoolOptions } from "./fastcgi_pool.ts";
import type { FcgiSource } from "./fastcgi_source.ts";
import { type Spawn, spawnPermissions, spawnUpstream } from "./spawn.ts";
import { processRange, type SpawnOptions, spawnOptions, spawnSchema } from "./spawn_fields.ts";

const DEFAULT_MAX = 128;
const DEFAULT_QUEUE = 1024;
const DEFAULT_IDLE = 16;
const CONNECT_TIMEOUT_MS = 5000;

/** Programs of our own are started again at once, and known by process: less patience, less caution. */
const SUPERVISED: HealthOptions = { failures: 1, backOffMs: 20, maxBackOffMs: 1000 };

const poolFields = v.pipe(
  fields({
    max: described(optional(count(1)), `Connections at once; default ${DEFAULT_MAX}.`),
    keepAlive: described(optional(flag), "Keep connections for further requests; default true."),
    maxIdle: described(optional(count(0)), "Connections kept while idle; default 16."),
    minIdle: described(
      optional(count(0)),
      "Connections kept open in advance, each of which holds a php-fpm child; default 0.",
    ),
    idleTimeout: described(optional(duration), "How long one is kept idle; default 2s."),
    maxAge: described(
      optional(duration),
      "How long one is used until a fresh one takes its place, so that others at the application " +
        "have their turn; default 1s.",
    ),
    maxRequests: described(
      optional(count(1)),
      "Requests after which a fresh one takes its place; default: no limit.",
    ),
    queue: described(
      optional(count(0)),
      `Requests that may wait; 503 past it. Default ${DEFAULT_QUEUE}.`,
    ),
    queueTimeout: described(optional(duration), "How long one may wait; 503 past it. Default 30s."),
    retryWindow: described(
      optional(duration),
      "How long an application that has just gone is looked for, and how soon a request must have " +
        "failed to be sent again; default 1s, 5s with spawn.",
    ),
    multiplex: described(
      optional(flag),
      "Let requests share a connection if the application says that it can; default false.",
    ),
  }),
  v.check(
    ({ minIdle = 0, maxIdle = DEFAULT_IDLE }) => minIdle <= maxIdle,
    "Cannot keep more in advance than at all: write a maxIdle of minIdle or more",
  ),
);

/** The fields by which a kind is told of its upstream. */
export const upstreamFields = {
  connect: described(
    optional(targets),
    'Where the application listens: "host:port", "unix:/path", {address, backup}, or a list of them.',
  ),
  spawn: described(
    optional(spawnSchema),
    "A command to start with the server, or a map with `command`, `processes`, …",
  ),
  balance: balanceField,
  pool: described(optional(poolFields), "How connections are kept and shared."),
  connectTimeout: described(optional(duration), "How long connecting may take; default 5s."),
};

/** Why options that are right each by itself do not go together; undefined: they do. */
export function upstreamFault({ spawn, balance, pool = {} }: UpstreamOptions): string | undefined {
  if (spawn === undefined) return undefined;
  if (balance !== undefined) {
    return "Cannot choose how processes of Portico's own are balanced: leave out balance";
  }
  if (pool.multiplex === true) {
    return "Cannot multiplex to processes of Portico's own, whose requests are counted by " +
      "connection: leave out multiplex";
  }
  return undefined;
}

/** What {@link upstreamFields} come to. */
export interface UpstreamOptions {
  readonly connect?: readonly Target[] | undefined;
  readonly spawn?: readonly string[] | SpawnOptions | undefined;
  readonly balance?: PoolOptions["balance"] | undefined;
  readonly pool?: v.InferOutput<typeof poolFields> | undefined;
  readonly connectTimeout?: number | undefined;
}

/** The upstream in one short line. */
export function describeUpstream({ connect, spawn }: UpstreamOptions): string {
  if (connect !== undefined) return describeTargets(connect);
  return spawn === undefined ? "" : spawnOptions(spawn).command.join(" ");
}

/** What starting or reaching it takes. */
export function upstreamPermissions(
  upstream: UpstreamOptions,
  place: Place,
): readonly Permission[] {
  const { connect = [] } = upstream;
  const spawn = spawnOf(upstream);
  if (spawn !== undefined) return spawnPermissions(spawn, place);
  return connect.flatMap(({ address }) =>
    connectPermissions(resolveAddress(address, place), "to connect to the application")
  );
}

/** An upstream in use: a pool, or one whose connections are shared. */
export type OpenUpstream = FcgiSource<FcgiLink> & AsyncDisposable & Stateful;

/** A share in the pool of this upstream: routes that describe it alike use one. */
export function openUpstream(
  options: UpstreamOptions,
  context: Context,
): Promise<Shared<OpenUpstream>> {
  return context.share(identityOf(options), () => openPool(options, context));
}

/** Upstreams that agree in this are one. */
function identityOf({ connect, spawn, balance, pool, connectTimeout }: UpstreamOptions): string {
  return `fastcgi ${JSON.stringify({ connect, spawn, balance, pool, connectTimeout })}`;
}

function spawnOf(upstream: UpstreamOptions): Spawn | undefined {
  const { spawn } = upstream;
  if (spawn === undefined) return undefined;
  return { options: spawnOptions(spawn), identity: identityOf(upstream) };
}

async function openPool(options: UpstreamOptions, context: Context): Promise<OpenUpstream> {
  const { connect = [], pool } = options;
  const spawn = spawnOf(options);
  const notice = (message: string) => context.log.notice(message);
  const tuning = { ...divided(poolOptions(options), context), notice };
  if (spawn !== undefined) {
    return new SpawnedPool(await spawnUpstream(spawn, context), spawn.options, {
      fields: options,
      tuning,
    });
  }
  const primaries = connect.filter(({ backup }) => !backup).length;
  const max = partOf(Math.ceil((pool?.max ?? DEFAULT_MAX) / primaries), context.part);
  const endpoints = connect.map(({ address, backup }) => {
    return { address: resolveAddress(address, context.place), backup, max };
  });
  const plain = new FcgiPool(endpoints, tuning);
  return pool?.multiplex === true
    ? new FcgiMultiplexer(plain, { ...tuning, max: max * primaries })
    : plain;
}

/** Limits are for all workers together. */
function divided(options: PoolOptions, { part }: Context): PoolOptions {
  const { maxIdle, minIdle, queue } = options;
  return {
    ...options,
    maxIdle: partOf(maxIdle, part),
    minIdle: exactPartOf(minIdle, part),
    queue: partOf(queue, part),
  };
}

function poolOptions({ pool = {}, balance, connectTimeout }: UpstreamOptions): PoolOptions {
  return {
    balance: balance ?? "least-connections",
    health: HEALTH,
    keepAlive: pool.keepAlive ?? true,
    connectTimeoutMs: connectTimeout ?? CONNECT_TIMEOUT_MS,
    idleMs: pool.idleTimeout ?? 2000,
    maxIdle: pool.maxIdle ?? DEFAULT_IDLE,
    minIdle: pool.minIdle ?? 0,
    maxAgeMs: pool.maxAge ?? 1000,
    maxRequests: pool.maxRequests ?? Infinity,
    queue: pool.queue ?? DEFAULT_QUEUE,
    queueTimeoutMs: pool.queueTimeout ?? 30_000,
    retryWindowMs: pool.retryWindow ?? 1000,
  };
}

interface Tuning {
  /** What the file says. */
  readonly fields: UpstreamOptions;
  /** What that comes to for applications that run already. */
  readonly tuning: PoolOptions;
}

/** A pool that owns the processes it connects to. */
class SpawnedPool extends FcgiPool {
  readonly #upstream: EndpointSource;

  constructor(upstream: EndpointSource, options: SpawnOptions, { fields, tuning }: Tuning) {
    const { pool = {} } = fields;
    super([], {
      ...tuning,
      health: SUPERVISED,
      // The process manager tells of what happens to its programs, and nobody else waits for them.
      notice: undefined,
      minIdle: 0,
      maxIdle: processRange(options).max * (options.concurrency ?? 1),
      maxAgeMs: pool.maxAge ?? Infinity,
      retryWindowMs: pool.retryWindow ?? tuning.connectTimeoutMs,
      onFull: () => upstream.grow(),
    });
    this.#upstream = upstream;
    upstream.attach(this);
  }

  override status(): ServiceStatus {
    // Its processes are told of one by one.
    return { ...super.status(), upstreams: undefined, ...this.#upstream.status() };
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.#upstream[Symbol.asyncDispose]();
  }
}
