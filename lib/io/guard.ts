/**
 * Ends the started programs when the gateway was killed and could not do it itself.
 *
 * One small shell for the whole gateway holds the end of a pipe that we hold open: it is told of every
 * program, and when the pipe ends while some still run, nobody else is left to stop them. It is deaf to
 * the signals that a terminal or a service manager sends to all, and of no use to a gateway that stops in
 * order. Why not PR_SET_PDEATHSIG: setpriv would stand before every program, on Linux alone, and be lost
 * by any that changes its user.
 */
import type { ServiceLog } from "../handler.ts";
import { GUARD_PROGRAM } from "./own_program.ts";

/** Words of a line: `+ PID` or `- PID`. After the end: SIGTERM, and SIGKILL after the grace in tenths. */
const SCRIPT = `trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE TSTP
pids=
while read -r sign pid; do
  rest=
  for one in $pids; do [ "$one" = "$pid" ] || rest="$rest $one"; done
  [ "$sign" = + ] && rest="$rest $pid"
  pids=$rest
done
tries=$1
for one in $pids; do kill -TERM "$one" 2>/dev/null; done
while [ -n "$pids" ] && [ "$tries" -gt 0 ]; do
  rest=
  for one in $pids; do kill -0 "$one" 2>/dev/null && rest="$rest $one"; done
  pids=$rest
  tries=$((tries - 1))
  [ -z "$pids" ] || sleep 0.1
done
for one in $pids; do kill -KILL "$one" 2>/dev/null; done`;

/** Before a guard that ended is replaced. */
const PAUSE_MS = 500;

export interface GuardOptions {
  /** Where it finds `sleep`. */
  readonly path: string;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly log: ServiceLog;
}

export class Guard implements AsyncDisposable {
  readonly #options: GuardOptions;
  readonly #pids = new Set<number>();
  readonly #encoder = new TextEncoder();
  #shell: Deno.ChildProcess;
  #line: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #closed = false;
  #pause: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: GuardOptions) {
    this.#options = options;
    this.#shell = spawnShell(options);
    this.#line = this.#shell.stdin.getWriter();
    this.#replaceWhenGone();
  }

  /** @throws {Error} when there is no shell to run. */
  static start(options: GuardOptions): Promise<Guard> {
    try {
      return Promise.resolve(new Guard(options));
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      const message = `Cannot start ${GUARD_PROGRAM}, which ends the programs should Portico be ` +
        `killed (guard: false does without): ${words}`;
      return Promise.reject(new Error(message, { cause: error }));
    }
  }

  /** From now on this process is ended with the gateway. */
  async watch(pid: number): Promise<void> {
    this.#pids.add(pid);
    await this.#tell(`+ ${pid}\n`);
  }

  /** The process has ended: its number may soon be another's. */
  async forget(pid: number): Promise<void> {
    this.#pids.delete(pid);
    await this.#tell(`- ${pid}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#pause);
    await this.#line.close().catch(() => {});
    await this.#shell.status;
  }

  async #tell(words: string): Promise<void> {
    // A guard that is gone is being replaced, and the next is told all.
    await this.#line.write(this.#encoder.encode(words)).catch(() => {});
  }

  async #replaceWhenGone(): Promise<void> {
    await this.#shell.status;
    if (this.#closed) return;
    this.#options.log.notice("The guard over started programs has ended: starting another");
    await this.#line.abort().catch(() => {});
    if (this.#closed) return;
    this.#pause = setTimeout(() => this.#replace(), PAUSE_MS);
  }

  #replace(): void {
    try {
      this.#shell = spawnShell(this.#options);
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      this.#options.log.notice(`Cannot start the guard over started programs: ${words}`);
      return;
    }
    this.#line = this.#shell.stdin.getWriter();
    this.#tell([...this.#pids].map((pid) => `+ ${pid}\n`).join(""));
    this.#replaceWhenGone();
  }
}

function spawnShell({ path, graceMs }: GuardOptions): Deno.ChildProcess {
  return new Deno.Command(GUARD_PROGRAM, {
    args: ["-c", SCRIPT, "portico-guard", String(Math.ceil(graceMs / 100))],
    clearEnv: true,
    env: { PATH: path },
    cwd: "/",
    stdin: "piped",
    // Nobody shall wait for the guard who waits for the gateway's output to end.
    stdout: "null",
    stderr: "null",
  }).spawn();
}
