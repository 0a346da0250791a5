/**
 * How the configuration describes programs that the gateway starts itself (`spawn`), and what follows
 * from the description alone: how many processes, and who makes their sockets. Pure.
 */
import * as v from "valibot";
import {
  cannotRead,
  command,
  count,
  described,
  duration,
  environment,
  fields,
  flag,
  optional,
  text,
  word,
} from "../fields.ts";
import type { AccountNames } from "./program.ts";

const SOCKET = "{socket}";

/** Of the options, what tells who makes the socket. */
interface Listening extends AccountNames {
  readonly command: readonly string[];
  readonly listen?: "self" | "inherit" | undefined;
}

/** Of the options, what tells whether processes come and go. */
interface Coming {
  readonly processes?: number | { readonly max: number } | undefined;
  readonly idleTimeout?: number | undefined;
}

const range = v.pipe(
  fields({
    min: described(optional(count(0)), "Processes that always run; default 1."),
    max: described(count(1), "Processes at most."),
  }),
  v.check(
    ({ min = 1, max }) => min <= max,
    "Cannot have fewer at most than always: write a max of min or more",
  ),
);

const account = v.union([text, count(0)], cannotRead("an account", "a name or a number"));

/** How processes are counted, replaced, run and stopped, whatever they are. */
export const processFields = {
  processes: described(
    optional(v.union(
      [count(1), range],
      cannotRead("a number of processes", "a count, or {min: 1, max: 8}"),
    )),
    "How many to run: a number, or `{min, max}` to run as many as requests need. Default 1.",
  ),
  idleTimeout: described(
    optional(duration),
    "How long a process above `min` may idle; default 30s.",
  ),
  maxRequests: described(
    optional(count(1)),
    "Requests after which a process is replaced by a fresh one; default: never.",
  ),
  user: described(optional(account), "The user to run as (name or id)."),
  group: described(optional(account), "The group to run as; default: the user's own."),
  startTimeout: described(
    optional(duration),
    "How long one may take until it accepts connections; default 10s.",
  ),
  stopTimeout: described(
    optional(duration),
    "How long one may take to end after SIGTERM before SIGKILL; default 5s.",
  ),
  guard: described(
    optional(flag),
    "Whether a small shell ends the processes should Portico be killed; default true. A service " +
      "manager that ends whole groups makes it superfluous.",
  ),
};

/** What is wrong where {@link mayIdle} says no. */
export const IDLE_FAULT = "Cannot end what idles of a fixed number: write processes as {min, max}";

const spawnFields = v.pipe(
  fields({
    command: described(
      command,
      "The program and its arguments. `{socket}` stands for the socket that it shall listen on; `deno` " +
        "is the runtime that runs Portico.",
    ),
    listen: described(
      optional(word("self", "inherit")),
      "Whether the program makes the socket itself, or finds it as its descriptor 0. Default: self for " +
        "a command that names {socket} and for php-cgi, inherit for all others.",
    ),
    concurrency: described(
      optional(count(1)),
      "Connections that one process serves at once; default 1.",
    ),
    env: described(
      optional(environment),
      "The processes' environment; nothing else is in it but PATH.",
    ),
    cwd: described(optional(text), "The processes' working folder; default: that of the file."),
    ...processFields,
  }),
  v.check(
    ({ command, listen }) => listen !== "self" || namesSocket(command),
    "Cannot tell the program where to listen: write {socket} where it takes a Unix socket's path",
  ),
  v.check(
    (options) => !isOtherUser(options) || howToListen(options) === "inherit",
    "Cannot let another user make a socket in the gateway's folder: the program must inherit it " +
      "(listen: inherit)",
  ),
  v.check((options) => mayIdle(options), IDLE_FAULT),
);

/** `spawn`: a command alone, or a map. */
export const spawnSchema = v.union([command, spawnFields]);

export type SpawnOptions = v.InferOutput<typeof spawnFields>;

export function spawnOptions(spawn: readonly string[] | SpawnOptions): SpawnOptions {
  return "command" in spawn ? spawn : { command: [...spawn] };
}

/** Whether an idle time means anything: some processes come and go. */
export function mayIdle({ processes, idleTimeout }: Coming): boolean {
  return idleTimeout === undefined || typeof processes === "object";
}

/** How many processes run at least and at most. */
export function processRange(
  { processes = 1 }: SpawnOptions | Pick<SpawnOptions, "processes">,
): { min: number; max: number } {
  if (typeof processes === "number") return { min: processes, max: processes };
  return { min: processes.min ?? 1, max: processes.max };
}

/** Who makes the sockets. php-cgi knows both ways: as another user it cannot make its own. */
export function howToListen(options: Listening): "self" | "inherit" {
  const { command, listen } = options;
  if (listen !== undefined) return listen;
  if (command.some((word) => word.includes(SOCKET))) return "self";
  return isPhpCgi(command) && !isOtherUser(options) ? "self" : "inherit";
}

/** php-cgi takes its socket by `-b`; whoever writes no placeholder for it means just that. */
export function socketArguments(options: SpawnOptions): readonly string[] {
  const named = options.command.some((word) => word.includes(SOCKET));
  return named || howToListen(options) === "inherit" ? [] : ["-b", SOCKET];
}

export function isPhpCgi([program = ""]: readonly string[]): boolean {
  return /(^|\/)php-cgi[\d.]*$/.test(program);
}

function namesSocket(command: readonly string[]): boolean {
  return command.some((word) => word.includes(SOCKET)) || isPhpCgi(command);
}

function isOtherUser({ user, group }: Listening): boolean {
  return user !== undefined || group !== undefined;
}
