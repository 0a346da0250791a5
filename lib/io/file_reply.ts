/**
 * A file as a reply: validators, conditions, ranges and HEAD by RFC 9110, for whoever has found a file
 * that a client may have. Whether it may is not asked here.
 *
 * Strategy: what would be sent is planned from a look at the file, so that a 304 opens nothing. Once the
 * file is open it is looked at again: head and body then speak of one and the same file, even if another
 * has just taken its name.
 */
import { GatewayError } from "../errors.ts";
import type { BodyPiece, ByteString, Exchange, HeaderPair, Reply } from "../exchange.ts";
import { type Validators, weighConditions } from "../protocol/http_conditions.ts";
import { parseHttpDate } from "../protocol/http_date.ts";
import {
  type ByteRange,
  chooseRanges,
  contentRange,
  frameSlices,
  unsatisfiedRange,
} from "../protocol/http_range.ts";
import { mediaTypeOf } from "../protocol/media_type.ts";
import { bodyOf, fileBody, keptBodyOf } from "./file_body.ts";
import { isSameFile, wordsOf } from "./file_words.ts";
import { RecentFiles } from "./recent_files.ts";
import { shortageOf } from "./shortage.ts";

/** A regular file that was looked at. */
export interface FoundFile {
  /** Absolute, links resolved but for those that lead to the folder it was found in. */
  readonly path: string;
  /** As it is asked for: a link's own suffix tells the type. */
  readonly name: string;
  readonly info: Deno.FileInfo;
}

export interface FileReplyOptions {
  /** Any but 200 is sent with the whole file, whatever the client has. */
  readonly status?: number;
  /**
   * Fields that come along. Content-Type, ETag and Last-Modified win over the file's own;
   * `Accept-Ranges: none` rules out ranges; lengths are ignored.
   */
  readonly headers?: readonly HeaderPair[];
}

/**
 * The reply that a file makes. A short file is read at once, and closed again.
 * @throws {GatewayError} 412 `precondition-failed`, 416 `range-unsatisfiable`; 404 `file-missing`, 403
 * `file-no-access`; 500 `file-shrank`.
 */
export function fileReply(
  found: FoundFile,
  exchange: Exchange,
  options: FileReplyOptions = {},
): Reply {
  const glance = planReply(found, exchange, options);
  if (glance.pieces === null) return toReply(glance, null);
  const kept = recent.get(found.path, found.info);
  const [slice] = glance.pieces;
  if (kept !== undefined && glance.pieces.length <= 1 && !(slice instanceof Uint8Array)) {
    const bytes = sliceOf(kept, slice);
    return toReply(glance, bytes === kept ? keptBodyOf(bytes) : bodyOf(bytes));
  }
  const file = openFile(found.path);
  let plan: Plan;
  try {
    const info = infoOf(file, found.path);
    plan = isSameFile(info, found.info) ? glance : planReply({ ...found, info }, exchange, options);
  } catch (error) {
    file.close();
    throw error;
  }
  if (plan.pieces === null) {
    file.close();
    return toReply(plan, null);
  }
  const body = fileBody(file, plan.pieces);
  if (!(body instanceof Uint8Array)) return toReply(plan, body);
  if (plan === glance) recent.keep(found.path, found.info, body);
  return toReply(plan, bodyOf(body));
}

/** What a busy site sends over and over: its pages, styles, scripts and icons. */
const recent = new RecentFiles(32 * 2 ** 20);

function sliceOf(bytes: Uint8Array<ArrayBuffer>, slice: ByteRange | undefined) {
  if (slice === undefined) return new Uint8Array(0);
  return slice.end - slice.start === bytes.length ? bytes : bytes.subarray(slice.start, slice.end);
}

function openFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path);
  } catch (error) {
    const cause = { cause: error };
    if (error instanceof Deno.errors.NotFound) {
      throw new GatewayError(404, "file-missing", `${path} has just been removed`, cause);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new GatewayError(403, "file-no-access", `${path} may not be read`, cause);
    }
    throw shortageOf(error, `open ${path}`) ?? error;
  }
}

/** Leave to read by a link's name is not leave to ask a file that was opened by it for its own. */
function infoOf(file: Deno.FsFile, path: string): Deno.FileInfo {
  try {
    return file.statSync();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    return Deno.statSync(path);
  }
}

/** What is to be sent. */
interface Plan {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  /** Null: no body, and thus no need to open the file. */
  readonly pieces: readonly BodyPiece[] | null;
}

