/**
 * What the validator asks of an environ (PEP 3333, "environ Variables"): the checks of wsgiref.validate,
 * and those of Rack::Lint on top. A fault here is the server's, or that of a middleware further out.
 *
 * A finding that breaks nothing by itself is a warning: it is written to `wsgi.errors`.
 */
import { parseAuthority } from "./authority.ts";
import { isToken } from "./http_fields.ts";
import { breach, type Environ } from "./wsgi.ts";

const DETAILS = "Specification Details";
const VARIABLES = "environ Variables";
const STREAMS = "Input and Error Streams";
const STRINGS = "A Note On String Types";

export type Warn = (message: string) => void;
type Facts = Readonly<Record<string, unknown>>;

const REQUIRED = [
  "REQUEST_METHOD",
  "SERVER_NAME",
  "SERVER_PORT",
  "SERVER_PROTOCOL",
  "wsgi.version",
  "wsgi.url_scheme",
  "wsgi.input",
  "wsgi.errors",
  "wsgi.multithread",
  "wsgi.multiprocess",
  "wsgi.run_once",
];
/** Fields that have variables of their own, and the one that clients must not set (httpoxy). */
const NEVER_A_FIELD = ["CONTENT_TYPE", "CONTENT_LENGTH", "PROXY"];
const SWITCHES = ["wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"];
const METHODS = ["GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE"];
const INPUT_METHODS = ["read", "readline", "readlines", Symbol.asyncIterator];
const ERROR_METHODS = ["write", "writelines", "flush"];

/** @throws {GatewayError} 500 `wsgi-environ-...`, whose message says what is wrong. */
export function checkEnviron(environ: unknown): asserts environ is Environ {
  const facts = checkedObject(environ);
  checkKeys(facts);
  checkStrings(facts);
  checkServer(facts);
  checkStreams(facts);
  checkPaths(facts);
  checkRequest(facts);
}

/** What is odd about an environ that {@link checkEnviron} has passed. */
export function warnOfEnviron(environ: Facts, warn: Warn): void {
  if (!("QUERY_STRING" in environ)) {
    warn(`The environ has no QUERY_STRING: applications rely on it (PEP 3333, "${VARIABLES}")`);
  }
  for (const name of Object.keys(environ)) {
    if (name.includes(".") && !/^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/.test(name)) {
      warn(
        `The key ${quote(name)} should be lower case, after a prefix (PEP 3333, "${VARIABLES}")`,
      );
    }
  }
  const method = environ["REQUEST_METHOD"];
  if (typeof method === "string" && !METHODS.includes(method)) {
    warn(`REQUEST_METHOD is ${quote(method)}, which is in no common use (RFC 9110 §9.1)`);
  }
}

function checkedObject(environ: unknown): Facts {
  if (!isRecord(environ)) {
    throw fault("type", "the environ is no object", DETAILS);
  }
  const prototype: unknown = Object.getPrototypeOf(environ);
  if (prototype !== null && prototype !== Object.prototype) {
    throw fault("type", "the environ is no plain object", DETAILS);
  }
  if (!Object.isExtensible(environ)) {
    throw fault("frozen", "the environ cannot be changed, as applications may", DETAILS);
  }
  return environ;
}

function checkKeys(environ: Facts): void {
  for (const name of REQUIRED) {
    if (!(name in environ)) throw fault("missing", `the environ has no ${name}`, VARIABLES);
  }
  for (const name of NEVER_A_FIELD) {
    const variable = `HTTP_${name}`;
    if (!(variable in environ)) continue;
    const why = name === "PROXY" ? "it would be taken for configuration" : `it is called ${name}`;
    throw fault("field", `the environ must not have ${variable}: ${why}`, VARIABLES);
  }
}

function checkStrings(environ: Facts): void {
  for (const [name, value] of Object.entries(environ)) {
    if (name.includes(".")) continue;
    if (typeof value !== "string") {
      throw fault("string", `${name} is no string: leave out what is not known`, VARIABLES);
    }
    if (/[^\0-\xff]/.test(value)) {
      throw fault("latin1", `${name} has a character past U+00FF: it holds bytes`, STRINGS);
    }
  }
}

