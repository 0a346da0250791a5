/**
 * One process of an upstream, kept running: started on a socket of its own, awaited until it serves,
 * started again when it exits, later and later while it does not last, and stopped in the end.
 */
import type { ProcessStatus, ServiceLog } from "../handler.ts";
import { Child, exitText } from "./child.ts";
import type { Endpoint, Usage } from "./endpoint.ts";
import type { Guard } from "./guard.ts";
import { isListening, lookAt } from "./readiness.ts";

export interface WorkerOptions {
  /** Program and arguments; `{socket}` stands for the path of the process's socket. */
  readonly command: readonly string[];
  /** Whether the program makes its socket itself, or inherits it as descriptor 0. */
  readonly listen: "self" | "inherit";
  /** Connections at once to one process. */
  readonly concurrency: number;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly startTimeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** Ends the process should the gateway be killed. */
  readonly guard?: Guard | undefined;
  readonly log: ServiceLog;
}

const SOCKET = "{socket}";
const POLL_MS = 10;
/** How long our own stop may lag behind a signal to the whole process group. */
const STOP_LAG_MS = 50;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** A process that lived this long did not fail at starting. */
const STEADY_MS = 10_000;
/** A connection that ended may be the first sign of an exit. */
const EXIT_LAG_MS = 20;

export class WorkerProcess {
  readonly endpoint: Endpoint;
  /** Requests that the present process was given. */
  served = 0;
  /** Requests that it has now. */
  busy = 0;
  /** Since when it has none, by `performance.now()`. */
  idleSince = performance.now();

  readonly #socket: string;
  readonly #options: WorkerOptions;
  readonly #first = Promise.withResolvers<void>();
  #child: Child | undefined;
  #life: Promise<void> = Promise.resolve();
  #ready = false;
  #stopping = false;
  #restarts = 0;
  #lastExit: string | undefined;
  #wake: (() => void) | undefined;

  constructor(options: WorkerOptions, socket: string, usage?: Usage) {
    this.#options = options;
    this.#socket = socket;
    this.endpoint = {
      address: { transport: "unix", path: socket },
      max: options.concurrency,
      usage,
    };
    this.#first.promise.catch(() => {});
  }

  get socket(): string {
    return this.#socket;
  }

  status(leaving: boolean): ProcessStatus {
    const child = this.#child?.exit === undefined ? this.#child : undefined;
    return {
      pid: child?.pid,
      state: leaving ? "leaving" : this.#ready ? "ready" : "starting",
      name: this.#name,
      uptimeMs: child?.lifeMs ?? 0,
      restarts: this.#restarts,
      busy: this.busy,
      served: this.served,
      lastExit: this.#lastExit,
    };
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Settles with the first attempt: the process is ready, or why not. It is tried again all the same. */
  start(): Promise<void> {
    this.#life = this.#supervise();
    return this.#first.promise;
  }

  /** Settles as {@link start} does. */
  get started(): Promise<void> {
    return this.#first.promise;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    await this.#child?.terminate(this.#options.graceMs);
    await this.#life;
  }

  async #supervise(): Promise<void> {
    let backoff = FIRST_BACKOFF_MS;
    while (!this.#stopping) {
      const end = await this.#run();
      this.#ready = false;
      if (this.#stopping) break;
      // A terminal's Ctrl-C reaches the programs before our own stop does: that is no failure.
      await this.#sleep(STOP_LAG_MS);
      if (this.#stopping) break;
      if (end.steady) backoff = FIRST_BACKOFF_MS;
      this.#restarts++;
      this.#lastExit = end.words;
      const wait = end.meant ? 0 : backoff;
      const when = wait === 0 ? "" : ` in ${wait} ms`;
      this.#options.log.notice(`${end.words}: starting it again${when}`);
      if (wait === 0) continue;
      await this.#sleep(wait);
      backoff = Math.min(backoff * 2, MAX_BACKOFF_MS);
    }
    this.#first.reject(new Error(`${this.#name} was stopped`));
    await this.#clearPlace();
  }

  /** One life of the process, from its start to its end. */
  async #run(): Promise<End> {
    try {
      const child = await this.#start();
      try {
        await this.#whenReady(child);
        this.#begin();
        return this.#endOf(child, await child.ended);
      } finally {
        await child.terminate(this.#options.graceMs);
        await child.ended;
        await this.#options.guard?.forget(child.pid);
      }
    } catch (error) {
      this.#first.reject(error);
      const words = error instanceof Error ? error.message : String(error);
      return { words, steady: false, meant: false };
    }
  }

  #begin(): void {
    this.idleSince = performance.now();
    this.#ready = true;
    this.#first.resolve();
  }

  #endOf(child: Child, status: Deno.CommandStatus): End {
    // Code 0 is a program that ends as it means to, such as one that serves a set number of requests.
    const meant = status.success && this.served > 0;
    const life = (child.lifeMs / 1000).toFixed(1);
    return {
      words: `${this.#name} (pid ${child.pid}) ${exitText(status)} after ${life} s`,
      steady: meant || child.lifeMs > STEADY_MS,
      meant,
    };
  }

