/**
 * What the machine has run out of. Nobody behind the gateway is to blame for it, and it passes: the answer
 * is a 503, to be asked for again, and no upstream counts as failed.
 */
import { GatewayError } from "../errors.ts";

type Shortage = readonly [failure: string, what: string];

const DESCRIPTORS: Shortage = ["no-descriptors", "there are no descriptors left (LimitNOFILE)"];
const MEMORY: Shortage = ["no-memory", "there is no memory left"];
const DISK: Shortage = ["spool-full", "there is no room left on the disk"];

/** By the system's name for it (errno(3)). */
const SHORTAGES: ReadonlyMap<string, Shortage> = new Map([
  ["EMFILE", DESCRIPTORS],
  ["ENFILE", DESCRIPTORS],
  ["ENOMEM", MEMORY],
]);

/** What starting a program may lack besides: elsewhere EAGAIN asks for no more than patience. */
const OF_PROGRAMS: ReadonlyMap<string, Shortage> = new Map([
  ...SHORTAGES,
  ["EAGAIN", ["no-processes", "there may be no more processes (LimitNPROC, TasksMax)"]],
]);

/** What writing a file may lack besides. */
const OF_FILES: ReadonlyMap<string, Shortage> = new Map([
  ...SHORTAGES,
  ["ENOSPC", DISK],
  ["EDQUOT", DISK],
  ["EFBIG", DISK],
]);

const TABLES = { any: SHORTAGES, program: OF_PROGRAMS, file: OF_FILES } as const;

/** The answer to an error that tells of a shortage; undefined: it tells of something else. */
export function shortageOf(
  error: unknown,
  attempt: string,
  of: keyof typeof TABLES = "any",
): GatewayError | undefined {
  const shortage = TABLES[of].get(codeOf(error) ?? "");
  if (shortage === undefined) return undefined;
  const [failure, what] = shortage;
  return new GatewayError(503, failure, `Cannot ${attempt}: ${what}`, {
    cause: error,
    headers: [["retry-after", "5"]],
  });
}

/** Whether it is the machine that is short of something. */
export function isShortage(error: unknown): boolean {
  return error instanceof GatewayError && SHORT_FAILURES.has(error.failure);
}

const SHORT_FAILURES = new Set(Array.from(OF_PROGRAMS.values(), ([failure]) => failure));

export function isOutOfDescriptors(error: unknown): boolean {
  return SHORTAGES.get(codeOf(error) ?? "") === DESCRIPTORS;
}

/** The system's name for an error; undefined: it is none of the system's. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? undefined : BY_NUMBER.get(number);
}

/** Where the runtime gives the number alone; Linux' for quotas. */
const BY_NUMBER: ReadonlyMap<string, string> = new Map([
  ["11", "EAGAIN"],
  ["12", "ENOMEM"],
  ["23", "ENFILE"],
  ["24", "EMFILE"],
  ["27", "EFBIG"],
  ["28", "ENOSPC"],
  ["122", "EDQUOT"],
]);
