/**
 * Adapters between the two conventions: a fetch handler as an application, and an application as a fetch
 * handler. Bytes, status and fields are the same on either side, and both sides stream.
 *
 * A Response knows no reason phrase that would survive, and a Request no CONNECT or TRACE; nothing else
 * is lost.
 */
import { ClientGone } from "../errors.ts";
import type { ByteSource, Exchange, Mount, SizedBody } from "../exchange.ts";
import { plainPath } from "../exchange.ts";
import { Lifeline } from "../lifeline.ts";
import { planEnviron } from "./cgi_environ.ts";
import { decodeTarget } from "./cgi_path.ts";
import { forbidsBody } from "./http_fields.ts";
import type { Application, Environ, ErrorStream } from "./wsgi.ts";
import { Call } from "./wsgi_call.ts";
import type { Answer } from "./wsgi_draw.ts";
import { buildEnviron } from "./wsgi_environ.ts";
import { BodyInput } from "./wsgi_input.ts";
import { requestFromEnviron } from "./wsgi_request.ts";
import { checkedResponse, drawBody, saidBy } from "./wsgi_response.ts";

/** What a fetch handler learns beside the request, in the form of `Deno.serve`. */
export interface FetchInfo {
  readonly remoteAddr: {
    readonly transport: "tcp";
    readonly hostname: string;
    readonly port: number;
  };
  /** Values of the route's groups. */
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** An object with fetch(), as `deno serve` takes one, and every application of Hono is. */
export interface FetchHandler {
  fetch(request: Request, info: FetchInfo): Response | Promise<Response>;
}

const NOTHING = new Uint8Array();

/** A fetch handler as an application. */
export function fromFetch(handler: FetchHandler): Application {
  return async (environ, startResponse) => {
    const request = requestFromEnviron(environ);
    const response = checkedResponse(await handler.fetch(request, infoFromEnviron(environ)));
    const write = startResponse(...saidBy(response));
    const body = await drawBody(response.body, () => {});
    if (body instanceof Uint8Array) return [body];
    if (environ.REQUEST_METHOD === "HEAD") {
      body.close();
      return [];
    }
    // A fetch handler's head goes out with its Response, however long the first piece takes.
    await write(NOTHING);
    return body;
  };
}

function infoFromEnviron(environ: Environ): FetchInfo {
  const { REMOTE_ADDR, REMOTE_PORT, "wsgiorg.routing_args": args } = environ;
  return {
    remoteAddr: { transport: "tcp", hostname: REMOTE_ADDR, port: Number(REMOTE_PORT ?? 0) },
    params: args?.[1] ?? {},
    requestId: environ["portico.request_id"] ?? "",
  };
}

export interface FetchOptions {
  /** The path that the application is mounted at; default: the root. */
  readonly scriptName?: string;
  /** Variables added to the environ; they win. */
  readonly env?: Readonly<Record<string, string>>;
  /** wsgi.errors; default: the console. */
  readonly errors?: ErrorStream;
}

/** What an application gets to know of Deno.ServeHandlerInfo, or of a {@link FetchInfo}. */
export interface ServeInfo {
  readonly remoteAddr?: { readonly hostname?: string; readonly port?: number };
  readonly params?: Readonly<Record<string, string>>;
  readonly requestId?: string;
}

/**
 * An application as a fetch handler, for `Deno.serve`, Hono's `mount` and tests. It rejects with whatever
 * the application fails with before its head is sent.
 */
export function toFetch(
  application: Application,
  options: FetchOptions = {},
): (request: Request, info?: ServeInfo) => Promise<Response> {
  const frame = { plan: planEnviron(options.env ?? {}, undefined), routes: Object.freeze([]) };
  const errors = options.errors ?? CONSOLE;
  return async (request, info) => {
    const exchange = exchangeOf(request, info);
    const body = request.body === null ? null : bodyOf(request, request.body);
    const call = new Call(exchange, {
      release: () => body?.close(),
      notice: (message) => errors.write(`${message}\n`),
    });
    const environ = buildEnviron(frame, exchange, {
      mount: mountOf(exchange, options.scriptName ?? "", info?.params ?? {}),
      contentLength: body?.length,
      input: new BodyInput(body),
      errors,
      signal: call.signal,
    });
    const leave = () => exchange.lifeline.cut(new ClientGone());
    request.signal.addEventListener("abort", leave, { once: true });
    const forget = () => request.signal.removeEventListener("abort", leave);
    try {
      return responseOf(await call.run(application, environ), exchange, forget);
    } catch (error) {
      forget();
      throw error;
    }
  };
}

const CONSOLE: ErrorStream = {
  write(text) {
    // deno-lint-ignore no-console
    console.error(text.replace(/\n$/, ""));
  },
  writelines(lines) {
    for (const line of lines) this.write(line);
  },
  flush() {},
};

const LOOPBACK = "127.0.0.1";
let calls = 0;

function exchangeOf(request: Request, info: ServeInfo | undefined): Exchange {
  const url = new URL(request.url);
  const scheme = url.protocol === "https:" ? "https" : "http";
  const { hostname = LOOPBACK, port = 0 } = info?.remoteAddr ?? {};
  return {
    ...decodeTarget(url.pathname + url.search),
    id: info?.requestId ?? `fetch-${++calls}`,
    method: request.method,
    headers: request.headers,
    hostname: url.hostname,
    authority: url.host,
    scheme,
    client: { address: hostname, port },
    server: { address: LOOPBACK, port: Number(url.port) },
    body: request.body,
    withholds: () => false,
    lifeline: new Lifeline(),
  };
}

function mountOf({ path }: Exchange, scriptName: string, params: Mount["params"]): Mount {
  const plain = plainPath(path);
  const isBelow = plain === scriptName || plain.startsWith(`${scriptName}/`);
  const script = isBelow ? scriptName : "";
  return { scriptName: script, pathInfo: plain.slice(script.length), params };
}

function bodyOf(request: Request, body: ReadableStream<Uint8Array>): SizedBody {
  const reader = body.getReader();
  const length = request.headers.get("content-length");
  return {
    length: length === null ? undefined : Number(length),
    bytes: undefined,
    read: async () => (await reader.read()).value,
    close: () => void reader.cancel().catch(() => {}),
  };
}

function responseOf({ head, body }: Answer, exchange: Exchange, forget: () => void): Response {
  const init = { status: head.status, headers: head.headers.map(([name, value]) => [name, value]) };
  if (!(body instanceof Uint8Array)) return new Response(streamOf(body, exchange, forget), init);
  forget();
  const empty = forbidsBody(head.status) || exchange.method === "HEAD";
  return new Response(empty ? null : body, init);
}

/** A body as the platform's stream: a piece is asked for when the last one was taken. */
function streamOf(
  source: ByteSource,
  { lifeline }: Exchange,
  forget: () => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      lifeline.onCut((reason) => {
        source.cancel(reason);
        controller.error(reason);
      });
    },
    async pull(controller) {
      const piece = await source.read();
      if (lifeline.reason !== undefined) return;
      if (piece !== undefined) return controller.enqueue(piece);
      forget();
      controller.close();
    },
    cancel() {
      forget();
      source.cancel(new ClientGone());
    },
  }, { highWaterMark: 0 });
}
