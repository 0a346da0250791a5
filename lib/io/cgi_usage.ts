/**
 * What a run used, as GNU time(1) tells it: one line after the program's own error stream, known by a
 * marker that was drawn when the route was opened. The line is taken out, so that it never looks like
 * the program's; the rest passes as it came.
 *
 * time counts the program and whatever it waited for, CPU time in steps of 10 ms. A program can read the
 * marker (it stands in its parent's arguments) and forge the figures: they are for accounts, not for
 * billing strangers. A run that was killed has none.
 */

export interface Usage {
  /** User and system time. */
  readonly cpuMs: number;
  /** The largest resident set of one process; 2 MiB or so are the tools' own. */
  readonly peakBytes: number;
  /** The exit status; 0 for a program that a signal ended. */
  readonly code: number;
}

/** A marker that nobody writes by chance. */
export function drawMarker(): string {
  return `portico-usage-${crypto.randomUUID()}`;
}

const NEWLINE = 10;
/** Bytes that the figures take at most; a longer line is the program's. */
const MAX_FIGURES = 100;
const FIGURES = /^ (\d+\.\d+) (\d+\.\d+) (\d+) (\d+)$/;
const UTF8 = new TextDecoder();
const NOTHING = new Uint8Array(0);

/** Sees an error stream in pieces, gives back the program's part of it. */
export class UsageFilter {
  readonly #marker: Uint8Array;
  /** What may become the marked line: a copy, for the pieces' memory is the reader's. */
  #held: Uint8Array = NOTHING;
  #usage: Usage | undefined;

  constructor(marker: string) {
    this.#marker = new TextEncoder().encode(marker);
  }

  /** The figures, once they have passed. The last ones count: time has the last word. */
  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** The program's part of what came, valid as long as the piece; the rest is held back. */
  push(piece: Uint8Array): Uint8Array {
    let data = this.#held.length === 0 ? piece : joined(this.#held, piece);
    let passed: Uint8Array = NOTHING;
    for (;;) {
      const at = markAt(data, this.#marker);
      passed = joined(passed, data.subarray(0, at));
      data = data.subarray(at);
      const taken = this.#take(data);
      if (taken === undefined) break;
      // What only looked like the line is the program's.
      if (taken === 0) passed = joined(passed, data.subarray(0, this.#marker.length));
      data = data.subarray(taken === 0 ? this.#marker.length : taken);
    }
    this.#held = data.length === 0 ? NOTHING : data.slice();
    return passed;
  }

  /** Nothing more comes: what was held back is the program's. */
  end(): Uint8Array {
    const rest = this.#held;
    this.#held = NOTHING;
    return rest;
  }

  /** The length of the line at the beginning; 0: it is none; undefined: more has to come. */
  #take(data: Uint8Array): number | undefined {
    const from = this.#marker.length;
    const end = data.length < from ? -1 : data.indexOf(NEWLINE, from);
    if (end === -1) return data.length <= from + MAX_FIGURES ? undefined : 0;
    const usage = readFigures(UTF8.decode(data.subarray(from, end)));
    if (usage === undefined) return 0;
    this.#usage = usage;
    return end + 1;
  }
}

function readFigures(text: string): Usage | undefined {
  const match = FIGURES.exec(text);
  if (match === null) return undefined;
  const [, user, system, kib, code] = match;
  return {
    cpuMs: Math.round((Number(user) + Number(system)) * 1000),
    peakBytes: Number(kib) * 1024,
    code: Number(code),
  };
}

/** Where the marker is, whole or as much of it as there is at the end; else the length of the data. */
function markAt(data: Uint8Array, marker: Uint8Array): number {
  for (
    let at = data.indexOf(marker[0] ?? 0);
    at !== -1;
    at = data.indexOf(marker[0] ?? 0, at + 1)
  ) {
    const there = data.subarray(at, at + marker.length);
    if (there.every((byte, index) => byte === marker[index])) return at;
  }
  return data.length;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Signals by number, as Linux has them on all but a few old machines (signal(7)). */
const SIGNALS: readonly Deno.Signal[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

/**
 * How the program ended, behind a time that outlived it: time exits with 128 and the signal's number,
 * as a shell does, and only the figures tell that from a program that exits so by itself. It matters:
 * what a signal cut short must not look whole.
 */
export function statusOf(
  status: Deno.CommandStatus,
  usage: Usage | undefined,
): Deno.CommandStatus {
  if (usage === undefined || status.signal !== null || status.code === usage.code) return status;
  const signal = SIGNALS[status.code - 129];
  return signal === undefined ? status : { success: false, code: status.code, signal };
}
