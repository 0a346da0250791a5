/**
 * What a reply's head asks for (RFC 3875 §6.2, §6.3), for CGI, FastCGI, SCGI and uwsgi: status, fields,
 * declared length or a local redirect. The second half of the one reply reader; a WSGI application's
 * header list enters here, each field having passed `checkedField`.
 *
 * Strategy: one pass over the fields. A letter and a length rule out nearly every name that has no
 * meaning to the gateway before it is lower-cased. Two fields that contradict each other are a
 * {@link ProtocolError}; the same field said twice is said once.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString, FileRequest, HeaderPair, LocalRedirect } from "../exchange.ts";
import { decodeTarget } from "./cgi_path.ts";
import { FILE_FIELDS, isAccelField } from "./file_fields.ts";
import { forbidsBody, HOP_BY_HOP, quoteBytes } from "./http_fields.ts";

export { HeadReader, type ReplyHead } from "./cgi_head.ts";

/** An answer without its body. */
export interface HeadReply {
  readonly type: "reply";
  /** 200 to 599. */
  readonly status: number;
  /**
   * What goes to the client: no Status, no hop-by-hop field, no `X-CGI-*`, none that is meant for the
   * server. Names as written.
   */
  readonly headers: readonly HeaderPair[];
  /** Bytes of body that the program promises; undefined: all until its output ends. */
  readonly contentLength: number | undefined;
  /** A file to be sent instead of the body. */
  readonly file?: FileRequest;
}

/** What a head asks for. */
export type Interpreted = HeadReply | LocalRedirect;

/** Fields that a program says at most once. */
type Single = "status" | "location" | "type" | "length" | FileRequest["by"];
type Role = Single | "coding" | "drop";

/** Names that are more than a field to pass on. */
const ROLES: ReadonlyMap<string, Role> = new Map<string, Role>([
  ...HOP_BY_HOP.map((name): [string, Role] => [name, "drop"]),
  ["status", "status"],
  ["location", "location"],
  ["content-type", "type"],
  ["content-length", "length"],
  ["transfer-encoding", "coding"],
  ...FILE_FIELDS,
  // As most programs write them: their names need not be lower-cased.
  ["Status", "status"],
  ["Location", "location"],
  ["Content-Type", "type"],
  ["Content-Length", "length"],
]);

/** For each first letter, the lengths of the names in ROLES, as a set of bits. */
const LENGTHS = new Uint32Array(32);
for (const name of ROLES.keys()) {
  const letter = name.charCodeAt(0) & 31;
  LENGTHS[letter] = (LENGTHS[letter] ?? 0) | (1 << name.length);
}
const LETTER_X = 24;

/**
 * Interprets the fields of a head. They are clean: names are tokens, values hold no control character.
 * @throws {ProtocolError} `bad-status`, `bad-content-length`, `bad-location`, `duplicate-field` or
 * `transfer-encoding`.
 */
export function interpretHead(fields: readonly HeaderPair[]): Interpreted {
  const headers: HeaderPair[] = [];
  const said: Said = { status: "", location: "", type: "", length: "", path: "", name: "" };
  for (const field of fields) {
    const role = roleOf(field[0]);
    if (role === undefined || (role !== "drop" && record(said, role, field))) headers.push(field);
  }
  // RFC 3875 §6.2.2: a local redirect is a Location alone. Beside another field, such as Set-Cookie,
  // it goes to the client, who would lose that field otherwise.
  const file = fileOf(said);
  const alone = said.location !== "" && said.status === "" && headers.length === 1;
  if (alone && file === undefined && /^\/(?!\/)[^#]*$/.test(said.location)) {
    return localRedirect(said.location);
  }
  // RFC 3875 §6.2.1, §6.2.3.
  const status = Number(said.status || (said.location === "" ? 200 : 302));
  const contentLength = said.length === "" ? undefined : Number(said.length);
  if (contentLength === undefined || !forbidsBody(status)) {
    const reply: HeadReply = { type: "reply", status, headers, contentLength };
    return file === undefined ? reply : { ...reply, file };
  }
  const kept = headers.filter(([name]) => roleOf(name) !== "length");
  return { type: "reply", status, headers: kept, contentLength: undefined };
}

function roleOf(name: string): Role | undefined {
  const letter = name.charCodeAt(0) & 31;
  if (((LENGTHS[letter] ?? 0) >>> name.length & 1) === 1) {
    const role = ROLES.get(name) ?? ROLES.get(name.toLowerCase());
    if (role !== undefined) return role;
  }
  if (letter !== LETTER_X) return undefined;
  // RFC 3875 §6.3.5: extension fields stay between the script and its server.
  return /^x-cgi-/i.test(name) || isAccelField(name) ? "drop" : undefined;
}

/** What was said once; empty: not yet. */
type Said = Record<Single, ByteString>;

/** Takes down a field that has a role. Tells whether the client gets it. */
function record(said: Said, role: Single | "coding", [name, value]: HeaderPair): boolean {
  // RFC 3875 §6.3: an empty value is as good as no field.
  if (value === "") return false;
  if (role === "coding") {
    throw new ProtocolError(
      "transfer-encoding",
      `Cannot use the reply: it comes with Transfer-Encoding ${quoteBytes(value)}`,
    );
  }
  const meaning = meaningOf(role, value);
  const before = said[role];
  if (before !== "" && before !== meaning) {
    const both = `${quoteBytes(before)} and ${quoteBytes(meaning)}`;
    throw new ProtocolError("duplicate-field", `Cannot use the reply: ${name} is both ${both}`);
  }
  said[role] = meaning;
  return before === "" && !UNSEEN.has(role);
}

const UNSEEN: ReadonlySet<Single> = new Set<Single>(["status", "path", "name"]);

function fileOf({ path, name }: Said): FileRequest | undefined {
  if (path !== "") return { by: "path", value: path };
  return name === "" ? undefined : { by: "name", value: name };
}

/** The part of a value that must not contradict itself. */
function meaningOf(role: Single, value: ByteString): ByteString {
  if (role === "status") return statusOf(value);
  if (role === "length") return lengthOf(value);
  return value;
}

/** RFC 3875 §6.3.3: three digits and a reason, which the runtime cannot send and may be missing. */
function statusOf(value: ByteString): ByteString {
  if (/^[2-5]\d\d(?: |$)/.test(value)) return value.slice(0, 3);
  throw new ProtocolError(
    "bad-status",
    `Cannot use ${quoteBytes(value)} as a status: it must be a number from 200 to 599`,
  );
}

function isDigits(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return text !== "";
}

/** RFC 9110 §8.6: digits alone. */
function lengthOf(value: ByteString): ByteString {
  const length = Number(value);
  if (isDigits(value) && Number.isSafeInteger(length)) return String(length);
  throw new ProtocolError(
    "bad-content-length",
    `Cannot use ${quoteBytes(value)} as a Content-Length: it must be a number of bytes`,
  );
}

/** Bytes that no target may hold as they are become escapes; the rest must be one as it stands. */
function localRedirect(location: ByteString): LocalRedirect {
  const target = location.replace(/[^\x21-\x7e]/g, escapeByte);
  try {
    decodeTarget(target);
  } catch {
    // The client asked for nothing wrong: what would be a 400 to it is the program's fault here.
    throw new ProtocolError("bad-location", `Cannot redirect to ${quoteBytes(location)}`);
  }
  return { type: "local-redirect", target };
}

function escapeByte(byte: string): string {
  return "%" + byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
}
