/** Peers as processes: started, ended, and what the kernel counts of them (proc(5)). Linux alone. */
import { which } from "../support/needs.ts";

/** A server process and how to end it. */
export interface Launched {
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * Starts a server. Its command line is kept in its folder, for those who want to repeat it. Its output is
 * not inherited: whoever reads ours would wait for every process of every peer.
 */
export function launch(folder: string, program: string, args: readonly string[]): Launched {
  const line = [program, ...args].map(quoted).join(" ");
  Deno.writeTextFileSync(`${folder}/commands`, `${line}\n`, { append: true });
  const child = new Deno.Command(which(program) ?? program, {
    args: [...args],
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return { pid: child.pid, stop: () => end(child) };
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const GRACE_MS = 5000;

/** Ends a server with all that it has started: some masters leave their workers behind. */
async function end(child: Deno.ChildProcess): Promise<void> {
  const family = processTree(child.pid).reverse();
  for (const pid of family) signal(pid, "SIGTERM");
  const timer = setTimeout(() => {
    for (const pid of family) signal(pid, "SIGKILL");
  }, GRACE_MS);
  await child.status;
  clearTimeout(timer);
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // Gone already.
  }
}

/** A process and all that descend from it. */
export function processTree(root: number): number[] {
  const children = read(`/proc/${root}/task/${root}/children`).trim().split(" ").filter(Boolean);
  return [root, ...children.flatMap((child) => processTree(Number(child)))];
}

/** All that descend from a process: the workers of a master that only supervises. */
export function descendants(root: number): number[] {
  return processTree(root).slice(1);
}

export interface CpuSeconds {
  readonly own: number;
  readonly children: number;
}

/** The kernel counts in hundredths of a second. */
const TICKS = 100;

/** User and system time so far; that of the dead children apart, whom they have waited for. */
export function cpuSeconds(pids: readonly number[]): CpuSeconds {
  let own = 0;
  let children = 0;
  for (const pid of pids) {
    const stat = read(`/proc/${pid}/stat`);
    // The second field, the program's name, may hold anything but ends with the last ")".
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
    own += (fields[11] ?? 0) + (fields[12] ?? 0);
    children += (fields[13] ?? 0) + (fields[14] ?? 0);
  }
  return { own: own / TICKS, children: children / TICKS };
}

/**
 * The same in nanoseconds, of the threads that live: what many processes have used that each did little
 * is lost in hundredths.
 */
export function exactCpuSeconds(pids: readonly number[]): CpuSeconds {
  let own = 0;
  for (const pid of pids) {
    for (const task of tasksOf(pid)) {
      own += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(" ")[0] ?? 0);
    }
  }
  return { own: own / 1e9, children: cpuSeconds(pids).children };
}

function tasksOf(pid: number): string[] {
  try {
    return Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => name);
  } catch {
    return [];
  }
}

/** Forgets how much memory they have held so far. */
export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      Deno.writeTextFileSync(`/proc/${pid}/clear_refs`, "5");
    } catch {
      // Somebody else's process, or gone: its peak is then that of its whole life.
    }
  }
}

/** The most memory that they have held since, in MiB. */
export function peakMiB(pids: readonly number[]): number {
  return sum(pids, "VmHWM");
}

export function residentMiB(pids: readonly number[]): number {
  return sum(pids, "VmRSS");
}

function sum(pids: readonly number[], field: string): number {
  const pattern = new RegExp(`^${field}:\\s+(\\d+)`, "m");
  const kib = pids.map((pid) => Number(pattern.exec(read(`/proc/${pid}/status`))?.[1] ?? 0));
  return kib.reduce((total, part) => total + part, 0) / 1024;
}

function read(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch {
    return "";
  }
}

/** Waits until a file, such as a socket, is there. */
export async function appears(file: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await Deno.lstat(file).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${file} did not appear`);
}

/** Compiles one of the small programs; returns the file. */
export async function build(
  folder: string,
  source: string,
  { name, flags = [] }: { readonly name: string; readonly flags?: readonly string[] },
): Promise<string> {
  const file = `${folder}/${name}`;
  const path = new URL(`./programs/${source}`, import.meta.url).pathname;
  const built = await new Deno.Command("cc", { args: ["-O2", "-o", file, path, ...flags] })
    .output();
  if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
  return file;
}

export function note(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`# ${line}\n`));
}
