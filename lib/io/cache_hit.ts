/**
 * A stored copy as an answer. Nothing is weighed here that could be weighed when it was stored; what
 * tells of its age is the same for a second, and so is its head.
 */
import { GatewayError } from "../errors.ts";
import type { Exchange, HeaderPair, Reply, ReplyBody } from "../exchange.ts";
import { wholeSeconds, withStatus } from "../protocol/cache_answer.ts";
import { parseCacheControl, seconds } from "../protocol/cache_control.ts";
import { hasConditions } from "../protocol/conditional_reply.ts";
import type { Stored } from "./cache_store.ts";
import { conditionalReply } from "./conditional.ts";
import { keptBodyOf } from "./file_body.ts";

/** The answer that a copy makes, with its body. */
export function hit(
  stored: Stored,
  body: Exclude<ReplyBody, null>,
  { exchange, now }: { readonly exchange: Exchange; readonly now: number },
): Reply {
  const second = wholeSeconds(now);
  if (stored.head?.second !== second) {
    const ttl = wholeSeconds(stored.freshUntil - now);
    const headers = withStatus(agedFields(stored, now), `hit; ttl=${ttl}`);
    stored.head = { second, headers, again: {} };
  }
  const { status, head } = stored;
  if (hasConditions(exchange.headers)) {
    const headers = sized(head.headers, stored, body);
    return conditionalReply({ type: "reply", status, headers, body }, exchange);
  }
  const sent = body instanceof Uint8Array ? keptBodyOf(body) : body;
  const { again } = head;
  return { type: "reply", status, headers: sized(head.headers, stored, sent), body: sent, again };
}

/** The fields, with the length of a body that does not say it by itself. */
export function sized(
  headers: readonly HeaderPair[],
  { body: { length } }: Stored,
  body: ReplyBody,
): readonly HeaderPair[] {
  if (body instanceof Uint8Array) return headers;
  return [...headers, ["content-length", String(length)]];
}

/** A copy's fields, with how old it is. */
export function agedFields({ headers, bornAt }: Stored, now: number): HeaderPair[] {
  return [...headers, ["age", String(Math.max(0, wholeSeconds(now - bornAt)))]];
}

/** Whether a copy is what the client wants, where its wishes count (RFC 9111 §5.2.1). */
export function suits(stored: Stored, headers: Headers, now: number): boolean {
  const field = headers.get("cache-control");
  if (field === null) return headers.get("pragma")?.includes("no-cache") !== true;
  const wishes = parseCacheControl(field);
  if (wishes.has("no-cache")) return false;
  const maxAge = wishes.get("max-age");
  if (maxAge !== undefined && now - stored.bornAt > seconds(maxAge) * 1000) return false;
  const minFresh = wishes.get("min-fresh");
  return minFresh === undefined || stored.freshUntil - now >= seconds(minFresh) * 1000;
}

/** @throws {GatewayError} 504 `not-stored`: the client wants nothing fetched (RFC 9111 §5.2.1.7). */
export function refuseUnlessStored(headers: Headers): void {
  if (!parseCacheControl(headers.get("cache-control")).has("only-if-cached")) return;
  throw new GatewayError(504, "not-stored", "The client wants a stored answer, and there is none");
}