function checkServer(environ: Facts): void {
  const version = environ["wsgi.version"];
  if (!Array.isArray(version) || version.join() !== "1,0") {
    throw fault("version", "wsgi.version is not [1, 0]", VARIABLES);
  }
  const scheme = environ["wsgi.url_scheme"];
  if (scheme !== "http" && scheme !== "https") {
    throw fault("scheme", "wsgi.url_scheme is neither http nor https", VARIABLES);
  }
  for (const name of SWITCHES) {
    if (typeof environ[name] !== "boolean") {
      throw fault("boolean", `${name} is neither true nor false`, VARIABLES);
    }
  }
  const wrapper = environ["wsgi.file_wrapper"];
  if (wrapper !== undefined && typeof wrapper !== "function") {
    const section = "Optional Platform-Specific File Handling";
    throw fault("file-wrapper", "wsgi.file_wrapper is no function", section);
  }
}

function checkStreams(environ: Facts): void {
  checkMethods(environ, "wsgi.input", INPUT_METHODS);
  checkMethods(environ, "wsgi.errors", ERROR_METHODS);
}

function checkMethods(environ: Facts, name: string, methods: readonly (string | symbol)[]): void {
  const stream = environ[name];
  for (const method of methods) {
    const found = isRecord(stream) ? Reflect.get(stream, method) : undefined;
    if (typeof found === "function") continue;
    throw fault(name.slice(5), `${name} has no method ${String(method)}`, STREAMS);
  }
}

function checkPaths(environ: Facts): void {
  const script = environ["SCRIPT_NAME"];
  const path = environ["PATH_INFO"];
  if (script === "/") {
    throw fault("script-name", 'SCRIPT_NAME is "/": write "", and "/" as PATH_INFO', VARIABLES);
  }
  if (typeof script === "string" && !/^(\/|$)/.test(script)) {
    throw fault("script-name", `SCRIPT_NAME is ${quote(script)}: it must start with /`, VARIABLES);
  }
  const whole = path === "*" && environ["REQUEST_METHOD"] === "OPTIONS";
  if (typeof path === "string" && !/^(\/|$)/.test(path) && !whole) {
    throw fault("path-info", `PATH_INFO is ${quote(path)}: it must start with /`, VARIABLES);
  }
  if (!script && path === undefined) {
    throw fault("path", "the environ has neither SCRIPT_NAME nor PATH_INFO", VARIABLES);
  }
}

/** What each variable must look like, and where that is written. */
const GRAMMAR: readonly (readonly [name: string, is: (value: string) => boolean, why: string])[] = [
  ["REQUEST_METHOD", isToken, "a method is a token (RFC 9110 §9.1)"],
  ["CONTENT_LENGTH", (value) => /^\d*$/.test(value), "it must be a number of bytes"],
  ["SERVER_NAME", (value) => value !== "", "it can never be empty"],
  ["SERVER_PORT", (value) => /^\d+$/.test(value), "it must be a number"],
  ["SERVER_PROTOCOL", (value) => /^HTTP\/\d(\.\d)?$/.test(value), "it must look like HTTP/1.1"],
];

function checkRequest(environ: Facts): void {
  for (const [name, is, why] of GRAMMAR) {
    const value = environ[name];
    if (typeof value !== "string" || is(value)) continue;
    const rule = name.toLowerCase().replace("_", "-");
    throw fault(rule, `${name} is ${quote(value)}: ${why}`, VARIABLES);
  }
  const host = environ.HTTP_HOST;
  if (typeof host === "string" && parseAuthority(host) === undefined) {
    throw fault("host", `HTTP_HOST is ${quote(host)}: it must be host or host:port`, VARIABLES);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fault(rule: string, what: string, section: string): Error {
  return breach(`environ-${rule}`, `Cannot call the application: ${what}`, section);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
