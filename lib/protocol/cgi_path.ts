/**
 * The one path splitter: raw request target to path and query, path to script and PATH_INFO.
 *
 * Strategy: a target is decoded once, here, to bytes; everything after compares bytes. Dot segments are
 * resolved before any split (RFC 3875 §9.8). Finding a script is by string alone: a split at a suffix
 * where no file system is at hand, or a list of candidates for a finder that looks at files.
 * Grammar: RFC 9112 §3.2, RFC 3986 §5.2.4 (with repeated slashes merged, as file systems do).
 */
import { GatewayError } from "../errors.ts";
import { type ByteString, ENCODED_SLASH } from "../exchange.ts";
import { quoteBytes } from "./http_fields.ts";
import { latin1FromBytes } from "./latin1.ts";

/** A request target, decoded once. See the members of the same name in Exchange. */
export interface DecodedTarget {
  readonly target: ByteString;
  readonly path: ByteString;
  readonly query: ByteString;
  /** Whether {@link path} holds an ENCODED_SLASH; kinds that map paths to files answer 404 then. */
  readonly encodedSlash: boolean;
}

/** A path cut in two: `script + rest` is the whole. */
export interface ScriptSplit {
  /** Ends with the script's own segment; SCRIPT_NAME ends with it. */
  readonly script: ByteString;
  /** PATH_INFO; `""` or starts with `/`. */
  readonly rest: ByteString;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const HASH = 0x23;
const UTF8 = new TextEncoder();

/**
 * Decodes a raw request target in origin form, or `*`. Characters beyond ASCII, which the runtime has
 * read as UTF-8, become the bytes they were.
 * @throws {GatewayError} 400 `bad-target`: not in origin form, a malformed escape, NUL, a fragment, a
 * space or a control character.
 */
export function decodeTarget(target: string): DecodedTarget {
  if (target === "*") return { target, path: "*", query: "", encodedSlash: false };
  if (target.charCodeAt(0) !== SLASH) throw unfit(target, 0);
  let mark = -1;
  let ascii = true;
  let plain = true;
  let before = SLASH;
  for (let at = 1; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code > 0x7f) ascii = false;
    else if (code <= 0x20 || code === HASH || code === 0x7f) throw unfit(target, at);
    else if (mark === -1) {
      if (code === QUESTION) mark = at;
      else if (code === PERCENT || (before === SLASH && (code === SLASH || code === DOT))) {
        plain = false;
      }
    }
    before = code;
  }
  if (ascii) return cutTarget(target, mark, plain);
  const bytes = latin1FromBytes(UTF8.encode(target));
  return cutTarget(bytes, bytes.indexOf("?"), plain);
}

function cutTarget(target: ByteString, mark: number, plain: boolean): DecodedTarget {
  const raw = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? "" : target.slice(mark + 1);
  if (plain) return { target, path: raw, query, encodedSlash: false };
  const path = resolvePath(raw);
  return { target, path, query, encodedSlash: path.includes(ENCODED_SLASH) };
}

/** Decodes each segment, then drops empty ones and dot segments; `..` stops at the root. */
function resolvePath(raw: ByteString): ByteString {
  const segments: ByteString[] = [];
  let folder = false;
  for (const part of raw.slice(1).split("/")) {
    const segment = decodeSegment(part);
    folder = segment === "" || segment === "." || segment === "..";
    if (!folder) segments.push(segment);
    else if (segment === "..") segments.pop();
  }
  const path = "/" + segments.join("/");
  return folder && path !== "/" ? path + "/" : path;
}

function decodeSegment(segment: ByteString): ByteString {
  let text = "";
  let done = 0;
  for (let at = segment.indexOf("%"); at !== -1; at = segment.indexOf("%", done)) {
    const escape = segment.slice(at, at + 3);
    if (!/^%[0-9A-Fa-f]{2}$/.test(escape)) throw badTarget(segment, `"${escape}" is no escape`);
    const byte = parseInt(escape.slice(1), 16);
    // No file name and no environment variable can hold a NUL; C programs would end the path at it.
    if (byte === 0) throw badTarget(segment, "it holds a NUL");
    text += segment.slice(done, at) + (byte === SLASH ? ENCODED_SLASH : String.fromCharCode(byte));
    done = at + 3;
  }
  return done === 0 ? segment : text + segment.slice(done);
}

