/** What became of the requests, by kind. */

/** What became of one. */
export type Fate =
  /** It came whole, and proved to be its request's. */
  | "whole"
  /** The client left. */
  | "left"
  /** An honest failure while what is behind the route was being restarted. */
  | "disturbed"
  /** A failure, or an answer cut short, that nothing explains. */
  | "lost"
  /** Bytes that are not its request's. */
  | "mixed";

const FATES: readonly Fate[] = ["whole", "left", "disturbed", "lost", "mixed"];
const KEPT = 20;

export class Tally {
  readonly #counts = new Map<string, Map<Fate, number>>();
  /** What is wrong, the first of it. */
  readonly faults: string[] = [];

  count(kind: string, fate: Fate, why = ""): void {
    const counts = this.#counts.get(kind) ?? new Map<Fate, number>();
    this.#counts.set(kind, counts.set(fate, (counts.get(fate) ?? 0) + 1));
    if ((fate === "lost" || fate === "mixed") && this.faults.length < KEPT) {
      this.faults.push(`${new Date().toISOString()} ${kind}: ${fate}: ${why}`);
    }
  }

  of(fate: Fate): number {
    return [...this.#counts.values()].reduce((sum, counts) => sum + (counts.get(fate) ?? 0), 0);
  }

  get kinds(): readonly string[] {
    return [...this.#counts.keys()];
  }

  /** As lines of a table. */
  lines(): string[] {
    const row = (cells: readonly (string | number)[]) =>
      cells.map((cell, at) => at === 0 ? String(cell).padEnd(10) : String(cell).padStart(10))
        .join("");
    const kinds = [...this.#counts].sort(([a], [b]) => a < b ? -1 : 1);
    return [
      row(["kind", ...FATES]),
      ...kinds.map(([kind, counts]) => row([kind, ...FATES.map((fate) => counts.get(fate) ?? 0)])),
      row(["all", ...FATES.map((fate) => this.of(fate))]),
    ];
  }
}

/** Which servers are being restarted, and until when that is an excuse. */
export class Weather {
  readonly #storms = new Map<string, number>();
  readonly #calmSince = new Map<string, number>();

  async storm(group: string, work: () => Promise<void>): Promise<void> {
    this.#storms.set(group, (this.#storms.get(group) ?? 0) + 1);
    try {
      await work();
    } finally {
      this.#storms.set(group, (this.#storms.get(group) ?? 0) - 1);
      this.#calmSince.set(group, performance.now());
    }
  }

  /** Whether it stormed at some time from then to now, or just before. */
  excuses(group: string | undefined, from: number): boolean {
    if (group === undefined) return false;
    if ((this.#storms.get(group) ?? 0) > 0) return true;
    return (this.#calmSince.get(group) ?? -Infinity) + AFTERMATH_MS > from;
  }
}

/** A process that was killed is back by then, and a balancer asks again. */
const AFTERMATH_MS = 3000;
