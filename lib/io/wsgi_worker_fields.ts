/** How the configuration describes the workers of an isolated application (`isolate: worker`). Pure. */
import * as v from "valibot";
import { count, described, duration, optional, size, word } from "../fields.ts";

const WORKERS = 1;
const CONCURRENCY = 64;
const QUEUE = 1024;
const QUEUE_TIMEOUT_MS = 30_000;
const MEMORY = 512 * 2 ** 20;
/** With much less the runtime fails to start a thread, and ends the process over it. */
const LEAST_MEMORY = 32 * 2 ** 20;
const TOO_LITTLE_MEMORY = "Cannot run a worker in so little memory: write 32MiB or more";
const STALL_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 10_000;

export const workerFields = {
  isolate: described(
    optional(word("worker")),
    "worker: runs the module in worker threads, where it can neither stall nor take down the gateway. " +
      "Default: in the gateway itself.",
  ),
  workers: described(
    optional(count(1)),
    `Worker threads; each loads the module for itself. Default ${WORKERS}.`,
  ),
  concurrency: described(
    optional(count(1)),
    `Requests that one worker has at once; others wait. Default ${CONCURRENCY}.`,
  ),
  queue: described(
    optional(count(0)),
    `Requests that may wait for a worker; 503 past it. Default ${QUEUE}.`,
  ),
  queueTimeout: described(
    optional(duration),
    `The longest wait for a worker; 503 past it. Default ${QUEUE_TIMEOUT_MS / 1000}s.`,
  ),
  memory: described(
    optional(v.pipe(size, v.minValue(LEAST_MEMORY, TOO_LITTLE_MEMORY))),
    "The heap that a worker may fill before it is replaced; default 512MiB.",
  ),
  stallTimeout: described(
    optional(duration),
    "How long a worker with requests may show no sign of life, because something in it blocks, before " +
      `it is replaced. Default ${STALL_TIMEOUT_MS / 1000}s.`,
  ),
};

/** The fields as they were read. */
interface Fields {
  readonly isolate?: "worker" | undefined;
  readonly workers?: number | undefined;
  readonly concurrency?: number | undefined;
  readonly queue?: number | undefined;
  readonly queueTimeout?: number | undefined;
  readonly memory?: number | undefined;
  readonly stallTimeout?: number | undefined;
  /** Stands among the fields of processes (spawn_fields.ts). */
  readonly startTimeout?: number | undefined;
}

/** The fields that only workers have. */
export const WORKER_ONLY = [
  "workers",
  "concurrency",
  "queue",
  "queueTimeout",
  "memory",
  "stallTimeout",
] as const;

/** Whether no field is there that only workers have, unless there are workers. */
export function fitsIsolation(options: Fields): boolean {
  return options.isolate === "worker" || WORKER_ONLY.every((name) => options[name] === undefined);
}

export const ISOLATION_FAULT =
  "Cannot set workers where there are none: write `isolate: worker`, which is for modules in TypeScript, " +
  `or leave out ${WORKER_ONLY.join(", ")}`;

/** How many workers there are, and what each may take. */
export interface WorkerLimits {
  readonly workers: number;
  readonly concurrency: number;
  readonly queue: number;
  readonly queueTimeoutMs: number;
  /** Bytes. */
  readonly memory: number;
  readonly stallTimeoutMs: number;
  readonly startTimeoutMs: number;
}

export function workerLimits(options: Fields): WorkerLimits {
  return {
    workers: options.workers ?? WORKERS,
    concurrency: options.concurrency ?? CONCURRENCY,
    queue: options.queue ?? QUEUE,
    queueTimeoutMs: options.queueTimeout ?? QUEUE_TIMEOUT_MS,
    memory: options.memory ?? MEMORY,
    stallTimeoutMs: options.stallTimeout ?? STALL_TIMEOUT_MS,
    startTimeoutMs: options.startTimeout ?? START_TIMEOUT_MS,
  };
}
