/**
 * Starts an upstream's programs with the server and keeps them running: each listens on a socket of its
 * own in the run folder, is ready before requests are routed to it, is started again when it exits, and
 * stops with the server.
 *
 * Why one socket each: a connection then belongs to one known process, so the pool can be exact and a
 * dying process takes down only its own requests.
 */
import type { ServiceLog } from "../handler.ts";
import { ProgramLog } from "./program_log.ts";
import { closeQuietly } from "./dial.ts";

export interface ProcessOptions {
  /** Program and arguments; `{socket}` stands for the path of the process's socket. */
  readonly command: readonly string[];
  readonly processes: number;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Folder for the sockets, claimed for this gateway alone (run_dir.ts). */
  readonly runDir: string;
  /** Starts the names of the sockets; unique for the command among all in the run folder. */
  readonly prefix: string;
  readonly startTimeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly log: ServiceLog;
}

const SOCKET = "{socket}";
const POLL_MS = 10;
const FIRST_BACKOFF_MS = 100;
/** How long our own stop may lag behind a signal to the whole process group. */
const STOP_LAG_MS = 50;
const MAX_BACKOFF_MS = 30_000;
/** A process that lived this long did not fail at starting. */
const STEADY_MS = 10_000;
/** How long the output of an exited process is still read. */
const LAST_WORDS_MS = 500;

/** The path of a manager's nth socket. Its name is part of the permissions, so it must be foreseeable. */
export function socketPath(runDir: string, prefix: string, index: number): string {
  return `${runDir}/${prefix}-${index}.sock`;
}

export class ProcessManager implements AsyncDisposable {
  readonly #workers: Worker[];

  private constructor(options: ProcessOptions) {
    this.#workers = Array.from({ length: options.processes }, (_, i) => new Worker(options, i));
  }

  /** Starts all processes and waits until each accepts connections. */
  static async start(options: ProcessOptions): Promise<ProcessManager> {
    const manager = new ProcessManager(options);
    try {
      await Promise.all(manager.#workers.map((worker) => worker.start()));
    } catch (error) {
      await manager[Symbol.asyncDispose]();
      throw error;
    }
    return manager;
  }

  get sockets(): readonly string[] {
    return this.#workers.map((worker) => worker.socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }
}

/** One supervised process slot. */
class Worker {
  readonly socket: string;
  readonly #options: ProcessOptions;
  #child: Deno.ChildProcess | undefined;
  #starting: Promise<void> = Promise.resolve();
  #life: Promise<void> = Promise.resolve();
  #stopping = false;
  #wake: (() => void) | undefined;

  constructor(options: ProcessOptions, index: number) {
    this.#options = options;
    this.socket = socketPath(options.runDir, options.prefix, index);
  }

  /** Resolves once the process accepts connections; rejects if it exits or takes too long. */
  start(): Promise<void> {
    return this.#starting = this.#start();
  }

  async #start(): Promise<void> {
    await this.#clearPlace();
    const started = this.#spawn();
    try {
      await this.#ready(started);
    } catch (error) {
      this.#stopping = true;
      await this.#terminate(started.child);
      await this.#end(started);
      throw error;
    }
    this.#life = this.#supervise(started);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    if (this.#child !== undefined) await this.#terminate(this.#child);
    await this.#starting.catch(() => {});
    await this.#life;
    await this.#clearPlace();
  }

  /** A socket outlives who listened on it and is in the next one's way; the run folder is ours alone. */
  async #clearPlace(): Promise<void> {
    await Deno.remove(this.socket).catch(() => {});
  }

  #spawn(): Started {
    const [program = "", ...args] = this.#options.command.map((word) =>
      word.replaceAll(SOCKET, this.socket)
    );
    const child = new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { ...this.#options.env },
      cwd: this.#options.cwd,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    const output = new ProgramLog(this.#options.log, `pid ${child.pid}`);
    const readers = [child.stdout.getReader(), child.stderr.getReader()];
    const drained = Promise.all(readers.map((reader) => drain(reader, output)));
    const stopOutput = () => readers.forEach((reader) => reader.cancel().catch(() => {}));
    return { child, output, drained, stopOutput, at: performance.now() };
  }

  async #ready(started: Started): Promise<void> {
    let exited: Deno.CommandStatus | undefined;
    started.child.status.then((status) => exited = status);
    const deadline = performance.now() + this.#options.startTimeoutMs;
    while (!await accepts(this.socket)) {
      if (exited !== undefined) {
        await this.#end(started);
        const said = started.output.excerpt.trim();
        throw new Error(
          `${this.#name} ${exitText(exited)} before it was ready${said && `: ${said}`}`,
        );
      }
      if (performance.now() > deadline) {
        throw new Error(
          `${this.#name} did not listen on ${this.socket} within ${this.#options.startTimeoutMs} ms`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Starts the process again whenever it exits, later and later while it does not last. */
  async #supervise(first: Started): Promise<void> {
    let backoff = FIRST_BACKOFF_MS;
    for (let current: Started | undefined = first;;) {
      if (current !== undefined) {
        const status = await this.#end(current);
        if (this.#stopping) return;
        // Code 0 is a program that ends as it means to, such as one that serves a set number of requests.
        if (status.success || performance.now() - current.at > STEADY_MS) {
          backoff = FIRST_BACKOFF_MS;
        }
        // A terminal's Ctrl-C reaches the programs before our own stop does: that is no failure.
        await this.#sleep(STOP_LAG_MS);
        if (this.#stopping) return;
        this.#options.log.notice(
          `${this.#name} (pid ${current.child.pid}) ${exitText(status)}: ` +
            `starting it again in ${backoff} ms`,
        );
      }
      await this.#sleep(backoff);
      backoff = Math.min(backoff * 2, MAX_BACKOFF_MS);
      await this.#clearPlace();
      if (this.#stopping) return;
      try {
        current = this.#spawn();
      } catch (error) {
        current = undefined;
        this.#options.log.notice(`Cannot start ${this.#name}: ${messageOf(error)}`);
      }
    }
  }

  async #end(started: Started): Promise<Deno.CommandStatus> {
    const status = await started.child.status;
    // A grandchild may hold the pipes open for ever: what it says is no longer this process's.
    const stop = setTimeout(started.stopOutput, LAST_WORDS_MS);
    await started.drained;
    clearTimeout(stop);
    started.output.end();
    return status;
  }

  async #terminate(child: Deno.ChildProcess): Promise<void> {
    signal(child, "SIGTERM");
    const timer = setTimeout(() => signal(child, "SIGKILL"), this.#options.graceMs);
    await child.status;
    clearTimeout(timer);
  }

  async #sleep(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  }

  get #name(): string {
    return this.#options.command[0] ?? "";
  }
}

interface Started {
  readonly child: Deno.ChildProcess;
  readonly output: ProgramLog;
  /** Settles when both output streams have ended. */
  readonly drained: Promise<unknown>;
  /** Ends both output streams, whoever still holds them. */
  stopOutput(): void;
  readonly at: number;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function drain(reader: Reader, output: ProgramLog): Promise<void> {
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      output.push(piece.value);
    }
  } catch {
    // The pipe broke with the process: its exit status tells.
  }
}

async function accepts(path: string): Promise<boolean> {
  try {
    closeQuietly(await Deno.connect({ transport: "unix", path }));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

function exitText(status: Deno.CommandStatus): string {
  return status.signal === null ? `exited with code ${status.code}` : `died of ${status.signal}`;
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It has exited already.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
