/**
 * A request of the Node-compatible server as the gateway takes requests: a `Request` whose URL is the raw
 * target behind scheme and Host, unparsed, as the runtime's own server makes it. The body is read off the
 * socket as it is asked for and no further; the client's leaving shows at once, during an upload too.
 */
import type { IncomingMessage } from "node:http";

type Bytes = Uint8Array<ArrayBuffer>;

export interface NodeRequestOptions {
  readonly scheme: "http" | "https";
  /** The client waits to be told that its body is wanted (RFC 9110 §10.1.1). */
  readonly sendContinue: (() => void) | undefined;
}

/** All that the gateway asks a request for. It may be taken for a `Request`, and costs a tenth of one. */
export class NodeRequest {
  readonly #incoming: IncomingMessage;
  readonly #options: NodeRequestOptions;
  readonly #url: string;
  readonly #headers: Headers;
  #body: ReadableStream<Bytes> | null | undefined;
  #abort: AbortController | undefined;
  #gone = false;

  constructor(incoming: IncomingMessage, options: NodeRequestOptions) {
    this.#incoming = incoming;
    this.#options = options;
    this.#headers = headersOf(incoming.rawHeaders);
    this.#url = urlOf(incoming, options.scheme);
  }

  get method(): string {
    return this.#incoming.method ?? "GET";
  }

  get url(): string {
    return this.#url;
  }

  get headers(): Headers {
    return this.#headers;
  }

  /** As the runtime's own server has it: none for GET and HEAD, whatever is sent. */
  get body(): ReadableStream<Bytes> | null {
    if (this.#body !== undefined) return this.#body;
    const { method } = this;
    const headers = this.#headers;
    const none = method === "GET" || method === "HEAD" ||
      !(headers.has("content-length") || headers.has("transfer-encoding"));
    return this.#body = none ? null : streamOf(this.#incoming, this.#options.sendContinue);
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#gone) this.#abort.abort();
    return this.#abort.signal;
  }

  /** The client has left before its answer was complete. */
  leave(): void {
    this.#gone = true;
    this.#abort?.abort();
  }
}

Object.setPrototypeOf(NodeRequest.prototype, Request.prototype);

/** Fields that come several times are one list; cookies have a separator of their own (RFC 6265 §5.4). */
function headersOf(raw: readonly string[]): Headers {
  const fields: Record<string, string> = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? "").toLowerCase();
    const value = raw[i + 1] ?? "";
    const before = fields[name];
    fields[name] = before === undefined
      ? value
      : `${before}${name === "cookie" ? "; " : ", "}${value}`;
  }
  return new Headers(fields);
}

/** A target that is neither a path nor has an authority of its own is left without one: a 400. */
function urlOf({ url = "", headers, method }: IncomingMessage, scheme: "http" | "https"): string {
  const origin = `${scheme}://${headers.host ?? ""}`;
  if (url.startsWith("/")) return origin + url;
  if (url === "*" && method === "OPTIONS") return `${origin}/*`;
  return url.includes("://") ? url : `${scheme}://`;
}

/** One piece at a time: the socket is not read while nobody asks. */
function streamOf(
  incoming: IncomingMessage,
  sendContinue: (() => void) | undefined,
): ReadableStream<Bytes> {
  let isOver = false;
  const finish = (end: () => void) => {
    if (isOver) return;
    isOver = true;
    end();
  };
  return new ReadableStream<Bytes>({
    start(controller) {
      incoming.on("data", (piece: Bytes) => {
        if (isOver || piece.length === 0) return;
        controller.enqueue(piece);
        incoming.pause();
      });
      incoming.pause();
      incoming.on("end", () => finish(() => controller.close()));
      const broken = () => finish(() => controller.error(new Error("The client left its upload")));
      incoming.on("error", broken);
      incoming.on("close", broken);
    },
    pull() {
      sendContinue?.();
      sendContinue = undefined;
      incoming.resume();
    },
    cancel() {
      isOver = true;
    },
  }, { highWaterMark: 0 });
}
