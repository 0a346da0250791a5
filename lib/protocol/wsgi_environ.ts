/**
 * The environ of PEP 3333 ("environ Variables"): the one walk's CGI variables, and the server's own keys.
 *
 * Strategy: an object without prototype that the engine still keeps as a plain record. Taking the
 * prototype away while it is empty makes that so: later, or from the start (`Object.create(null)`), it
 * would become a hash table, several times as dear to fill. Keys come in a fixed order, so that all
 * environs of a route are alike to the engine.
 */
import type { ByteString, Endpoint, Exchange, Mount } from "../exchange.ts";
import { type EnvironPlan, mountFacts, walkEnviron } from "./cgi_environ.ts";
import type { Environ, ErrorStream, InputStream, RouteView, RoutingArgs } from "./wsgi.ts";
import { wrapFile } from "./wsgi_file.ts";

/** What a route's environs have in common. */
export interface EnvironFrame {
  readonly plan: EnvironPlan;
  readonly routes: readonly RouteView[];
  /** Others of the same application run beside this one. Default: none do. */
  readonly multiprocess?: boolean;
}

/** What belongs to one request alone. */
export interface EnvironParts {
  readonly mount: Mount;
  /** Bytes of the body, where that is known. */
  readonly contentLength: number | undefined;
  readonly input: InputStream;
  readonly errors: ErrorStream;
  readonly signal: AbortSignal;
}

const VERSION: readonly [1, 0] = Object.freeze([1, 0]);
/** Groups have names; those without one are named by their number. */
const NO_ARGS: readonly ByteString[] = Object.freeze([]);

/** Builds the environ of one request. */
export function buildEnviron(
  frame: EnvironFrame,
  exchange: Exchange,
  parts: EnvironParts,
): Environ {
  const { plan } = frame;
  const environ = new RequestEnviron(frame, exchange, parts);
  for (const [name, value] of plan.constants) environ[name] = value;
  const facts = mountFacts(parts.mount, parts.contentLength);
  walkEnviron(plan, exchange, facts, { set: (name, value) => environ[name] = value });
  return environ;
}

class RequestEnviron implements Environ {
  declare REQUEST_METHOD: string;
  declare SCRIPT_NAME: ByteString;
  declare PATH_INFO: ByteString;
  declare QUERY_STRING: ByteString;
  declare SERVER_NAME: string;
  declare SERVER_PORT: string;
  declare SERVER_PROTOCOL: string;
  declare REMOTE_ADDR: string;
  declare REQUEST_URI: ByteString;
  declare "wsgi.version": readonly [1, 0];
  declare "wsgi.url_scheme": "http" | "https";
  declare "wsgi.input": InputStream;
  declare "wsgi.input_terminated": boolean;
  declare "wsgi.errors": ErrorStream;
  declare "wsgi.multithread": boolean;
  declare "wsgi.multiprocess": boolean;
  declare "wsgi.run_once": boolean;
  declare "wsgi.file_wrapper": typeof wrapFile;
  declare "wsgiorg.routing_args": RoutingArgs;
  declare "portico.request_id": string;
  declare "portico.client": Readonly<Endpoint>;
  declare "portico.routes": readonly RouteView[];
  declare "portico.signal": AbortSignal;
  declare "portico.nonblocking": boolean;
  [name: string]: unknown;

  constructor(frame: EnvironFrame, exchange: Exchange, parts: EnvironParts) {
    Object.setPrototypeOf(this, null);
    this["wsgi.version"] = VERSION;
    this["wsgi.url_scheme"] = exchange.scheme;
    this["wsgi.input"] = parts.input;
    this["wsgi.input_terminated"] = true;
    this["wsgi.errors"] = parts.errors;
    // Workers share no memory: to each other they are processes.
    this["wsgi.multithread"] = false;
    this["wsgi.multiprocess"] = frame.multiprocess ?? false;
    this["wsgi.run_once"] = false;
    this["wsgi.file_wrapper"] = wrapFile;
    this["wsgiorg.routing_args"] = [NO_ARGS, parts.mount.params];
    this["portico.request_id"] = exchange.id;
    this["portico.client"] = exchange.client;
    this["portico.routes"] = frame.routes;
    this["portico.signal"] = parts.signal;
    this["portico.nonblocking"] = true;
  }
}
