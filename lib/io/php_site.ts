/**
 * A folder as a PHP site: which script a path means, or which file is sent as it is. As nginx would by
 * `try_files $uri $uri/ /index.php$is_args$args`, with the holes closed that this leaves to whoever
 * writes the rest.
 *
 * - The script is the regular file along the path, and PHP never has to guess: `/upload/photo.jpg/x.php`
 *   is no script, whatever cgi.fix_pathinfo would make of it.
 * - The source of a script is never sent, nor is what is hidden: dot-files, and backups, which are sources
 *   by another name.
 * - Whatever names nothing goes to the front controller, and so do names that are never looked for: nobody
 *   can tell one from the other.
 */
import { GatewayError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";
import { byteString } from "../protocol/latin1.ts";
import { isLeftover } from "../protocol/cgi_path.ts";
import { quoteBytes } from "../protocol/http_fields.ts";
import { FileTree, type TreeFile } from "./file_tree.ts";

export interface PhpSiteOptions {
  readonly index?: string | undefined;
  readonly split?: readonly string[] | undefined;
}

/** What a path comes to. */
export type PhpTurn =
  /** Run the file: `place` names it, `rest` is PATH_INFO. */
  | { readonly type: "script"; readonly file: TreeFile; readonly isFront: boolean }
  | { readonly type: "file"; readonly file: TreeFile }
  /** A folder with an index, without the slash that folders end with. */
  | { readonly type: "to-folder" };

type Script = Extract<PhpTurn, { type: "script" }>;

/** A script that was there a moment ago is there: looking again would cost as much as all else. */
const KNOWN_MS = 1000;
const MAX_KNOWN = 4096;

export class PhpSite {
  readonly tree: FileTree;
  readonly #known = new Map<ByteString, { readonly script: Script; readonly until: number }>();
  readonly #front: ByteString;
  readonly #indexes: readonly ByteString[];
  readonly #split: readonly string[];

  /** Throws if there is no such folder. */
  constructor(root: string, { index = "index.php", split = [".php"] }: PhpSiteOptions) {
    this.tree = new FileTree(root, isLeftover);
    this.#front = byteString(`/${index}`);
    const last = index.slice(index.lastIndexOf("/") + 1);
    this.#indexes = [...new Set([last, "index.php", "index.html"])].map(byteString);
    this.#split = split;
  }

  /**
   * What `path` comes to (decoded, `""` or `/…`).
   * @throws {GatewayError} 404 `no-script`: there is nothing, not even a front controller.
   */
  find(path: ByteString): PhpTurn {
    const known = this.#recall(path);
    if (known !== undefined) return known;
    const found = this.tree.find(path);
    if (found.type === "file") {
      const turn = this.#use(found);
      return turn === undefined ? this.#toFront(path) : this.#remember(path, turn);
    }
    if (found.type === "nothing") return this.#toFront(path);
    const index = this.#findIndex(path.endsWith("/") ? path : `${path}/`);
    if (index === undefined) return this.#toFront(path);
    return path.endsWith("/") ? index : { type: "to-folder" };
  }

  #findIndex(folder: ByteString): PhpTurn | undefined {
    for (const name of this.#indexes) {
      const found = this.tree.find(folder + name);
      const turn = found.type === "file" ? this.#use(found) : undefined;
      if (turn !== undefined) return turn;
    }
    return undefined;
  }

  #recall(path: ByteString): Script | undefined {
    const known = this.#known.get(path);
    return known !== undefined && performance.now() < known.until ? known.script : undefined;
  }

  #remember(path: ByteString, turn: PhpTurn): PhpTurn {
    if (turn.type !== "script") return turn;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(path, { script: turn, until: performance.now() + KNOWN_MS });
    return turn;
  }

  #toFront(path: ByteString): PhpTurn {
    const known = this.#recall(this.#front);
    if (known !== undefined) return { ...known, isFront: true };
    const found = this.tree.find(this.#front);
    const turn = found.type === "file" ? this.#use(found) : undefined;
    if (turn?.type === "script") {
      this.#remember(this.#front, turn);
      return { ...turn, isFront: true };
    }
    if (turn !== undefined) return turn;
    throw new GatewayError(
      404,
      "no-script",
      `There is nothing at ${quoteBytes(path)}, and no front controller ${this.#front}`,
    );
  }

  /** Undefined: the file is neither run nor sent. */
  #use(file: TreeFile): PhpTurn | undefined {
    const { place, real, rest } = file;
    // What a link leads to counts as well: it is what PHP would run, and what would be sent.
    if (this.#isScript(place) && this.#isScript(real)) {
      return { type: "script", file, isFront: false };
    }
    if (rest !== "" || this.#isSource(place) || this.#isSource(real)) return undefined;
    return { type: "file", file };
  }

  #isScript(name: string): boolean {
    return this.#split.some((suffix) => name.endsWith(suffix));
  }

  #isSource(name: string): boolean {
    return SOURCE.test(name) || this.#isScript(name);
  }
}

/** Names that PHP's own tools, Debian's Apache and frameworks give to sources; in any case. */
const SOURCE = /\.(?:php\d*|phps|phpt|pht|phtml|phar|inc)$/i;
