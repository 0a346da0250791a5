/**
 * An upstream that the gateway starts itself: from the configuration's words to running processes, and
 * to the permissions that they take.
 */
import type { Context, Permission, Place, Shared } from "../handler.ts";
import { resolvePath } from "../values.ts";
import { BorrowedPrograms } from "./borrowed_programs.ts";
import type { EndpointSource } from "./endpoint.ts";
import { Guard } from "./guard.ts";
import { GUARD_PROGRAM } from "./own_program.ts";
import { ProcessManager, type ProcessOptions, socketPaths } from "./process_manager.ts";
import { accountPermissions, DEFAULT_PATH, lookUpAccount, resolveProgram } from "./program.ts";
import { claimRunDir, firstSlot } from "./run_dir.ts";
import {
  howToListen,
  isPhpCgi,
  processRange,
  socketArguments,
  type SpawnOptions,
} from "./spawn_fields.ts";

const IDLE_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5000;

/** What tells one spawned upstream from another: two that differ in anything have sockets apart. */
export interface Spawn {
  readonly options: SpawnOptions;
  /** Of the upstream as a whole: the same command may serve two that differ in their pools. */
  readonly identity: string;
}

/** What starting and reaching the processes takes. */
export function spawnPermissions(
  { options, identity }: Spawn,
  place: Place,
): readonly Permission[] {
  const slot = firstSlot(place.runDir);
  const [program = ""] = options.command;
  const { max } = processRange(options);
  const sockets = socketPaths(slot, fnv1a(identity), { max, maxRequests: options.maxRequests });
  const starting: readonly Permission[] = [
    {
      name: "run",
      value: resolveProgram(program, place.folder),
      reason: "to start the application",
    },
    ...(options.guard === false ? [] : [guardPermission]),
    ...accountPermissions(options),
  ];
  return [
    ...starting.map((permission): Permission => ({ ...permission, isMains: true })),
    { name: "read", value: slot, reason: "for the sockets of started applications" },
    { name: "write", value: slot, reason: "for the sockets of started applications" },
    ...sockets.map((path): Permission => ({
      name: "net",
      value: `unix:${path}`,
      reason: "to connect to the application",
    })),
  ];
}

const guardPermission: Permission = {
  name: "run",
  value: GUARD_PROGRAM,
  reason: "to end the application should the gateway be killed (guard)",
};

/** The program that it starts. */
export function programOf({ options: { command: [program = ""] } }: Spawn, place: Place): string {
  return resolveProgram(program, place.folder);
}

/** What starting takes of what a kind is given. */
export type Surroundings = Pick<Context, "place" | "log" | "share" | "lender">;

/** Starts the processes and waits until all are ready, or borrows them from who keeps them. */
export async function spawnUpstream(spawn: Spawn, context: Surroundings): Promise<EndpointSource> {
  const { place, log, lender } = context;
  const { options } = spawn;
  if (lender !== undefined) return await BorrowedPrograms.open(lender, spawn.identity, spawn);
  await using stack = new AsyncDisposableStack();
  const runDir = stack.use(
    await context.share("run folder", () => claimRunDir(place.runDir)),
  );
  const guard = options.guard === false ? undefined : stack.use(await shareGuard(context));
  const manager = stack.use(
    await ProcessManager.start({
      ...processOptions(spawn, place),
      runDir: runDir.value.path,
      guard: guard?.value,
      log,
    }),
  );
  const held = stack.move();
  return {
    attach: (sink) => manager.attach(sink),
    grow: () => manager.grow(),
    status: () => manager.status(),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** One shell watches over all programs of the gateway. */
export function shareGuard({ log, share }: Pick<Context, "log" | "share">): Promise<Shared<Guard>> {
  const options = { path: DEFAULT_PATH, graceMs: STOP_TIMEOUT_MS, log };
  return share("guard", () => Guard.start(options));
}

function processOptions(
  { options, identity }: Spawn,
  place: Place,
): Omit<ProcessOptions, "runDir" | "guard" | "log"> {
  const { command, env = {}, cwd } = options;
  const [program = "", ...args] = command;
  return {
    ...processRange(options),
    ...lookUpAccount(options),
    command: [resolveProgram(program, place.folder), ...args, ...socketArguments(options)],
    listen: howToListen(options),
    concurrency: options.concurrency ?? 1,
    idleTimeoutMs: options.idleTimeout ?? IDLE_TIMEOUT_MS,
    maxRequests: options.maxRequests,
    env: { PATH: DEFAULT_PATH, ...usualEnvironment(command), ...env },
    cwd: cwd === undefined ? place.folder : resolvePath(cwd, place.folder),
    prefix: fnv1a(identity),
    startTimeoutMs: options.startTimeout ?? START_TIMEOUT_MS,
    graceMs: options.stopTimeout ?? STOP_TIMEOUT_MS,
  };
}

/** php-cgi ends after 500 requests unless told otherwise; the manager recycles where it is wanted. */
function usualEnvironment(command: readonly string[]): Readonly<Record<string, string>> {
  return isPhpCgi(command) ? { PHP_FCGI_MAX_REQUESTS: "0" } : {};
}

/** A short stable name (FNV-1a, 32 bits): permissions are granted by name, ahead of time. */
function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}
