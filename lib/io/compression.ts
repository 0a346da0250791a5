/**
 * Replies compressed for those who want it (`compress`): a wrapper around any service.
 *
 * Strategy: a short body that is all there is compressed at once, and its length is known again. Anything
 * else is compressed and flushed piece by piece as it comes, so that a stream of events stays one.
 */
import type { ByteSource, Exchange, Outcome, Reply, ReplyBody } from "../exchange.ts";
import type { Service } from "../handler.ts";
import { chooseCoding } from "../protocol/accept_encoding.ts";
import {
  type Coding,
  encoded,
  isCompressible,
  negotiated,
  notModified,
} from "../protocol/content_coding.ts";
import { Encoder, encodeWhole, MAX_AT_ONCE } from "./encoder.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The service, with its replies compressed. `codings`: those that may be used, best first. */
export function withCompression(service: Service, codings: readonly Coding[]): Service {
  return {
    timeoutMs: service.timeoutMs,
    serve(exchange, mount): Outcome | Promise<Outcome> {
      const outcome = service.serve(exchange, mount);
      return outcome instanceof Promise ? outcome.then(compressed) : compressed(outcome);

      function compressed(outcome: Outcome): Outcome {
        return outcome.type === "reply" ? compressedReply(outcome, exchange, codings) : outcome;
      }
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

function compressedReply(reply: Reply, exchange: Exchange, codings: readonly Coding[]): Reply {
  const { status, headers, body } = reply;
  const asked = exchange.headers;
  if (status === 304) return { ...reply, headers: notModified(headers, asked) };
  const isHead = exchange.method === "HEAD";
  // HEAD tells what GET would, as far as it is known (RFC 9110 §9.3.2).
  const length = body instanceof Uint8Array ? body.length : undefined;
  if (reply.file !== undefined || (body === null && !isHead)) return reply;
  if (!isCompressible(status, headers, length)) return reply;
  const coding = chooseCoding(asked.get("accept-encoding"), codings);
  // A part is cut from the whole as it is; whoever asks for one wants no other bytes.
  if (coding === undefined || asked.has("range")) return { ...reply, headers: negotiated(headers) };
  const fields = encoded(headers, coding);
  if (isHead) return { ...reply, headers: fields };
  if (body instanceof Uint8Array && body.length <= MAX_AT_ONCE) {
    const bytes = encodeWhole(coding, body);
    return {
      ...reply,
      headers: [...fields, ["content-length", String(bytes.length)]],
      body: bytes,
    };
  }
  return { ...reply, headers: fields, body: new EncodedSource(sourceOf(body), coding) };
}

/** A body as a source, whatever it is. */
function sourceOf(body: ReplyBody): ByteSource {
  if (body !== null && !(body instanceof Uint8Array)) return body;
  let rest = body ?? undefined;
  return {
    read: () => {
      const piece = rest;
      rest = undefined;
      return Promise.resolve(piece);
    },
    cancel: () => {},
  };
}

/** A body, compressed as it comes. */
export class EncodedSource implements ByteSource {
  readonly #source: ByteSource;
  readonly #encoder: Encoder;
  #over = false;

  constructor(source: ByteSource, coding: Coding) {
    this.#source = source;
    this.#encoder = new Encoder(coding);
  }

  async read(): Promise<Bytes | undefined> {
    try {
      while (!this.#over) {
        const piece = await this.#source.read();
        this.#over = piece === undefined;
        const bytes = await (piece === undefined ? this.#encoder.end() : this.#encoder.push(piece));
        if (bytes.length > 0) return bytes;
      }
      return undefined;
    } catch (error) {
      this.#encoder.abandon();
      throw error;
    }
  }

  cancel(reason: Error): void {
    this.#encoder.abandon();
    if (!this.#over) this.#source.cancel(reason);
  }
}
