/**
 * Turns what a program writes to its error stream into log lines that cannot flood: capped in length,
 * and in number per request. What is left out is counted and said.
 */
import type { ServiceLog } from "../handler.ts";

const MAX_LINE = 2048;
const MAX_LINES = 200;
const NEWLINE = 10;

/** Collects the error stream of one request (or, with an id of its own, of one process). */
export class ProgramLog {
  readonly #log: ServiceLog;
  readonly #id: string;
  readonly #decoder = new TextDecoder();
  #line = "";
  #lines = 0;
  #dropped = 0;
  /** The first lines, for error pages under `server.dev`. */
  #excerpt = "";

  constructor(log: ServiceLog, id: string) {
    this.#log = log;
    this.#id = id;
  }

  get excerpt(): string {
    return this.#excerpt + this.#line;
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
    if (this.#line !== "") this.#endLine();
    if (this.#dropped > 0) {
      this.#log.program(this.#id, `… ${this.#dropped} more lines left out`);
      this.#dropped = 0;
    }
  }

  #append(bytes: Uint8Array): void {
    const room = MAX_LINE - this.#line.length;
    if (room <= 0 || bytes.length === 0) return;
    this.#line += this.#decoder.decode(bytes.subarray(0, room));
    if (bytes.length > room) this.#line += "…";
  }

  #endLine(): void {
    const line = this.#line;
    this.#line = "";
    if (this.#lines++ >= MAX_LINES) {
      this.#dropped++;
      return;
    }
    if (this.#excerpt.length < MAX_LINE) this.#excerpt += line + "\n";
    this.#log.program(this.#id, line.replace(/\r$/, ""));
  }
}
