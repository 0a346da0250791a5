/**
 * Turns what a program writes to its error stream into log lines that cannot flood: capped in length,
 * and in number for a time. What is left out is counted and said.
 */
import type { ServiceLog } from "../handler.ts";

/** Bytes. */
const MAX_LINE = 2048;
/** Lines within a window. */
const MAX_LINES = 200;
const WINDOW_MS = 10_000;
const NEWLINE = 10;
const UTF8 = new TextDecoder();

/** Collects the error stream of one request (or, with an id of its own, of one process). */
export class ProgramLog {
  readonly #log: ServiceLog;
  readonly #id: string;
  /** The beginning of the unfinished line; made with the first bytes, for most programs say nothing. */
  #line: Uint8Array | undefined;
  /** Of all of the line, what was left out too. */
  #length = 0;
  #lines = 0;
  #windowStart = performance.now();
  #dropped = 0;
  /** The first lines, for error pages under `server.dev`. */
  #excerpt = "";

  constructor(log: ServiceLog, id: string) {
    this.#log = log;
    this.#id = id;
  }

  get excerpt(): string {
    return this.#excerpt + this.#text;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#append(chunk.subarray(from, at));
      this.#endLine();
      from = at + 1;
    }
    this.#append(chunk.subarray(from));
  }

  /** Writes an unfinished last line and the count of what was left out. */
  end(): void {
    if (this.#length > 0) this.#endLine();
    this.#tellDropped();
  }

  #append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#line ??= new Uint8Array(MAX_LINE);
    const room = MAX_LINE - this.#length;
    if (room > 0) this.#line.set(bytes.subarray(0, room), this.#length);
    this.#length += bytes.length;
  }

  /** Decoded as a whole: a character may come in two pieces. */
  get #text(): string {
    if (this.#line === undefined) return "";
    const kept = UTF8.decode(this.#line.subarray(0, this.#length));
    return this.#length > MAX_LINE ? `${kept}…` : kept;
  }

  #endLine(): void {
    const line = this.#text;
    this.#length = 0;
    const now = performance.now();
    if (now - this.#windowStart > WINDOW_MS) {
      this.#tellDropped();
      this.#windowStart = now;
      this.#lines = 0;
    }
    if (this.#lines++ >= MAX_LINES) {
      this.#dropped++;
      return;
    }
    if (this.#excerpt.length < MAX_LINE) this.#excerpt += line + "\n";
    this.#log.program(this.#id, line.replace(/\r$/, ""));
  }

  #tellDropped(): void {
    if (this.#dropped > 0) this.#log.program(this.#id, `… ${this.#dropped} more lines left out`);
    this.#dropped = 0;
  }
}
