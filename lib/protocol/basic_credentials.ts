/** Name and password of an Authorization field (RFC 7617 §2), and the challenge that asks for them. */
import type { ByteString } from "../exchange.ts";

export interface Credentials {
  readonly user: ByteString;
  /** In the charset of the challenge, UTF-8. */
  readonly password: Uint8Array<ArrayBuffer>;
}

/** What a client can have meant to type. The work to be done grows with it. */
const MAX_FIELD = 4096;

/** Undefined for another scheme, and for what breaks the grammar. */
export function parseBasic(field: string | null): Credentials | undefined {
  if (field === null || field.length > MAX_FIELD) return undefined;
  const [, token = ""] = /^basic +([A-Za-z0-9+/]+={0,2})[ \t]*$/i.exec(field) ?? [];
  const bytes = decodeBase64(token);
  // Neither may hold a control character.
  // deno-lint-ignore no-control-regex
  if (bytes === undefined || /[\x00-\x1f\x7f]/.test(bytes)) return undefined;
  const colon = bytes.indexOf(":");
  if (colon < 1) return undefined;
  const password = Uint8Array.from(bytes.slice(colon + 1), (char) => char.charCodeAt(0));
  return { user: bytes.slice(0, colon), password };
}

function decodeBase64(token: string): ByteString | undefined {
  try {
    return atob(token);
  } catch {
    return undefined;
  }
}

/** The value of WWW-Authenticate. The realm is of printable ASCII. */
export function basicChallenge(realm: string): string {
  return `Basic realm="${realm.replace(/["\\]/g, "\\$&")}", charset="UTF-8"`;
}
