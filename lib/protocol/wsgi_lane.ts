/**
 * The short way between the gateway and a worker: calls and answers that are small go through memory
 * that both share, where a message by the runtime costs several times as much.
 *
 * Strategy: what one turn of the event loop says is published together. While a turn lasts, its end is
 * when this side looks for what the other has said; only one that waits for events is woken. Whoever gets
 * a message by the long way looks here first, so that a call is never overtaken. Pure.
 */
import { newRing, RingReader, RingWriter, type Take } from "./shared_ring.ts";

/** Bytes on their way in each direction. What finds no room goes the long way. */
const ROOM = 131_072;
/** A body with more bytes than this goes over faster in memory of its own. */
export const MAX_SHORT = 16_384;

/** What both ends share. */
export interface LaneMemory {
  readonly toWorker: SharedArrayBuffer;
  readonly toGateway: SharedArrayBuffer;
}

export function newLane(): LaneMemory {
  return { toWorker: newRing(ROOM), toGateway: newRing(ROOM) };
}

/** What happens at this end. */
export interface LaneEvents {
  readonly take: Take;
  /** What the other side has written makes no sense. */
  broken(error: Error): void;
}

/** One end of it. */
export class Lane {
  readonly #heard: RingReader;
  readonly #said: RingWriter;
  readonly #events: LaneEvents;
  /** The end of this turn will look. */
  #stirred = false;
  #looking = false;
  #closed = false;

  constructor(heard: SharedArrayBuffer, said: SharedArrayBuffer, events: LaneEvents) {
    this.#heard = new RingReader(heard);
    this.#said = new RingWriter(said);
    this.#events = events;
    this.#listen();
  }

  /** Says something at the end of this turn; false: it has to go the long way. */
  post(number: number, texts: readonly string[], bytes: Uint8Array | null): boolean {
    if (this.#closed || !this.#said.write(number, texts, bytes)) return false;
    if (!this.#stirred && !this.#looking) this.#stir();
    return true;
  }

  /** Says now what was to be said at the end of this turn. */
  flush(): void {
    this.#said.publish();
  }

  /** Takes what the other side has said. */
  look(): void {
    if (this.#looking || this.#closed) return;
    this.#looking = true;
    try {
      this.#heard.drain(this.#events.take);
      this.#said.publish();
    } catch (error) {
      this.#broken(error);
    }
    this.#looking = false;
    // What has come since can wait until the loop has been round: there may be more then.
    if (!this.#stirred && !this.#heard.sleep()) this.#stir();
  }

  close(): void {
    this.#closed = true;
    this.#heard.ring();
  }

  #stir(): void {
    this.#stirred = true;
    this.#heard.wake();
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#stirred = false;
    this.look();
  };

  async #listen(): Promise<void> {
    try {
      while (!this.#closed) {
        const woken = this.#heard.woken();
        this.look();
        await woken;
      }
    } catch (error) {
      this.#broken(error);
    }
  }

  #broken(error: unknown): void {
    this.close();
    this.#events.broken(error instanceof Error ? error : new Error(String(error)));
  }
}
