/**
 * Started programs that another process keeps for several workers (`server.workers`): a pool's source of
 * endpoints, like a process manager of its own, but for places that are lent and may be wanted back.
 */
import type { ServiceStatus } from "../handler.ts";
import type { Borrower, Borrowing, Lender, Loan } from "../lender.ts";
import type { Endpoint, EndpointSink, EndpointSource } from "./endpoint.ts";

/** How often those who wait are counted, while some do. */
const LOOK_MS = 5;

interface Held {
  readonly loan: Loan;
  readonly endpoint: Endpoint;
  /** Requests under way there. */
  busy: number;
  leaving: boolean;
}

export class BorrowedPrograms implements EndpointSource, Borrower {
  readonly #name: string;
  readonly #held = new Map<number, Held>();
  #borrowing: Borrowing | undefined;
  #sink: EndpointSink | undefined;
  /** What was said of them last; undefined: it may not hold any more. */
  #told: number | undefined;
  #counts = false;
  #closed = false;
  #look: ReturnType<typeof setTimeout> | undefined;

  private constructor(name: string) {
    this.#name = name;
  }

  /** `name` tells them from others; `programs` is what {@link Lender} needs to know. */
  static async open(lender: Lender, name: string, programs: unknown): Promise<BorrowedPrograms> {
    const borrowed = new BorrowedPrograms(name);
    borrowed.#borrowing = await lender.borrow(programs, borrowed);
    return borrowed;
  }

  attach(sink: EndpointSink): void {
    this.#sink = sink;
    for (const { endpoint } of this.#held.values()) sink.add(endpoint);
  }

  grow(): void {
    if (this.#counts) return;
    this.#counts = true;
    // Those of one turn are told together.
    queueMicrotask(() => this.#count());
  }

  status(): ServiceStatus {
    return { borrows: this.#name };
  }

  lend(loan: Loan): void {
    const { id, socket, count } = loan;
    const usage = {
      begin: () => {
        held.busy++;
        this.#borrowing?.begin(id);
      },
      end: () => {
        held.busy--;
        this.#borrowing?.end(id);
      },
    };
    const address = { transport: "unix", path: socket } as const;
    const held: Held = { loan, endpoint: { address, max: count, usage }, busy: 0, leaving: false };
    this.#held.set(id, held);
    this.#sink?.add(held.endpoint);
    // Whoever lends may take those who wait for served, and shall know better.
    this.#told = undefined;
    this.grow();
  }

  recall(count: number): void {
    const held = [...this.#held.values()].filter(({ leaving }) => !leaving)
      .sort((a, b) => a.busy - b.busy);
    let places = 0;
    for (const one of held) {
      if (places >= count) return;
      places += one.loan.count;
      this.#return(one);
    }
  }

  withdraw(id: number): void {
    const held = this.#held.get(id);
    if (held !== undefined) this.#return(held);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#look);
    await this.#borrowing?.[Symbol.asyncDispose]();
  }

  async #return(held: Held): Promise<void> {
    if (held.leaving) return;
    held.leaving = true;
    await this.#sink?.remove(held.endpoint);
    this.#held.delete(held.loan.id);
    this.#borrowing?.giveBack(held.loan.id);
  }

  #count(): void {
    this.#counts = false;
    clearTimeout(this.#look);
    if (this.#closed) return;
    const waiting = this.#sink?.waiting ?? 0;
    if (waiting !== this.#told) this.#borrowing?.want(waiting);
    this.#told = waiting;
    if (waiting > 0) this.#look = setTimeout(() => this.#count(), LOOK_MS);
  }
}
