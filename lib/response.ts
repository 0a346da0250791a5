/**
 * A reply as the runtime's Response. There are several ways to say the same thing to the runtime, and they
 * differ by half of what a small answer costs.
 *
 * Strategy: a short text goes out as a string, which the runtime takes over where it would copy bytes
 * twice; the length of bytes is left to it to tell; and all fields but a single one are added afterwards,
 * since a Response that is made with several registers something with the garbage collector.
 */
import type { Again, HeaderPair } from "./exchange.ts";
import { asciiText } from "./protocol/latin1.ts";

/** Longer ones are dearer as strings: their characters are moved more often than copied bytes. */
const MAX_TEXT = 16 * 1024;

type Made = NonNullable<Again["made"]>;

/** Those whose response is kept, the oldest first: a clone of it is a third less work than a new one. */
const kept: Made[] = [];
const MAX_KEPT = 256;
/** Longer bodies are kept elsewhere, by their bytes. */
const MAX_KEPT_BODY = 4096;

/** The response of a body that is all there. Fields are clean. */
export function wholeResponse(
  status: number,
  fields: readonly HeaderPair[],
  body: Uint8Array<ArrayBuffer>,
  again?: Again,
): Response {
  if (again === undefined || body.length > MAX_KEPT_BODY) return newResponse(status, fields, body);
  const { made } = again;
  if (made?.body === body && made.headers === fields && made.status === status) {
    made.response ??= keep(made, newResponse(status, fields, body));
    return made.response.clone();
  }
  again.made = { status, headers: fields, body };
  return newResponse(status, fields, body);
}

function keep(made: Made, response: Response): Response {
  if (kept.push(made) > MAX_KEPT) {
    const oldest = kept.shift();
    if (oldest !== undefined) oldest.response = undefined;
  }
  return response;
}

function newResponse(
  status: number,
  fields: readonly HeaderPair[],
  body: Uint8Array<ArrayBuffer>,
): Response {
  const own = withoutLength(fields, body.length);
  const content = hasType(own) ? textOf(body) : body;
  if (status === 200 && own.length !== 1) return withFields(new Response(content), own);
  return new Response(content, { status, headers: headersInit(own) });
}

/** The same of a response that has all of a body, and no fields yet; 200 alone. */
export function readyResponse(
  fields: readonly HeaderPair[],
  response: Response,
  length: number,
): Response {
  return withFields(response, withoutLength(fields, length));
}

/** The response of a body that is still to come, or of none. */
export function openResponse(
  status: number,
  fields: readonly HeaderPair[],
  body: ReadableStream<Uint8Array> | null,
): Response {
  return new Response(body, { status, headers: headersInit(fields) });
}

/** The text that ASCII bytes are; other bytes as they are. */
function textOf(body: Uint8Array<ArrayBuffer>): string | Uint8Array<ArrayBuffer> {
  return body.length > MAX_TEXT ? body : asciiText(body) ?? body;
}

/** The runtime takes strings for text/plain where nothing else is said. */
function hasType(fields: readonly HeaderPair[]): boolean {
  for (const [name] of fields) if (isNamed(name, "content-type")) return true;
  return false;
}

function withoutLength(fields: readonly HeaderPair[], length: number): readonly HeaderPair[] {
  for (const [name, value] of fields) {
    if (isNamed(name, "content-length")) {
      return Number(value) === length ? fields.filter((field) => field[0] !== name) : fields;
    }
  }
  return fields;
}

function isNamed(name: string, lower: string): boolean {
  return name.length === lower.length && name.toLowerCase() === lower;
}

function withFields(response: Response, fields: readonly HeaderPair[]): Response {
  const { headers } = response;
  // Replaces what the runtime made up; two of a name are two fields (Set-Cookie).
  for (const [name, value] of fields) {
    if (isNamed(name, "content-type")) headers.set(name, value);
    else headers.append(name, value);
  }
  return response;
}

/** The runtime reads a record faster than pairs; names that repeat, such as Set-Cookie, need pairs. */
function headersInit(fields: readonly HeaderPair[]): HeadersInit {
  const record: Record<string, string> = {};
  for (const [name, value] of fields) {
    if (name in record) return fields.map(([name, value]) => [name, value]);
    record[name] = value;
  }
  return record;
}
