/**
 * What a FastCGI authorizer's reply means: status 200 lets the request pass, with the variables that its
 * `Variable-*` fields tell; any other is the answer to the client, without those fields.
 *
 * Source: FastCGI Specification 1.0, §6.3.
 */
import type { ByteString, HeaderPair } from "../exchange.ts";
import { quoteBytes } from "./http_fields.ts";

const PREFIX = "variable-";
/**
 * CONTENT_LENGTH tells where the body ends, which is not for others to say; HTTP_PROXY would be httpoxy
 * by another door (CVE-2016-5385).
 */
const VARIABLE = /^(?!(?:CONTENT_LENGTH|HTTP_PROXY)$)[A-Za-z_][A-Za-z0-9_]*$/;

/** A reply's fields, sorted. */
export interface Sorted {
  readonly variables: readonly HeaderPair[];
  /** What a client may see. */
  readonly headers: readonly HeaderPair[];
  /** Variables that cannot be set, ready for a message. */
  readonly refused: readonly string[];
}

export function sortFields(fields: readonly HeaderPair[]): Sorted {
  const variables: HeaderPair[] = [];
  const headers: HeaderPair[] = [];
  const refused: string[] = [];
  for (const field of fields) {
    const name = variableOf(field[0]);
    if (name === undefined) headers.push(field);
    else if (VARIABLE.test(name)) variables.push([name, field[1]]);
    else refused.push(quoteBytes(name));
  }
  return { variables, headers, refused };
}

function variableOf(field: string): ByteString | undefined {
  if (field.length < PREFIX.length) return undefined;
  const start = field.slice(0, PREFIX.length).toLowerCase();
  return start === PREFIX ? field.slice(PREFIX.length) : undefined;
}
