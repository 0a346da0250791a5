/**
 * The values that travel: a request comes down as an {@link Exchange} and a {@link Mount}, the answer
 * goes up as an {@link Outcome}. They only move one way; nothing is written into a shared context.
 *
 * Every string that stands for bytes of the wire is a {@link ByteString}, so each protocol encodes it
 * by its code units and nothing is lost or doubled on the way (RFC 3875 §7.2, PEP 3333 "native strings").
 */
import type { Lifeline } from "./lifeline.ts";

/** A string whose code units are all at most U+00FF: bytes as Latin-1, as WHATWG's ByteString. */
export type ByteString = string;

/** One header field, in wire order. */
export type HeaderPair = [name: string, value: ByteString];

/**
 * Stands for an encoded slash (`%2F`) inside {@link Exchange.path}, so that it never splits a segment.
 * It lies outside the range of a byte and thus cannot come from a client.
 */
export const ENCODED_SLASH = "\u0100";

/** An address and port at one end of a connection. `port` is 0 for a Unix socket. */
export interface Endpoint {
  /** IP address without brackets, or the path of a Unix socket. */
  readonly address: string;
  readonly port: number;
}

/** What it takes to read fields; names are in lower case. */
export interface FieldReader {
  get(name: string): ByteString | null;
  forEach(tell: (value: ByteString, name: string) => void): void;
}

/** One request, decoded once. Immutable; lives as long as its answer. */
export interface Exchange {
  /** Unique within the process's life; joins log lines, program output and error pages. */
  readonly id: string;
  /** Case-sensitive, as the client sent it (RFC 9110 §9.1). */
  readonly method: string;
  /** The raw request target, path and query, as the client sent it (REQUEST_URI). */
  readonly target: ByteString;
  /**
   * The path: percent-decoded to bytes, dot segments resolved, repeated slashes merged; starts with
   * `/`. An encoded slash is {@link ENCODED_SLASH}.
   */
  readonly path: ByteString;
  /** What follows the first `?`, still encoded; empty if there is none. */
  readonly query: ByteString;
  readonly headers: Headers;
  /** The same fields where they came as a list, for who reads all of them: `headers` is dear to make. */
  readonly fieldList?: FieldReader;
  /** The request that this was read from; undefined where it was made (a local redirect, `explain`). */
  readonly request?: Request;
  /** Settles when its answer has been sent, or could not be; undefined: nobody tells. */
  readonly sent?: Promise<void> | undefined;
  /** What the client asked for as host: name in lower case, IPv6 in brackets, without the port. */
  readonly hostname: string;
  /** The authority as the client wrote it (HTTP_HOST). */
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly client: Endpoint;
  readonly server: Endpoint;
  /** The request's body; null if it has none. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  /** True for fields (by lower-case name) that claim who the client is and were not believed. */
  readonly withholds: (lowerName: string) => boolean;
  /** Says when the work on this request shall end before its time, and why. */
  readonly lifeline: Lifeline;
  /** What the gateway found out about the request on its way: variables for the program. */
  readonly variables?: readonly HeaderPair[] | undefined;
}

/** The same request, something about it told differently. */
export function derived(exchange: Exchange, changes: Partial<Exchange>): Exchange {
  const { id, method, target, path, query, headers, hostname, authority, scheme } = exchange;
  const { client, server, withholds, lifeline, variables, request } = exchange;
  return {
    id,
    method,
    target,
    path,
    query,
    headers,
    hostname,
    authority,
    scheme,
    client,
    server,
    withholds,
    lifeline,
    variables,
    ...(request && { request }),
    // Asking for it may cost something.
    get body() {
      return exchange.body;
    },
    ...changes,
  };
}

