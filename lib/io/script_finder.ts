/**
 * Finds the program or script that a path names in a tree of files, and what of the path is left over
 * as PATH_INFO (RFC 3875 §4.1.5): the file along the path is the script, the rest belongs to it.
 *
 * Nothing outside the tree is ever found: dot segments were resolved before, names that begin with a dot
 * are passed over, and a symbolic link counts only if what it leads to lies in the tree too.
 *
 * Calls are synchronous: on a local disk they take microseconds, an asynchronous turn takes longer.
 */
import { GatewayError } from "../errors.ts";
import { type ByteString, ENCODED_SLASH, type Exchange } from "../exchange.ts";
import { textOf } from "../protocol/cgi_environ.ts";
import { isFileName } from "../protocol/cgi_path.ts";

export interface Script {
  /** Absolute name of the file, links resolved. */
  readonly file: string;
  /** The part of the path that names the script. */
  readonly name: ByteString;
  /** PATH_INFO: what follows. */
  readonly rest: ByteString;
  /** Permission bits. */
  readonly mode: number;
}

/** A tree of scripts. `root` must exist. */
export class ScriptTree {
  readonly #root: string;
  readonly #real: string;

  constructor(root: string) {
    this.#root = root.replace(/\/+$/, "");
    this.#real = Deno.realPathSync(root).replace(/\/+$/, "");
  }

  /**
   * The script along `path` (decoded, `""` or `/…`).
   * @throws {GatewayError} 404 `no-script`; 403 `outside-root`.
   */
  find(path: ByteString): Script {
    const found = this.tryFind(path);
    if (found !== undefined) return found;
    throw new GatewayError(404, "no-script", `No script along ${JSON.stringify(textOf(path))}`);
  }

  /** As {@link find}, but undefined where there is no script. */
  tryFind(path: ByteString): Script | undefined {
    let end = 0;
    while (path.charCodeAt(end) === 47) {
      const slash = path.indexOf("/", end + 1);
      const next = slash === -1 ? path.length : slash;
      const segment = path.slice(end + 1, next);
      if (!isFileName(segment) || segment.startsWith(".")) break;
      end = next;
      const name = path.slice(0, end);
      const info = statOf(this.#root + textOf(name));
      if (info === undefined) break;
      if (info.isFile) {
        const file = this.#inside(this.#root + textOf(name));
        return { file, name, rest: path.slice(end), mode: info.mode ?? 0o755 };
      }
    }
    return undefined;
  }

  /** The file's real name, if it lies in the tree. */
  #inside(file: string): string {
    const real = Deno.realPathSync(file);
    if (real.startsWith(this.#real + "/")) return real;
    throw new GatewayError(403, "outside-root", `${file} leads outside ${this.#root}, to ${real}`);
  }
}

function statOf(file: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    // Missing, not a folder, not permitted: there is no such script for us.
    return undefined;
  }
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
