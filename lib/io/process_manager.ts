/**
 * Keeps an upstream's programs: as many as are wanted, each on a socket of its own in the run folder and
 * ready before requests are routed to it; more of them while requests wait, fewer when some idle; fresh
 * ones in place of those that have served their number.
 *
 * Why one socket each, also for programs that inherit it: a connection then belongs to one known process,
 * so the pool can be exact, a dying process takes down only its own requests, and one can be taken out of
 * service without losing a request in its backlog.
 */
import type { ServiceStatus } from "../handler.ts";
import type { EndpointSink, EndpointSource } from "./endpoint.ts";
import { type WorkerOptions, WorkerProcess } from "./worker_process.ts";

export interface ProcessOptions extends WorkerOptions {
  /** Processes that always run; one runs at opening in any case, to see that it can. */
  readonly min: number;
  readonly max: number;
  /** How long one above `min` may idle. */
  readonly idleTimeoutMs: number;
  /** A process is replaced after so many requests. */
  readonly maxRequests?: number | undefined;
  /** Folder for the sockets, claimed for this gateway alone (run_dir.ts). */
  readonly runDir: string;
  /** Starts the names of the sockets; unique for the command among all in the run folder. */
  readonly prefix: string;
}

/** The replacement of a process is started when it has served this part of its number. */
const AHEAD = 0.9;
/** A queue that is gone by then needs no further process. */
const GROW_PATIENCE_MS = 10;
const MAX_LOOK_MS = 1000;

/**
 * The paths of a manager's sockets. They are part of the permissions, so they must be foreseeable: one
 * for each process and, where processes are replaced, one for the next that takes over.
 */
export function socketPaths(
  runDir: string,
  prefix: string,
  { max, maxRequests }: { readonly max: number; readonly maxRequests?: number | undefined },
): string[] {
  const length = max + (maxRequests === undefined ? 0 : 1);
  return Array.from({ length }, (_, index) => `${runDir}/${prefix}-${index}.sock`);
}

export class ProcessManager implements EndpointSource {
  readonly #options: ProcessOptions;
  /** Sockets that no process has. */
  readonly #paths: string[];
  /** In service, or starting for it. */
  readonly #workers = new Set<WorkerProcess>();
  /** Out of service, but with requests still. */
  readonly #leaving = new Set<WorkerProcess>();
  /** Started ahead, to take over from the next that has served its number. */
  #spare: WorkerProcess | undefined;
  #wanted: number;
  #sink: EndpointSink | undefined;
  #growing = false;
  #looking: ReturnType<typeof setInterval> | undefined;
  #patience: (() => void) | undefined;
  #closed = false;
  /** Of those that are gone. */
  #restarts = 0;

  private constructor(options: ProcessOptions) {
    this.#options = options;
    this.#paths = socketPaths(options.runDir, options.prefix, options);
    this.#wanted = Math.max(1, options.min);
  }

