/**
 * An upstream that the gateway starts itself: from the configuration's words to running processes, and
 * to the permissions that they take.
 */
import type { Context, Permission, Place, ServiceLog } from "../handler.ts";
import { ProcessManager, socketPath } from "./process_manager.ts";
import { resolvePath } from "../values.ts";
import { DEFAULT_PATH, resolveProgram } from "./program.ts";
import { claimRunDir, firstSlot, type RunDir } from "./run_dir.ts";

export interface SpawnOptions {
  readonly command: readonly string[];
  readonly processes?: number | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly startTimeout?: number | undefined;
}

const START_TIMEOUT_MS = 10_000;
const GRACE_MS = 5000;

/** Running processes, and the sockets they listen on. */
export interface Upstream extends AsyncDisposable {
  readonly sockets: readonly string[];
}

/** What starting and reaching the processes takes. */
export function spawnPermissions(options: SpawnOptions, place: Place): readonly Permission[] {
  const slot = firstSlot(place.runDir);
  const [program = ""] = options.command;
  const sockets = Array.from(
    { length: options.processes ?? 1 },
    (_, index) => socketPath(slot, prefixOf(options), index),
  );
  return [
    {
      name: "run",
      value: resolveProgram(program, place.folder),
      reason: "to start the application",
    },
    { name: "read", value: slot, reason: "for the sockets of started applications" },
    { name: "write", value: slot, reason: "for the sockets of started applications" },
    ...sockets.map((path): Permission => ({
      name: "net",
      value: `unix:${path}`,
      reason: "to connect to the application",
    })),
  ];
}

/** Starts the processes and waits until all accept connections. */
export async function spawnUpstream(options: SpawnOptions, context: Context): Promise<Upstream> {
  const { place, log } = context;
  const runDir = await context.share("run folder", () => claimRunDir(place.runDir));
  try {
    const manager = await startProcesses(options, place, runDir.value, log);
    return {
      sockets: manager.sockets,
      async [Symbol.asyncDispose]() {
        await manager[Symbol.asyncDispose]();
        await runDir[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await runDir[Symbol.asyncDispose]();
    throw error;
  }
}

function startProcesses(
  options: SpawnOptions,
  place: Place,
  runDir: RunDir,
  log: ServiceLog,
): Promise<ProcessManager> {
  const { command, processes = 1, env = {}, cwd } = options;
  const [program = "", ...args] = command;
  return ProcessManager.start({
    command: [resolveProgram(program, place.folder), ...args, ...socketArguments(command)],
    processes,
    env: { PATH: DEFAULT_PATH, ...usualEnvironment(program), ...env },
    cwd: cwd === undefined ? place.folder : resolvePath(cwd, place.folder),
    runDir: runDir.path,
    prefix: prefixOf(options),
    startTimeoutMs: options.startTimeout ?? START_TIMEOUT_MS,
    graceMs: GRACE_MS,
    log,
  });
}

/** php-cgi takes its socket by `-b`; whoever writes no placeholder for it means just that. */
function socketArguments(command: readonly string[]): readonly string[] {
  const named = command.some((word) => word.includes("{socket}"));
  return named || !isPhpCgi(command[0] ?? "") ? [] : ["-b", "{socket}"];
}

/** php-cgi ends after 500 requests unless told otherwise; the manager recycles where it is wanted. */
function usualEnvironment(program: string): Readonly<Record<string, string>> {
  return isPhpCgi(program) ? { PHP_FCGI_MAX_REQUESTS: "0" } : {};
}

function isPhpCgi(program: string): boolean {
  return /(^|\/)php-cgi[\d.]*$/.test(program);
}

/** True if a command tells its program where to listen. */
export function namesSocket(command: readonly string[]): boolean {
  return command.some((word) => word.includes("{socket}")) || isPhpCgi(command[0] ?? "");
}

/** Names the sockets of one command among all: permissions are granted by name, ahead of time. */
function prefixOf(options: SpawnOptions): string {
  return fnv1a(JSON.stringify(options));
}

/** A short stable name (FNV-1a, 32 bits). */
function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}
