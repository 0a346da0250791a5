/**
 * Lines on their way to a file or a standard stream, in order. A line after a pause is written at once; those
 * that follow are gathered, and written together a few times a second.
 */

/** Takes text away to be written; a file or a standard stream. */
export interface LogTarget {
  write(bytes: Uint8Array): Promise<number>;
  /** Takes all of it at once. */
  writeSync?(bytes: Uint8Array): number;
}

/** One target that several logs write to: what each writes at once stays together. */
export class SharedTarget implements LogTarget {
  readonly #target: LogTarget;
  readonly #tellLost: (lines: number) => void;
  #last: Promise<unknown> = Promise.resolve();
  /** Bytes that are offered and not yet taken. */
  #waiting = 0;
  #lost = 0;

  /** `tellLost` as for {@link LineWriter}. */
  constructor(target: LogTarget, tellLost: (lines: number) => void) {
    this.#target = target;
    this.#tellLost = tellLost;
  }

  write(bytes: Uint8Array): Promise<number> {
    const written = this.#last.then(() => this.#writeAll(bytes));
    this.#last = written.catch(() => {});
    return written;
  }

  /** Whole lines of somebody who does not wait: written in turn, or lost where too much waits already. */
  async offer(bytes: Uint8Array): Promise<void> {
    if (this.#waiting > MAX_WAITING) {
      this.#lost += linesIn(bytes);
      return;
    }
    this.#waiting += bytes.length;
    // Nobody may read the log any more (a closed pipe): serving goes on.
    await this.write(bytes).catch(() => {});
    this.#waiting -= bytes.length;
    if (this.#lost === 0 || this.#waiting > 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#tellLost(lost);
  }

  /** Resolves when all that was handed over is written. */
  async flush(): Promise<void> {
    await this.#last;
  }

  async #writeAll(bytes: Uint8Array): Promise<number> {
    for (let at = 0; at < bytes.length;) at += await this.#target.write(bytes.subarray(at));
    return bytes.length;
  }
}

function linesIn(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) lines++;
  return lines;
}

const LINE_FEED = 0x0a;
const FLUSH_MS = 100;
const FLUSH_CHARACTERS = 65_536;
/** What waits for a target that takes nothing. Past that lines are lost rather than memory. */
const MAX_WAITING = 8 * 2 ** 20;
const UTF8 = new TextEncoder();

export class LineWriter {
  #target: LogTarget;
  readonly #tellLost: (lines: number) => void;
  /** Bytes that are handed over and not yet taken. */
  #waiting = 0;
  #lost = 0;
  #text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flushedAt = -Infinity;
  #writing: Promise<void> = Promise.resolve();

  /** `tellLost` is called when lines can be written again, of which some could not. */
  constructor(target: LogTarget, tellLost: (lines: number) => void) {
    this.#target = target;
    this.#tellLost = tellLost;
  }

  write(line: string): void {
    if (this.#waiting > MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#text += line + "\n";
    if (this.#text.length > FLUSH_CHARACTERS) this.flush();
    else if (this.#timer === undefined) this.#writeSoon();
  }

  #writeSoon(): void {
    // Then there is nothing to gather; and the runtime's first timer takes it a while.
    if (performance.now() - this.#flushedAt > FLUSH_MS) this.flush();
    else this.#timer = setTimeout(() => this.flush(), FLUSH_MS);
  }

  flush(): Promise<void> {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#text === "") return this.#writing;
    this.#flushedAt = performance.now();
    const bytes = UTF8.encode(this.#text);
    this.#text = "";
    this.#waiting += bytes.length;
    return this.#writing = this.#writing.then(() => this.#writeAll(bytes));
  }

  /** Hands over what is left where no other turn will come. */
  flushAtEnd(): void {
    this.#target.writeSync?.(UTF8.encode(this.#text));
    this.#text = "";
  }

  /** Lines from now on go to another target, which is asked for when those before are written. */
  turnTo(target: () => LogTarget): void {
    this.flush();
    this.#writing = this.#writing.then(() => {
      this.#target = target();
    });
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#target.write(bytes.subarray(at));
    } catch {
      // Nobody reads the log any more (a closed pipe): serving goes on.
    }
    this.#waiting -= bytes.length;
    if (this.#lost === 0 || this.#waiting > 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#tellLost(lost);
  }
}
