/**
 * What falls to one of several workers of a number that the table means for all of them together
 * (`server.workers`): processes, connections, places in a queue, bytes. Pure.
 */

/** One of so many workers. */
export interface Part {
  /** From 0. */
  readonly index: number;
  readonly of: number;
}

/** A gateway without workers beside it. */
const WHOLE: Part = { index: 0, of: 1 };

/** The parts of all workers come to `total`, or to their number if it is less: nobody goes without. */
export function partOf(total: number, part: Part = WHOLE): number {
  return total === 0 ? 0 : Math.max(1, exactPartOf(total, part));
}

/** The parts of all workers come to `total`: some may have nothing. */
export function exactPartOf(total: number, { index, of }: Part = WHOLE): number {
  if (!Number.isFinite(total)) return total;
  return Math.floor(total / of) + (index < total % of ? 1 : 0);
}
