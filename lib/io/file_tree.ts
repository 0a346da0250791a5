/**
 * A folder of files that paths of requests name: which file, and what of the path is left over.
 *
 * Nothing outside the folder is ever found: dot segments were resolved before, and a link counts only if
 * what it leads to lies inside too. Nor is what is hidden, by its own name or by that of what a link leads
 * to, or what no name can say (control characters, an encoded slash, bytes that are no UTF-8).
 *
 * Calls are synchronous, for a local disk answers in microseconds. Every find looks at the disk anew,
 * but for links, which lead where they led a second ago.
 */
import { existsSync } from "node:fs";
import { type ByteString, ENCODED_SLASH } from "../exchange.ts";
import { byteString, textOf } from "../protocol/latin1.ts";
import { isFileName } from "../protocol/cgi_path.ts";
import { quoteBytes } from "../protocol/http_fields.ts";
import type { FoundFile } from "./file_reply.ts";
import { RealFolder } from "./real_folder.ts";

export interface TreeFile extends FoundFile {
  readonly type: "file";
  /** The part of the path that names it. */
  readonly place: ByteString;
  /** What of the path follows: `""` or `/…`. */
  readonly rest: ByteString;
  /** With all links resolved, those that lead to the folder too. */
  readonly real: string;
  /** The same for the folder. */
  readonly realRoot: string;
}

export type Finding =
  | TreeFile
  /** The path names a folder, with or without the slash that folders end with. */
  | { readonly type: "folder"; readonly path: string }
  /** `failure` is a stable name for logs, `why` its explanation. */
  | { readonly type: "nothing"; readonly failure: string; readonly why: string };

/** Linux' PATH_MAX: longer names cannot be opened. */
const MAX_PATH = 4096;

/** To resolve a name takes three times as long as to look at its file. */
const RESOLVED_MS = 1000;
const MAX_RESOLVED = 4096;

export class FileTree {
  readonly #root: RealFolder;
  readonly #hides: (segment: string) => boolean;
  readonly #resolved = new Map<string, { readonly real: string; readonly until: number }>();

  /**
   * `hides` tells which segments of a path are never looked for, none of which is made of letters, digits,
   * `-` and `_` alone. Throws if there is no such folder.
   */
  constructor(root: string, hides: (segment: string) => boolean = isDotFile) {
    if (!Deno.statSync(root).isDirectory) throw new Error(`${root} is not a folder`);
    this.#root = new RealFolder(root);
    this.#hides = hides;
  }

  /** What `path` names (decoded, `""` or `/…`): the file along it, or the folder. */
  find(path: ByteString): Finding {
    const names = path.endsWith("/") ? path.slice(0, -1) : path;
    const end = this.#visibleEnd(names);
    const found = this.#look(names.slice(0, end), path);
    if (found?.type === "folder" && end < names.length) {
      return nothing("hidden-name", `${quotePath(path)} is never looked for`);
    }
    return found ?? this.#fileAlong(path, end);
  }

  /** Where the longest prefix ends that is made of names which may be looked for. */
  #visibleEnd(names: ByteString): number {
    if (isPlain(names)) return names.length;
    let end = 0;
    while (end < names.length) {
      const slash = names.indexOf("/", end + 1);
      const next = slash === -1 ? names.length : slash;
      if (next > MAX_PATH) break;
      const segment = names.slice(end + 1, next);
      const isKnown = end === 0 && segment === WELL_KNOWN;
      if (!isKnown && (!isFileName(segment) || !isText(segment) || this.#hides(segment))) break;
      end = next;
    }
    return end;
  }

  /** A file may stand where the path wants a folder. From the left: a tree is seldom as deep as a path. */
  #fileAlong(path: ByteString, end: number): Finding {
    for (let at = path.indexOf("/", 1); at !== -1 && at < end; at = path.indexOf("/", at + 1)) {
      const found = this.#look(path.slice(0, at), path);
      if (found === undefined) break;
      if (found.type !== "folder") return found;
    }
    return new Missing(path);
  }

