/** What the main process and its workers say to one another. */
import type { PurgeOrder } from "../observe/admin.ts";
import type { Report } from "../observe/report.ts";
import type { Loan } from "../lender.ts";
import type { Part } from "../part.ts";
import type { ListenAddress } from "../values.ts";

/** A table's text, which each worker reads for itself: what it becomes cannot be sent. */
export interface Source {
  readonly text: string;
  /** As faults print it. */
  readonly file: string;
  /** The file's absolute name. */
  readonly path: string;
  readonly folder: string;
}

/** What to serve, and where. */
export interface Order {
  readonly source: Source;
  /** Free ports have become real ones. */
  readonly listen: readonly ListenAddress[];
}

/** What a worker is told at its start. */
export interface WorkerSetup {
  readonly part: Part;
  readonly order: Order;
}

export type ToWorker =
  | readonly ["start", WorkerSetup]
  /** Open this beside what is served. */
  | readonly ["prepare", Order]
  /** All have: serve it from now on. */
  | readonly ["commit"]
  /** One could not: close it again. */
  | readonly ["abandon"]
  /** Does it still run? */
  | readonly ["look"]
  /** What has it counted? */
  | readonly ["report"]
  | readonly ["purge", PurgeOrder]
  /** The log file was moved away. */
  | readonly ["reopen"]
  | readonly ["stop"]
  | ToBorrower;

export type ToMain =
  /** It serves, here. */
  | readonly ["ready", readonly string[]]
  | readonly ["prepared"]
  | readonly ["committed"]
  /** The order cannot be carried out, or was abandoned; all is as it was. */
  | readonly ["refused", string]
  /** It still runs. */
  | readonly ["alive"]
  | readonly ["reported", Report]
  | readonly ["purged", number]
  /** Its last request has ended. */
  | readonly ["stopped"]
  | ToLender;

/** To who borrows programs that the main process keeps; each borrowing has a number of its own. */
export type ToBorrower =
  /** They run; or why they do not. */
  | readonly ["opened", number, string | undefined]
  | readonly ["lend", number, Loan]
  /** Others wait: so many places are wanted back, the idle ones first. */
  | readonly ["recall", number, number]
  /** This one is wanted back: its program is to end. */
  | readonly ["withdraw", number, number];

export type ToLender =
  /** Borrows programs: what `lender.ts` makes of the table. */
  | readonly ["borrow", number, unknown]
  /** So many requests wait. */
  | readonly ["want", number, number]
  /** Requests that began and ended at loans since it last told. */
  | readonly ["used", number, readonly Usage[]]
  | readonly ["returned", number, number]
  /** It needs none of them any more. */
  | readonly ["leave", number];

/** Loan, begun, ended. */
export type Usage = readonly [number, number, number];
