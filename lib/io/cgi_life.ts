/**
 * What a CGI route says of the life of its programs: their group, niceness and limits, and whether their
 * use is counted. The fields, the permissions, and the opening, which finds the system's programs that it
 * takes and tries them once: what cannot work is told at the start, not by every request.
 */
import * as v from "valibot";
import { cannotRead, count, described, duration, fields, flag, optional, size } from "../fields.ts";
import type { Permission } from "../handler.ts";
import { drawMarker, UsageFilter } from "./cgi_usage.ts";
import {
  type Tool,
  toolsOf,
  wrap,
  type WrapOptions,
  type Wrapping,
  wrappingOf,
} from "./cgi_wrap.ts";
import { type Account, DEFAULT_PATH } from "./program.ts";

const notNice = cannotRead("a niceness", "a whole number from -20 to 19");
const MIB = 2 ** 20;

const limits = fields({
  cpu: described(
    optional(
      v.pipe(duration, v.minValue(1000, "Cannot limit to less than a second: write 1s or more")),
    ),
    "CPU time (RLIMIT_CPU), in whole seconds: SIGXCPU past it, SIGKILL a second later.",
  ),
  memory: described(
    optional(
      v.pipe(size, v.minValue(MIB, "Cannot limit to less than a program is: write 1MiB or more")),
    ),
    "Address space (RLIMIT_AS): memory past it is refused.",
  ),
  fileSize: described(
    optional(size),
    "The size of each file that is written (RLIMIT_FSIZE): SIGXFSZ past it.",
  ),
  openFiles: described(
    optional(count(4)),
    "Descriptors at once (RLIMIT_NOFILE), the three standard ones among them.",
  ),
  processes: described(
    optional(count(1)),
    "Processes of the same user (RLIMIT_NPROC), also those of others; it does not bind the superuser.",
  ),
});

/** The fields of the kind. */
export const lifeFields = {
  killGroup: described(
    optional(flag),
    "Also ends what the program has started, when it is ended before its time; default false.",
  ),
  nice: described(
    optional(
      v.pipe(
        v.number(notNice),
        v.integer(notNice),
        v.minValue(-20, notNice),
        v.maxValue(19, notNice),
      ),
    ),
    "Niceness: 19 yields to all others; below 0 takes the superuser.",
  ),
  limits: described(optional(limits), "What each process of a run may use at most."),
  usage: described(
    optional(flag),
    "Logs the CPU time and peak memory of each run, by GNU time; implies killGroup. Default false.",
  ),
};

const REASONS: Readonly<Record<Tool, string>> = {
  setsid: "to signal a group of processes, and to start one with setsid",
  time: "to run programs behind time, which may run any",
  nice: "to run programs behind nice, which may run any",
  prlimit: "to run programs behind prlimit, which may run any",
};

const PACKAGES: Readonly<Record<Tool, string>> = {
  setsid: "of util-linux",
  time: "GNU time, Debian's package time",
  nice: "of coreutils",
  prlimit: "of util-linux",
};

/** A program that runs others cannot be granted without granting all. */
export function lifePermissions(options: WrapOptions): readonly Permission[] {
  return toolsOf(options).map((tool) => ({ name: "run", value: "*", reason: REASONS[tool] }));
}

/**
 * What to put before every program; undefined: nothing. `folders` is where the system's programs lie.
 * @throws {Error} where a program is missing, or the system refuses what the options ask.
 */
export async function openLife(
  options: WrapOptions,
  ids: Account,
  folders: string = DEFAULT_PATH,
): Promise<Wrapping | undefined> {
  const paths = new Map<Tool, string>();
  for (const tool of toolsOf(options)) paths.set(tool, await locate(tool, folders));
  const wrapping = wrappingOf(options, (tool) => paths.get(tool) ?? tool, drawMarker());
  if (wrapping !== undefined) await tryOut(wrapping, ids);
  return wrapping;
}

/** A route's own PATH is for its programs: ours are found by the usual one, once. */
async function locate(tool: Tool, folders: string): Promise<string> {
  for (const folder of folders.split(":")) {
    const path = `${folder}/${tool}`;
    try {
      await run(path, ["--version"], {});
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`Cannot find the program ${tool} (${PACKAGES[tool]}): install it`);
}

/** Runs true(1) as a request's program would be: it must end well, and none of the tools complain. */
async function tryOut(wrapping: Wrapping, ids: Account): Promise<void> {
  const trial = wrap({ program: "true", args: [], env: {}, cwd: "/" }, wrapping);
  const { success, stderr } = await run(trial.program, trial.args, ids);
  const filter = new UsageFilter(wrapping.usageMarker ?? drawMarker());
  const complaints = [filter.push(stderr).slice(), filter.end()]
    .map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  if (!success || complaints !== "") {
    throw new Error(`Cannot run a program with these options: ${complaints || "true(1) failed"}`);
  }
  if (wrapping.usageMarker !== undefined && filter.usage === undefined) {
    throw new Error(`Cannot read what time tells: it has to be ${PACKAGES.time}`);
  }
}

async function run(
  program: string,
  args: readonly string[],
  ids: Account,
): Promise<Deno.CommandOutput> {
  return await new Deno.Command(program, {
    args: [...args],
    clearEnv: true,
    env: { PATH: DEFAULT_PATH },
    cwd: "/",
    ...ids,
    stdin: "null",
  }).output();
}
