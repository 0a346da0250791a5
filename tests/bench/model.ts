/**
 * What the benchmarks speak of: contenders (servers), works (what is asked of each), samples (one
 * contender at one work for a moment) and rows (all its samples together).
 */

/** A server that takes part. */
export interface Contender {
  readonly name: string;
  /** Programs it needs; left out, by name, where one is missing. */
  readonly needs: readonly string[];
  /** Starts it in a folder of its own on a given port. */
  start(folder: string, port: number): Promise<Running>;
}

export interface Running {
  /** Its origin: `http://127.0.0.1:8080`. */
  readonly origin: string;
  /** The server's own processes, for CPU time and memory. */
  readonly pids: () => readonly number[];
  /** The application's processes, where they can be told from the server's. */
  readonly upstream?: () => readonly number[];
  stop(): Promise<void>;
}

/** A contender that has been started. */
export interface Entrant {
  readonly contender: Contender;
  readonly server: Running;
}

/**
 * What is asked: `rate`, the same small thing over and over; `down` and `up`, one large body at a time;
 * `start`, how long from the command to the first answer.
 */
export interface Work {
  readonly type: "rate" | "down" | "up" | "start";
  readonly label: string;
  readonly path: string;
  readonly connections: number;
  /** Of the body that is sent or received, which all contenders must agree about. */
  readonly bytes: number;
  /** The contenders that take part; all by default. */
  readonly among?: (name: string) => boolean;
}

/** Contenders that are compared at the same works in the same minutes. */
export interface Suite {
  readonly name: string;
  readonly title: string;
  /** Lays out in a folder what all contenders share. */
  plan(folder: string, options: Sizes): Promise<Plan>;
}

export interface Plan {
  readonly contenders: readonly Contender[];
  readonly works: readonly Work[];
}

export interface Sizes {
  /** How large a large body is. */
  readonly largeBytes: number;
}

export interface Sample {
  /** In the row's unit. */
  readonly value: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** CPU seconds per 1,000 requests, or per body: the server's and the application's. */
  readonly cpu?: number;
  readonly upstreamCpu?: number;
  readonly errors: number;
}

export type Unit = "requests/s" | "MiB/s" | "ms";

export interface Row {
  readonly suite: string;
  readonly label: string;
  readonly connections: number;
  readonly contender: string;
  readonly unit: Unit;
  /** The median of all rounds, and the rounds in order: the nth of each contender are neighbours. */
  readonly value: number;
  readonly rounds: readonly number[];
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly cpu?: number;
  readonly upstreamCpu?: number;
  /** The most that the server's processes held during this work, and what that is above before it. */
  readonly peakMiB?: number;
  readonly grownMiB?: number;
  readonly errors: number;
}

/** A whole run, as results.json has it. */
export interface Results {
  readonly date: string;
  readonly machine: Machine;
  readonly options: Readonly<Record<string, string | number>>;
  /** What was left out, and why. */
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of the last minute, when the run began: 0 on a quiet machine. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}