function unfit(target: string, at: number): GatewayError {
  const bytes = latin1FromBytes(UTF8.encode(target));
  if (at === 0) return badTarget(bytes, "it does not start with a slash");
  if (target[at] === "#") return badTarget(bytes, "it holds a fragment");
  return badTarget(bytes, "it holds a space or a control character");
}

function badTarget(bytes: ByteString, why: string): GatewayError {
  return new GatewayError(
    400,
    "bad-target",
    `Cannot decode the target ${quoteBytes(bytes)}: ${why}`,
  );
}

/**
 * Splits after the first segment that ends with one of the suffixes (`.php`); undefined if none does.
 *
 * The split is a plain comparison of bytes at the ends of segments, for each of these has been a way
 * to run other people's code:
 * - A regular expression fails on an encoded line break (`/x.php/%0a`) and leaves PATH_INFO empty,
 *   which PHP-FPM took as a licence to write before its buffer (CVE-2019-11043).
 * - An offset found in a lower-cased copy does not fit the original, for some characters change their
 *   length: the script became another file (CVE-2026-27590, GHSA-5r3v-vc8m-m96g). Hence no folding of
 *   case at all; `/x.PHP` is no script.
 * - `/upload/photo.jpg/x.php` names a script that does not exist, and PHP's cgi.fix_pathinfo then goes
 *   back to the file that does, the uploaded one. So where the tree can be seen, look for the script's
 *   file before asking PHP for it; elsewhere PHP's security.limit_extensions must stand guard.
 *
 * Segments that no file can be named are never part of the script.
 */
export function splitScript(
  pathInfo: ByteString,
  suffixes: readonly string[],
): ScriptSplit | undefined {
  const last = fileNamesEnd(pathInfo);
  for (let end = 0; end < last;) {
    const slash = pathInfo.indexOf("/", end + 1);
    end = slash === -1 ? pathInfo.length : slash;
    for (const suffix of suffixes) {
      if (pathInfo.endsWith(suffix, end)) return splitAt(pathInfo, end);
    }
  }
  return undefined;
}

function splitAt(path: ByteString, end: number): ScriptSplit {
  return { script: path.slice(0, end), rest: path.slice(end) };
}

/** Linux' PATH_MAX; longer names cannot be opened. */
const MAX_PATH = 4096;

/** Where the longest prefix ends that is made of file names alone. */
function fileNamesEnd(path: ByteString): number {
  let end = 0;
  while (path.charCodeAt(end) === SLASH) {
    const slash = path.indexOf("/", end + 1);
    const next = slash === -1 ? path.length : slash;
    if (next > MAX_PATH || !isFileName(path.slice(end + 1, next))) break;
    end = next;
  }
  return end;
}

/** Whether a decoded segment can be a file's name: no dot segment, control character or slash. */
export function isFileName(segment: ByteString): boolean {
  // deno-lint-ignore no-control-regex
  return !/^\.{0,2}$|[\x00-\x1f\x7f/\u0100]/.test(segment);
}

/**
 * Whether a segment names what merely lies in a folder and was never meant to be asked for: dot-files,
 * and what editors, patches, RCS and package managers leave behind. An old copy of a script is still
 * executable, with every fault that the new one has mended.
 */
export function isLeftover(segment: ByteString): boolean {
  return LEFTOVER.test(segment);
}

const LEFTOVER =
  /^\.|~$|^#.*#$|,v$|\.(?:bak|old|orig|rej|tmp|save(?:\.\d+)?|sw[n-p])$|\.(?:dpkg|ucf)-[a-z]+$|\.rpm(?:new|orig|save)$/i;

/** Percent-encodes every byte that may not stand in a path segment (RFC 3986 §3.3); slashes stay. */
export function encodePath(path: ByteString): ByteString {
  return path.replace(
    /[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g,
    (byte) => "%" + byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"),
  );
}
