/**
 * What the gateway says: one access line per answered request on standard output, one line per failure,
 * notice or program's error line on standard error. All carry the request's id.
 *
 * Strategy: lines are gathered and written together a few times a second, so that logging costs a
 * request no system call; `flush` writes what is left before the process ends.
 */
import type { Exchange } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import type { Ledger } from "../ledger.ts";
import { textOf } from "../protocol/cgi_environ.ts";

export type LogFormat = "combined" | "json" | "off";

/** What a log line tells of a request. */
export type LoggedRequest = Pick<
  Exchange,
  "id" | "method" | "target" | "authority" | "headers" | "client"
>;

/** One answered request. */
export interface AccessEntry {
  readonly request: LoggedRequest;
  readonly route: string;
  /** What the client got; 499 when it left before there was anything to get. */
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bytes: number;
  readonly durationMs: number;
  /** From the request's arrival to its answer's head. */
  readonly firstByteMs: number;
  /** What the work cost; undefined: nothing worth telling. */
  readonly ledger: Ledger | undefined;
}

/** One request that failed, or an answer that was cut short. */
export interface FailureEntry {
  readonly id: string;
  readonly route: string;
  readonly kind: string;
  readonly upstream: string;
  readonly status: number;
  /** The cause's stable name. */
  readonly failure: string;
  readonly message: string;
}

/** Takes text away to be written; a file or a standard stream. */
export interface LogTarget {
  write(bytes: Uint8Array): Promise<number>;
}

const FLUSH_MS = 100;
const FLUSH_CHARACTERS = 65_536;

export class Log implements ServiceLog {
  /** May change at a reload. */
  format: LogFormat;
  readonly #out: LineWriter;
  readonly #err: LineWriter;

  constructor(format: LogFormat, out: LogTarget = Deno.stdout, err: LogTarget = Deno.stderr) {
    this.format = format;
    this.#out = new LineWriter(out);
    this.#err = new LineWriter(err);
  }

  /** True if access lines are written at all: what they need is then worth gathering. */
  get wantsAccess(): boolean {
    return this.format !== "off";
  }

  access(entry: AccessEntry): void {
    if (this.format === "combined") this.#out.write(combined(entry));
    else if (this.format === "json") this.#out.write(jsonAccess(entry));
  }

  failure(entry: FailureEntry): void {
    this.#tell(entry.status >= 500 ? "error" : "warn", entry);
  }

  program(id: string, line: string): void {
    this.#tell("program", { id, message: line });
  }

  notice(message: string, id?: string): void {
    this.#tell("notice", id === undefined ? { message } : { id, message });
  }

  async flush(): Promise<void> {
    await Promise.all([this.#out.flush(), this.#err.flush()]);
  }

  #tell(level: string, entry: object): void {
    const time = new Date().toISOString();
    if (this.format === "json") {
      this.#err.write(JSON.stringify({ time, level, ...entry }));
      return;
    }
    const { message = "", ...fields } = entry as Record<string, unknown>;
    const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${plainOrQuoted(value)}`);
    this.#err.write(`${time} ${level}${pairs.join("")}: ${printable(String(message))}`);
  }
}

/** Gathers lines and writes them in order. */
class LineWriter {
  readonly #target: LogTarget;
  #text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(target: LogTarget) {
    this.#target = target;
  }

  write(line: string): void {
    this.#text += line + "\n";
    if (this.#text.length > FLUSH_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#text === "") return this.#writing;
    const bytes = UTF8.encode(this.#text);
    this.#text = "";
    return this.#writing = this.#writing.then(() => this.#writeAll(bytes));
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#target.write(bytes.subarray(at));
    } catch {
      // Nobody reads the log any more (a closed pipe): serving goes on.
    }
  }
}

const UTF8 = new TextEncoder();

/**
 * NCSA combined format as Apache and nginx write it, with the request id, the route and the milliseconds
 * behind it, and what the work cost as pairs.
 */
function combined(entry: AccessEntry): string {
  const { request, status, bytes } = entry;
  const { headers } = request;
  return `${request.client.address} - - [${clfTime()}] ` +
    `"${escaped(request.method)} ${escaped(request.target)} HTTP/1.1" ${status} ${bytes} ` +
    `"${escaped(headers.get("referer") ?? "-")}" "${escaped(headers.get("user-agent") ?? "-")}" ` +
    `${request.id} "${entry.route}" ${entry.durationMs.toFixed(1)}${pairs(costOf(entry))}`;
}

function pairs(cost: Readonly<Record<string, number | string | undefined>>): string {
  let text = "";
  for (const name in cost) if (cost[name] !== undefined) text += ` ${name}=${cost[name]}`;
  return text;
}

/** What the ledger has, under the names of the log; times in milliseconds, sizes in bytes. */
function costOf({ ledger, firstByteMs }: AccessEntry) {
  if (ledger === undefined) return {};
  return {
    ttfbMs: tenths(firstByteMs),
    queueMs: tenths(ledger.queuedMs),
    connectMs: tenths(ledger.connectMs),
    bytesIn: ledger.receivedBytes,
    exit: ledger.exit,
    cpuMs: tenths(ledger.cpuMs),
    peakBytes: ledger.peakBytes,
  };
}

function tenths(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10;
}

function jsonAccess(entry: AccessEntry): string {
  const { request, route, status, bytes } = entry;
  return JSON.stringify({
    time: new Date().toISOString(),
    id: request.id,
    route,
    client: request.client.address,
    method: request.method,
    host: request.authority,
    target: textOf(request.target),
    status,
    bytes,
    durationMs: tenths(entry.durationMs),
    ...costOf(entry),
    referer: request.headers.get("referer"),
    userAgent: request.headers.get("user-agent"),
  });
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
let timeSecond = 0;
let timeText = "";

/** `22/Nov/2026:03:11:00 +0000`, made once a second. */
function clfTime(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== timeSecond) {
    const date = new Date(now);
    const day = String(date.getUTCDate()).padStart(2, "0");
    const clock = date.toISOString().slice(11, 19);
    timeText = `${day}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:${clock} +0000`;
    timeSecond = second;
  }
  return timeText;
}

// deno-lint-ignore no-control-regex
const UNSAFE = /["\\\x00-\x1f\x7f-\uffff]/;
// deno-lint-ignore no-control-regex
const UNSAFE_ALL = /["\\\x00-\x1f\x7f-\uffff]/g;

/** No client can break out of the quotes or forge a line. */
function escaped(text: string): string {
  return UNSAFE.test(text) ? text.replace(UNSAFE_ALL, hex) : text;
}

/** Keeps what a program or a peer wrote on one line and free of terminal controls. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, hex);
}

function hex(char: string): string {
  const code = char.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
}

function plainOrQuoted(value: unknown): string {
  const text = String(value);
  return /^[\w./:@*-]+$/.test(text) ? text : JSON.stringify(text);
}