  /** Starts the least number of processes and waits until each is ready. */
  static async start(options: ProcessOptions): Promise<ProcessManager> {
    const manager = new ProcessManager(options);
    manager.#fill();
    try {
      await Promise.all(Array.from(manager.#workers, (worker) => worker.started));
    } catch (error) {
      await manager[Symbol.asyncDispose]();
      throw error;
    }
    manager.#lookForIdle();
    return manager;
  }

  /** Where the processes in service listen. */
  get sockets(): readonly string[] {
    return Array.from(this.#workers, (worker) => worker.socket);
  }

  status(): ServiceStatus {
    const spare = this.#spare === undefined ? [] : [this.#spare];
    const leaving = Array.from(this.#leaving, (worker) => worker.status(true));
    const processes = [...this.#workers, ...spare].map((worker) => worker.status(false));
    let restarts = this.#restarts;
    for (const process of [...processes, ...leaving]) restarts += process.restarts;
    return { processes: [...processes, ...leaving], restarts };
  }

  attach(sink: EndpointSink): void {
    this.#sink = sink;
    for (const worker of this.#workers) sink.add(worker.endpoint);
  }

  grow(): void {
    if (this.#growing || this.#closed || this.#wanted >= this.#options.max) return;
    this.#growing = true;
    this.#grow().finally(() => this.#growing = false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looking);
    this.#patience?.();
    const spare = this.#spare === undefined ? [] : [this.#spare];
    const all = [...this.#workers, ...this.#leaving, ...spare];
    await Promise.all(all.map((worker) => worker.stop()));
  }

  /** Twice as many each time, until nobody waits: a burst of short requests starts few. */
  async #grow(): Promise<void> {
    if (this.#workers.size > 0) await this.#wait(GROW_PATIENCE_MS);
    for (let batch = 1;; batch *= 2) {
      const waiting = this.#sink?.waiting ?? 0;
      const room = this.#options.max - this.#wanted;
      // More of what does not come up would not help.
      const allReady = Array.from(this.#workers).every((worker) => worker.ready);
      if (this.#closed || waiting === 0 || room <= 0 || !allReady) return;
      this.#wanted += Math.min(batch, waiting, room);
      await Promise.allSettled(this.#fill().map((worker) => worker.started));
    }
  }

  /** Brings processes into service until there are as many as are wanted; gives those that it started. */
  #fill(): WorkerProcess[] {
    const begun: WorkerProcess[] = [];
    while (!this.#closed && this.#workers.size < this.#wanted) {
      const worker = this.#spare ?? this.#begin();
      if (worker === undefined) break;
      this.#spare = undefined;
      this.#workers.add(worker);
      this.#enlist(worker);
      begun.push(worker);
    }
    return begun;
  }

  /** Starts a process, if a socket is free for it. */
  #begin(): WorkerProcess | undefined {
    const path = this.#paths.shift();
    if (path === undefined) return undefined;
    const worker: WorkerProcess = new WorkerProcess(this.#options, path, {
      begin: () => this.#requestBegins(worker),
      end: () => this.#requestEnds(worker),
    });
    worker.start().catch(() => {});
    return worker;
  }

  /** Has requests routed to a process once it is ready, or is known to be in trouble: they may wait. */
  #enlist(worker: WorkerProcess): void {
    const add = () => {
      if (!this.#closed && this.#workers.has(worker)) this.#sink?.add(worker.endpoint);
    };
    if (worker.ready) return add();
    worker.started.then(add, add);
  }

  #requestBegins(worker: WorkerProcess): void {
    worker.busy++;
    worker.served++;
    const { maxRequests } = this.#options;
    if (maxRequests === undefined || !this.#workers.has(worker)) return;
    if (worker.served >= maxRequests) this.#dismiss(worker);
    else if (this.#isNearItsEnd(worker) && !this.#closed) this.#spare ??= this.#begin();
  }

  #isNearItsEnd({ served }: WorkerProcess): boolean {
    return served >= (this.#options.maxRequests ?? Infinity) * AHEAD;
  }

  #requestEnds(worker: WorkerProcess): void {
    worker.busy--;
    worker.idleSince = performance.now();
  }

  /** Takes a process out of service, lets it finish, and ends it; another takes its place if wanted. */
  async #dismiss(worker: WorkerProcess): Promise<void> {
    this.#workers.delete(worker);
    this.#leaving.add(worker);
    const left = this.#sink?.remove(worker.endpoint);
    this.#fill();
    await left;
    await worker.stop();
    this.#restarts += worker.status(true).restarts;
    this.#leaving.delete(worker);
    this.#paths.push(worker.socket);
    this.#fill();
  }

  #lookForIdle(): void {
    const { min, max, idleTimeoutMs } = this.#options;
    if (min === max) return;
    const every = Math.min(Math.max(idleTimeoutMs / 4, 10), MAX_LOOK_MS);
    this.#looking = setInterval(() => this.#shrink(), every);
  }

  #shrink(): void {
    if (this.#growing || this.#sink === undefined || this.#sink.waiting > 0) return;
    this.#dropNeedlessSpare();
    const before = performance.now() - this.#options.idleTimeoutMs;
    for (const worker of [...this.#workers].reverse()) {
      if (this.#wanted <= this.#options.min) return;
      if (worker.busy > 0 || worker.idleSince > before) continue;
      this.#wanted--;
      this.#dismiss(worker);
    }
  }

  /** Who it was to take over from may have gone for another reason. */
  #dropNeedlessSpare(): void {
    const spare = this.#spare;
    if (spare === undefined) return;
    for (const worker of this.#workers) if (this.#isNearItsEnd(worker)) return;
    this.#spare = undefined;
    this.#dismiss(spare);
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#patience = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }
}
