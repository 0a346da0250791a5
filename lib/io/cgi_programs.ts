/**
 * Which CGI program a request means, and how to run it: the one of the route, or the file that its path
 * names in a tree, by itself or by the interpreter for its suffix.
 */
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Mount, Reply } from "../exchange.ts";
import type { Place } from "../handler.ts";
import { type EnvironPlan, planEnviron } from "../protocol/cgi_environ.ts";
import { byteString } from "../protocol/latin1.ts";
import { searchWords } from "../protocol/cgi_search_words.ts";
import { resolvePath } from "../values.ts";
import { type Account, resolveProgram } from "./program.ts";
import { refuseEncodedSlash, type Script, ScriptTree } from "./script_finder.ts";
import { toFolder } from "./to_folder.ts";

/**
 * Tried in a folder, in order. The one name that says by itself that it is a CGI program; any other
 * would run what may lie there for another reason.
 */
const INDEX = ["index.cgi"];

export interface ProgramOptions {
  readonly script?: string | undefined;
  readonly root?: string | undefined;
  readonly index?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
  /** Whether the words of a query without `=` are arguments too (RFC 3875 §4.4). */
  readonly queryArgs?: boolean | undefined;
  /** Commands by suffix. */
  readonly interpreters?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
}

/** What to run for a request. */
export interface Call {
  readonly type: "call";
  readonly program: string;
  readonly args: readonly string[];
  /** SCRIPT_FILENAME, as bytes. */
  readonly file: ByteString;
  readonly scriptName: ByteString;
  readonly pathInfo: ByteString;
  readonly cwd: string;
}

/** Finds the program for a request: the one of the route, or the one that its path names. */
export class Programs {
  readonly plan: EnvironPlan;
  readonly #options: ProgramOptions;
  readonly #account: Account;
  readonly #folder: string;
  readonly #script: string | undefined;
  readonly #tree: ScriptTree | undefined;
  readonly #interpreters: readonly (readonly [string, readonly string[]])[];

  constructor(options: ProgramOptions, place: Place, account: Account = {}) {
    this.#options = options;
    this.#account = account;
    this.#folder = place.folder;
    const root = options.root === undefined ? undefined : resolvePath(options.root, place.folder);
    this.#script = options.script === undefined
      ? undefined
      : resolveProgram(options.script, place.folder);
    this.#tree = root === undefined ? undefined : new ScriptTree(root, options.index ?? INDEX);
    this.#interpreters = Object.entries(options.interpreters ?? {}).map(
      ([suffix, [program = "", ...args]]) =>
        [suffix, [resolveProgram(program, place.folder), ...args]] as const,
    );
    this.plan = planEnviron(options.env ?? {}, root ?? place.folder);
  }

  /**
   * What to run, or where to send the client first.
   * @throws {GatewayError} as {@link ScriptTree.find}; 404 `encoded-slash`; 403 `script-not-executable`.
   */
  find(path: ByteString, exchange: Exchange, mount: Mount): Call | Reply {
    if (this.#tree === undefined) {
      const script = this.#script ?? "";
      return this.#call(script, mount, this.#interpreterOf(script), exchange);
    }
    refuseEncodedSlash(exchange);
    const found = this.#tree.find(path);
    if (found.type === "folder") return toFolder(exchange);
    const { file, name, rest } = found;
    const interpreter = this.#interpreterOf(file);
    if (interpreter === undefined && !mayRun(found, this.#account)) {
      throw new GatewayError(403, "script-not-executable", `${file} is not executable`);
    }
    const before = mount.pathInfo === "" ? "" : mount.scriptName;
    const at = { scriptName: before + name, pathInfo: rest };
    return this.#call(file, at, interpreter, exchange);
  }

  #interpreterOf(file: string): readonly string[] | undefined {
    return this.#interpreters.find(([suffix]) => file.endsWith(suffix))?.[1];
  }

  #call(
    file: string,
    at: Pick<Mount, "scriptName" | "pathInfo">,
    interpreter: readonly string[] | undefined,
    { method, query }: Exchange,
  ): Call {
    const [program, ...before] = interpreter === undefined ? [file] : [...interpreter, file];
    const words = this.#options.queryArgs ? searchWords(method, query) : [];
    return {
      type: "call",
      program: program ?? file,
      args: [...before, ...(this.#options.args ?? []), ...words],
      file: byteString(file),
      scriptName: at.scriptName,
      pathInfo: at.pathInfo,
      cwd: this.#cwd(file),
    };
  }

  /** RFC 3875 §7.2: the folder of the script. */
  #cwd(file: string): string {
    if (this.#options.cwd !== undefined) return resolvePath(this.#options.cwd, this.#folder);
    return file.startsWith("/") ? file.slice(0, file.lastIndexOf("/")) || "/" : this.#folder;
  }
}

/**
 * Whether the permission bits let the account run the script. What they do not tell (the gateway's own
 * account, further groups) is left to the system: it refuses at the start.
 */
function mayRun({ mode, uid, gid }: Script, account: Account): boolean {
  let bits = 0o111;
  // An owner is judged by the owner's bits alone, and so is the group; the superuser by any.
  if (account.uid !== undefined && account.uid !== 0) {
    if (account.uid === uid) bits = 0o100;
    else bits = account.gid === gid ? 0o010 : 0o011;
  }
  return (mode & bits) !== 0;
}
