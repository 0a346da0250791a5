/** A log that keeps what it is told. */
import type { ServiceLog } from "../../lib/handler.ts";

export class MemoryLog implements ServiceLog {
  readonly notices: string[] = [];
  /** `ID: LINE` each. */
  readonly lines: string[] = [];

  program(requestId: string, line: string): void {
    this.lines.push(`${requestId}: ${line}`);
  }
  notice(message: string): void {
    this.notices.push(message);
  }
}
