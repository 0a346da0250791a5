/** How many rounds fit in the time that a run may take. Pure. */
import type { Plan, Work } from "./model.ts";

/** So much of large bodies goes through in a sample, so that curl's own start does not count. */
export const LEAST_BYTES = 2 ** 29;

/** What a sample takes beside the load itself, and what starting and warming up a contender takes. */
const SAMPLE_SECONDS = 0.15;
const CONTENDER_SECONDS = 1.5;
/** What a large body goes at, near enough. */
const BYTES_A_SECOND = 500 * 2 ** 20;
const STARTS_SECONDS = 3;

export function takesPart({ among }: Work, contender: string): boolean {
  return among?.(contender) ?? true;
}

/** What one round of all works of a plan takes. */
export function secondsARound({ contenders, works }: Plan, seconds: number): number {
  return works.reduce((sum, work) => {
    const among = contenders.filter(({ name }) => takesPart(work, name));
    return sum + among.length * (secondsOf(work, seconds) + SAMPLE_SECONDS);
  }, 0);
}

function secondsOf({ type, bytes }: Work, seconds: number): number {
  if (type === "rate") return seconds;
  return type === "start" ? STARTS_SECONDS : Math.max(LEAST_BYTES, bytes) / BYTES_A_SECOND;
}

/** What it takes to get the contenders of the plans going. */
export function secondsToStart(plans: readonly Plan[]): number {
  return plans.reduce((sum, { contenders }) => sum + contenders.length * CONTENDER_SECONDS, 0);
}

/** How many rounds of what is left fit in the time that is left: one at least, `wanted` at most. */
export function roundsThatFit(wanted: number, secondsLeft: number, aRound: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(secondsLeft / Math.max(aRound, 0.001))));
}
