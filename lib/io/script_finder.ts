/**
 * Finds the program or script that a path names in a tree of files, and what of the path is left over
 * as PATH_INFO (RFC 3875 §4.1.5): the file along the path is the script, the rest belongs to it.
 *
 * Nothing outside the tree is ever found: dot segments were resolved before, and a symbolic link counts
 * only if what it leads to lies in the tree too. Nothing that merely lies there is found either: no
 * dot-files, no editor's backups. What is refused is not opened, and the refusals are Apache's.
 *
 * Calls are synchronous: on a local disk they take microseconds, an asynchronous turn takes longer. A
 * script costs one look at each name along its path and one at its links; only refusals cost more.
 */
import { GatewayError } from "../errors.ts";
import { type ByteString, ENCODED_SLASH, type Exchange } from "../exchange.ts";
import { byteString, textOf } from "../protocol/latin1.ts";
import { isFileName, isLeftover } from "../protocol/cgi_path.ts";
import { RealFolder } from "./real_folder.ts";

export interface Script {
  readonly type: "script";
  /** Absolute name of the file, links resolved. */
  readonly file: string;
  /** The part of the path that names the script. */
  readonly name: ByteString;
  /** PATH_INFO: what follows. */
  readonly rest: ByteString;
  /** Permission bits, and whose they are (null where the system has no such thing). */
  readonly mode: number;
  readonly uid: number | null;
  readonly gid: number | null;
}

/** The path names a folder, without the slash that folders end with. */
export interface Folder {
  readonly type: "folder";
}

/** A tree of scripts. `root` must exist; `index` names the scripts of a folder, tried in order. */
export class ScriptTree {
  readonly #root: RealFolder;
  readonly #index: readonly ByteString[];

  constructor(root: string, index: readonly string[] = []) {
    this.#root = new RealFolder(root);
    this.#index = index.map(byteString);
  }

  /**
   * The script along `path` (decoded, `""` or `/…`).
   * @throws {GatewayError} 404 `no-script`; 403 `hidden-name`, `no-index`, `not-a-file`, `no-access`,
   * `broken-link` or `outside-root`.
   */
  find(path: ByteString): Script | Folder {
    let end = 0;
    while (end < path.length) {
      if (path.endsWith("/") && end === path.length - 1) return this.#findIndex(path);
      const slash = path.indexOf("/", end + 1);
      const next = slash === -1 ? path.length : slash;
      const name = path.slice(0, next);
      const segment = path.slice(end + 1, next);
      if (!isFileName(segment)) throw noScript(name);
      // By its name alone: an answer that looked for the file would tell whether there is one.
      if (isLeftover(segment)) throw refusal("hidden-name", name, "is a dot-file or a backup");
      const file = this.#fileOf(name);
      const info = this.#look(file, name);
      if (info.isFile) return this.#script(file, name, path.slice(next), info);
      if (!info.isDirectory) throw refusal("not-a-file", name, "is neither a file nor a folder");
      end = next;
    }
    this.#inside(this.#fileOf(path), path);
    return { type: "folder" };
  }

  /** As {@link find}, but undefined where there is no script; throws `outside-root` alone. */
  tryFind(path: ByteString): Script | undefined {
    try {
      const found = this.find(path);
      return found.type === "script" ? found : undefined;
    } catch (error) {
      if (error instanceof GatewayError && error.failure !== "outside-root") return undefined;
      throw error;
    }
  }

  #findIndex(folder: ByteString): Script {
    this.#inside(this.#fileOf(folder), folder);
    for (const index of this.#index) {
      const name = folder + index;
      const file = this.#fileOf(name);
      const info = attempt(Deno.statSync, file);
      if (!(info instanceof Error) && info.isFile) return this.#script(file, name, "", info);
    }
    throw refusal("no-index", folder, "is a folder without an index");
  }

  #script(file: string, name: ByteString, rest: ByteString, info: Deno.FileInfo): Script {
    const { mode, uid, gid } = info;
    const real = this.#inside(file, name);
    return { type: "script", file: real, name, rest, mode: mode ?? 0o755, uid, gid };
  }

  /** The runtime names files by text: bytes that are no UTF-8 would name another file. */
  #fileOf(name: ByteString): string {
    const text = textOf(name);
    if (text !== name && byteString(text) !== name) throw noScript(name);
    return this.#root.name + text;
  }

  #look(file: string, name: ByteString): Deno.FileInfo {
    const info = attempt(Deno.statSync, file);
    if (!(info instanceof Error)) return info;
    // What a folder outside holds or lacks is nobody's business.
    this.#inside(file.slice(0, file.lastIndexOf("/")), name);
    if (info instanceof Deno.errors.PermissionDenied) {
      throw refusal("no-access", name, "lies where the gateway may not look");
    }
    const itself = attempt(Deno.lstatSync, file);
    if (itself instanceof Error || !itself.isSymlink) throw noScript(name);
    throw refusal("broken-link", name, "is a link that leads nowhere");
  }

  /** The file's real name, if it lies in the tree. */
  #inside(file: string, name: ByteString): string {
    const real = attempt(Deno.realPathSync, file || "/");
    // It was there a moment ago.
    if (real instanceof Error) throw noScript(name);
    if (this.#root.placeOf(real) !== undefined) return real;
    const why = `${file} leads outside ${this.#root.name}, to ${real}`;
    throw new GatewayError(403, "outside-root", why);
  }
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

function noScript(name: ByteString): GatewayError {
  return new GatewayError(404, "no-script", `No script along ${JSON.stringify(textOf(name))}`);
}

function refusal(failure: string, name: ByteString, why: string): GatewayError {
  return new GatewayError(403, failure, `${JSON.stringify(textOf(name))} ${why}`);
}

/**
 * An encoded slash cannot be part of a file's name, and to decode it would name another file.
 * @throws {GatewayError} 404 `encoded-slash`.
 */
export function refuseEncodedSlash(exchange: Exchange): void {
  if (exchange.path.includes(ENCODED_SLASH)) {
    throw new GatewayError(404, "encoded-slash", "A path to a file holds %2F");
  }
}
