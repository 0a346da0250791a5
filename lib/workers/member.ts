/**
 * One life of a worker as the main process knows it: its start, the orders that it carries out, and its
 * end, which may come at any time and is always told.
 *
 * Why processes, and not threads: both bring the same throughput, but no thread of this runtime can be
 * ended while it is in a loop (`terminate()` leaves it running, with its address taken), and one that
 * fills its heap, or falls over in native code, takes all others along.
 */
import type { Report } from "../observe/report.ts";
import type { PurgeOrder } from "../observe/admin.ts";
import { ownArguments, ownProgram, WORKER } from "../io/own_program.ts";
import { decodeMessage, encodeMessage, type Frame, FrameDecoder } from "./frames.ts";
import type { Order, ToBorrower, ToLender, ToMain, ToWorker, WorkerSetup } from "./messages.ts";

/** Before a reload: what blocks one would hold up all others. */
const PATIENCE_MS = 5000;
const BLOCKED = "A worker shows no sign of life: something in it blocks";
/** How long one may load its modules. */
const START_MS = 120_000;
const LOOK_MS = 1000;

export interface MemberOptions {
  readonly setup: WorkerSetup;
  /** Permissions. */
  readonly flags: readonly string[];
  /** How long it may show no sign of life; 0: any time. */
  readonly stallTimeoutMs: number;
}

export interface MemberEvents {
  /** Whole lines of its log, or what an application wrote. */
  write(stream: "out" | "err", bytes: Uint8Array<ArrayBuffer>): void;
  /** What it has to say to who lends programs. */
  lender(message: ToLender): void;
  /** It has ended, unless it was asked to. */
  died(words: string): void;
  /** Its process is gone, in any case. */
  gone(): void;
}

type Answer = void | Report | number;

export class Member {
  readonly #events: MemberEvents;
  readonly #process: Deno.ChildProcess;
  readonly #line: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #ready = Promise.withResolvers<readonly string[]>();
  readonly #gone = Promise.withResolvers<void>();
  /** Whoever waits for an answer, by its kind. */
  readonly #asked = new Map<"order" | "alive" | "reported" | "purged", Asked>();
  readonly #since = performance.now();
  #stallTimeoutMs: number;
  #silentMs = 0;
  #looking: ReturnType<typeof setInterval> | undefined;
  #lastWords: string | undefined;
  #serves = false;
  #ending = false;

