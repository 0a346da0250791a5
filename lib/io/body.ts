/**
 * Request bodies, sized before they travel on. `spool` collects a body first, in memory up to 1 MiB and
 * then in an unlinked temporary file, so that its length is exact and a slow sender occupies no program;
 * `stream` passes it on as it comes. Both count what arrives against the limit and the promised length.
 */
import { GatewayError } from "../errors.ts";
import type { Exchange, SizedBody } from "../exchange.ts";
import { collect } from "./collect_body.ts";
import { IncomingBody, tooLarge } from "./incoming_body.ts";
import type { Pace } from "./pace.ts";
import type { Spool } from "./spool.ts";

export interface SizeOptions {
  readonly mode: "spool" | "stream";
  /** Spools a body whose length nobody said, in any mode. */
  readonly needsLength?: boolean;
  /** Bytes; 413 past it. */
  readonly max: number;
  readonly spool: Spool;
  /** Who watches for slow senders; nobody does if left out. */
  readonly pace?: Pace;
}

/**
 * Takes the exchange's body in hand; null if there is none.
 * @throws {GatewayError} 400 `bad-content-length`, 408 `body-too-slow`, 413 `body-too-large`,
 * 501 `transfer-coding`, 503 `spool-full`; those that show as the body arrives come from reading it
 * where it is streamed.
 * @throws {ClientGone} when the client leaves before all has arrived.
 */
export async function sizeBody(
  exchange: Exchange,
  options: SizeOptions,
): Promise<SizedBody | null> {
  // Methods such as GET never carry a body here: the runtime discards it and says null.
  const { body } = exchange;
  if (body === null) return null;
  const declared = declaredLength(exchange.headers);
  const coding = exchange.headers.get("transfer-encoding");
  if (declared === undefined && coding === null && isKnownEmpty(exchange)) {
    await body.cancel();
    return null;
  }
  if (coding !== null && coding.toLowerCase() !== "chunked") {
    // RFC 9112 §6.1. The runtime undoes the chunks alone: what `gzip` made would pass for the body.
    await body.cancel();
    throw new GatewayError(501, "transfer-coding", `Cannot undo the transfer coding "${coding}"`);
  }
  if (declared !== undefined && declared > options.max) {
    await body.cancel();
    throw tooLarge(options.max);
  }
  const { max, pace, needsLength = false } = options;
  const incoming = new IncomingBody(exchange, body, { length: declared, max, pace });
  const streams = options.mode === "stream" && !(needsLength && declared === undefined);
  return streams ? incoming : await collect(incoming, options.spool);
}

/**
 * HTTP/1.1 without a length and without a transfer coding means no body (RFC 9112 §6.3); HTTP/2 frames
 * its bodies itself and has no Host field.
 */
function isKnownEmpty(exchange: Exchange): boolean {
  return exchange.headers.has("host");
}

/**
 * The promised length. The runtime joins repeated equal fields into `5, 5` (RFC 9110 §8.6 allows to
 * take them as one).
 */
export function declaredLength(headers: Headers): number | undefined {
  const value = headers.get("content-length");
  if (value === null) return undefined;
  const first = value.split(",", 1)[0]?.trim() ?? "";
  const same = value.split(",").every((part) => part.trim() === first);
  const length = Number(first);
  if (!same || !/^\d+$/.test(first) || !Number.isSafeInteger(length)) {
    throw new GatewayError(400, "bad-content-length", `Cannot read "${value}" as a length`);
  }
  return length;
}
