/**
 * One run of a CGI program (RFC 3875): a process for a request, from its start until it is reaped.
 *
 * The reply's body is this object: reading it reads the program's output, letting go of it ends the
 * program. What ends a run early is the request's lifeline; the process gets SIGTERM, a grace period,
 * SIGKILL, and is waited for in any case.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteSource, Exchange, Outcome, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { HeadReader, interpretHead, type ReplyHead } from "../protocol/cgi_response.ts";
import { CgiErrors } from "./cgi_errors.ts";
import { feed } from "./cgi_input.ts";
import { type CgiCommand, startProgram } from "./cgi_start.ts";
import { statusOf } from "./cgi_usage.ts";
import { startFault } from "./cgi_wrap.ts";
import { Patience } from "./patience.ts";
import { endGroup } from "./process_group.ts";
import { explainedFault, replyOf } from "./reply.ts";
import { giveBack } from "./taken.ts";

export interface CgiRequest {
  readonly exchange: Exchange;
  readonly body: SizedBody | null;
  readonly command: CgiCommand;
  readonly maxReplyHead: number;
  readonly log: ServiceLog;
  /** Called once, when the process is gone and reaped: another may take its place. */
  onExit(): void;
  /** Called once, when its last words are in the log too: nothing of the run is left. */
  onEnd(): void;
}

/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 2000;
/** How long output may go on after the process has exited: somebody else holds the pipe then. */
const LAST_OUTPUT_MS = 300;
/** The same where nothing has come at all: a program that ends well has said something. */
const ALL_OUTPUT_MS = 2000;
/** How long the exit may lag behind the end of output before the reply is taken as whole. */
const EXIT_LAG_MS = 100;
/** How long a program that has sent its head may take to end, to count as one with a short reply. */
const SOON_MS = 2;
/** Most replies are short, and a buffer is made for each: see tests/bench. */
const FIRST_READ = 4096;
const LONG_READ = 65_536;

/**
 * Starts the program and reads its reply's head.
 * @throws {GatewayError} 502 when it cannot be started.
 * @throws {ProtocolError} when its output breaks RFC 3875's rules before the head is whole.
 */
export async function runCgi(request: CgiRequest): Promise<Outcome> {
  const { lifeline } = request.exchange;
  try {
    return await new CgiRun(request, start(request)).open();
  } catch (error) {
    throw lifeline.reason ?? error;
  }
}

function start({ exchange, command, body, onExit, onEnd }: CgiRequest): Deno.ChildProcess {
  const { lifeline } = exchange;
  const since = performance.now();
  try {
    lifeline.throwIfCut();
    const child = startProgram(command, body !== null);
    lifeline.ledger.spawned(since);
    return child;
  } catch (error) {
    lifeline.trace?.ended("spawn", since, error);
    onExit();
    onEnd();
    body?.close();
    throw error;
  }
}

class CgiRun implements ByteSource {
  readonly #request: CgiRequest;
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamBYOBReader;
  readonly #errors: CgiErrors;
  readonly #onCut = () => this.#terminate();
  readonly #exit: Promise<Deno.CommandStatus>;
  #status: Deno.CommandStatus | undefined;
  /** The piece that came with the head, and the read of the one behind it. */
  #early: Uint8Array<ArrayBuffer> | undefined;
  #ahead: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;
  /** The piece that was given out last. */
  #taken: Uint8Array<ArrayBuffer> | undefined;
  #readSize = FIRST_READ;
  #reading = false;
  #hasSpoken = false;
  #patience: Patience | undefined;
  #ended = false;
  #terminating = false;
  #accounted = false;
  /** Settled when nobody is left of a group that was ended. */
  #groupEnd: Promise<void> | undefined;

  constructor(request: CgiRequest, child: Deno.ChildProcess) {
    this.#request = request;
    this.#child = child;
    this.#stdout = child.stdout.getReader({ mode: "byob" });
    const { command, exchange, log } = request;
    this.#errors = new CgiErrors(child.stderr, log, exchange.id, command.usageMarker);
    this.#exit = this.#reap();
  }

  async open(): Promise<Outcome> {
    const { exchange, body } = this.#request;
    exchange.lifeline.onCut(this.#onCut);
    exchange.lifeline.handOver();
    if (body !== null) {
      const { stdin, status: gone } = this.#child;
      feed(stdin, body, gone).catch((error) => exchange.lifeline.cut(error));
    }
    try {
      return await this.#readHead();
    } catch (error) {
      this.#terminate();
      throw error;
    }
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    giveBack(this.#taken);
    const piece = this.#early ?? await this.#nextOrAhead();
    this.#early = undefined;
    if (piece === undefined) await this.#requireNaturalEnd();
    return this.#taken = piece;
  }

  cancel(): void {
    this.#terminate();
  }

  async #readHead(): Promise<Outcome> {
    const { exchange, log, maxReplyHead } = this.#request;
    const reader = new HeadReader(maxReplyHead);
    try {
      const head = await this.#takeHead(reader);
      const interpreted = interpretHead(head.fields);
      if (interpreted.type === "reply") {
        return replyOf(interpreted, await this.#bodyOf(head.rest), exchange, log);
      }
      // RFC 3875 §6.2.2: whatever follows is not wanted.
      this.cancel();
      return interpreted;
    } catch (error) {
      throw explainedFault(error, reader.fields, this.#errors.excerpt);
    }
  }

  async #takeHead(reader: HeadReader): Promise<ReplyHead<ArrayBuffer>> {
    for (;;) {
      const piece = await this.#next();
      if (piece === undefined) throw await this.#noHead(reader);
      const head = reader.push(piece);
      if (head !== undefined) return head;
    }
  }

  /** A short reply of a program that is done is sent as plain bytes; anything else as it comes. */
  async #bodyOf(rest: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | ByteSource> {
    if (rest.length > 0) this.#early = rest;
    const ahead = this.#ahead = this.#next();
    // Most programs end with their output, within less time than a stream costs.
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, SOON_MS);
    const ended = ahead.then(
      (more) => more === undefined ? this.#exit : undefined,
      () => undefined,
    );
    const status = await Promise.race([ended, late]);
    clearTimeout(timer);
    return this.#ended && status?.success ? rest : this;
  }

