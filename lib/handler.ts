/**
 * The contract of a handler kind. A kind has three phases: **check** (pure: fields to options, and the
 * permissions they need), **open** (once: import the module, start the processes) and **serve** (many
 * times, at once); then it closes. A new kind is one new file in `handlers/` and one registry line.
 */
import type * as v from "valibot";
import type { ByteString, Exchange, Mount, Outcome, SizedBody } from "./exchange.ts";
import type { Lender } from "./lender.ts";
import type { Part } from "./part.ts";
import type { Address } from "./values.ts";

/** Answers one request. Throws GatewayError, ProtocolError or ClientGone; see errors.ts. */
export type Handler = (exchange: Exchange, mount: Mount) => Outcome | Promise<Outcome>;

/** One permission that a route needs of the runtime, and why, for people. */
export interface Permission {
  readonly name: "read" | "write" | "net" | "run" | "env" | "sys";
  /** A path, `host:port`, `unix:/path`, program, variable or system call; `*` asks for all. */
  readonly value: string;
  /** Completes "routes[2] (cgi) needs …": `to run the script`. */
  readonly reason: string;
  /** With `server.workers`, of the main process alone: it starts what stays, and serves nothing. */
  readonly isMains?: true;
}

/** Where the configuration file stands; what relative names are relative to. */
export interface Place {
  /** Absolute folder of the configuration file. */
  readonly folder: string;
  /** Folder for the sockets of spawned programs. */
  readonly runDir: string;
  /** Folder for request bodies that outgrow memory. */
  readonly spoolDir: string;
  /** How many workers serve the table (`server.workers`); undefined: one. */
  readonly workers?: number;
}

/** A FastCGI application that is asked before a route serves (times in milliseconds). */
export interface AuthorizeOptions {
  readonly connect: readonly Address[];
  /** Its SCRIPT_FILENAME. */
  readonly script: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number | undefined;
}

/** Conditional and partial answers for a program's replies. */
export interface ConditionalOptions {
  /** `auto`: short replies without an ETag get one. */
  readonly etag: "own" | "auto";
}

/** A shared cache (sizes in bytes, times in milliseconds). Routes with the same options share one. */
export interface CacheOptions {
  /** All copies together. */
  readonly maxSize: number;
  /** The longest body that is kept. */
  readonly maxEntry: number;
  /** How long replies are fresh that say nothing of it; 0: not at all. */
  readonly defaultTtlMs: number;
  /** What holds for replies that do not say (RFC 5861). */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Leave to keep replies that set cookies. */
  readonly storeCookies: boolean;
  /** Whether a client's own Cache-Control counts. */
  readonly clientDirectives: boolean;
  /** Where copies outlive a restart; undefined: nowhere. */
  readonly store?: CacheStoreOptions;
}

/** A folder of stored replies (sizes in bytes). Caches that name the same one share it. */
export interface CacheStoreOptions {
  readonly dir: string;
  /** All copies together. */
  readonly maxSize: number;
  /** The longest body. */
  readonly maxEntry: number;
}

/** Who logs in by name and password. */
export interface BasicAuthOptions {
  /** As htpasswd writes it. */
  readonly file: string;
  readonly realm: string;
}

/** Options that every route has, whatever its kind (sizes in bytes, times in milliseconds). */
export interface RouteOptions {
  /** The route's path pattern, as the file has it. */
  readonly path: string;
  readonly maxRequestBody: number;
  /** The whole request; undefined: no limit. */
  readonly timeoutMs: number | undefined;
  /** From handing the request to the program to the end of its reply's head. */
  readonly firstByteTimeoutMs: number | undefined;
  readonly onAbort: "kill" | "finish";
  readonly maxReplyHead: number;
  /** Undefined: what the kind does by default. */
  readonly requestBody: "spool" | "stream" | undefined;
  /** Folders that programs may have files sent from, by prefix of their paths; undefined: none. */
  readonly sendfile?: Readonly<Record<string, string>>;
  /** Who is asked before the route serves; undefined: everybody may use it. */
  readonly authorize?: AuthorizeOptions;
  /** Who may use it at all; undefined: everybody. */
  readonly auth?: { readonly basic: BasicAuthOptions };
  /** 304, 412 and 206 made from a program's 200; undefined: its replies are sent as they are. */
  readonly conditional?: ConditionalOptions;
  /** Codings that replies may be compressed with, best first; undefined: not at all. */
  readonly compress?: readonly ("zstd" | "br" | "gzip")[];
  readonly cache?: CacheOptions;
}

/** Where a service reports what no client gets to see. Lines are joined to the request by its id. */
export interface ServiceLog {
  /** One line that a program wrote to its error stream. */
  program(requestId: string, line: string): void;
  /** Something worth an operator's attention that failed no request. */
  notice(message: string, requestId?: string): void;
}

/** One route of the table, for people and pages that show it. */
export interface RouteSummary {
  readonly name: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly methods: readonly string[] | undefined;
  /** The handler key. */
  readonly kind: string;
  /** The program or upstream in one short line. */
  readonly target: string;
}

