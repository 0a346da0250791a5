/**
 * Ties the work on a request to the reasons for ending it early: the client left, a time ran out, the
 * server stops. Whoever waits on a program or a socket listens here and lets go.
 *
 * Why not the request's own AbortSignal: touching it costs a quarter of a small request, and it tells of
 * one reason alone. Here listeners run at once, in order, and get the reason that the answer is made of.
 */

import { Ledger } from "./ledger.ts";
import type { Trace } from "./trace.ts";

/** Called once, with the reason. */
export type CutListener = (reason: Error) => void;

export class Lifeline {
  #reason: Error | undefined;
  #listeners: CutListener[] | undefined;
  /** Where the request stands in a trace; undefined: nobody traces. */
  trace: Trace | undefined;
  /** When the program got the request, by `performance.now()`; 0 until then. */
  #handedOver = 0;
  #ledger: Ledger | undefined;

  /** What the request cost. Made when first asked for: most small answers cost nothing worth telling. */
  get ledger(): Ledger {
    return this.#ledger ??= new Ledger(this.trace);
  }

  /** The ledger if anything was written into it. */
  get writtenLedger(): Ledger | undefined {
    return this.#ledger;
  }

  /** Why the work shall end; undefined while it shall go on. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  get handedOverAt(): number {
    return this.#handedOver;
  }

  /** The program has the whole request, or the server's share of it: the first-byte clock starts. */
  handOver(now = performance.now()): void {
    this.#handedOver = now;
  }

  /** Ends the work. The first reason stands. */
  cut(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    listeners?.forEach((listener) => listener(reason));
  }

  /** Throws the reason if the work shall end. */
  throwIfCut(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** Calls `listener` when the work shall end; at once if it already shall. */
  onCut(listener: CutListener): void {
    if (this.#reason !== undefined) return listener(this.#reason);
    if (this.#listeners === undefined) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  /** Takes a listener off again. */
  forget(listener: CutListener): void {
    const listeners = this.#listeners;
    if (listeners === undefined) return;
    // Mostly it is the last one, and `splice` would make an array of it.
    if (listeners.at(-1) === listener) listeners.pop();
    else this.#listeners = listeners.filter((other) => other !== listener);
  }
}
