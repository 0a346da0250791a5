/**
 * A body that is sent and kept at once: it is read as fast as it comes, up to a limit, and any number of
 * readers follow, each at its own pace. Past the limit it is no longer kept here: its one reader, if there
 * is one, goes on with the source itself, and what it reads goes to the overflow too, if there is one; that
 * there is no more than one reader is its maker's care.
 *
 * The work behind it ends when the last of those who wait for it has left.
 */
import type { ByteSource } from "../exchange.ts";
import { joinedOrOnly } from "../protocol/joined.ts";
import { discard } from "./discard.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Takes a body that is too long to be kept here. It does not reject. */
export interface Overflow {
  /** The next piece; its memory is free again once this resolves. */
  write(piece: Uint8Array): Promise<void>;
  /** That was all. */
  end(): void;
  abort(): void;
}

export interface RecordingOptions {
  /** Bytes that are kept at most; -1: it is known to be too long. */
  readonly max: number;
  /** Asked for once the limit is passed. */
  readonly overflow?: () => Overflow | undefined;
  /** The length that was promised; undefined: none. */
  readonly length: number | undefined;
  /** Whether somebody waits for all of it without reading along. */
  readonly isAwaited: () => boolean;
}

export class Recording {
  readonly #source: ByteSource;
  readonly #options: RecordingOptions;
  readonly #pieces: Bytes[] = [];
  #state: "open" | "whole" | "outgrown" | "failed" = "open";
  #failure: Error | undefined;
  #size = 0;
  #readers = 0;
  #wake: (() => void)[] = [];
  #overflow: Overflow | undefined;
  /** Settles with all of the body; with undefined if it was not kept, for whatever reason. */
  readonly whole: Promise<Bytes | undefined>;

  constructor(source: ByteSource, options: RecordingOptions) {
    this.#source = source;
    this.#options = options;
    this.whole = this.#record();
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  /** Ends the work if nobody waits for it any more; whoever stops waiting calls it. */
  release(reason: Error): void {
    if (this.#readers > 0 || this.#options.isAwaited()) return;
    if (this.#state === "whole" || this.#state === "failed") return;
    this.#fail(reason);
    this.#source.cancel(reason);
  }

  /** A reader from the beginning. */
  reader(): ByteSource {
    this.#readers++;
    let at = 0;
    return {
      read: async () => {
        while (at >= this.#pieces.length && this.#state === "open") {
          await new Promise<void>((resolve) => this.#wake.push(resolve));
        }
        const piece = this.#pieces[at++];
        // The runtime takes what it sends out of our hands, memory and all.
        if (piece !== undefined) return piece.slice();
        if (this.#state === "outgrown") return await this.#readOn();
        if (this.#failure !== undefined) throw this.#failure;
        this.#readers--;
        return undefined;
      },
      cancel: (reason) => {
        this.#readers--;
        this.release(reason);
      },
    };
  }

  async #record(): Promise<Bytes | undefined> {
    const { max, length } = this.#options;
    try {
      while (this.#size <= max) {
        const piece = await this.#source.read();
        if (this.#state !== "open") return undefined;
        if (piece === undefined) return this.#end(length);
        // A source may read the next one into what is left of the same memory, which moves it.
        this.#pieces.push(piece.slice());
        this.#size += piece.length;
        this.#notify();
        if (this.#size === length) {
          // Whoever reads along may be gone before the source has said that this was all.
          void discard(this.#source, "All of it is there");
          return this.#end(length);
        }
      }
      this.#overflow = this.#options.overflow?.();
      this.#settle("outgrown");
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
    return undefined;
  }

  #end(length: number | undefined): Bytes | undefined {
    this.#settle("whole");
    // Short of its promise it is not whole, however well it ended.
    if (length !== undefined && length !== this.#size) return undefined;
    return joinedOrOnly(this.#pieces);
  }

  async #readOn(): Promise<Bytes | undefined> {
    for (const piece of this.#pieces.splice(0)) await this.#overflow?.write(piece);
    try {
      const piece = await this.#source.read();
      if (piece === undefined) {
        this.#settle("whole");
        this.#endOverflow();
        return undefined;
      }
      this.#size += piece.length;
      await this.#overflow?.write(piece);
      // Whoever knows the length need not ask for the end.
      if (this.#size === this.#options.length) this.#endOverflow();
      return piece;
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  #endOverflow(): void {
    const { length } = this.#options;
    if (length === undefined || length === this.#size) this.#overflow?.end();
    else this.#overflow?.abort();
    this.#overflow = undefined;
  }

  #fail(failure: Error): void {
    this.#failure ??= failure;
    this.#overflow?.abort();
    this.#settle("failed");
  }

  #settle(state: "whole" | "outgrown" | "failed"): void {
    if (this.#state !== "failed") this.#state = state;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resume of wake) resume();
  }
}
