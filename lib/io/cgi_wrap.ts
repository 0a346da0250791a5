/**
 * Puts a CGI program behind the system's own small programs, which change what it runs under and then
 * become it: setsid(1), nice(1), prlimit(1); or which stay to count what it used: GNU time(1). Pure:
 * options in, words out; a command in, a command out.
 *
 * Why not what the runtime has. Its `detached` would make a group too, but by a real fork, which copies
 * the page tables of the gateway: 10 to 20 ms of a standing event loop with 512 MiB in memory, while the
 * one exec of setsid costs half a millisecond of somebody else's time whatever the gateway holds. And
 * it knows neither limits nor niceness. timeout(1) would lead a group as well, but stays as a second
 * process for each run; setsid is gone when the program runs: the status and the id are the program's.
 */
import { GatewayError } from "../errors.ts";
import type { CgiCommand } from "./cgi_start.ts";

/** Limits of each process; numbers as the system takes them. */
export interface Limits {
  /** Milliseconds of CPU time. */
  readonly cpu?: number | undefined;
  /** Bytes of address space. */
  readonly memory?: number | undefined;
  /** Bytes of each file that is written. */
  readonly fileSize?: number | undefined;
  readonly openFiles?: number | undefined;
  /** Processes of the same user, all of them counted. */
  readonly processes?: number | undefined;
}

export interface WrapOptions {
  readonly killGroup?: boolean | undefined;
  readonly nice?: number | undefined;
  readonly limits?: Limits | undefined;
  readonly usage?: boolean | undefined;
}

export type Tool = "setsid" | "time" | "nice" | "prlimit";

/** What stands before every program of a route. */
export interface Wrapping {
  readonly words: readonly [string, ...string[]];
  readonly leadsGroup: boolean;
  /** How the line of figures begins that follows the program's error stream; see cgi_usage.ts. */
  readonly usageMarker: string | undefined;
}

export interface WrappedCommand extends CgiCommand {
  /** The program that all this is about, for people. */
  readonly runs: string;
  readonly usageMarker: string | undefined;
}

/**
 * The programs that these options take, outermost first. Each but `time` becomes the next one. `time`
 * stays, so it stands within the group and is itself neither limited nor nice; when it is killed the
 * program would live on, so it takes a group.
 */
export function toolsOf(options: WrapOptions): readonly Tool[] {
  const tools: Tool[] = [];
  if (options.killGroup || options.usage) tools.push("setsid");
  if (options.usage) tools.push("time");
  if (options.nice !== undefined) tools.push("nice");
  if (limitWords(options.limits).length > 0) tools.push("prlimit");
  return tools;
}

/** Undefined: these options take nothing. `pathOf` says where a tool lies. */
export function wrappingOf(
  options: WrapOptions,
  pathOf: (tool: Tool) => string,
  marker: string,
): Wrapping | undefined {
  const tools = toolsOf(options);
  const [program, ...args] = tools.flatMap((tool) => {
    return [pathOf(tool), ...toolArgs(tool, options, marker)];
  });
  if (program === undefined) return undefined;
  return {
    words: [program, ...args, "--"],
    leadsGroup: tools.includes("setsid"),
    usageMarker: tools.includes("time") ? marker : undefined,
  };
}

function toolArgs(tool: Tool, options: WrapOptions, marker: string): readonly string[] {
  switch (tool) {
    case "setsid":
      return [];
    case "time":
      // User and system seconds, largest resident set in KiB, exit status.
      return ["-q", "-f", `${marker} %U %S %M %x`];
    case "nice":
      return ["-n", String(options.nice)];
    case "prlimit":
      return limitWords(options.limits);
    default:
      return tool satisfies never;
  }
}

/** setrlimit(2): one number is both the soft limit and the hard one. */
function limitWords(limits: Limits = {}): readonly string[] {
  const words: string[] = [];
  const add = (name: string, value: number | string | undefined) => {
    if (value !== undefined) words.push(`--${name}=${value}`);
  };
  add("cpu", limits.cpu === undefined ? undefined : cpuWord(limits.cpu));
  add("as", limits.memory);
  add("fsize", limits.fileSize);
  add("nofile", limits.openFiles);
  add("nproc", limits.processes);
  return words;
}

/** At the soft limit SIGXCPU, which says what happened; at the hard one SIGKILL, which ends it for sure. */
function cpuWord(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return `${seconds}:${seconds + 1}`;
}

/** The command behind all that stands before it. */
export function wrap(command: CgiCommand, wrapping: Wrapping): WrappedCommand {
  const [program, ...args] = wrapping.words;
  return {
    ...command,
    program,
    args: [...args, command.program, ...command.args],
    leadsGroup: wrapping.leadsGroup,
    runs: command.program,
    usageMarker: wrapping.usageMarker,
  };
}

/** What tools of the Debian base say when they cannot become the next program, each in its own words. */
const CANNOT_RUN = /^\S*(?:setsid|time|nice|prlimit): /m;

/**
 * What the runtime tells of a plain program by an error, a wrapped one tells by its status (126 or 127)
 * and a line: that it could not be started at all. A script may exit with these too, of its own accord.
 */
export function startFault(
  { runs }: Pick<WrappedCommand, "runs">,
  code: number,
  said: string,
): GatewayError | undefined {
  if (code !== 126 && code !== 127) return undefined;
  const told = said.split("\n").some((line) => CANNOT_RUN.test(line) && line.includes(runs));
  if (!told) return undefined;
  if (code === 127) {
    const message = `Cannot start ${runs}: it or its interpreter does not exist`;
    return new GatewayError(502, "script-missing", message, { detail: said });
  }
  const message = `Cannot start ${runs}: it is not executable for the user that it runs as`;
  return new GatewayError(502, "script-not-executable", message, { detail: said });
}
