/** A bound on how many run at once, with a bounded line in front of it. */
import type { ServiceStatus, Stateful } from "../handler.ts";
import type { Lifeline } from "../lifeline.ts";
import { WaitingLine, type WaitingOptions } from "./waiting_line.ts";

export interface SlotOptions extends WaitingOptions {
  readonly max: number;
}

export class Slots implements Stateful {
  readonly #max: number;
  readonly #line: WaitingLine<void>;
  #taken = 0;

  constructor(options: SlotOptions) {
    this.#max = options.max;
    this.#line = new WaitingLine(options);
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#line.length;
  }

  status(): ServiceStatus {
    return { pool: { busy: this.#taken, idle: 0, waiting: this.waiting, max: this.#max } };
  }

  /**
   * Takes a slot, in the order of asking; undefined when one was free at once.
   * @throws {GatewayError} as {@link WaitingLine.wait}.
   */
  take(lifeline: Lifeline): Promise<void> | undefined {
    if (this.#taken >= this.#max) return this.#line.wait(lifeline);
    this.#taken++;
    return undefined;
  }

  /** Gives a slot back; whoever waited longest takes it over. */
  give(): void {
    const next = this.#line.next();
    if (next === undefined) this.#taken--;
    else next.resolve();
  }
}
