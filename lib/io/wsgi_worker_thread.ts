/**
 * One life of a worker thread: its start, the calls that it has, and its end, which may come at any time
 * (an error that nobody caught, Deno.exit, no memory left) and is always told.
 *
 * Why threads of Node's kind and not the web's: they have a limit to their heap, past which the thread
 * ends and not the process, and they tell when they end. Both are workers of the same runtime.
 */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { GatewayError } from "../errors.ts";
import type { Exchange, Mount, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { CallTable } from "../protocol/call_table.ts";
import type { Answer } from "../protocol/wsgi_draw.ts";
import { Lane, newLane } from "../protocol/wsgi_lane.ts";
import { Outbox } from "../protocol/wsgi_outbox.ts";
import type { CallMessage, ToGateway, ToWorker } from "../protocol/wsgi_wire.ts";
import { copyOf } from "./short_copy.ts";
import { type RequestChannel, WorkerRequest } from "./wsgi_worker_request.ts";
import type { WorkerData, WorkerSetup } from "./wsgi_worker_setup.ts";

/** Nothing imports it, so `deno compile` has to be told of it (deno.json). */
const ENTRY = new URL("./wsgi_worker.ts", import.meta.url);

/** The runtime asks for permission to read what a worker is made of. */
export function workerSources(): string {
  return fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
}

const NOTHING = new Uint8Array();
const MEGABYTE = 2 ** 20;
/** How long a worker may take to let go of a request whose time is up, before it counts as stuck. */
const LET_GO_MS = 500;
/** How long one may take to end once nothing is left to ask of it. */
const STOP_MS = 2000;

export interface ThreadOptions {
  readonly setup: WorkerSetup;
  /** For people. */
  readonly name: string;
  /** Bytes of heap. */
  readonly memory: number;
  readonly startTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly log: ServiceLog;
}

export interface ThreadEvents {
  /** A call has ended. */
  freed(): void;
  /** The thread has ended, unless it was asked to. */
  died(words: string): void;
}

export class WorkerThread {
  readonly #options: ThreadOptions;
  readonly #events: ThreadEvents;
  readonly #worker: Worker;
  readonly #outbox = new Outbox<ToWorker>((messages, transfer) => {
    if (this.#dead) return;
    // Whatever is said of a call comes behind the call, by whichever way that went.
    this.#lane.flush();
    this.#worker.postMessage(messages, transfer);
  });
  readonly #lane: Lane;
  readonly #channel: RequestChannel = {
    call: (number, words, body) => this.#lane.post(number, words, body),
    post: (message, transfer) => this.#outbox.post(message, transfer),
    ended: (call) => this.#ended(call),
    overdue: (call, reason) => this.#overdue(call, reason),
  };
  readonly #calls = new CallTable<WorkerRequest>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #startedAt = performance.now();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #isReady = false;
  /** For how long it has shown no sign of life, as far as anybody looked; undefined: it was not asked. */
  #silentMs: number | undefined;
  /** Calls that are about to come. */
  #expected = 0;
  /** What the thread said of its end. */
  #lastWords: string | undefined;
  #stopping = false;
  #dead = false;

  constructor(options: ThreadOptions, events: ThreadEvents) {
    this.#options = options;
    this.#events = events;
    const { setup, name, memory, startTimeoutMs } = options;
    this.#ready.promise.catch(() => {});
    const lane = newLane();
    this.#lane = new Lane(lane.toGateway, lane.toWorker, {
      take: (call, head, body) => this.#answered(call, head, body),
      broken: () => this.kill("wrote into the memory that it shares with the gateway"),
    });
    const workerData: WorkerData = { ...setup, lane };
    this.#worker = new Worker(ENTRY, {
      name,
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(memory / MEGABYTE) },
    });
    this.#worker.on("message", (said: unknown) => this.#hear(said));
    this.#worker.on("error", (error: unknown) => this.#fault(error));
    this.#worker.on("exit", (code: number) => this.#exited(code));
    this.#later(startTimeoutMs, () => {
      if (!this.#isReady) this.kill(`did not load its module within ${startTimeoutMs} ms`);
    });
  }

  /** Resolves when it takes calls; rejects when it never will. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#isReady && !this.#dead && !this.#stopping;
  }

  /** Calls under way, or about to come. */
  get busy(): number {
    return this.#calls.size + this.#expected;
  }

  get ageMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Keeps room for a call. */
  expect(): void {
    this.#expected++;
  }

  /** Takes a call that was expected. */
  callExpected(exchange: Exchange, mount: Mount, body: SizedBody | null): Promise<Answer> {
    this.#expected--;
    const reason = exchange.lifeline.reason ?? (this.#dead ? this.#death() : undefined);
    if (reason === undefined) return this.call(exchange, mount, body);
    body?.close();
    this.#events.freed();
    return Promise.reject(reason);
  }

  call(exchange: Exchange, mount: Mount, body: SizedBody | null): Promise<Answer> {
    const number = this.#calls.next();
    const request = new WorkerRequest(number, { exchange, body, channel: this.#channel });
    this.#calls.add(request);
    return request.begin(mount);
  }

  /**
   * Asks for a sign of life, every so many milliseconds; one that is missing for too long is the end.
   * Looks are counted, and not the time, which jumps when a machine was asleep.
   */
  look(everyMs: number): void {
    const { stallTimeoutMs } = this.#options;
    if (this.#silentMs === undefined) {
      this.#silentMs = 0;
      return this.#outbox.post(["ping"]);
    }
    this.#silentMs += everyMs;
    if (this.#silentMs < stallTimeoutMs) return;
    this.kill(`showed no sign of life for ${stallTimeoutMs} ms: it blocks, or has no memory left`);
  }

  /** Ends the thread at once; all that it had to answer fails. */
  kill(words: string): void {
    this.#lastWords ??= words;
    this.#worker.terminate();
    this.#end();
  }

  /** Lets the thread end by itself, within a while. */
  async stop(): Promise<void> {
    if (this.#dead) return;
    this.#stopping = true;
    this.#ready.reject(new Error("The worker was stopped"));
    for (const request of this.#calls.all()) {
      request.fail(new GatewayError(503, "shutting-down", "The worker was stopped"));
    }
    this.#outbox.post(["stop"]);
    this.#later(STOP_MS, () => this.kill("was stopped"));
    await this.#gone.promise;
  }

  #hear(said: unknown): void {
    if (!Array.isArray(said)) return;
    this.#lane.look();
    this.#silentMs = undefined;
    for (const message of said) if (isMessage(message)) this.#take(message);
  }

  #take(message: ToGateway): void {
    const { log } = this.#options;
    switch (message[0]) {
      case "ready":
        this.#isReady = true;
        return this.#ready.resolve();
      case "refused":
        this.#ready.reject(new Error(message[1]));
        return this.kill(`cannot load its module: ${message[1]}`);
      case "log":
        return log.program(message[1], message[2]);
      case "notice":
        return log.notice(message[2], message[1]);
      case "pong":
        return;
      case "crash":
        this.#lastWords ??= `ended with an error that nobody caught: ${message[1]}`;
        return;
      default:
        return this.#tell(message);
    }
  }

  #tell(message: CallMessage): void {
    this.#calls.get(message[1])?.take(message);
  }

  #answered(number: number, head: readonly string[], body: Uint8Array | null): void {
    this.#silentMs = undefined;
    this.#calls.get(number)?.answered(head, body === null ? NOTHING : copyOf(body));
  }

  #ended(request: WorkerRequest): void {
    this.#calls.delete(request);
    if (!this.#dead) this.#events.freed();
  }

  #overdue(request: WorkerRequest, reason: Error): void {
    this.#later(LET_GO_MS, () => {
      if (this.#calls.get(request.number) !== request) return;
      this.kill(`did not let go of a request that had ended (${reason.message})`);
    });
  }

  #fault(error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    this.#lastWords ??= `ended with an error: ${words}`;
  }

  #exited(code: number): void {
    this.#lane.look();
    this.#lastWords ??= `ended by itself with code ${code}`;
    this.#end();
  }

  #end(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#lane.close();
    for (const timer of this.#timers) clearTimeout(timer);
    const error = this.#death();
    this.#ready.reject(error);
    for (const request of this.#calls.all()) request.fail(error);
    this.#gone.resolve();
    if (!this.#stopping) this.#events.died(this.#lastWords ?? "ended");
  }

  #death(): GatewayError {
    const [words = ""] = (this.#lastWords ?? "ended").split("\n", 1);
    return new GatewayError(502, "worker-died", `The worker ${words}`);
  }

  #later(ms: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, ms);
    this.#timers.add(timer);
  }
}

/** A library that takes the thread for one of its own may say anything; our own words need no check. */
function isMessage(value: unknown): value is ToGateway {
  return Array.isArray(value) && typeof value[0] === "string";
}