/** What a kind is given at opening. */
export interface Context {
  readonly place: Place;
  /** The route's name, for logs. */
  readonly route: string;
  readonly options: RouteOptions;
  /** The whole table, in file order. */
  readonly routes: readonly RouteSummary[];
  readonly dev: boolean;
  /** Nothing that the route says needs a look at its answers: a ReadyResponse is as good as a Reply. */
  readonly passesOn: boolean;
  readonly log: ServiceLog;
  /** Which of several workers opens it: limits are for all together, see part.ts. Undefined: the only one. */
  readonly part?: Part | undefined;
  /** Who keeps started programs for all workers; undefined: they are started here. */
  readonly lender?: Lender | undefined;
  /**
   * Takes a request's body in hand, within the route's limits and in the route's or else the kind's
   * mode; null if there is none. With `needsLength` one whose length nobody said is spooled in any mode.
   */
  sizeBody(exchange: Exchange, needsLength?: boolean): Promise<SizedBody | null>;
  /**
   * A resource shared by all who name the same key, also across a reload: created by the first, closed
   * after the last released it.
   */
  share<T extends AsyncDisposable>(key: string, create: () => Promise<T>): Promise<Shared<T>>;
}

/** A share in a resource; disposing it gives the share back. */
export interface Shared<T> extends AsyncDisposable {
  readonly value: T;
}

/** How full something is that requests wait for: connections, processes, threads. */
export interface PoolStatus {
  readonly busy: number;
  /** Open and at rest. */
  readonly idle: number;
  /** Requests in line. */
  readonly waiting: number;
  readonly max: number;
}

/** A process that is kept running. */
export interface ProcessStatus {
  /** Undefined: none runs at the moment. */
  readonly pid: number | undefined;
  readonly state: "starting" | "ready" | "leaving";
  /** The program. */
  readonly name: string;
  readonly uptimeMs: number;
  readonly restarts: number;
  /** Requests that it has now, and those that it was given since it began. */
  readonly busy: number;
  readonly served: number;
  /** How the one before it ended; undefined: it is the first. */
  readonly lastExit: string | undefined;
}

/** How one of the addresses of an upstream fares. */
export interface UpstreamStatus {
  /** The address. */
  readonly name: string;
  /** Undefined: nobody keeps account of it. */
  readonly up?: boolean;
  /** Requests that it was given. */
  readonly requests: number;
  /** How often it could not be reached, or broke off before it answered. */
  readonly failures: number;
}

export interface ServiceStatus {
  readonly pool?: PoolStatus;
  readonly upstreams?: readonly UpstreamStatus[] | undefined;
  readonly processes?: readonly ProcessStatus[];
  /** Of all processes that there have been. */
  readonly restarts?: number;
  /** The programs' name where another process keeps them, and tells of them. */
  readonly borrows?: string;
}

/** What can be asked how it is. Several routes may have the same one. */
export interface Stateful {
  status(): ServiceStatus;
}

/** A kind opened for one route. Disposed after its last request has ended. */
export interface Service extends AsyncDisposable {
  readonly serve: Handler;
  /** The kind's own limit for a whole request, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** What people and monitors may know of its pools and processes. */
  readonly state?: Stateful | undefined;
}

/** What `explain` asks a kind: a request, its route and its place on it. */
export interface Question {
  readonly place: Place;
  readonly route: RouteOptions;
  readonly exchange: Exchange;
  readonly mount: Mount;
}

/** What a request would become, told without running anything (`explain`). */
export interface Explanation {
  /** The script, upstream, module or target that would answer. */
  readonly target: string;
  readonly scriptName: ByteString;
  readonly pathInfo: ByteString;
  /** What the application would receive; empty for kinds without an environ. */
  readonly environ: Readonly<Record<string, string>>;
  /** Findings worth knowing, such as a file that does not exist. */
  readonly notes: readonly string[];
}

/**
 * The part of the path that stands for a place in a tree of files: what a final `/*` took, else all of
 * it. Empty for the prefix itself.
 */
export function treePath(route: RouteOptions, mount: Mount): ByteString {
  return route.path.endsWith("/*") ? mount.pathInfo : mount.scriptName;
}

/** A schema for the long form's fields: a strict map that reports unknown keys. */
// deno-lint-ignore no-explicit-any
export type FieldsSchema = v.GenericSchema<any, any>;

/** A handler kind: everything that Portico knows of one key of routes.yaml. */
export interface Kind<Schema extends FieldsSchema = FieldsSchema> {
  /** One line for people: documentation, JSON Schema, `routes`. */
  readonly summary: string;
  /** The long form's fields. */
  readonly schema: Schema;
  /**
   * How this kind takes request bodies unless the route says otherwise; undefined: it takes none.
   */
  readonly requestBody: "spool" | "stream" | undefined;
  /** Where that depends on the options. */
  requestBodyOf?(options: v.InferOutput<Schema>): "spool" | "stream";
  /** The field that the short form (a plain string) stands for. */
  readonly short: string;
  /** The program or upstream in one short line, for `routes`. */
  describe(options: v.InferOutput<Schema>): string;
  /** The permissions that these options need. Pure. */
  permissions(
    options: v.InferOutput<Schema>,
    place: Place,
    route: RouteOptions,
  ): readonly Permission[];
  /** Files, and folders of sources, whose change calls for a reload under `--watch`. Pure. */
  watches?(options: v.InferOutput<Schema>, place: Place): readonly string[];
  /** What a request would become. Reads files at most. */
  explain(options: v.InferOutput<Schema>, question: Question): Promise<Explanation>;
  /** Gets ready to serve; rejects with a plain Error whose message an operator understands. */
  open(options: v.InferOutput<Schema>, context: Context): Promise<Service>;
}

/** Types a kind by its own schema; the registry then treats all alike. */
export function defineKind<Schema extends FieldsSchema>(kind: Kind<Schema>): Kind<Schema> {
  return kind;
}
