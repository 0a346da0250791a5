/**
 * The validated route table: what every other part reads of routes.yaml. Defaults are filled in, names
 * resolved, units settled (bytes, milliseconds); nothing in it needs checking again.
 */
import type { HeaderPair } from "../exchange.ts";
import type { Kind, RouteOptions } from "../handler.ts";
import type { LogTemplate } from "../log_template.ts";
import type { Address, ListenAddress } from "../values.ts";

export interface ServerOptions {
  /** How many gateways serve the table side by side, each on a core of its own. */
  readonly workers: number;
  /** How long one of several may show no sign of life; 0: any time. */
  readonly stallTimeoutMs: number;
  /** Never empty. */
  readonly listen: readonly ListenAddress[];
  readonly tls?: TlsOptions;
  /** The Node-compatible server listens, with these limits; undefined: the runtime's own. */
  readonly node?: NodeListenerOptions;
  /** Networks, addresses, or `unix`, as `parseRange` reads them. */
  readonly trustedProxies: readonly string[];
  /** The field in which a CDN tells the client's address. */
  readonly clientIpHeader?: string;
  readonly originSecret?: OriginSecretOptions;
  readonly maxRequestBody: number;
  /** The longest pause in a request body; 0: any. */
  readonly bodyIdleTimeoutMs: number;
  /** Bytes a second; 0: any. */
  readonly bodyMinRate: number;
  /** How long a client may take nothing of its answer; 0: any time. */
  readonly sendTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** How long it goes on as before after it was told to stop, no longer ready. */
  readonly drainDelayMs: number;
  /** Requests that take longer are worth a line of their own; undefined: none is. */
  readonly slowRequestMs?: number;
  readonly accessLog: "combined" | "json" | "off" | LogTemplate;
  /** Absolute; undefined: standard output. */
  readonly accessLogFile?: string;
  /** Undefined: nobody traces. */
  readonly traces?: TracesOptions;
  readonly dev: boolean;
  /** Absolute folder for request bodies that outgrow memory. */
  readonly spoolDir: string;
  readonly spoolQuota: number;
  /** Absolute folder for the sockets of spawned programs. */
  readonly runDir: string;
}

/** What connections may do (times in milliseconds, sizes in bytes). */
export interface NodeListenerOptions {
  readonly headerTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** On each address; 0: any number. */
  readonly maxConnections: number;
  readonly maxRequestHead: number;
}

export interface TlsOptions {
  /** Absolute names of PEM files. */
  readonly cert: string;
  readonly key: string;
  /** The value of Strict-Transport-Security. */
  readonly hsts?: string;
}

/** What only the CDN in front can send. */
export interface OriginSecretOptions {
  readonly header: string;
  /** The variable of the gateway's own environment that holds the value. */
  readonly env: string;
  /** Peers of whom it is not asked; as `trustedProxies`. */
  readonly except: readonly string[];
}

/** Where the spans of requests go. */
export interface TracesOptions {
  /** The whole URL. */
  readonly endpoint: string;
  /** Of the traces that begin here, 0 to 1. */
  readonly sampleRatio: number;
  /** Whose trace is taken up. */
  readonly acceptFrom: "trustedProxies" | "everybody" | "nobody";
  readonly serviceName: string;
  /** The variable that holds fields for the collector. */
  readonly headersEnv?: string;
}

/** The operator's own listener. */
export interface AdminOptions {
  readonly listen: Address;
  /** The variable that holds its token; undefined: it asks for none. */
  readonly tokenEnv?: string;
}

/** What a route does to every response. */
export interface ResponseHeaders {
  readonly set: readonly HeaderPair[];
  readonly remove: readonly string[];
}

export interface RouteConfig {
  /** Its place in the file, from 0. */
  readonly index: number;
  /** Unique within the table; for logs and metrics. */
  readonly name: string;
  /** A pattern that `parsePattern` takes. */
  readonly path: string;
  /** Lower case; a name, an IPv4 address, a bracketed IPv6 address or `*.name`. */
  readonly host: string | undefined;
  readonly methods: readonly string[] | undefined;
  /** The handler key; `kind` is what the registry holds under it. */
  readonly key: string;
  readonly kind: Kind;
  /** What the kind's schema made of the long form's fields. */
  readonly fields: unknown;
  readonly options: RouteOptions;
  readonly headers: ResponseHeaders;
  /** Where the route begins in the file, from 1. */
  readonly line: number;
  readonly column: number;
}

export interface Table {
  /** The file's name as faults print it. */
  readonly file: string;
  /** The absolute folder that relative names start from. */
  readonly folder: string;
  readonly server: ServerOptions;
  /** Undefined: there is no admin listener. */
  readonly admin?: AdminOptions;
  readonly routes: readonly RouteConfig[];
}
