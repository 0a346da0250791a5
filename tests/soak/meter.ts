/** What a process takes of the machine, looked at again and again. Linux alone. */

export interface Sample {
  /** Since the meter began. */
  readonly seconds: number;
  /** Resident memory. */
  readonly bytes: number;
  readonly descriptors: number;
  /** Processes below it. */
  readonly children: number;
}

export class Meter implements Disposable {
  readonly samples: Sample[] = [];
  readonly #pid: number;
  readonly #begin = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(pid: number, everyMs: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.look(), everyMs);
  }

  look(): Sample {
    const sample = {
      seconds: (performance.now() - this.#begin) / 1000,
      bytes: residentOf(this.#pid),
      descriptors: descriptorsOf(this.#pid),
      children: childrenOf(this.#pid).length,
    };
    this.samples.push(sample);
    return sample;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

export function residentOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** The processes that it has started, and those that they have. Zombies count. */
export function childrenOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent !== undefined) parents.set(Number(name), parent);
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === root || isBelow(parent));
  };
  return [...parents.keys()].filter(isBelow);
}

/** The name of a program may hold anything, so what counts is behind its last parenthesis. */
function parentOf(pid: string): number | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

/** How memory goes up, in bytes a minute: the line that fits the samples best (least squares). */
export function slopeOf(samples: readonly Sample[]): number {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const at = mean(samples.map(({ seconds }) => seconds));
  const level = mean(samples.map(({ bytes }) => bytes));
  let product = 0;
  let square = 0;
  for (const { seconds, bytes } of samples) {
    product += (seconds - at) * (bytes - level);
    square += (seconds - at) ** 2;
  }
  return square === 0 ? 0 : 60 * product / square;
}
