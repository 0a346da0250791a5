/**
 * The error stream of a CGI program, drained from the first moment on, for a program that nobody listens
 * to stops once its pipe is full: to the log, line by line, but for the figures of GNU time.
 */
import type { ServiceLog } from "../handler.ts";
import { type Usage, UsageFilter } from "./cgi_usage.ts";
import { Patience } from "./patience.ts";
import { ProgramLog } from "./program_log.ts";

/** Most programs say nothing, and a buffer is made for each: see tests/bench. */
const PIECE = 1024;
/** How long words may still come after the process has exited: somebody else holds the pipe then. */
const LAST_WORDS_MS = 300;

export class CgiErrors {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #lines: ProgramLog;
  readonly #filter: UsageFilter | undefined;
  readonly #drained: Promise<void>;
  #isDrained = false;

  /** `marker`: how the line of figures begins, if one is to come. */
  constructor(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    log: ServiceLog,
    id: string,
    marker: string | undefined,
  ) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#lines = new ProgramLog(log, id);
    this.#filter = marker === undefined ? undefined : new UsageFilter(marker);
    this.#drained = this.#drain();
  }

  /** The first lines. */
  get excerpt(): string {
    return this.#lines.excerpt;
  }

  /** What the run used, once its last words have come. */
  get usage(): Usage | undefined {
    return this.#filter?.usage;
  }

  /** True if what the run used is yet to be told, after the process has exited. */
  get tellsUsage(): boolean {
    return this.#filter !== undefined;
  }

  /** The process has exited: waits for what is still in the pipe, not for others who hold it open. */
  async end(): Promise<void> {
    if (this.#isDrained) return;
    const stop = new Patience(LAST_WORDS_MS, () => this.#reader.cancel().catch(() => {}));
    await this.#drained;
    stop.end();
  }

  async #drain(): Promise<void> {
    try {
      let piece = await this.#reader.read(new Uint8Array(PIECE));
      while (piece.value !== undefined && piece.value.length > 0) {
        this.#lines.push(this.#filter?.push(piece.value) ?? piece.value);
        piece = await this.#reader.read(new Uint8Array(piece.value.buffer));
      }
    } catch {
      // The pipe broke with the process.
    }
    if (this.#filter !== undefined) this.#lines.push(this.#filter.end());
    this.#lines.end();
    this.#isDrained = true;
  }
}
