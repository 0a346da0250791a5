/** Reads what wrk prints. Pure. */

export interface WrkFigures {
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
  /** Connections that failed and answers other than 2xx and 3xx. */
  readonly errors: number;
}

const SOCKET_ERRORS = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/;

export function parseWrk(text: string): WrkFigures {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const failed = SOCKET_ERRORS.exec(text)?.slice(1) ?? [];
  return {
    rate: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(/50%\s+([\d.]+\w+)/.exec(text)?.[1]),
    p99Ms: milliseconds(/99%\s+([\d.]+\w+)/.exec(text)?.[1]),
    count: number(/(\d+) requests in/),
    errors: failed.reduce((sum, count) => sum + Number(count), 0) +
      number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

function milliseconds(text = "0ms"): number {
  const value = parseFloat(text);
  if (text.endsWith("us")) return value / 1000;
  if (text.endsWith("ms")) return value;
  return text.endsWith("m") ? value * 60_000 : value * 1000;
}
