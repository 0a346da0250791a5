/**
 * Descriptors kept for bad times. When there are none left the listener has ended, and what is kept here is
 * for the requests under way: to start programs, connect and open files with, which new connections would
 * else take from them. The listener comes back once there are as many again, and some to accept by.
 *
 * They are held open on a file that may be read anyway, for the runtime gives out no others unasked.
 */
import { isOutOfDescriptors } from "./shortage.ts";

/** A CGI program takes some eight while it is started and four while it runs. */
const KEPT = 24;

export class Reserve {
  readonly #file: string | undefined;
  readonly #held: Deno.FsFile[] = [];
  readonly #kept: number;

  /** Undefined: nothing is kept. Where there are few from the beginning, no more than half of them is. */
  constructor(file: string | undefined) {
    this.#file = file;
    this.#take(2 * KEPT);
    this.#kept = Math.floor(this.#held.length / 2);
    this.#giveBut(this.#kept);
  }

  /** Takes back what was given up; false: there are not enough yet, and none is held. */
  fill(): boolean {
    const isEnough = this.#take(this.#kept + Math.floor(this.#kept / 2));
    this.#giveBut(isEnough ? this.#kept : 0);
    return isEnough;
  }

  /** Gives them to whoever is quick. */
  release(): void {
    this.#giveBut(0);
  }

  #giveBut(count: number): void {
    for (const file of this.#held.splice(count)) file.close();
  }

  #take(count: number): boolean {
    try {
      while (this.#file !== undefined && this.#held.length < count) {
        this.#held.push(Deno.openSync(this.#file));
      }
    } catch (error) {
      if (isOutOfDescriptors(error)) return false;
      // The file is gone: one does without.
    }
    return true;
  }
}
