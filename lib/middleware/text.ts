/** Short answers that a middleware gives by itself. */
import type { AppResult, FieldPair, StartResponse } from "../protocol/wsgi.ts";

const UTF8 = new TextEncoder();

/** Answers with the status as text. */
export function answer(
  startResponse: StartResponse,
  status: string,
  fields: readonly FieldPair[] = [],
): AppResult {
  const body = UTF8.encode(`${status}\n`);
  startResponse(status, [
    ["Content-Type", "text/plain; charset=utf-8"],
    ["Content-Length", String(body.length)],
    ...fields,
  ]);
  return [body];
}

/** Text as the bytes of its UTF-8 form, one character for each: PEP 3333's native string. */
export function byteString(text: string): string {
  return Array.from(UTF8.encode(text), (byte) => String.fromCharCode(byte)).join("");
}
