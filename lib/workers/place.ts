/**
 * One of a gateway's workers for as long as the gateway lives, whatever becomes of its processes: one that
 * ends is replaced, later and later while none lasts.
 */
import type { Guard } from "../io/guard.ts";
import type { PurgeOrder } from "../observe/admin.ts";
import type { Report } from "../observe/report.ts";
import type { WorkerStatus } from "../observe/survey.ts";
import type { Part } from "../part.ts";
import type { Keeper, KeeperClient } from "./keeper.ts";
import { Member } from "./member.ts";
import type { Order } from "./messages.ts";

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** Orders to forget copies that are kept for one that cannot be told; more come to one: all. */
const MAX_OWED = 1000;
/** A worker that lived this long did not fail at starting. */
const STEADY_MS = 10_000;

/** What a worker is started with by now. */
export interface Beginning {
  readonly order: Order;
  readonly flags: readonly string[];
  readonly stallTimeoutMs: number;
}

export interface PlaceOptions {
  readonly keeper: Keeper;
  readonly guard: Guard;
  beginning(): Beginning;
  notice(message: string): void;
  /** Whole lines of a worker's log. */
  write(stream: "out" | "err", bytes: Uint8Array<ArrayBuffer>): void;
  /** What one that has ended had last told. */
  buried(report: Report): void;
}

export class Place {
  readonly #part: Part;
  readonly #options: PlaceOptions;
  #member: Member | undefined;
  #report: Report | undefined;
  #restarts = 0;
  #lastExit: string | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** None is started before that. */
  #held: Promise<void> = Promise.resolve();
  /** What is to be forgotten, by one that has not said yet that it has: its copies may be on disk. */
  #owed: PurgeOrder[] = [];
  #purging: Promise<unknown> = Promise.resolve();
  #started = false;
  #stopped = false;

  constructor(part: Part, options: PlaceOptions) {
    this.#part = part;
    this.#options = options;
  }

  get member(): Member | undefined {
    return this.#member;
  }

  status(): WorkerStatus {
    const member = this.#member;
    return {
      number: this.#number,
      pid: member?.pid,
      state: member?.serves ? "ready" : "starting",
      uptimeMs: member?.ageMs ?? 0,
      memoryBytes: this.#report?.memoryBytes ?? 0,
      restarts: this.#restarts,
      lastExit: this.#lastExit,
    };
  }

  /** What it counts and how it is; what it told last if it cannot say. */
  async report(): Promise<Report | undefined> {
    const member = this.#member;
    if (member?.serves !== true) return this.#report;
    const report = await member.report();
    if (member === this.#member && report !== undefined) this.#report = report;
    return this.#report;
  }

  /** Forgets copies, one order after another; gives how many, as far as is known now. */
  purge(order: PurgeOrder): Promise<number> {
    this.#owed = this.#owed.length < MAX_OWED ? [...this.#owed, order] : [{ all: true }];
    return this.#purgeOwed();
  }

  /** A Unix socket cannot be shared: the first worker has it. */
  own(order: Order): Order {
    if (this.#part.index === 0) return order;
    return { ...order, listen: order.listen.filter(({ transport }) => transport === "tcp") };
  }

  hold(until: Promise<void>): void {
    this.#held = until;
  }

  async start(): Promise<readonly string[]> {
    const { beginning, write, keeper, guard } = this.#options;
    const { order, flags, stallTimeoutMs } = beginning();
    const setup = { part: this.#part, order: this.own(order) };
    const client: KeeperClient = keeper.admit((message) => member.lend(message));
    const member: Member = new Member({ setup, flags, stallTimeoutMs }, {
      write,
      lender: (message) => client.hear(message),
      died: (words) => this.#died(member, words),
      gone: () => {
        client.close();
        guard.forget(member.pid);
        this.#bury();
      },
    });
    this.#member = member;
    guard.watch(member.pid);
    const addresses = await member.ready;
    this.#started = true;
    await this.#purgeOwed();
    return addresses;
  }

  async stop(withinMs: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#member?.stop(withinMs);
  }

  /** In turn: a worker answers one such order at a time. */
  #purgeOwed(): Promise<number> {
    const purging = this.#purging.then(async () => {
      let purged = 0;
      for (const order of this.#owed) {
        const member = this.#member;
        if (member?.serves !== true) break;
        const count = await member.purge(order);
        // It blocks, or has ended: the next one is told.
        if (count === undefined) break;
        this.#owed = this.#owed.filter((other) => other !== order);
        purged += count;
      }
      return purged;
    });
    this.#purging = purging;
    return purging;
  }

  get #number(): number {
    return this.#part.index + 1;
  }

  #bury(): void {
    if (this.#report !== undefined) this.#options.buried(this.#report);
    this.#report = undefined;
  }

  #died(member: Member, words: string): void {
    this.#member = undefined;
    this.#lastExit = words;
    // What fails at the first start is told by whoever started it.
    if (this.#stopped || !this.#started) return;
    this.#restarts++;
    if (member.ageMs > STEADY_MS) this.#backoffMs = FIRST_BACKOFF_MS;
    const wait = this.#backoffMs;
    this.#backoffMs = Math.min(wait * 2, MAX_BACKOFF_MS);
    const which = `Worker ${this.#number} (pid ${member.pid})`;
    this.#options.notice(`${which} ${words}: starting another in ${wait} ms`);
    this.#retry = setTimeout(() => this.#restart(), wait);
  }

  async #restart(): Promise<void> {
    await this.#held;
    if (this.#stopped) return;
    try {
      await this.start();
      this.#options.notice(`Worker ${this.#number} serves again`);
    } catch {
      // Its end was told, and another try has begun.
    }
  }
}