  async #start(): Promise<Child> {
    await this.#clearPlace();
    this.served = 0;
    const { command, env, cwd, uid, gid, listen, guard, log } = this.#options;
    const [program = "", ...args] = command.map((word) => word.replaceAll(SOCKET, this.#socket));
    const listenOn = listen === "inherit" ? this.#socket : undefined;
    try {
      this.#child = await Child.start({ program, args, env, cwd, uid, gid, listenOn }, log);
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new Error(`Cannot start ${this.#name}: ${words}`, { cause: error });
    }
    // Whoever stops us looked for it in vain until now.
    if (this.#stopping) await this.#child.terminate(this.#options.graceMs);
    await guard?.watch(this.#child.pid);
    return this.#child;
  }

  async #whenReady(child: Child): Promise<void> {
    const deadline = performance.now() + this.#options.startTimeoutMs;
    await (this.#options.listen === "self"
      ? this.#whenListening(child, deadline)
      : this.#whenAccepting(child, deadline));
    if (child.exit !== undefined) await this.#refuse(child);
  }

  async #whenListening(child: Child, deadline: number): Promise<void> {
    while (!await isListening(this.#socket)) {
      if (child.exit !== undefined) return;
      if (performance.now() > deadline) {
        throw new Error(
          `${this.#name} did not listen on ${this.#socket} within ${this.#options.startTimeoutMs} ms`,
        );
      }
      await this.#sleep(POLL_MS);
    }
  }

  async #whenAccepting(child: Child, deadline: number): Promise<void> {
    const look = lookAt(this.#socket);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), deadline - performance.now());
    });
    const ended = child.ended.then(() => true);
    // A socket that nobody holds has a program that is about to end.
    const taken = look.taken.then((is) => is || Promise.race([ended, late]));
    const inTime = await Promise.race([taken, ended, late]);
    clearTimeout(timer);
    look.cancel();
    if (!inTime) {
      throw new Error(
        `${this.#name} took no connection from its descriptor 0 within ` +
          `${this.#options.startTimeoutMs} ms`,
      );
    }
    await this.#sleep(EXIT_LAG_MS);
  }

  async #refuse(child: Child): Promise<never> {
    const status = await child.ended;
    const { said } = child;
    throw new Error(`${this.#name} ${exitText(status)} before it was ready${said && `: ${said}`}`);
  }

  /** A socket outlives who listened on it and is in the next one's way; the run folder is ours alone. */
  async #clearPlace(): Promise<void> {
    await Deno.remove(this.#socket).catch(() => {});
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

interface End {
  /** What happened. */
  readonly words: string;
  /** It had come up for good: whatever made earlier ones fail is over. */
  readonly steady: boolean;
  /** It ended because it meant to. */
  readonly meant: boolean;
}
