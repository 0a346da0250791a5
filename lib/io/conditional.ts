/**
 * Conditional and partial answers for a program's replies (`conditional`): a wrapper around any service.
 * The program answers in full; what the client has already, or did not ask for, is not sent.
 */
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Outcome, Reply } from "../exchange.ts";
import type { ConditionalOptions, Service } from "../handler.ts";
import { hasConditions, planReply } from "../protocol/conditional_reply.ts";
import { declaredLength, fieldOf } from "../protocol/header_list.ts";
import { discard } from "./discard.ts";
import { SlicedSource, slicesOf } from "./sliced_source.ts";

/** The service, with its 200s cut to what is asked for. */
export function withConditional(service: Service, { etag }: ConditionalOptions): Service {
  return {
    timeoutMs: service.timeoutMs,
    async serve(exchange, mount): Promise<Outcome> {
      const outcome = await service.serve(exchange, mount);
      if (outcome.type !== "reply" || outcome.status !== 200) return outcome;
      if (exchange.method !== "GET" && exchange.method !== "HEAD") return outcome;
      return conditionalReply(etag === "auto" ? await tagged(outcome) : outcome, exchange);
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

/**
 * The reply as the request's conditions and ranges leave it.
 * @throws {GatewayError} 412 `precondition-failed`, 416 `range-unsatisfiable`.
 */
export function conditionalReply(reply: Reply, { method, headers: asked }: Exchange): Reply {
  const { status, headers, body } = reply;
  const bytes = body instanceof Uint8Array && method !== "HEAD" ? body : undefined;
  const length = bytes?.length ?? declaredLength(headers);
  if (!hasConditions(asked) && length === undefined) return reply;
  const isStream = bytes === undefined &&
    (body === null || body instanceof Uint8Array || body.slices === undefined);
  const plan = planReply({ method, asked, status, headers, length, isStream });
  switch (plan.type) {
    case "whole":
      return plan.headers === headers ? reply : { ...reply, headers: plan.headers };
    case "not-modified":
      discard(body, "The client has this already");
      return { type: "reply", status: 304, headers: plan.headers, body: null };
    case "part": {
      const part = body === null || body instanceof Uint8Array
        ? body && slicesOf(body, plan.pieces)
        : body.slices?.(plan.pieces) ?? new SlicedSource(body, plan.pieces);
      return { type: "reply", status: 206, headers: plan.headers, body: part };
    }
    case "failed":
      discard(body, "The client insists on another state of this");
      throw new GatewayError(412, "precondition-failed", "The reply is not what is asked for");
    case "unsatisfiable":
      discard(body, "The client asks for what lies past the end");
      throw new GatewayError(
        416,
        "range-unsatisfiable",
        `The reply ends before ${asked.get("range")}`,
        {
          headers: [["content-range", plan.contentRange]],
        },
      );
    default:
      return plan satisfies never;
  }
}

/** Longer replies get no tag of ours: all of a reply has to be read before its head can be sent. */
const MAX_TAGGED = 65_536;

/** The reply with a tag made from its body, if it is short and has none. */
async function tagged(reply: Reply): Promise<Reply> {
  const { headers } = reply;
  if (fieldOf(headers, "etag") !== undefined || isSecret(reply)) return reply;
  const body = await collected(reply);
  if (body === undefined) return reply;
  return { ...reply, body, headers: [...headers, ["etag", await tagOf(body)]] };
}

function isSecret({ headers }: Reply): boolean {
  return /\bno-store\b/i.test(fieldOf(headers, "cache-control") ?? "");
}

/** A short body, whole; undefined, and nothing read, where it may be long. */
async function collected({ body, headers }: Reply): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body === null) return undefined;
  if (body instanceof Uint8Array) {
    return body.length > 0 && body.length <= MAX_TAGGED ? body : undefined;
  }
  const length = declaredLength(headers);
  if (length === undefined || length === 0 || length > MAX_TAGGED) return undefined;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let piece = await body.read(); piece !== undefined; piece = await body.read()) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A strong tag: bytes that differ have different ones, on every origin the same. */
async function tagOf(bytes: Uint8Array<ArrayBuffer>): Promise<ByteString> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes), 0, 15);
  return `"${digest.toBase64({ alphabet: "base64url" })}"`;
}
