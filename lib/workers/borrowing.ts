/** A worker's side of borrowing programs that the main process keeps. */
import type { Borrower, Borrowing, Lender } from "../lender.ts";
import type { ToBorrower, ToMain, Usage } from "./messages.ts";

/** Uses are told together. */
const TELL_MS = 20;

export class LenderByLine implements Lender {
  readonly #post: (message: ToMain) => void;
  readonly #open = new Map<number, OneBorrowing>();
  #last = 0;

  constructor(post: (message: ToMain) => void) {
    this.#post = post;
  }

  async borrow(programs: unknown, borrower: Borrower): Promise<Borrowing> {
    const number = ++this.#last;
    const borrowing = new OneBorrowing(number, borrower, (message) => this.#post(message));
    this.#open.set(number, borrowing);
    this.#post(["borrow", number, programs]);
    try {
      await borrowing.opened.promise;
      borrowing.onLeave = () => this.#open.delete(number);
      return borrowing;
    } catch (error) {
      this.#open.delete(number);
      throw error;
    }
  }

  hear(message: ToBorrower): void {
    const borrowing = this.#open.get(message[1]);
    if (borrowing === undefined) return;
    switch (message[0]) {
      case "opened": {
        const fault = message[2];
        return fault === undefined || fault === null
          ? borrowing.opened.resolve()
          : borrowing.opened.reject(new Error(fault));
      }
      case "lend":
        return borrowing.borrower.lend(message[2]);
      case "recall":
        return borrowing.borrower.recall(message[2]);
      case "withdraw":
        return borrowing.borrower.withdraw(message[2]);
      default:
        message satisfies never;
    }
  }
}

class OneBorrowing implements Borrowing {
  readonly opened = Promise.withResolvers<void>();
  readonly borrower: Borrower;
  onLeave: (() => void) | undefined;
  readonly #number: number;
  readonly #post: (message: ToMain) => void;
  readonly #uses = new Map<number, { begun: number; ended: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(number: number, borrower: Borrower, post: (message: ToMain) => void) {
    this.#number = number;
    this.borrower = borrower;
    this.#post = post;
  }

  want(waiting: number): void {
    this.#post(["want", this.#number, waiting]);
  }

  begin(id: number): void {
    this.#use(id).begun++;
  }

  end(id: number): void {
    this.#use(id).ended++;
  }

  giveBack(id: number): void {
    this.#tell();
    this.#post(["returned", this.#number, id]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tell();
    this.onLeave?.();
    this.#post(["leave", this.#number]);
    await Promise.resolve();
  }

  #use(id: number): { begun: number; ended: number } {
    this.#timer ??= setTimeout(() => this.#tell(), TELL_MS);
    const known = this.#uses.get(id);
    if (known !== undefined) return known;
    const use = { begun: 0, ended: 0 };
    this.#uses.set(id, use);
    return use;
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#uses.size === 0) return;
    const uses = Array.from(this.#uses, ([id, { begun, ended }]): Usage => [id, begun, ended]);
    this.#uses.clear();
    this.#post(["used", this.#number, uses]);
  }
}
