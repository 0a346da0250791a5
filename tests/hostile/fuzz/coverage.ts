/**
 * Which parts of the sources an input reaches, told by the engine's own block coverage: what guides the
 * fuzzer, without any instrumentation or package.
 */
import { Session } from "node:inspector/promises";

interface Script {
  readonly url: string;
  readonly functions: readonly {
    readonly ranges: readonly { startOffset: number; endOffset: number; count: number }[];
  }[];
}

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  static async start(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post("Profiler.enable");
    const options = { callCount: true, detailed: true };
    await coverage.#session.post("Profiler.startPreciseCoverage", options);
    return coverage;
  }

  get size(): number {
    return this.#seen.size;
  }

  /** The blocks of lib that ran since it was last asked. */
  async take(): Promise<string[]> {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage") as {
      result: readonly Script[];
    };
    return result.filter(({ url }) => url.includes("/lib/")).flatMap(({ url, functions }) =>
      functions.flatMap(({ ranges }) =>
        ranges.filter(({ count }) => count > 0)
          .map(({ startOffset, endOffset }) => `${url}:${startOffset}-${endOffset}`)
      )
    );
  }

  /** From now on these were reached. */
  claim(blocks: readonly string[]): void {
    for (const block of blocks) this.#seen.add(block);
  }

  hasNew(blocks: readonly string[]): boolean {
    return blocks.some((block) => !this.#seen.has(block));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.post("Profiler.stopPreciseCoverage");
    await this.#session.post("Profiler.disable");
    this.#session.disconnect();
  }
}
