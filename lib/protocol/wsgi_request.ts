/**
 * A request as a fetch handler gets it: a web Request, made of an environ (PEP 3333, "URL
 * Reconstruction") or of an exchange. Its URL is the public one, path and all.
 *
 * A handler reads its path with `URL`, which resolves what the router has resolved before, but by other
 * rules: to it a backslash is a slash. Where the two could differ, the path is written anew.
 */
import { GatewayError } from "../errors.ts";
import {
  type ByteString,
  ENCODED_SLASH,
  type Exchange,
  type FieldReader,
  type SizedBody,
} from "../exchange.ts";
import type { Trace } from "../trace.ts";
import { encodePath } from "./cgi_path.ts";
import { bytesFromLatin1 } from "./http_fields.ts";
import type { Environ } from "./wsgi.ts";
import { takeFrom } from "./wsgi_input.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a Request is made of. */
interface Parts {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Bytes> | Bytes | null;
  readonly signal: AbortSignal | undefined;
}

/** The request of an environ. */
export function requestFromEnviron(environ: Environ): Request {
  const { REQUEST_METHOD: method, SCRIPT_NAME, PATH_INFO, QUERY_STRING } = environ;
  const query = QUERY_STRING ? `?${escapeBytes(QUERY_STRING)}` : "";
  const path = encodePath(SCRIPT_NAME + PATH_INFO) || "/";
  const url = `${environ["wsgi.url_scheme"]}://${authorityOf(environ)}${path}${query}`;
  const signal = environ["portico.signal"];
  return requestOf({
    method,
    url,
    headers: headersOf(environ),
    body: hasBody(environ) ? streamOf(() => takeFrom(environ["wsgi.input"])) : null,
    signal: signal instanceof AbortSignal ? signal : undefined,
  });
}

/** The request of an exchange, with the body as it was taken in hand. */
export function requestFromExchange(
  exchange: Exchange,
  body: SizedBody | null,
  signal: AbortSignal,
): Request {
  const headers = new Headers();
  const fields: FieldReader = exchange.fieldList ?? exchange.headers;
  fields.forEach((value, name) => {
    if (!exchange.withholds(name)) headers.append(name, value);
  });
  headers.set("host", exchange.authority);
  const { trace } = exchange.lifeline;
  if (trace !== undefined) setTrace(headers, trace);
  const bytes = body?.bytes;
  return requestOf({
    method: exchange.method,
    url: publicUrl(exchange),
    headers,
    body: body === null ? null : bytes === undefined ? streamOf(() => body.read()) : copyOf(bytes),
    signal,
  });
}

/** What the client says of its trace is not for the program. */
function setTrace(headers: Headers, { traceparent, tracestate }: Trace): void {
  headers.set("traceparent", traceparent);
  if (tracestate === undefined) headers.delete("tracestate");
  else headers.set("tracestate", tracestate);
}

/** The request as it came, if it says by itself all that is true and nothing else. */
export function originalRequest(exchange: Exchange): Request | undefined {
  const { request, scheme, authority, target, path, withholds, lifeline } = exchange;
  if (request === undefined || !isPlain(target, path)) return undefined;
  if (lifeline.trace !== undefined) return undefined;
  // Made by another server: it tells of the client's request, but is none that the runtime could send on.
  if (request.constructor !== Request) return undefined;
  if (request.url !== `${scheme}://${authority}${target}`) return undefined;
  let clean = true;
  exchange.headers.forEach((_value, name) => {
    if (withholds(name)) clean = false;
  });
  return clean ? request : undefined;
}

/** The URL as the client asked for it, or its equal where that could be read in another way. */
function publicUrl(exchange: Exchange): string {
  const { scheme, authority, target, path, query } = exchange;
  const origin = `${scheme}://${authority}`;
  if (isPlain(target, path)) return origin + target;
  const segments = path.split(ENCODED_SLASH).map(encodePath);
  return `${origin}${segments.join("%2F")}${query === "" ? "" : `?${escapeBytes(query)}`}`;
}

const QUESTION = 0x3f;
const ASCII = /^[\x21-\x7e]*$/;

/** Whether the router and `URL` read the same path in a target. */
function isPlain(target: ByteString, path: ByteString): boolean {
  const end = path.length;
  return target.startsWith(path) && !path.includes("\\") && ASCII.test(target) &&
    (target.length === end || target.charCodeAt(end) === QUESTION);
}

/** @throws {GatewayError} 405 `wrong-method`: CONNECT, TRACE and TRACK, which no Request can have. */
function requestOf({ method, url, headers, body, signal }: Parts): Request {
  if (/^(?:connect|trace|track)$/i.test(method)) {
    throw new GatewayError(405, "wrong-method", `Cannot hand a ${method} request to fetch()`);
  }
  const bodyless = method === "GET" || method === "HEAD";
  return new Request(url, {
    method,
    headers,
    ...(bodyless || body === null ? {} : { body, duplex: "half" }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function authorityOf(environ: Environ): string {
  const { HTTP_HOST, SERVER_NAME, SERVER_PORT } = environ;
  if (typeof HTTP_HOST === "string" && HTTP_HOST !== "") return HTTP_HOST;
  const usual = environ["wsgi.url_scheme"] === "https" ? "443" : "80";
  return SERVER_PORT === usual ? SERVER_NAME : `${SERVER_NAME}:${SERVER_PORT}`;
}

function headersOf(environ: Environ): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(environ)) {
    const [, field] = /^HTTP_(.+)$/.exec(name) ?? [];
    if (field === undefined || typeof value !== "string") continue;
    headers.append(field.replaceAll("_", "-").toLowerCase(), value);
  }
  // Empty is as good as absent (PEP 3333, "environ Variables").
  if (environ.CONTENT_TYPE) headers.set("content-type", environ.CONTENT_TYPE);
  if (environ.CONTENT_LENGTH) headers.set("content-length", environ.CONTENT_LENGTH);
  return headers;
}

function hasBody({ CONTENT_LENGTH, "wsgi.input_terminated": terminated }: Environ): boolean {
  return CONTENT_LENGTH === undefined || CONTENT_LENGTH === ""
    ? terminated === true
    : Number(CONTENT_LENGTH) > 0;
}

function streamOf(take: () => Promise<Uint8Array | undefined>): ReadableStream<Bytes> {
  return new ReadableStream({
    async pull(controller) {
      let piece = await take();
      while (piece?.length === 0) piece = await take();
      if (piece === undefined) controller.close();
      else controller.enqueue(copyOf(piece));
    },
  }, { highWaterMark: 0 });
}

/** A piece may be borrowed; what a handler gets is its own. */
function copyOf(piece: Uint8Array): Bytes {
  return new Uint8Array(piece);
}

/** Bytes that no URL may hold as they are become escapes. */
function escapeBytes(text: ByteString): string {
  if (ASCII.test(text)) return text;
  return Array.from(
    bytesFromLatin1(text),
    (byte) =>
      byte > 0x20 && byte < 0x7f
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}