function toReply({ status, headers }: Plan, body: Reply["body"]): Reply {
  return { type: "reply", status, headers, body };
}

function planReply(found: FoundFile, exchange: Exchange, options: FileReplyOptions): Plan {
  const { method, headers: asked } = exchange;
  const { status = 200, headers: given = [] } = options;
  const facts = factsOf(found, given);
  const isHead = method === "HEAD";
  // RFC 9110 §13.2.1: conditions count where the answer would be a 200.
  if (status !== 200 || (method !== "GET" && !isHead)) return planWhole(facts, status, isHead);
  const verdict = weighConditions(method, asked, facts.validators);
  if (verdict.type === "failed") {
    throw new GatewayError(412, "precondition-failed", `${found.path} is not what is asked for`);
  }
  if (verdict.type === "not-modified") {
    return { status: 304, headers: facts.headers.filter(isKeptBy304), pieces: null };
  }
  const range = verdict.allowsRange && facts.allowsRange ? asked.get("range") : null;
  const choice = chooseRanges(range, facts.size);
  switch (choice.type) {
    case "whole":
      return planWhole(facts, status, isHead);
    case "slices":
      return planSlices(facts, choice.slices);
    case "unsatisfiable":
      throw new GatewayError(416, "range-unsatisfiable", `${found.path} ends before ${range}`, {
        headers: [["content-range", unsatisfiedRange(facts.size)]],
      });
    default:
      return choice satisfies never;
  }
}

function planWhole({ headers, type, size, length }: Facts, status: number, isHead: boolean): Plan {
  const pieces = size === 0 ? [] : [{ start: 0, end: size }];
  return {
    status,
    headers: [...headers, ["content-type", type], ["content-length", length]],
    pieces: isHead ? null : pieces,
  };
}

/** RFC 9110 §15.3.7. */
function planSlices({ headers, type, size }: Facts, slices: readonly ByteRange[]): Plan {
  const [slice] = slices;
  if (slice !== undefined && slices.length === 1) {
    const own: HeaderPair[] = [
      ["content-type", type],
      ["content-range", contentRange(slice, size)],
      ["content-length", String(slice.end - slice.start)],
    ];
    return { status: 206, headers: [...headers, ...own], pieces: slices };
  }
  const boundary = crypto.randomUUID().replaceAll("-", "");
  const parts = frameSlices(slices, { size, type, boundary });
  const own: HeaderPair[] = [
    ["content-type", parts.type],
    ["content-length", String(parts.length)],
  ];
  return { status: 206, headers: [...headers, ...own], pieces: parts.pieces };
}

/** What is known of the file before the request is looked at. */
interface Facts {
  readonly size: number;
  readonly length: ByteString;
  readonly type: ByteString;
  readonly validators: Validators;
  readonly allowsRange: boolean;
  /** All fields but those that depend on what part is sent. */
  readonly headers: readonly HeaderPair[];
}

function factsOf({ path, name: fileName, info }: FoundFile, own: readonly HeaderPair[]): Facts {
  const said: Record<string, ByteString | undefined> = {};
  const headers: HeaderPair[] = [];
  for (const field of own) {
    const name = field[0].toLowerCase();
    if (SPOKEN_FOR.has(name)) said[name] = field[1];
    else headers.push(field);
  }
  const words = wordsOf(path, info);
  const etag = said["etag"] ?? words.etag;
  const modified = said["last-modified"] ?? words.modified;
  const modifiedMs = modified === words.modified
    ? words.modifiedMs
    : parseHttpDate(modified ?? "", Date.now());
  const ranges = said["accept-ranges"] ?? "bytes";
  if (etag !== undefined) headers.push(["etag", etag]);
  if (modified !== undefined) headers.push(["last-modified", modified]);
  headers.push(["accept-ranges", ranges]);
  return {
    size: info.size,
    length: words.length,
    type: said["content-type"] ?? mediaTypeOf(fileName),
    validators: { etag, modifiedMs },
    allowsRange: ranges !== "none",
    headers,
  };
}

/** Fields that are settled here. */
const SPOKEN_FOR: ReadonlySet<string> = new Set([
  "accept-ranges",
  "content-length",
  "content-range",
  "content-type",
  "etag",
  "last-modified",
]);

/** RFC 9110 §15.4.5: the client knows what it has; it needs what guides its cache. */
function isKeptBy304([name]: HeaderPair): boolean {
  return !/^(?:content-(?:encoding|language)|accept-ranges)$/i.test(name);
}
