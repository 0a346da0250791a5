/** What a cache looks at in a request: its URL, who asks, and the fields that answers vary by. */
import type { ByteString, Exchange } from "../exchange.ts";
import { comparable } from "../protocol/cache_answer.ts";
import { CONDITIONS } from "../protocol/conditional_reply.ts";
import type { Asked } from "./cache_store.ts";

/** The URL that copies are kept under. */
export function urlOf({ scheme, authority, hostname, target }: Exchange): string {
  const host = authority === hostname ? authority : authority.toLowerCase();
  return `${scheme}://${host}${target}`;
}

/** Whether the answer may be for this client alone: it shows credentials, or the gateway knows it. */
export function isKnownClient({ headers, variables }: Exchange): boolean {
  return variables !== undefined || headers.has("authorization");
}

/** Looks fields up in the form in which two requests are compared. */
export function askedBy(
  headers: Headers,
  codingOf: ((acceptEncoding: string | null) => string) | undefined,
): Asked {
  return (name) => {
    const value = headers.get(name);
    return name === "accept-encoding" && codingOf !== undefined
      ? codingOf(value)
      : comparable(value);
  };
}

/** The fields of a request that fetches a whole answer, or asks whether a copy of it still holds. */
export function fetchingFields(
  headers: Headers,
  validating: readonly (readonly [string, ByteString])[] = [],
): Headers {
  const fields = new Headers(headers);
  for (const name of CONDITIONS) fields.delete(name);
  for (const [name, value] of validating) fields.set(name, value);
  return fields;
}
