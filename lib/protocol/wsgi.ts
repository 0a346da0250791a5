/**
 * The contract between Portico and a TypeScript application: PEP 3333's calling convention on
 * web-standard streams. Applications and middleware import their types by `import type` from
 * `lib/middleware/mod.ts`, which has them all, and leaves nothing to load.
 *
 * What differs from the PEP follows from the language: bytes are `Uint8Array`s, "native strings" are
 * {@link ByteString}s, whatever may have to wait returns a promise, and `exc_info` is the error itself.
 */
import { GatewayError } from "../errors.ts";
import type { ByteString, Endpoint } from "../exchange.ts";

export type { ByteString } from "../exchange.ts";

/** One response field, name and value. */
export type FieldPair = readonly [name: string, value: ByteString];

/** The request body. Every method waits until it has what was asked for, or the body has ended. */
export interface InputStream {
  /** `size` bytes, fewer at the end alone; all that is left without `size`. Empty: the end. */
  read(size?: number): Promise<Uint8Array<ArrayBuffer>>;
  /** One line with its line feed, at most `size` bytes of it. Empty: the end. */
  readline(size?: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Lines until the end, or until they have `hint` bytes together. */
  readlines(hint?: number): Promise<Uint8Array<ArrayBuffer>[]>;
  /** The lines that are left. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array<ArrayBuffer>>;
}

/** Leads to the log, joined to the request. Takes any text and never throws. */
export interface ErrorStream {
  write(text: string): void;
  writelines(lines: Iterable<string>): void;
  /** Ends a line that is not finished yet. */
  flush(): void;
}

/**
 * What an application returns: bytes, piece by piece. A piece is the server's once it is given away.
 * `close` is called once, whatever happens; generators are returned (`finally` runs) before it.
 */
export type AppResult = (Iterable<Uint8Array> | AsyncIterable<Uint8Array>) & {
  close?(): unknown;
};

/**
 * Sends a piece before all that is iterated later. Resolves when the piece was taken, which is the
 * moment to produce the next one; rejects when nobody takes it any more.
 */
export type Write = (data: Uint8Array) => Promise<void>;

/**
 * Sets status ("200 OK") and fields. Nothing is sent before the first piece that is not empty. A second
 * call needs `excInfo`, the error that it reports: it replaces what was not sent yet, and throws that
 * error where it comes too late.
 */
export type StartResponse = (
  status: string,
  headers: readonly FieldPair[],
  excInfo?: Error | null,
) => Write;

export type Application = (
  environ: Environ,
  startResponse: StartResponse,
) => AppResult | Promise<AppResult>;

/** Wraps an application into another. */
export type Middleware = (application: Application) => Application;

/**
 * What `wsgi.file_wrapper` takes: `Deno.FsFile`, `Deno.Conn` and the like. Of a regular file that tells
 * its size and position the length of the answer is known, and goes out as its Content-Length.
 */
export interface FileLike {
  /** Fills the buffer from the current position; the number of bytes, or null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  close?(): unknown;
  stat?(): Promise<{ readonly size: number; readonly isFile: boolean }>;
  /** Moves by `offset` bytes from `whence` (1: the current position); gives the new position. */
  seek?(offset: number, whence: number): Promise<number>;
}

/** Positional and named arguments; whoever has others puts a new pair in its place. */
export type RoutingArgs = readonly [readonly ByteString[], Readonly<Record<string, ByteString>>];

/** One route of the table, for applications that show it. */
export interface RouteView {
  readonly name: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly methods: readonly string[] | undefined;
  readonly kind: string;
  readonly target: string;
}

/**
 * The request: a fresh object without prototype, the application's to change. Keys without a dot are
 * the CGI variables (RFC 3875 §4.1, as every kind receives them), always strings; what is not known is
 * absent.
 */
export interface Environ {
  REQUEST_METHOD: string;
  SCRIPT_NAME: ByteString;
  PATH_INFO: ByteString;
  QUERY_STRING: ByteString;
  SERVER_NAME: string;
  SERVER_PORT: string;
  SERVER_PROTOCOL: string;
  CONTENT_TYPE?: ByteString;
  CONTENT_LENGTH?: string;
  REMOTE_ADDR: string;
  REQUEST_URI: ByteString;
  HTTPS?: string;
  "wsgi.version": readonly [1, 0];
  "wsgi.url_scheme": "http" | "https";
  "wsgi.input": InputStream;
  /** The input ends with the body, so one without CONTENT_LENGTH can be read as well. */
  "wsgi.input_terminated": boolean;
  "wsgi.errors": ErrorStream;
  "wsgi.multithread": boolean;
  "wsgi.multiprocess": boolean;
  "wsgi.run_once": boolean;
  "wsgi.file_wrapper": (file: FileLike, blockSize?: number) => AppResult;
  /** Values of the route's groups: positional (none), named. */
  "wsgiorg.routing_args": RoutingArgs;
  /** As in the log, and REQUEST_ID. */
  "portico.request_id": string;
  /** Who asks, behind all trusted proxies: REMOTE_ADDR and REMOTE_PORT (0: not known) as one. */
  "portico.client": Readonly<Endpoint>;
  /** The whole route table, in file order; frozen and shared. */
  "portico.routes": readonly RouteView[];
  /** Aborted when the work has become pointless: the client left, or a time ran out. */
  "portico.signal": AbortSignal;
  /** The application is called again while earlier calls of it wait. */
  "portico.nonblocking": boolean;
  [name: string]: unknown;
}

/** An application that broke the contract: its own fault, so a 500. `section` is PEP 3333's heading. */
export function breach(rule: string, message: string, section: string): GatewayError {
  return new GatewayError(500, `wsgi-${rule}`, `${message} (PEP 3333, "${section}")`);
}
