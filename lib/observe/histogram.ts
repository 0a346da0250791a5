/**
 * Times in buckets: a histogram that only grows, and a ring of them for the last seconds or minutes.
 *
 * Strategy: arrays that are made once; a request costs one search for its bucket, which all that count
 * it then share, and a few additions.
 */

/**
 * Upper bounds in seconds: those of OpenTelemetry's `http.server.request.duration`, with finer ones
 * below, for many answers of a gateway take less than a millisecond.
 */
export const TIME_BOUNDS: readonly number[] = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.075,
  0.1,
  0.25,
  0.5,
  0.75,
  1,
  2.5,
  5,
  7.5,
  10,
];

/** Upper bounds in bytes. */
export const SIZE_BOUNDS: readonly number[] = [
  256,
  1024,
  4096,
  16_384,
  65_536,
  262_144,
  1_048_576,
  16_777_216,
  134_217_728,
];

/** Where a value belongs; the last bucket has no bound. */
export function bucketOf(bounds: readonly number[], value: number): number {
  let at = 0;
  while (at < bounds.length && value > (bounds[at] ?? 0)) at++;
  return at;
}

/** What a histogram holds, to be sent elsewhere. */
export interface HistogramRecord {
  readonly counts: readonly number[];
  readonly sum: number;
}

export class Histogram {
  readonly bounds: readonly number[];
  /** How many fell into each bucket, and into no lower one. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    return sumOf(this.counts);
  }

  observe(value: number, bucket = bucketOf(this.bounds, value)): void {
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }

  record(): HistogramRecord {
    return { counts: [...this.counts], sum: this.sum };
  }

  absorb({ counts, sum }: HistogramRecord): void {
    counts.forEach((count, at) => this.counts[at] = (this.counts[at] ?? 0) + count);
    this.sum += sum;
  }
}

/**
 * The value that a share `q` of all stays below, taken as evenly spread within its bucket, as
 * Prometheus' `histogram_quantile` does; undefined of nothing.
 */
export function quantile(
  bounds: readonly number[],
  counts: ArrayLike<number>,
  q: number,
): number | undefined {
  const rank = sumOf(counts) * q;
  if (rank === 0) return undefined;
  let below = 0;
  for (let at = 0; at < bounds.length; at++) {
    const count = counts[at] ?? 0;
    if (below + count >= rank) {
      const least = bounds[at - 1] ?? 0;
      return least + ((bounds[at] ?? 0) - least) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1);
}

function sumOf(counts: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < counts.length; at++) sum += counts[at] ?? 0;
  return sum;
}

/** What one period of a ring saw. */
export interface Period {
  /** Its number since the epoch, in periods. */
  number: number;
  requests: number;
  /** Answers of 500 and above, and those that were cut short. */
  failed: number;
  readonly counts: Float64Array;
}

/** As {@link Period}, to be sent elsewhere. */
export interface PeriodRecord extends Omit<Period, "counts"> {
  readonly counts: readonly number[];
}

/** The last periods; those in which nothing happened are made up when they are looked at. */
export class Ring {
  readonly #periodMs: number;
  readonly #periods: readonly Period[];

  constructor(length: number, periodMs: number) {
    this.#periodMs = periodMs;
    this.#periods = Array.from({ length }, () => emptyPeriod(-1));
  }

  get periodMs(): number {
    return this.#periodMs;
  }

  /** `now` by Date.now(). */
  add(now: number, bucket: number, failed: boolean): void {
    const period = this.#period(Math.floor(now / this.#periodMs));
    if (period === undefined) return;
    period.requests++;
    if (failed) period.failed++;
    period.counts[bucket] = (period.counts[bucket] ?? 0) + 1;
  }

  /** The periods in which something happened. */
  records(now: number): readonly PeriodRecord[] {
    return this.list(now).filter(({ requests }) => requests > 0)
      .map((period) => ({ ...period, counts: [...period.counts] }));
  }

  absorb(records: readonly PeriodRecord[]): void {
    for (const { number, requests, failed, counts } of records) {
      const period = this.#period(number);
      if (period === undefined) continue;
      period.requests += requests;
      period.failed += failed;
      counts.forEach((count, at) => period.counts[at] = (period.counts[at] ?? 0) + count);
    }
  }

  /** The period of this number, emptied of an earlier one; undefined: a later one has its place. */
  #period(number: number): Period | undefined {
    const period = this.#periods[number % this.#periods.length];
    if (period === undefined || period.number > number) return undefined;
    if (period.number < number) {
      period.number = number;
      period.requests = 0;
      period.failed = 0;
      period.counts.fill(0);
    }
    return period;
  }

  /** All periods, the oldest first; the last one is not over yet. */
  list(now: number): readonly Period[] {
    const current = Math.floor(now / this.#periodMs);
    const { length } = this.#periods;
    return Array.from({ length }, (_, index) => {
      const number = current - length + 1 + index;
      const period = this.#periods[((number % length) + length) % length];
      return period?.number === number ? period : emptyPeriod(number);
    });
  }
}

function emptyPeriod(number: number): Period {
  return { number, requests: 0, failed: 0, counts: new Float64Array(TIME_BOUNDS.length + 1) };
}

/** Several histograms over the same bounds as one. */
export function merged(all: Iterable<Float64Array>): Float64Array {
  const sum = new Float64Array(TIME_BOUNDS.length + 1);
  for (const counts of all) {
    for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + (counts[at] ?? 0);
  }
  return sum;
}
