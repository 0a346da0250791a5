/**
 * What an application may say with start_response, checked when it says it (PEP 3333, "The
 * start_response() Callable"): the head that comes out can be sent as it is.
 *
 * Strategy: applications say the same few names again and again, so what a name means is looked up in a
 * bounded map; only values are scanned each time.
 */
import type { ByteString, FileRequest, HeaderPair } from "../exchange.ts";
import type { HeadReply } from "./cgi_response.ts";
import { FILE_FIELDS, isAccelField } from "./file_fields.ts";
import { forbidsBody, isFieldValue, isHopByHop, isToken } from "./http_fields.ts";
import { breach } from "./wsgi.ts";

const SECTION = "The start_response() Callable";

/**
 * Checks status and fields as they came from the application; copies them, since it may go on to change
 * its list.
 * @throws {GatewayError} 500 `wsgi-status`, `wsgi-headers`, `wsgi-field`, `wsgi-hop-by-hop` or
 * `wsgi-content-length`.
 */
export function checkedHead(status: unknown, fields: unknown): HeadReply {
  const code = statusCode(status);
  if (!Array.isArray(fields)) {
    throw breach("headers", "Cannot start a response: its headers are no array", SECTION);
  }
  const headers: HeaderPair[] = [];
  let contentLength: number | undefined;
  let file: FileRequest | undefined;
  for (let at = 0; at < fields.length; at++) {
    const field = checkedPair(fields[at]);
    const role = roleOf(field[0]);
    switch (role) {
      case "plain":
        headers.push(field);
        break;
      case "length":
        if (contentLength !== undefined) throw badLength("it is there twice");
        contentLength = parseLength(field[1]);
        if (!forbidsBody(code)) headers.push(field);
        break;
      case "path":
      case "name":
        if (field[1] !== "") file = { by: role, value: field[1] };
        break;
      case "accel":
        break;
      case "hop-by-hop":
        throw hopByHop(field[0]);
      case "status":
        throw breach("field", "Cannot send a field named Status: pass it as the status", SECTION);
      default:
        return role satisfies never;
    }
  }
  if (forbidsBody(code)) contentLength = undefined;
  const reply: HeadReply = { type: "reply", status: code, headers, contentLength };
  return file === undefined ? reply : { ...reply, file };
}

/**
 * Whether a response may go out as it is: no field is the server's to send or to act on, none claims a
 * length, and no value holds what would end the runtime (a control character).
 */
export function isSendable({ status, headers }: Response): boolean {
  let sendable = status >= 200;
  headers.forEach((value, name) => {
    if (roleOf(name) !== "plain" || !isPlainText(value)) sendable = false;
  });
  return sendable;
}

/** A head with the length of its body, where the application did not tell it. */
export function withLength(head: HeadReply, length: number): HeadReply {
  if (head.contentLength !== undefined || forbidsBody(head.status)) return head;
  const field: HeaderPair = ["Content-Length", String(length)];
  return { ...head, headers: [...head.headers, field], contentLength: length };
}

const DIGIT_0 = 48;
const SPACE = 32;

/** "200 OK": three digits, a space, a reason, which HTTP/2 and the runtime do not send. */
function statusCode(status: unknown): number {
  if (typeof status !== "string") throw badStatus(status, 'it must be a string such as "200 OK"');
  const code = 100 * digit(status, 0) + 10 * digit(status, 1) + digit(status, 2);
  if (Number.isNaN(code) || status.charCodeAt(3) !== SPACE) {
    throw badStatus(status, 'it must look like "200 OK"');
  }
  if (!isPlainText(status)) throw badStatus(status, "it holds a control character");
  if (code < 200 || code > 599) throw badStatus(status, "it must be from 200 to 599");
  return code;
}

function digit(text: string, at: number): number {
  const value = text.charCodeAt(at) - DIGIT_0;
  return value >= 0 && value <= 9 ? value : NaN;
}

/** No control character, not even a TAB, which RFC 9110 §5.5 would let pass; nothing past U+00FF. */
function isPlainText(text: string): boolean {
  return isFieldValue(text) && !text.includes("\t");
}

function checkedPair(pair: unknown): HeaderPair {
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw breach("headers", "Cannot send a field that is no pair of name and value", SECTION);
  }
  const name: unknown = pair[0];
  const value: unknown = pair[1];
  if (typeof name !== "string" || typeof value !== "string") {
    throw breach("headers", `Cannot send ${quote(name)}: name and value must be strings`, SECTION);
  }
  if (!isPlainText(value)) {
    const why = "it holds a control character or one past U+00FF";
    throw breach("field", `Cannot send ${quote(name)} with value ${quote(value)}: ${why}`, SECTION);
  }
  return [name, value];
}

type Role = "plain" | "length" | "hop-by-hop" | "status" | "accel" | FileRequest["by"];

const roles = new Map<string, Role>();
const MAX_ROLES = 1024;

function roleOf(name: string): Role {
  const known = roles.get(name);
  if (known !== undefined) return known;
  const role = findRole(name);
  if (roles.size < MAX_ROLES) roles.set(name, role);
  return role;
}

function findRole(name: string): Role {
  if (!isToken(name)) {
    throw breach("field", `Cannot send a field named ${quote(name)}: it is no token`, SECTION);
  }
  const lower = name.toLowerCase();
  if (lower === "content-length") return "length";
  if (lower === "status") return "status";
  if (isHopByHop(lower)) return "hop-by-hop";
  return FILE_FIELDS.get(lower) ?? (isAccelField(lower) ? "accel" : "plain");
}

function parseLength(value: ByteString): number {
  const length = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(length)) {
    throw badLength(`${quote(value)} is no number of bytes`);
  }
  return length;
}

function badLength(why: string): Error {
  const message = `Cannot send Content-Length: ${why}`;
  return breach("content-length", message, "Handling the Content-Length Header");
}

function hopByHop(name: string): Error {
  const message = `Cannot send ${name}: the connection is the server's`;
  return breach("hop-by-hop", message, "Other HTTP Features");
}

function badStatus(status: unknown, why: string): Error {
  return breach("status", `Cannot use ${quote(status)} as a status: ${why}`, SECTION);
}

function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : `a ${typeof value}`;
}
