/**
 * Where a request stands in a distributed trace: what programs are told of it (W3C Trace Context), and the
 * phases of its way with their exact times, where somebody wants to know them.
 */
import { failureOf } from "./errors.ts";

/** By which fields a trace travels (lower case). Those of a traced request's client end at the gateway. */
export function isTraceField(lowerName: string): boolean {
  return lowerName === "traceparent" || lowerName === "tracestate";
}

export type PhaseName =
  | "request_body"
  | "queue"
  | "connect"
  | "spawn"
  | "first_byte"
  | "response_body";

/** A part of a request's way; times by `performance.now()`. */
export interface Phase {
  readonly name: PhaseName;
  readonly from: number;
  readonly to: number;
  /** The stable name of why it came to nothing; undefined: it did not. */
  readonly failure: string | undefined;
}

export class Trace {
  /** Undefined: the request is not recorded. */
  readonly phases: Phase[] | undefined;

  /**
   * `traceparent`: as programs get it, its parent id that of the gateway's own span; `tracestate`:
   * undefined if there is none.
   */
  constructor(
    readonly traceparent: string,
    readonly tracestate: string | undefined,
    isRecorded: boolean,
  ) {
    this.phases = isRecorded ? [] : undefined;
  }

  /** A phase ends now; `error`: in vain. */
  ended(name: PhaseName, from: number, error?: unknown): void {
    if (this.phases === undefined) return;
    const failure = error === undefined ? undefined : failureOf(error);
    this.phases.push({ name, from, to: performance.now(), failure });
  }
}
