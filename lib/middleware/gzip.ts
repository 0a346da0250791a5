/**
 * Compresses answers with gzip (RFC 9110 §8.4.1.3) where client and answer allow it.
 *
 * Strategy: an array is compressed whole, and its length is known again. Of everything else each value
 * is compressed and flushed as it comes, so that a stream stays one (PEP 3333, "Middleware Handling of
 * Block Boundaries"). The head waits until there is a body to judge by. What is written with write()
 * goes out as it is.
 */
import type { AppResult, FieldPair, Middleware } from "../protocol/wsgi.ts";
import { type Fields, valueOf, varyingBy, without } from "./fields.ts";
import { GzipStream } from "./gzip_stream.ts";
import { PendingHead } from "./pending_head.ts";
import { abandon, drawnFrom, type Values } from "./result.ts";

export interface GzipOptions {
  /** Bytes; shorter answers are left as they are. Default 1024. */
  readonly minimum?: number;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** Compresses answers for clients that accept gzip. */
export function gzip({ minimum = 1024 }: GzipOptions = {}): Middleware {
  const suits = (status: string, fields: Fields, length: number | undefined) =>
    isWhole(status) && isCompressible(fields) && (length ?? minimum) >= minimum;
  return (application) => (environ, startResponse) => {
    const willing = accepts(String(environ.HTTP_ACCEPT_ENCODING ?? ""));
    if (!willing || environ.REQUEST_METHOD === "HEAD") {
      return application(environ, (status, headers, excInfo) => {
        // HEAD says what GET would, as far as it is known (RFC 9110 §9.3.2).
        const length = declared(headers);
        const changes = willing && length !== undefined && suits(status, headers, length);
        return startResponse(status, changes ? encoded(headers) : negotiated(headers), excInfo);
      });
    }
    const head = new PendingHead(startResponse, { plain: negotiated, changed: encoded });
    const fits = (length = declared(head.fields)) =>
      head.isPending && suits(head.status, head.fields, length);
    const encode = (result: AppResult): AppResult | Promise<AppResult> => {
      try {
        if (Array.isArray(result) && fits(sizeOf(result))) return whole(head, result);
        if (!Array.isArray(result) && (!head.isSaid || fits())) {
          return drawnFrom(result, (values) => flow(head, values, fits));
        }
        head.plain();
        return result;
      } catch (error) {
        abandon(result);
        throw error;
      }
    };
    const result = application(environ, head.start);
    return result instanceof Promise ? result.then(encode) : encode(result);
  };
}

async function compressed(pieces: readonly Uint8Array[]): Promise<Bytes> {
  const blob = new Blob(pieces.map((piece) => new Uint8Array(piece)));
  return await new Response(blob.stream().pipeThrough(new CompressionStream("gzip"))).bytes();
}

async function whole(
  head: PendingHead,
  result: AppResult & readonly Uint8Array[],
): Promise<AppResult> {
  try {
    const bytes = await compressed(result);
    head.changed([["Content-Length", String(bytes.length)]]);
    return Object.assign([bytes], { close: () => result.close?.() });
  } catch (error) {
    await abandon(result);
    throw error;
  }
}

async function* flow(
  head: PendingHead,
  values: Values,
  fits: () => boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  let stream: GzipStream | undefined;
  let decided = false;
  try {
    for await (const piece of values) {
      if (!decided) {
        decided = true;
        if (fits()) {
          stream = new GzipStream();
          head.changed();
        } else head.plain();
      }
      if (stream === undefined || head.isReplaced || piece.length === 0) yield piece;
      else yield await stream.push(piece);
    }
    if (stream === undefined) head.plain();
    else if (!head.isReplaced) yield await stream.end();
  } finally {
    stream?.abandon();
  }
}

function declared(fields: Fields): number | undefined {
  const length = valueOf(fields, "content-length");
  return length === undefined ? undefined : Number(length);
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((size, piece) => size + piece.length, 0);
}

/** A part would be cut from another whole; what has no body has nothing to compress. */
function isWhole(status: string): boolean {
  return !/^(1|204|205|206|304)/.test(status);
}

const TYPES =
  /^(?:text\/|[^;]*[+/](?:json|xml|javascript|x-javascript|wasm|manifest|svg)\b|font\/(?:ttf|otf))/i;

/** Compressed already, a part, or not the body that the client gets in the end. */
const AS_IT_IS = ["content-encoding", "content-range", "x-accel-redirect", "x-sendfile"];

/** Whether the answer is one that is compressed for those who want it. */
function isCompressible(fields: Fields): boolean {
  return TYPES.test(valueOf(fields, "content-type") ?? "") &&
    AS_IT_IS.every((name) => valueOf(fields, name) === undefined) &&
    !/\bno-transform\b/i.test(valueOf(fields, "cache-control") ?? "");
}

function negotiated(fields: Fields): Fields {
  return isCompressible(fields) ? varyingBy(fields, "Accept-Encoding") : fields;
}

/** What was said of the bytes that went in. */
const OF_OTHER_BYTES = [
  "accept-ranges",
  "content-digest",
  "content-length",
  "content-md5",
  "digest",
  "repr-digest",
];

/** The same answer in other bytes: a strong ETag would promise the same ones (RFC 9110 §8.8.1). */
function encoded(fields: Fields): Fields {
  const kept = without(fields, ...OF_OTHER_BYTES)
    .map(([name, value]): FieldPair =>
      name.toLowerCase() === "etag" && value.startsWith('"') ? [name, `W/${value}`] : [name, value]
    );
  return [...varyingBy(kept, "Accept-Encoding"), ["Content-Encoding", "gzip"]];
}

/** RFC 9110 §12.5.3: a coding that is named counts for more than `*`; a weight of 0 refuses. */
function accepts(field: string): boolean {
  let others = false;
  for (const item of field.split(",")) {
    const [coding = "", ...parameters] = item.toLowerCase().split(";").map((part) => part.trim());
    const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    if (coding === "gzip" || coding === "x-gzip") return !refused;
    if (coding === "*") others = !refused;
  }
  return others;
}
