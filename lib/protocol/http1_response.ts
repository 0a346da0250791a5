/**
 * What the head of an HTTP/1.1 response means (RFC 9112 §6.3, §9.3; RFC 9110 §7.6.1): where its body ends,
 * whether the connection can be used again, which fields go on to the client. Whatever leaves more than one
 * way to tell the body's end is a {@link ProtocolError}.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString, FileRequest, HeaderPair } from "../exchange.ts";
import { FILE_FIELDS, isAccelField } from "./file_fields.ts";
import { HOP_BY_HOP, quoteBytes } from "./http_fields.ts";
import type { OriginHead } from "./http1_head.ts";

/** What tells where a body ends. */
export type Framing =
  | { readonly type: "length"; readonly length: number }
  | { readonly type: "chunked" }
  /** The end of the connection. */
  | { readonly type: "close" };

/** A response without its body. */
export interface OriginReply {
  /** 101, or 200 to 599. */
  readonly status: number;
  /** What goes to the client. */
  readonly headers: readonly HeaderPair[];
  readonly framing: Framing;
  /** Whether the connection can be used again once the body has ended. */
  readonly persists: boolean;
  /** A file to be sent instead of the body. */
  readonly file: FileRequest | undefined;
}

const EMPTY: Framing = { type: "length", length: 0 };
const CHUNKED: Framing = { type: "chunked" };
const CLOSE: Framing = { type: "close" };

type Role = "length" | "coding" | "connection" | "drop" | FileRequest["by"];

const ROLES: ReadonlyMap<string, Role> = new Map<string, Role>([
  ...HOP_BY_HOP.map((name): [string, Role] => [name, "drop"]),
  ["content-length", "length"],
  ["transfer-encoding", "coding"],
  ["connection", "connection"],
  ...FILE_FIELDS,
]);

/** Names come as origins write them: few, and always the same. */
const known = new Map<string, Role | "pass">();
const MAX_KNOWN = 1024;

function roleOf(name: string): Role | "pass" {
  const role = known.get(name);
  if (role !== undefined) return role;
  const found = ROLES.get(name.toLowerCase()) ?? (isAccelField(name) ? "drop" : "pass");
  if (known.size < MAX_KNOWN) known.set(name, found);
  return found;
}

interface Said {
  length: ByteString | undefined;
  coding: ByteString | undefined;
  connection: ByteString | undefined;
  file: FileRequest | undefined;
}

/**
 * Interprets the head of a final response, or of one that switches protocols.
 * @throws {ProtocolError} `bad-status`, `bad-content-length`, `duplicate-field`, `transfer-encoding` or
 * `length-and-chunks`.
 */
export function interpretOrigin(head: OriginHead, method: string): OriginReply {
  const { status, minor } = head;
  if (status > 599) {
    throw new ProtocolError("bad-status", `Cannot use ${status} as a status: it is above 599`);
  }
  const headers: HeaderPair[] = [];
  const said: Said = {
    length: undefined,
    coding: undefined,
    connection: undefined,
    file: undefined,
  };
  for (const field of head.fields) if (take(said, field)) headers.push(field);
  const framing = framingOf(said, minor);
  const bodiless = status === 101 || status === 204 || status === 304;
  const ended = bodiless || method === "HEAD" ? EMPTY : framing;
  // RFC 9110 §8.6: with 204 it means nothing, and the runtime sends none with 304.
  const kept = bodiless ? headers.filter(([name]) => roleOf(name) !== "length") : headers;
  const { connection } = said;
  return {
    status,
    headers: connection === undefined ? kept : withoutNominated(kept, connection),
    framing: ended,
    persists: minor === 1 && ended.type !== "close" && !mentions(connection, "close"),
    file: said.file,
  };
}

/** Takes down a field that has a role. Tells whether the client gets it. */
function take(said: Said, [name, value]: HeaderPair): boolean {
  const role = roleOf(name);
  switch (role) {
    case "pass":
      return true;
    case "drop":
      return false;
    case "length": {
      const before = said.length;
      said.length = lengthOf(value);
      if (before === undefined || before === said.length) return before === undefined;
      throw new ProtocolError(
        "duplicate-field",
        `Cannot use the response: ${name} is both ${before} and ${said.length}`,
      );
    }
    case "coding":
    case "connection":
      said[role] = said[role] === undefined ? value : `${said[role]}, ${value}`;
      return false;
    default:
      if (value !== "") said.file ??= { by: role, value };
      return false;
  }
}

/** RFC 9110 §8.6: digits, and perhaps the same again. */
function lengthOf(value: ByteString): ByteString {
  const [first = "", ...others] = value.split(",").map((part) => part.trim());
  const length = Number(first);
  const isOne = /^\d+$/.test(first) && others.every((other) => other === first);
  if (isOne && Number.isSafeInteger(length)) return String(length);
  throw new ProtocolError(
    "bad-content-length",
    `Cannot use ${quoteBytes(value)} as a Content-Length: it must be a number of bytes`,
  );
}

function framingOf({ length, coding }: Said, minor: number): Framing {
  if (coding === undefined) {
    return length === undefined ? CLOSE : { type: "length", length: Number(length) };
  }
  // RFC 9112 §6.3: an attempt at smuggling as likely as a fault. No reader may choose one of the two.
  if (length !== undefined) {
    throw new ProtocolError(
      "length-and-chunks",
      "Cannot use the response: it has both Content-Length and Transfer-Encoding",
    );
  }
  if (minor === 1 && coding.toLowerCase() === "chunked") return CHUNKED;
  throw new ProtocolError(
    "transfer-encoding",
    `Cannot undo the Transfer-Encoding ${quoteBytes(coding)} of an HTTP/1.${minor} response`,
  );
}

function mentions(connection: ByteString | undefined, option: string): boolean {
  return connection !== undefined &&
    (connection === option || optionsOf(connection).includes(option));
}

function optionsOf(connection: ByteString): readonly string[] {
  return connection.toLowerCase().split(",").map((part) => part.trim());
}

/** RFC 9110 §7.6.1: the fields that Connection names end at this hop, but for those of the message. */
function withoutNominated(headers: HeaderPair[], connection: ByteString): HeaderPair[] {
  if (connection === "keep-alive" || connection === "close") return headers;
  const nominated = optionsOf(connection).filter((name) => name !== "content-length");
  return headers.filter(([name]) => !nominated.includes(name.toLowerCase()));
}
