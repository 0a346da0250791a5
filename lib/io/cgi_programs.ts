/**
 * Which CGI program a request means, and how to run it: the one of the route, or the file that its path
 * names in a tree, by itself or by the interpreter for its suffix.
 */
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Mount } from "../exchange.ts";
import type { Place } from "../handler.ts";
import { byteString, type EnvironPlan, planEnviron } from "../protocol/cgi_environ.ts";
import { resolvePath } from "../values.ts";
import { resolveProgram } from "./program.ts";
import { refuseEncodedSlash, ScriptTree } from "./script_finder.ts";

export interface ProgramOptions {
  readonly script?: string | undefined;
  readonly root?: string | undefined;
  readonly args?: readonly string[] | undefined;
  /** Commands by suffix. */
  readonly interpreters?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
}

/** What to run for a request. */
export interface Call {
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
  readonly #folder: string;
  readonly #script: string | undefined;
  readonly #tree: ScriptTree | undefined;
  readonly #interpreters: readonly (readonly [string, readonly string[]])[];

  constructor(options: ProgramOptions, place: Place) {
    this.#options = options;
    this.#folder = place.folder;
    const root = options.root === undefined ? undefined : resolvePath(options.root, place.folder);
    this.#script = options.script === undefined
      ? undefined
      : resolveProgram(options.script, place.folder);
    this.#tree = root === undefined ? undefined : new ScriptTree(root);
    this.#interpreters = Object.entries(options.interpreters ?? {}).map(
      ([suffix, [program = "", ...args]]) =>
        [suffix, [resolveProgram(program, place.folder), ...args]] as const,
    );
    this.plan = planEnviron(options.env ?? {}, root ?? place.folder);
  }

  find(path: ByteString, exchange: Exchange, mount: Mount): Call {
    if (this.#tree === undefined) return this.#call(this.#script ?? "", mount, 0o111);
    refuseEncodedSlash(exchange);
    const { file, name, rest, mode } = this.#tree.find(path);
    const before = mount.pathInfo === "" ? "" : mount.scriptName;
    return this.#call(file, { scriptName: before + name, pathInfo: rest }, mode);
  }

  #call(file: string, at: Pick<Mount, "scriptName" | "pathInfo">, mode: number): Call {
    const interpreter = this.#interpreters.find(([suffix]) => file.endsWith(suffix))?.[1];
    if (interpreter === undefined && (mode & 0o111) === 0) {
      throw new GatewayError(403, "script-not-executable", `${file} is not executable`);
    }
    const [program, ...before] = interpreter === undefined ? [file] : [...interpreter, file];
    return {
      program: program ?? file,
      args: [...before, ...(this.#options.args ?? [])],
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
