/** One request on its way to a FastCGI application, and when it may be sent again. */
import type { Exchange, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import type { FcgiRole } from "../protocol/fastcgi.ts";
import type { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { IDEMPOTENT } from "../protocol/idempotent.ts";

export interface FcgiRequest {
  readonly exchange: Exchange;
  readonly role: FcgiRole;
  readonly body: SizedBody | null;
  /** Bytes of reply head at most. */
  readonly maxReplyHead: number;
  readonly log: ServiceLog;
  /** Writes the environ as name-value pairs. */
  writeParams(encoder: FcgiEncoder): void;
}

/** Whether a request may be sent again, although the first try may have had its effect. */
export function isRepeatable({ exchange, body }: FcgiRequest): boolean {
  return IDEMPOTENT.has(exchange.method) && isKept({ body });
}

/** Whether a request may be sent before its turn, and taken back: it does no harm and is short. */
export function isEarly({ exchange: { method }, body }: FcgiRequest): boolean {
  return body === null && (method === "GET" || method === "HEAD");
}

/** Whether the body, if there is one, is still there to be sent again. */
export function isKept({ body }: Pick<FcgiRequest, "body">): boolean {
  return body === null || body.bytes !== undefined;
}
