/**
 * What stands between a worker that uses programs and the main process that keeps them for all workers
 * (`server.workers`): places at a program are lent, and may be wanted back.
 */

/** Places at a started program that are this worker's for a while. */
export interface Loan {
  readonly id: number;
  /** Where the program listens. */
  readonly socket: string;
  /** Connections at once that it stands for. */
  readonly count: number;
}

/** Who borrows places at programs. */
export interface Borrower {
  lend(loan: Loan): void;
  /** Others wait: so many places are to be returned, idle ones first. */
  recall(count: number): void;
  /** The program is to end: this loan is to be returned once it is not in use. */
  withdraw(id: number): void;
}

/** What a borrower tells who lends. */
export interface Borrowing extends AsyncDisposable {
  /** So many requests wait for a place. */
  want(waiting: number): void;
  begin(id: number): void;
  end(id: number): void;
  giveBack(id: number): void;
}

/** Keeps programs for several workers. Where it runs they are known by the table, too. */
export interface Lender {
  /** `programs` describes them, as plain values; rejects if they do not come up. */
  borrow(programs: unknown, borrower: Borrower): Promise<Borrowing>;
}
