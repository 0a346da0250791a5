/**
 * Milliseconds since 1970 by a clock that nobody sets: what is kept for a minute is kept for a minute, also
 * where the machine's clock is put back by a day meanwhile.
 */
export function steadyNow(): number {
  return Math.trunc(BEGUN + performance.now());
}

/** When the process began. */
const BEGUN = performance.timeOrigin;
