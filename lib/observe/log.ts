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
import type { LogField, LogTemplate } from "../log_template.ts";
import { LineWriter, type LogTarget } from "./line_writer.ts";
import { LogFile } from "./log_file.ts";
import { textOf } from "../protocol/latin1.ts";

export type { LogTarget } from "./line_writer.ts";

export type LogFormat = "combined" | "json" | "off" | LogTemplate;

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
  /** Bytes of the body that were sent; undefined: nobody counted them. */
  readonly bytes: number | undefined;
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

/** One request that took longer than it should; times in milliseconds. */
export interface SlowEntry {
  readonly id: string;
  readonly route: string;
  readonly kind: string;
  readonly upstream: string;
  readonly status: number;
  readonly method: string;
  /** Without the query: this log is read by more people than the access log. */
  readonly path: string;
  readonly durationMs: number;
  readonly firstByteMs: number;
  readonly ledger: Ledger | undefined;
}

export class Log implements ServiceLog {
  /** May change at a reload. */
  format: LogFormat;
  readonly #stdout: LogTarget;
  #file: LogFile | undefined;
  readonly #out: LineWriter;
  readonly #err: LineWriter;

  constructor(format: LogFormat, out: LogTarget = Deno.stdout, err: LogTarget = Deno.stderr) {
    this.format = format;
    this.#stdout = out;
    const tellLost = (lines: number) => this.notice(`${lines} lines were lost: nobody took them`);
    this.#out = new LineWriter(out, tellLost);
    this.#err = new LineWriter(err, tellLost);
  }

  /** True if access lines are written at all: what they need is then worth gathering. */
  get wantsAccess(): boolean {
    return this.format !== "off";
  }

  access(entry: AccessEntry): void {
    if (this.format === "combined") this.#out.write(combined(entry));
    else if (this.format === "json") this.#out.write(jsonAccess(entry));
    else if (this.format !== "off") this.#out.write(fillIn(this.format, entry));
  }

  failure(entry: FailureEntry): void {
    this.#tell(entry.status >= 500 ? "error" : "warn", entry);
  }

  slow({ ledger, durationMs, firstByteMs, ...entry }: SlowEntry): void {
    const { queuedMs, connectMs } = ledger ?? {};
    const phases = { queueMs: tenths(queuedMs), connectMs: tenths(connectMs) };
    const known = Object.entries(phases).filter(([, ms]) => ms !== undefined);
    this.#tell("slow", {
      ...entry,
      ...Object.fromEntries(known),
      ttfbMs: tenths(firstByteMs),
      bodyMs: tenths(durationMs - firstByteMs),
      message: `Took ${tenths(durationMs)} ms`,
    });
  }

  program(id: string, line: string): void {
    this.#tell("program", { id, message: line });
  }

  notice(message: string, id?: string): void {
    this.#tell("notice", id === undefined ? { message } : { id, message });
  }

  /** Opens a file for access lines; undefined: none is wanted. The one that is in use is given as it is. */
  openFile(path: string | undefined): LogFile | undefined {
    if (path === undefined) return undefined;
    return path === this.#file?.path ? this.#file : new LogFile(path);
  }

  /** Access lines go there from now on; undefined: to standard output. */
  useFile(file: LogFile | undefined): void {
    const old = this.#file;
    if (file === old) return;
    this.#file = file;
    this.#out.turnTo(() => {
      old?.close();
      return file ?? this.#stdout;
    });
  }

  /** Gives up a file that was opened and is not to be used. */
  discardFile(file: LogFile | undefined): void {
    if (file !== this.#file) file?.close();
  }

  /** The file was moved away: lines go to a new one of its name. */
  reopen(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#out.turnTo(() => {
      try {
        file.reopen();
      } catch (error) {
        this.notice(error instanceof Error ? error.message : String(error));
      }
      return file;
    });
  }

  async flush(): Promise<void> {
    await Promise.all([this.#out.flush(), this.#err.flush()]);
  }

  /** Hands over what is left where no other turn will come. */
  flushAtEnd(): void {
    this.#out.flushAtEnd();
    this.#err.flushAtEnd();
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

/**
 * NCSA combined format as Apache and nginx write it, with the request id, the route and the milliseconds
 * behind it, and what the work cost as pairs.
 */
function combined(entry: AccessEntry): string {
  const { request, status, bytes } = entry;
  const { headers } = request;
  return `${request.client.address} - - [${clfTime()}] ` +
    `"${escaped(request.method)} ${escaped(request.target)} HTTP/1.1" ${status} ${bytes ?? "-"} ` +
    `"${escaped(headers.get("referer") ?? "-")}" "${escaped(headers.get("user-agent") ?? "-")}" ` +
    `${request.id} "${entry.route}" ${entry.durationMs.toFixed(1)}${pairs(costOf(entry))}`;
}

function fillIn(template: LogTemplate, entry: AccessEntry): string {
  let line = "";
  for (const part of template) {
    line += typeof part === "string" ? part : escaped(String(FIELDS[part.field](entry) ?? "-"));
  }
  return line;
}

const FIELDS: Readonly<
  Record<LogField, (entry: AccessEntry) => string | number | null | undefined>
> = {
  time: () => new Date().toISOString(),
  id: ({ request }) => request.id,
  client: ({ request }) => request.client.address,
  method: ({ request }) => request.method,
  host: ({ request }) => request.authority,
  target: ({ request }) => request.target,
  path: ({ request }) => request.target.split("?", 1)[0],
  status: ({ status }) => status,
  bytes: ({ bytes }) => bytes,
  bytesIn: ({ ledger }) => ledger?.receivedBytes,
  durationMs: ({ durationMs }) => tenths(durationMs),
  ttfbMs: ({ firstByteMs }) => tenths(firstByteMs),
  queueMs: ({ ledger }) => tenths(ledger?.queuedMs),
  connectMs: ({ ledger }) => tenths(ledger?.connectMs),
  exit: ({ ledger }) => ledger?.exit,
  route: ({ route }) => route,
  referer: ({ request }) => request.headers.get("referer"),
  userAgent: ({ request }) => request.headers.get("user-agent"),
};

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