/** Where in the URL space the request met its route: the border between SCRIPT_NAME and PATH_INFO. */
export interface Mount {
  /** Decoded; `""` or starts with `/` (RFC 3875 §4.1.13). */
  readonly scriptName: ByteString;
  /** Decoded; `""` or starts with `/` (RFC 3875 §4.1.5). */
  readonly pathInfo: ByteString;
  /** Values of the pattern's named groups. */
  readonly params: Readonly<Record<string, ByteString>>;
}

/** A body on its way to a program. */
export interface SizedBody {
  /** Bytes in all; undefined: not known in advance. */
  readonly length: number | undefined;
  /** The whole body, if it lies in memory. */
  readonly bytes: Uint8Array | undefined;
  /** The next piece; undefined at the end. One that is borrowed is valid until the next read. */
  read(borrow?: boolean): Promise<Uint8Array | undefined>;
  /** The rest is not wanted, or all was read: gives back what holds it. May be called repeatedly. */
  close(): void;
}

/** A body that is produced while it is sent; it owns whatever produces it. */
export interface ByteSource {
  /**
   * The next piece, never empty; undefined at the end. Its memory may be given back when the next one is
   * asked for: who keeps it until then makes a copy. Rejects when the body ends before it is whole. Not
   * called again before it has settled, nor after either end.
   */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The rest is not wanted. Called at most once, and not after the end. */
  cancel(reason: Error): void;
  /** In its own stead, before anything was read: bytes, and slices in any order. Undefined: it cannot. */
  slices?(pieces: readonly BodyPiece[]): ByteSource;
  /** All of it, where it is there already and nobody will write to it: it need not be read. */
  readonly whole?: Uint8Array<ArrayBuffer>;
  /** The same as a response that costs no copy: status 200, no fields, a new one each time. */
  response?(): Response;
}

/** What a part of a body is made of: bytes as they are, or a slice, `end` being what follows its last byte. */
export type BodyPiece =
  | Uint8Array<ArrayBuffer>
  | { readonly start: number; readonly end: number };

/** What a reply's body may be. Bytes go out in one write with an exact length; the others as they come. */
export type ReplyBody = Uint8Array<ArrayBuffer> | ByteSource | null;

/** A file that a program asks to have sent in its stead. */
export interface FileRequest {
  /** `path`: percent-encoded, under a prefix of the route's `sendfile`; `name`: an absolute file name. */
  readonly by: "path" | "name";
  readonly value: ByteString;
}

/** Where the gateway keeps what it made of a reply that goes out over and over; it starts empty. */
export interface Again {
  made?: {
    readonly status: number;
    readonly headers: readonly HeaderPair[];
    readonly body: Uint8Array<ArrayBuffer>;
    response?: Response | undefined;
  };
}

/** An answer. Header fields are clean: valid names, no control characters, no hop-by-hop fields. */
export interface Reply {
  readonly type: "reply";
  /** 200 to 599. */
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly body: ReplyBody;
  /** What the program would rather have sent, with these fields, on a route that allows it. */
  readonly file?: FileRequest;
  /** The same list of fields and the same bytes will be sent again. */
  readonly again?: Again;
}

/** The program asks for another local resource in its stead (RFC 3875 §6.2.2). */
export interface LocalRedirect {
  readonly type: "local-redirect";
  /** Path and query: a new raw request target. */
  readonly target: ByteString;
}

/**
 * A response of the runtime's own making, which goes out as it is: a fetch handler's, or one on which
 * more hangs than it shows (a WebSocket's upgrade). The route's `headers` and the rules for replies do
 * not touch it.
 */
export interface ReadyResponse {
  readonly type: "response";
  readonly response: Response;
  /** Resolves when the work behind it is over, rejects if it was not brought to its end. */
  readonly ended: Promise<void>;
}

export type Outcome = Reply | LocalRedirect | ReadyResponse;

/** The decoded path with encoded slashes as the slashes they stand for. */
export function plainPath(path: ByteString): ByteString {
  return path.includes(ENCODED_SLASH) ? path.replaceAll(ENCODED_SLASH, "/") : path;
}
