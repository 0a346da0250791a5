/**
 * The worker threads of one route: each request goes to the one that has the fewest, and waits in line
 * while all have as many as they may. A thread that dies is replaced, later and later while none lasts.
 */
import type { Exchange, Mount, SizedBody } from "../exchange.ts";
import type { ServiceStatus } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import type { Answer } from "../protocol/wsgi_draw.ts";
import { WaitingLine } from "./waiting_line.ts";
import type { Callee } from "./wsgi_inline.ts";
import type { WorkerLimits } from "./wsgi_worker_fields.ts";
import { type ThreadOptions, WorkerThread } from "./wsgi_worker_thread.ts";

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** A thread that lived this long did not fail at starting. */
const STEADY_MS = 10_000;
/** How often busy threads are looked at, if that is often enough for the stall timeout. */
const LOOK_MS = 1000;

export interface PoolOptions {
  readonly limits: WorkerLimits;
  readonly thread: ThreadOptions;
}

export class WorkerPool implements Callee {
  readonly #options: PoolOptions;
  readonly #places: WorkerPlace[];
  readonly #line: WaitingLine<WorkerThread>;
  #looking: ReturnType<typeof setInterval> | undefined;

  private constructor(options: PoolOptions) {
    const { limits, thread } = options;
    this.#options = options;
    this.#line = new WaitingLine(limits);
    const free = () => this.#serveLine();
    this.#places = Array.from({ length: limits.workers }, (_, index) => {
      const name = limits.workers === 1 ? thread.name : `${thread.name} #${index + 1}`;
      return new WorkerPlace({ ...thread, name }, free);
    });
  }

  /** Starts all workers; rejects, with all of them ended again, when the application cannot be loaded. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    const started = await Promise.allSettled(pool.#places.map((place) => place.start()));
    const failed = started.find((result) => result.status === "rejected");
    if (failed === undefined) return pool;
    await pool[Symbol.asyncDispose]();
    throw failed.reason;
  }

  /** Calls, not threads: each takes several. */
  status(): ServiceStatus {
    const { limits } = this.#options;
    let busy = 0;
    for (const { thread } of this.#places) busy += thread?.busy ?? 0;
    const max = limits.workers * limits.concurrency;
    return { pool: { busy, idle: max - busy, waiting: this.#line.length, max } };
  }

  call(exchange: Exchange, mount: Mount, body: SizedBody | null): Promise<Answer> {
    this.#look();
    const thread = this.#freest();
    if (thread !== undefined) return thread.call(exchange, mount, body);
    return this.#wait(exchange.lifeline, body).then((turn) =>
      turn.callExpected(exchange, mount, body)
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    await Promise.all(this.#places.map((place) => place.stop()));
  }

  async #wait(lifeline: Lifeline, body: SizedBody | null): Promise<WorkerThread> {
    try {
      return await this.#line.wait(lifeline);
    } catch (error) {
      body?.close();
      throw error;
    }
  }

  /** The ready thread with the fewest calls, unless all have as many as they may. */
  #freest(): WorkerThread | undefined {
    let found: WorkerThread | undefined;
    let fewest = this.#options.limits.concurrency;
    for (const { thread } of this.#places) {
      if (thread === undefined || thread.busy >= fewest || !thread.isReady) continue;
      found = thread;
      fewest = thread.busy;
    }
    return found;
  }

  #serveLine(): void {
    while (this.#line.length > 0) {
      const thread = this.#freest();
      if (thread === undefined) return;
      thread.expect();
      this.#line.next()?.resolve(thread);
    }
  }

  /** Looks after the threads while any has calls. */
  #look(): void {
    if (this.#looking !== undefined) return;
    const every = Math.min(LOOK_MS, this.#options.limits.stallTimeoutMs / 2);
    this.#looking = setInterval(() => {
      const busy = this.#places.filter(({ thread }) => (thread?.busy ?? 0) > 0);
      for (const { thread } of busy) thread?.look(every);
      if (busy.length > 0) return;
      clearInterval(this.#looking);
      this.#looking = undefined;
    }, every);
  }
}

/** One worker for as long as the pool lives, whatever becomes of its threads. */
class WorkerPlace {
  readonly #options: ThreadOptions;
  readonly #free: () => void;
  #thread: WorkerThread | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #started = false;
  #stopped = false;

  constructor(options: ThreadOptions, free: () => void) {
    this.#options = options;
    this.#free = free;
  }

  get thread(): WorkerThread | undefined {
    return this.#thread;
  }

  async start(): Promise<void> {
    const thread: WorkerThread = new WorkerThread(this.#options, {
      freed: this.#free,
      died: (words) => this.#died(thread, words),
    });
    this.#thread = thread;
    await thread.ready;
    this.#started = true;
    this.#free();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#thread?.stop();
  }

  #died(thread: WorkerThread, words: string): void {
    this.#thread = undefined;
    // What fails at the first start is told by whoever started it.
    if (this.#stopped || !this.#started) return;
    if (thread.ageMs > STEADY_MS) this.#backoffMs = FIRST_BACKOFF_MS;
    const wait = this.#backoffMs;
    this.#backoffMs = Math.min(wait * 2, MAX_BACKOFF_MS);
    const { log, name } = this.#options;
    log.notice(`Starting the worker of ${name} again in ${wait} ms: it ${words}`);
    this.#retry = setTimeout(() => this.start().catch(() => {}), wait);
  }
}
