/**
 * Puts a reply's head and body together and holds the body to what the head promised: bytes past the
 * promised length are cut and reported; a body that ends before it is aborted, for a short answer that
 * looks whole would be stored and believed.
 */
import { GatewayError, ProtocolError } from "../errors.ts";
import type { ByteSource, Exchange, HeaderPair, Reply, ReplyBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import type { HeadReply } from "../protocol/cgi_response.ts";
import { forbidsBody } from "../protocol/http_fields.ts";

/** The reply that a program's head and body make. */
export function replyOf(
  head: HeadReply,
  body: Uint8Array<ArrayBuffer> | ByteSource,
  exchange: Exchange,
  log: ServiceLog,
): Reply {
  const { status, headers, contentLength } = head;
  const excess = () =>
    log.notice(`The body exceeds its Content-Length ${contentLength}: cut`, exchange.id);
  const reply: Reply = { type: "reply", status, headers, body: settle() };
  return head.file === undefined ? reply : { ...reply, file: head.file };

  function settle(): ReplyBody {
    // Answers to HEAD promise a length that they do not keep (RFC 9110 §8.6).
    if (exchange.method === "HEAD" || forbidsBody(status)) {
      return body instanceof Uint8Array ? null : body;
    }
    if (contentLength === undefined) return body;
    if (!(body instanceof Uint8Array)) return new PromisedBody(body, contentLength, excess);
    if (body.length === contentLength) return body;
    if (body.length < contentLength) return new CutBody(body, contentLength);
    excess();
    return body.subarray(0, contentLength);
  }
}

/** A fault of a program, with what its developer wants to see: the head as understood, the errors. */
export function explainedFault(
  error: unknown,
  fields: readonly HeaderPair[],
  errors: string,
): unknown {
  if (!(error instanceof ProtocolError)) return error;
  const head = fields.map(([name, value]) => `${name}: ${value}\n`).join("");
  const parts = [
    head === "" ? "" : `The head as it was understood:\n${head}`,
    errors === "" ? "" : `The program's error stream:\n${errors}`,
  ];
  const detail = parts.filter((part) => part !== "").join("\n");
  const { failure, message } = error;
  return new GatewayError(502, failure, message, {
    cause: error,
    ...(detail === "" ? {} : { detail }),
  });
}

function tooShort(received: number, promised: number): ProtocolError {
  return new ProtocolError(
    "body-short",
    `The body ended after ${received} of the ${promised} bytes that its Content-Length promised`,
  );
}

/** A streamed body with a promised length. */
class PromisedBody implements ByteSource {
  readonly #source: ByteSource;
  readonly #promised: number;
  readonly #excess: () => void;
  #received = 0;
  #over = false;

  constructor(source: ByteSource, promised: number, excess: () => void) {
    this.#source = source;
    this.#promised = promised;
    this.#excess = excess;
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#over) return undefined;
    const piece = await this.#source.read();
    if (piece === undefined) {
      if (this.#received < this.#promised) throw tooShort(this.#received, this.#promised);
      return undefined;
    }
    const room = this.#promised - this.#received;
    this.#received += piece.length;
    if (piece.length <= room) return piece;
    this.#over = true;
    this.#excess();
    this.#source.cancel(new ProtocolError("body-long", "The body exceeds its Content-Length"));
    return room === 0 ? undefined : piece.subarray(0, room);
  }

  cancel(reason: Error): void {
    if (!this.#over) this.#source.cancel(reason);
  }
}

/** A complete body that is shorter than promised: sent, then aborted. */
class CutBody implements ByteSource {
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  readonly #received: number;
  readonly #promised: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, promised: number) {
    // It goes out as a stream's piece, and may lie in memory that others have a share in.
    this.#bytes = bytes.length === 0 ? undefined : bytes.slice();
    this.#received = bytes.length;
    this.#promised = promised;
  }

  read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    if (bytes === undefined) return Promise.reject(tooShort(this.#received, this.#promised));
    return Promise.resolve(bytes);
  }

  cancel(): void {}
}
