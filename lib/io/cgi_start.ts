/** Starts a CGI program: the command, and what a failure to start it means. */
import { GatewayError } from "../errors.ts";
import { shortageOf } from "./shortage.ts";

export interface CgiCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** The program leads a process group of its own: signals go to all of the group. */
  readonly leadsGroup?: boolean | undefined;
  /** The program that `program` stands before, for people; undefined: itself. */
  readonly runs?: string | undefined;
  /** How the line of figures begins that follows the error stream; see cgi_usage.ts. */
  readonly usageMarker?: string | undefined;
}

/**
 * Starts the program, its input open if there is a body to write.
 * @throws {GatewayError} 502 `script-missing`, `script-not-executable` or `script-not-started`; 503
 * `no-descriptors`, `no-processes` or `no-memory`.
 */
export function startProgram(command: CgiCommand, hasBody: boolean): Deno.ChildProcess {
  const { program, args, env, cwd, uid, gid } = command;
  try {
    return new Deno.Command(program, {
      args: [...args],
      clearEnv: true,
      env,
      cwd,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      stdin: hasBody ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    throw startError(program, error);
  }
}

function startError(program: string, error: unknown): GatewayError {
  const options = { cause: error };
  if (error instanceof Deno.errors.NotFound) {
    const message = `Cannot start ${program}: it, its interpreter or its folder does not exist`;
    return new GatewayError(502, "script-missing", message, options);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    const message = `Cannot start ${program}: it is not executable for the gateway's user`;
    return new GatewayError(502, "script-not-executable", message, options);
  }
  const shortage = shortageOf(error, `start ${program}`, "program");
  if (shortage !== undefined) return shortage;
  const message = error instanceof Error ? error.message : String(error);
  return new GatewayError(
    502,
    "script-not-started",
    `Cannot start ${program}: ${message}`,
    options,
  );
}
