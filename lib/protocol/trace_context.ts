/**
 * W3C Trace Context (level 1, https://www.w3.org/TR/trace-context/): reads the fields by which a trace
 * travels, and writes the gateway's own. What cannot be read is as if it were not there (§4.3). Pure.
 */

/** The span that a request was sent from. */
export interface ParentContext {
  /** 32 lower-case hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** 16 of them. */
  readonly parentId: string;
  /** Whether its spans are recorded. */
  readonly sampled: boolean;
  /** Undefined: none, or none that can be read. */
  readonly tracestate: string | undefined;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/** The fields of a request, joined where they are repeated; undefined: it belongs to no trace. */
export function parseTraceContext(
  traceparent: string | null,
  tracestate: string | null,
): ParentContext | undefined {
  if (traceparent === null) return undefined;
  const [, version, traceId = "", parentId = "", flags = "", more] =
    TRACEPARENT.exec(traceparent) ?? [];
  // §3.2.2: versions to come may append something, ff is none.
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) {
    return undefined;
  }
  if (isZero(traceId) || isZero(parentId)) return undefined;
  const sampled = (parseInt(flags, 16) & SAMPLED) !== 0;
  return { traceId, parentId, sampled, tracestate: readTracestate(tracestate) };
}

export function formatTraceparent(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

function isZero(digits: string): boolean {
  return /^0+$/.test(digits);
}

/** §3.3.1.1: at least so many characters are to be passed on. */
const MAX_TRACESTATE = 512;
const MEMBER =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** The list as it came, without its blanks; undefined if a member of it breaks the grammar (§3.3.1). */
function readTracestate(text: string | null): string | undefined {
  if (text === null || text.length > 2 * MAX_TRACESTATE) return undefined;
  const members = text.split(",").map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
  if (members.length === 0 || members.length > 32) return undefined;
  return members.every((member) => MEMBER.test(member)) ? members.join(",") : undefined;
}
