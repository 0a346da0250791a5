/**
 * What the server answers by itself, without a route: `OPTIONS *`, which asks about the server as a whole
 * (RFC 9110 §9.3.7), and plain HTTP where everybody is sent to https. Each has its access line.
 */
import type { Exchange } from "./exchange.ts";
import { Lifeline } from "./lifeline.ts";
import type { Log } from "./observe/log.ts";
import { createTrust, type Trust } from "./protocol/forwarding.ts";
import { parseAuthority } from "./protocol/authority.ts";
import { type Connection, newRequestId, receive } from "./receive.ts";

/** The runtime writes `*` as a path. No file or program is called so. */
export function isAsterisk({ method, url }: Request): boolean {
  return method === "OPTIONS" && url.endsWith("/*") && url.indexOf("/", url.indexOf("://") + 3) ===
      url.length - 2;
}

/**
 * The answer, and the end of the connection. The runtime takes CONNECT to have no body, whatever its fields
 * say, and would read what follows as the next request: a front that forwards it as a body would have let a
 * request through that it never saw. A body that fails is the one thing that ends a connection.
 */
export async function hangingUp(answer: Response | Promise<Response>): Promise<Response> {
  const { status, headers, body } = await answer;
  const pieces = body?.getReader();
  const failing = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = await pieces?.read();
      if (piece?.value !== undefined) controller.enqueue(piece.value);
      else controller.error(new Error("The connection ends here"));
    },
    cancel: () => pieces?.cancel(),
  }, { highWaterMark: 0 });
  const own = new Headers(headers);
  own.delete("content-length");
  own.set("connection", "close");
  return new Response(failing, { status, headers: own });
}

/** Any of these methods may have a route. */
export function allowOf(routes: readonly { readonly methods: readonly string[] | undefined }[]) {
  const methods = routes.flatMap(({ methods }) => methods ?? USUAL);
  return [...new Set(["OPTIONS", ...methods, ...(methods.includes("GET") ? ["HEAD"] : [])])]
    .sort().join(", ");
}

const USUAL = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

export class OwnAnswers {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Undefined for a request that cannot be received: a gateway says why. */
  asterisk(
    request: Request,
    connection: Connection,
    { trust, allow }: { readonly trust: Trust; readonly allow: string },
  ): Response | undefined {
    return this.#answer(request, connection, trust, () =>
      new Response(null, {
        status: 204,
        headers: { allow },
      }));
  }

  /** The same place, by https on this port; likewise undefined. */
  toHttps(request: Request, connection: Connection, port: number): Response | undefined {
    return this.#answer(request, connection, NOBODY, ({ authority, target }) => {
      const host = parseAuthority(authority)?.hostname ?? "";
      const place = `https://${host}${port === 443 ? "" : `:${port}`}`;
      const path = target.replace(/[^\x21-\x7e]|["<>\\^`{|}]/g, escaped);
      return new Response(null, { status: 308, headers: { location: place + path } });
    });
  }

  #answer(
    request: Request,
    connection: Connection,
    trust: Trust,
    respond: (exchange: Exchange) => Response,
  ): Response | undefined {
    const startedAt = performance.now();
    let exchange: Exchange;
    try {
      const visit = { id: newRequestId(), lifeline: new Lifeline() };
      exchange = receive(request, connection, trust, visit);
    } catch {
      return undefined;
    }
    const response = respond(exchange);
    const durationMs = performance.now() - startedAt;
    this.#log.access({
      request: exchange,
      route: "-",
      status: response.status,
      bytes: 0,
      durationMs,
      firstByteMs: durationMs,
      ledger: undefined,
    });
    return response;
  }
}

const NOBODY = createTrust([]);

/** A byte that cannot stand in a URL. */
function escaped(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
