/** What is known of a request when it is over: all that is counted and remembered is made of it. */
import type { Ledger } from "../ledger.ts";

/** A request that is over. */
export interface Done {
  readonly id: string;
  readonly method: string;
  readonly target: string;
  readonly status: number;
  /** Bytes of the answer's body; undefined: nobody counted them. */
  readonly bytes: number | undefined;
  readonly durationMs: number;
  readonly firstByteMs: number;
  /** The cause's stable name; undefined: it went well. */
  readonly failure: string | undefined;
  readonly ledger: Ledger | undefined;
}