  constructor({ setup, flags, stallTimeoutMs }: MemberOptions, events: MemberEvents) {
    this.#events = events;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#ready.promise.catch(() => {});
    this.#process = new Deno.Command(ownProgram(), {
      args: [...ownArguments(flags, [WORKER])],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#line = this.#process.stdin.getWriter();
    this.#hearAll();
    this.#post(["start", setup]);
    const late = setTimeout(
      () => this.kill(`did not come up within ${START_MS / 1000} s`),
      START_MS,
    );
    this.#ready.promise.then(() => this.#watch(), () => {}).finally(() => clearTimeout(late));
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Where it listens, as soon as it does; rejects if it never will. */
  get ready(): Promise<readonly string[]> {
    return this.#ready.promise;
  }

  /** Whether it can be given orders. */
  get serves(): boolean {
    return this.#serves && !this.#ending;
  }

  get ageMs(): number {
    return performance.now() - this.#since;
  }

  set stallTimeoutMs(ms: number) {
    this.#stallTimeoutMs = ms;
  }

  /** Resolves when the order can be carried out; rejects, with all as it was, if it cannot. */
  async prepare(order: Order): Promise<void> {
    await this.#ask("order", ["prepare", order]);
  }

  /** Resolves when it serves what it has prepared. */
  async commit(): Promise<void> {
    await this.#ask("order", ["commit"]);
  }

  /** Resolves when it has given up what it has prepared. */
  async abandon(): Promise<void> {
    await this.#ask("order", ["abandon"]).catch(() => {});
  }

  /** Rejects if it shows no sign of life for some seconds. */
  async look(): Promise<void> {
    await withTimeout(this.#ask("alive", ["look"]), PATIENCE_MS);
  }

  /** Undefined from one that does not answer. */
  async report(): Promise<Report | undefined> {
    const answer = await withTimeout(this.#ask("reported", ["report"]), PATIENCE_MS)
      .catch(() => undefined);
    return typeof answer === "object" ? answer : undefined;
  }

  /** Undefined from one that does not answer: it may keep what it should forget. One at a time. */
  async purge(order: PurgeOrder): Promise<number | undefined> {
    const answer = await withTimeout(this.#ask("purged", ["purge", order]), PATIENCE_MS)
      .catch(() => undefined);
    return typeof answer === "number" ? answer : undefined;
  }

  reopen(): void {
    this.#post(["reopen"]);
  }

  lend(message: ToBorrower): void {
    this.#post(message);
  }

  /** Lets its requests end, and ends it; the hard way when it does not answer in time. */
  async stop(withinMs: number): Promise<void> {
    this.#ending = true;
    this.#post(["stop"]);
    const timer = setTimeout(() => this.#signal(), withinMs);
    await this.#gone.promise;
    clearTimeout(timer);
  }

  /** Ends it at once, as a failure. */
  kill(words: string): void {
    this.#lastWords ??= words;
    this.#signal();
  }

  #signal(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has exited already.
    }
  }

  /** Looks are counted, and not the time, which jumps when a machine was asleep. */
  #watch(): void {
    const every = Math.min(LOOK_MS, Math.max(50, this.#stallTimeoutMs / 4));
    this.#looking = setInterval(() => {
      this.#silentMs += every;
      const limit = this.#stallTimeoutMs;
      if (limit > 0 && this.#silentMs > limit) {
        this.kill(`showed no sign of life for ${limit} ms: it blocks`);
      } else if (!this.#asked.has("alive")) {
        this.#ask("alive", ["look"]).catch(() => {});
      }
    }, every);
  }

  /** One question of a kind at a time: who asks it while it is open gets the same answer. */
  #ask(kind: "order" | "alive" | "reported" | "purged", message: ToWorker): Promise<Answer> {
    const open = kind === "alive" || kind === "reported" ? this.#asked.get(kind) : undefined;
    if (open !== undefined) return open.promise;
    const asked: Asked = Promise.withResolvers<Answer>();
    asked.promise.catch(() => {});
    this.#asked.set(kind, asked);
    this.#post(message);
    const gone = this.#gone.promise.then(() => {
      throw new Error("A worker ended in the meantime");
    });
    gone.catch(() => {});
    return Promise.race([asked.promise, gone]);
  }

  #answer(kind: "order" | "alive" | "reported" | "purged", answer?: Answer): void {
    this.#asked.get(kind)?.resolve(answer);
    this.#asked.delete(kind);
  }

  #post(message: ToWorker): void {
    // What it does not hear any more its end will tell.
    this.#line.write(encodeMessage(message)).catch(() => {});
  }

  async #hearAll(): Promise<void> {
    const decoder = new FrameDecoder();
    try {
      for await (const bytes of this.#process.stdout) {
        for (const frame of decoder.push(bytes)) this.#hear(frame);
      }
    } catch {
      // The pipe broke with the process: its exit status tells.
    }
    this.#exited(await this.#process.status);
  }

  #hear(frame: Frame): void {
    this.#silentMs = 0;
    if (frame.type === "m") return this.#take(decodeMessage<ToMain>(frame));
    this.#events.write(frame.type === "e" ? "err" : "out", frame.payload);
  }

  #take(message: ToMain): void {
    switch (message[0]) {
      case "ready":
        this.#serves = true;
        return this.#ready.resolve(message[1]);
      case "alive":
        return this.#answer("alive");
      case "prepared":
      case "committed":
        return this.#answer("order");
      case "reported":
        return this.#answer("reported", message[1]);
      case "purged":
        return this.#answer("purged", message[1]);
      case "refused":
        return this.#refused(message[1]);
      case "stopped":
        // It ends with its orders.
        return void this.#line.close().catch(() => {});
      default:
        return this.#events.lender(message);
    }
  }

  #refused(words: string): void {
    this.#ready.reject(new Error(words));
    // One that refuses its first order is of no use.
    if (!this.#serves) this.kill(words);
    this.#asked.get("order")?.reject(new Error(words));
    this.#asked.delete("order");
  }

  #exited({ code, signal }: Deno.CommandStatus): void {
    clearInterval(this.#looking);
    this.#line.abort().catch(() => {});
    const how = signal === null ? `ended with status ${code}` : `died of ${signal}`;
    const words = this.#lastWords ?? how;
    this.#ready.reject(new Error(`A worker ${words}`));
    this.#gone.resolve();
    const wasAsked = this.#ending;
    this.#ending = true;
    this.#events.gone();
    if (!wasAsked) this.#events.died(words);
  }
}

type Asked = PromiseWithResolvers<Answer>;

async function withTimeout<T>(answer: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(BLOCKED)), ms);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
