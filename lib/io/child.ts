/**
 * A program that stays: started with a clean environment, its output in the log line by line, its end
 * told with all that it said before.
 */
import type { ServiceLog } from "../handler.ts";
import { spawnListening } from "./listen_socket.ts";
import { ProgramLog } from "./program_log.ts";

export interface ChildCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** The path of a socket that it finds listening as its descriptor 0; nothing is there without. */
  readonly listenOn?: string | undefined;
}

/** How long the output of an exited process is still read. */
const LAST_WORDS_MS = 500;

export class Child {
  readonly pid: number;
  /** How it ended, once it has and its last words are in the log. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #startedAt = performance.now();
  readonly #process: Deno.ChildProcess;
  readonly #output: ProgramLog;
  #exit: Deno.CommandStatus | undefined;
  #lifeMs = 0;

  private constructor(process: Deno.ChildProcess, log: ServiceLog) {
    this.pid = process.pid;
    this.#process = process;
    this.#output = new ProgramLog(log, `pid ${process.pid}`);
    this.ended = this.#reap();
  }

  /** @throws {Error} when the program cannot be started at all. */
  static async start(command: ChildCommand, log: ServiceLog): Promise<Child> {
    const { program, args, env, cwd, uid, gid, listenOn } = command;
    const options: Deno.CommandOptions = {
      args: [...args],
      clearEnv: true,
      env: { ...env },
      cwd,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    };
    const process = listenOn === undefined
      ? new Deno.Command(program, options).spawn()
      : await spawnListening(listenOn, program, options);
    return new Child(process, log);
  }

  /** How it exited; undefined while it runs. */
  get exit(): Deno.CommandStatus | undefined {
    return this.#exit;
  }

  /** How long it has run, or ran. */
  get lifeMs(): number {
    return this.#exit === undefined ? performance.now() - this.#startedAt : this.#lifeMs;
  }

  /** The beginning of what it said. */
  get said(): string {
    return this.#output.excerpt.trim();
  }

  /** SIGTERM, then SIGKILL after the grace. Resolves once it is gone. */
  async terminate(graceMs: number): Promise<void> {
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), graceMs);
    await this.#process.status;
    clearTimeout(timer);
  }

  #signal(name: Deno.Signal): void {
    try {
      this.#process.kill(name);
    } catch {
      // It has exited already.
    }
  }

  async #reap(): Promise<Deno.CommandStatus> {
    const readers = [this.#process.stdout.getReader(), this.#process.stderr.getReader()];
    const drained = Promise.all(readers.map((reader) => this.#drain(reader)));
    const status = await this.#process.status;
    this.#lifeMs = this.lifeMs;
    this.#exit = status;
    // A grandchild may hold the pipes open for ever: what it says is no longer this process's.
    const stop = setTimeout(
      () => readers.forEach((reader) => reader.cancel().catch(() => {})),
      LAST_WORDS_MS,
    );
    await drained;
    clearTimeout(stop);
    this.#output.end();
    return status;
  }

  async #drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        this.#output.push(piece.value);
      }
    } catch {
      // The pipe broke with the process: its exit status tells.
    }
  }
}

/** How a process ended, in words. */
export function exitText(status: Deno.CommandStatus): string {
  return status.signal === null ? `exited with code ${status.code}` : `died of ${status.signal}`;
}
