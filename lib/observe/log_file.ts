/** A file that lines are appended to. Whoever moves it away has it opened anew (SIGUSR1, as nginx does). */
import type { LogTarget } from "./line_writer.ts";

export class LogFile implements LogTarget {
  #file: Deno.FsFile;

  /** @throws {Error} whose message an operator understands. */
  constructor(readonly path: string) {
    this.#file = open(path);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#file.write(bytes);
  }

  writeSync(bytes: Uint8Array): number {
    return this.#file.writeSync(bytes);
  }

  /** Nothing may be being written. The old one is kept if that cannot be. */
  reopen(): void {
    const fresh = open(this.path);
    this.#file.close();
    this.#file = fresh;
  }

  close(): void {
    this.#file.close();
  }
}

function open(path: string): Deno.FsFile {
  try {
    // Clients' addresses are nobody's business but the operator's group.
    return Deno.openSync(path, { append: true, create: true, mode: 0o640 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot write the log ${path}: ${reason}`, { cause: error });
  }
}
