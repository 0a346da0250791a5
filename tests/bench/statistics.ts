/** The little arithmetic that the benchmarks need. Pure. */

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** The median of what is there, or undefined if nothing is. */
export function medianOfSome(values: readonly (number | undefined)[]): number | undefined {
  const some = values.filter((value) => value !== undefined);
  return some.length === 0 ? undefined : medianOf(some);
}

export interface Spread {
  readonly min: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return values.length === 0
    ? { min: 0, max: 0 }
    : { min: Math.min(...values), max: Math.max(...values) };
}

/**
 * How `ours` stood to `theirs` in each round. The two samples of a round are neighbours in time, so what
 * slowed the machine down for both is not in their ratio.
 */
export function pairedRatios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.flatMap((value, round) => {
    const other = theirs[round];
    return other === undefined || other === 0 ? [] : [value / other];
  });
}
