/**
 * A reply's body on its way to the client: counted, tied to the request's lifeline, and told off when
 * the client leaves. A body that fails is aborted, never ended as if whole.
 */
import { ClientGone, markReported } from "./errors.ts";
import type { ByteSource } from "./exchange.ts";
import type { Lifeline } from "./lifeline.ts";

/** Written by the delivery, read by whoever watches for clients that take nothing. */
export interface Progress {
  /** By `performance.now()`; 0 while the program is waited for. */
  offeredAt: number;
}

export interface DeliveryOptions {
  readonly lifeline: Lifeline;
  /** Tells since when the client has been offered something. */
  readonly progress: Progress;
  /** What becomes of the program when the client leaves. */
  readonly onAbort: "kill" | "finish";
  /** Called once: bytes handed over, and why it ended early if it did. */
  done(bytes: number, failure: Error | undefined): void;
}

/** Makes the web stream that the runtime sends from. One piece is asked for when the last was taken. */
export function deliver(source: ByteSource, options: DeliveryOptions): ReadableStream<Uint8Array> {
  const { whole } = source;
  const delivery = whole ? new WholeDelivery(whole, options) : new Delivery(source, options);
  return new ReadableStream(delivery, { highWaterMark: 0 });
}

/** Hands all over in one turn: from then on nothing is left that could be cut. */
class WholeDelivery implements UnderlyingDefaultSource<Uint8Array> {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #options: DeliveryOptions;
  #controller: Controller | undefined;
  readonly #cut = (reason: Error) => {
    this.#controller?.error(reason);
    this.#finish(0, reason);
  };

  constructor(bytes: Uint8Array<ArrayBuffer>, options: DeliveryOptions) {
    this.#bytes = bytes;
    this.#options = options;
  }

  start(controller: Controller): void {
    this.#controller = controller;
    this.#options.lifeline.onCut(this.#cut);
  }

  pull(controller: Controller): void {
    controller.enqueue(this.#bytes);
    controller.close();
    this.#finish(this.#bytes.length, undefined);
  }

  cancel(): void {
    this.#finish(0, new ClientGone());
  }

  #finish(bytes: number, failure: Error | undefined): void {
    this.#options.lifeline.forget(this.#cut);
    this.#options.done(bytes, failure);
  }
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

class Delivery implements UnderlyingDefaultSource<Uint8Array> {
  readonly #source: ByteSource;
  readonly #options: DeliveryOptions;
  #controller: Controller | undefined;
  /** The read under way, or the last one. */
  #reading: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;
  #bytes = 0;
  /** The client has gone, and the program goes on without it. */
  #left = false;
  #over = false;
  readonly #cut = (reason: Error) => {
    if (this.#over) return;
    this.#source.cancel(reason);
    markReported(reason);
    this.#controller?.error(reason);
    this.#finish(reason);
  };

  constructor(source: ByteSource, options: DeliveryOptions) {
    this.#source = source;
    this.#options = options;
  }

  start(controller: Controller): void {
    this.#controller = controller;
    this.#options.lifeline.onCut(this.#cut);
  }

  async pull(controller: Controller): Promise<void> {
    const { progress } = this.#options;
    progress.offeredAt = 0;
    try {
      const piece = await (this.#reading = this.#source.read());
      if (this.#over || this.#left) return;
      if (piece === undefined) {
        controller.close();
        this.#finish(undefined);
        return;
      }
      this.#bytes += piece.length;
      progress.offeredAt = performance.now();
      controller.enqueue(piece);
    } catch (error) {
      if (this.#over || this.#left) return;
      const failure = error instanceof Error ? error : new Error(String(error));
      markReported(failure);
      controller.error(failure);
      this.#finish(failure);
    }
  }

  cancel(): void {
    if (this.#over) return;
    this.#options.progress.offeredAt = 0;
    if (this.#options.onAbort === "finish") {
      this.#left = true;
      this.#drain();
      return;
    }
    const gone = new ClientGone();
    this.#source.cancel(gone);
    this.#finish(gone);
  }

  /** Lets the program run to its end for nobody; until then its time limits hold. */
  async #drain(): Promise<void> {
    try {
      let piece = await (this.#reading ?? this.#source.read());
      while (piece !== undefined && !this.#over) piece = await this.#source.read();
    } catch {
      // It failed where nobody could see it.
    }
    if (!this.#over) this.#finish(new ClientGone());
  }

  #finish(failure: Error | undefined): void {
    this.#over = true;
    this.#options.lifeline.forget(this.#cut);
    this.#options.done(this.#bytes, failure);
  }
}
