/**
 * What is peculiar to a request and a response in HTTP/2 (RFC 9113 §8): fields in front that begin with a
 * colon, and no line to frame them. All else is as in HTTP/1.1 (http1_request.ts, http1_response.ts).
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString, Exchange, HeaderPair } from "../exchange.ts";
import { isFieldValue, isToken, quoteBytes } from "./http_fields.ts";
import type { OriginHead } from "./http1_head.ts";
import { eachRequestField, lengthToTell, type RequestFacts } from "./http1_request.ts";

/** The fields of a request: names and values in turn. */
export function requestFields(
  exchange: Exchange,
  facts: Omit<RequestFacts, "connection"> & { readonly scheme: string },
): ByteString[] {
  const { method } = exchange;
  const fields = [":method", method, ":scheme", facts.scheme];
  fields.push(":authority", facts.host, ":path", facts.target);
  eachRequestField(exchange, facts, (name, value) => fields.push(name, value));
  const length = lengthToTell(facts.body, method);
  if (length !== undefined) fields.push("content-length", String(length));
  return fields;
}

const NOTHING = new Uint8Array(0);

/**
 * The head of a final response, from names and values in turn.
 * @throws {ProtocolError} `no-head`, `bad-status`, `bad-field` or `head-too-large`.
 */
export function readHead(raw: readonly ByteString[], limit: number): OriginHead {
  const fields: HeaderPair[] = [];
  let status = "";
  let size = 0;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = "", value = ""] = [raw[at], raw[at + 1]];
    size += name.length + value.length + LINE;
    if (name === ":status") status = value;
    else fields.push(checked(name, value));
  }
  if (size > limit) {
    throw new ProtocolError(
      "head-too-large",
      `Cannot read the response's head: it has ${size} bytes, more than ${limit}`,
    );
  }
  if (!/^[1-9]\d\d$/.test(status)) {
    throw new ProtocolError("bad-status", `Cannot use ${quoteBytes(status)} as a status`);
  }
  return { status: finalStatus(Number(status)), minor: 1, fields, rest: NOTHING };
}

/** A field counts as it would in HTTP/1.1: with a colon, a blank and a line's end. */
const LINE = 4;

/** §8.6: HTTP/2 switches no protocols. */
function finalStatus(status: number): number {
  if (status >= 200) return status;
  throw new ProtocolError("bad-status", `Cannot use ${status} as a status: it is no final one`);
}

/** §8.2.1. */
function checked(name: string, value: ByteString): HeaderPair {
  const isClean = isToken(name) && isFieldValue(value) && !/^[ \t]|[ \t]$/.test(value);
  if (isClean) return [name, value];
  throw new ProtocolError(
    "bad-field",
    `Cannot read the response's head: ${quoteBytes(`${name}: ${value}`)} is no field`,
  );
}