  /** Undefined: there is no such name. */
  #look(place: ByteString, path: ByteString): Finding | undefined {
    const name = this.#root.name + textOf(place);
    const real = this.#resolve(name || "/");
    if (real === undefined) return undefined;
    const inside = this.#root.placeOf(real);
    if (inside === undefined) return nothing("outside-root", `${name} leads outside, to ${real}`);
    if (this.#isHidden(inside)) return nothing("hidden-name", `${name} leads to ${real}`);
    // By the folder's own name: permissions are granted by it, even if it is a link.
    const file = this.#root.name + inside;
    const info = attempt(Deno.statSync, file || "/");
    if (info instanceof Error) {
      this.#resolved.delete(name);
      return new Missing(path);
    }
    if (info.isDirectory) return { type: "folder", path: file || "/" };
    if (!info.isFile) return nothing("not-a-file", `${name} is neither a file nor a folder`);
    const realRoot = real.slice(0, real.length - inside.length);
    const rest = path.slice(place.length);
    return { type: "file", path: file, name, info, place, rest, real, realRoot };
  }

  /** Where the links of a name lead. Only that may be a moment old: the file itself is looked at anew. */
  #resolve(name: string): string | undefined {
    const nowMs = performance.now();
    const known = this.#resolved.get(name);
    if (known !== undefined && nowMs < known.until) return known.real;
    // Most names that a front controller takes are no files, and each error would cost 15 microseconds.
    if (!existsSync(name)) return undefined;
    const real = attempt(Deno.realPathSync, name);
    if (real instanceof Error) return undefined;
    if (this.#resolved.size >= MAX_RESOLVED) this.#resolved.clear();
    this.#resolved.set(name, { real, until: nowMs + RESOLVED_MS });
    return real;
  }

  /**
   * Whoever can make a link in the folder could give what is hidden another name. Kubernetes mounts files
   * as links into `..data`, which is no dot-file.
   */
  #isHidden(inside: string): boolean {
    if (!inside.includes("/.") && this.#hides === isDotFile) return false;
    const [, ...segments] = inside.split("/");
    return segments.some((segment, at) =>
      this.#hides(segment) && !segment.startsWith("..") && !(at === 0 && segment === WELL_KNOWN)
    );
  }
}

/** RFC 8615: the one name with a dot that is meant to be asked for. */
const WELL_KNOWN = ".well-known";

export function isDotFile(segment: string): boolean {
  return segment.startsWith(".");
}

/** The runtime names files by text: bytes that are no UTF-8 would name another file. */
function isText(segment: ByteString): boolean {
  const text = textOf(segment);
  return text === segment || byteString(text) === segment;
}

function nothing(failure: string, why: string): Finding {
  return { type: "nothing", failure, why };
}

/** Most paths that a front controller takes: what is told of them is seldom read. */
class Missing {
  readonly type = "nothing";
  readonly failure = "no-file";
  readonly #path: ByteString;

  constructor(path: ByteString) {
    this.#path = path;
  }

  get why(): string {
    return `There is no file ${quotePath(this.#path)}`;
  }
}

/**
 * Whether a path is made of letters, digits, `-` and `_` alone, as those that front controllers take are:
 * no such name is hidden, and each is a file's name as it stands.
 */
function isPlain(path: ByteString): boolean {
  if (path.length > MAX_PATH) return false;
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    const isLetter = (code | 0x20) >= LETTER_A && (code | 0x20) <= LETTER_Z;
    const isDigit = code >= DIGIT_0 && code <= DIGIT_9;
    if (!isLetter && !isDigit && code !== SLASH && code !== HYPHEN && code !== UNDERSCORE) {
      return false;
    }
  }
  return true;
}

const SLASH = 0x2f;
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LETTER_A = 0x61;
const LETTER_Z = 0x7a;

function quotePath(path: ByteString): string {
  return quoteBytes(path.replaceAll(ENCODED_SLASH, "%2F"));
}

/** A look at the disk; what the system says against it comes back as a value. */
function attempt<T>(look: (file: string) => T, file: string): T | Error {
  try {
    return look(file);
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    return error;
  }
}
