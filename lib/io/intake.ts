/** How all routes of one table take request bodies: with one spool, and one look at slow senders. */
import type { Exchange, SizedBody } from "../exchange.ts";
import { sizeBody, type SizeOptions } from "./body.ts";
import { Pace } from "./pace.ts";
import { Spool } from "./spool.ts";

export interface IntakeLimits {
  readonly spoolDir: string;
  /** Bytes. */
  readonly spoolQuota: number;
  /** 0: any pause. */
  readonly bodyIdleTimeoutMs: number;
  /** Bytes a second; 0: any. */
  readonly bodyMinRate: number;
}

/** What a route asks for. */
export type IntakeOptions = Omit<SizeOptions, "spool" | "pace">;

/** Takes a body in hand; see {@link sizeBody}. */
export type Intake = (exchange: Exchange, options: IntakeOptions) => Promise<SizedBody | null>;

export function openIntake(limits: IntakeLimits): Intake {
  const spool = new Spool(limits.spoolDir, limits.spoolQuota);
  const pace = new Pace({ idleTimeoutMs: limits.bodyIdleTimeoutMs, minRate: limits.bodyMinRate });
  return (exchange, options) => sizeBody(exchange, { ...options, spool, pace });
}
