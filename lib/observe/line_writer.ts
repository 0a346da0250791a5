/**
 * Lines on their way to a file or a standard stream, in order. A line after a pause is written at once; those
 * that follow are gathered, and written together a few times a second.
 */

/** Takes text away to be written; a file or a standard stream. */
export interface LogTarget {
  write(bytes: Uint8Array): Promise<number>;
}

const FLUSH_MS = 100;
const FLUSH_CHARACTERS = 65_536;
const UTF8 = new TextEncoder();

export class LineWriter {
  #target: LogTarget;
  #text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flushedAt = -Infinity;
  #writing: Promise<void> = Promise.resolve();

  constructor(target: LogTarget) {
    this.#target = target;
  }

  write(line: string): void {
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
    return this.#writing = this.#writing.then(() => this.#writeAll(bytes));
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
  }
}