  #nextOrAhead(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const ahead = this.#ahead ?? this.#next();
    this.#ahead = undefined;
    return ahead;
  }

  /** The next piece of output; undefined at its end. */
  async #next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#ended) return undefined;
    this.#reading = true;
    if (this.#status !== undefined) this.#expectEnd();
    const { value } = await this.#stdout.read(new Uint8Array(this.#readSize));
    this.#reading = false;
    this.#patience?.end();
    this.#request.exchange.lifeline.throwIfCut();
    if (value === undefined || value.length === 0) {
      this.#ended = true;
      return undefined;
    }
    this.#hasSpoken = true;
    // A long output is worth long reads.
    if (value.length === this.#readSize) this.#readSize = LONG_READ;
    return value;
  }

  /**
   * The program has exited: if nothing comes for a while and no end either, somebody else holds the pipe
   * open, and what they have to say is not this reply's. A slow client is no reason to stop.
   */
  #expectEnd(): void {
    const ms = this.#hasSpoken ? LAST_OUTPUT_MS : ALL_OUTPUT_MS;
    this.#patience = new Patience(ms, () => this.#stopReading());
  }

  #stopReading(): void {
    this.#ended = true;
    this.#stdout.cancel().catch(() => {});
  }

  async #noHead(reader: HeadReader): Promise<Error> {
    const status = await this.#exit;
    await this.#errors.end();
    const { runs } = this.#request.command;
    const unstarted = runs && startFault({ runs }, status.code, this.#errors.excerpt);
    if (unstarted) return unstarted;
    const fault = reader.end();
    const message = `${fault.message}; the program ${told(status)}`;
    return new ProtocolError(fault.failure, message);
  }

  /** A program that a signal ended has not said all it had to say. */
  async #requireNaturalEnd(): Promise<void> {
    const status = this.#status ?? await this.#exitSoon();
    if (status !== undefined && status.signal !== null && !this.#terminating) {
      throw new ProtocolError(
        "script-died",
        `The program ${told(status)} in the midst of its reply`,
      );
    }
  }

  /** Undefined: the program has closed its output and runs on. */
  async #exitSoon(): Promise<Deno.CommandStatus | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const patience = new Patience(EXIT_LAG_MS, resolve);
    await Promise.race([this.#exit, late]);
    patience.end();
    if (this.#status === undefined) this.#account("running");
    return this.#status;
  }

  /** Waits for the process, whatever becomes of its output. */
  async #reap(): Promise<Deno.CommandStatus> {
    this.#request.exchange.lifeline.ledger.expect();
    let status = await this.#child.status;
    // The leader may be gone before the last of its group; they are this run's processes too.
    await this.#groupEnd;
    this.#request.onExit();
    // How the program ended may be told by its last words alone.
    if (this.#errors.tellsUsage) {
      await this.#errors.end();
      status = statusOf(status, this.#errors.usage);
    }
    this.#status = status;
    if (this.#reading) this.#expectEnd();
    this.#bury(status);
    return status;
  }

  async #bury(status: Deno.CommandStatus): Promise<void> {
    const { exchange, log, body, command, onEnd } = this.#request;
    this.#account(status.signal ?? status.code);
    await this.#errors.end();
    exchange.lifeline.forget(this.#onCut);
    body?.close();
    if (!status.success && !this.#terminating) {
      log.notice(`${command.runs ?? command.program} ${told(status)}`, exchange.id);
    }
    onEnd();
  }

  /** Completes the access line, which waits for no program that goes on without a request. */
  #account(exit: number | string): void {
    if (this.#accounted) return;
    this.#accounted = true;
    const { ledger } = this.#request.exchange.lifeline;
    ledger.exit = exit;
    ledger.cpuMs = this.#errors.usage?.cpuMs;
    ledger.peakBytes = this.#errors.usage?.peakBytes;
    ledger.settle();
  }

  #terminate(): void {
    // Nobody reads the output any more: a program that writes on gets SIGPIPE.
    this.#stopReading();
    if (this.#terminating || this.#status !== undefined) return;
    this.#terminating = true;
    if (this.#request.command.leadsGroup) {
      this.#groupEnd = endGroup(this.#child.pid, GRACE_MS);
      return;
    }
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), GRACE_MS);
    this.#child.status.then(() => clearTimeout(timer));
  }

  #signal(name: Deno.Signal): void {
    try {
      this.#child.kill(name);
    } catch {
      // It has exited already.
    }
  }
}

function told(status: Deno.CommandStatus): string {
  return status.signal === null ? `exited with code ${status.code}` : `died of ${status.signal}`;
}
