/**
 * One run of a CGI program (RFC 3875): a process for a request, from its start until it is reaped.
 *
 * The reply's body is this object: reading it reads the program's output, letting go of it ends the
 * program. What ends a run early is the request's lifeline; the process gets SIGTERM, a grace period,
 * SIGKILL, and is waited for in any case.
 */
import { ClientGone, GatewayError, ProtocolError } from "../errors.ts";
import type { ByteSource, Exchange, Outcome, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { HeadReader, interpretHead } from "../protocol/cgi_response.ts";
import { type CgiCommand, startProgram } from "./cgi_start.ts";
import { ProgramLog } from "./program_log.ts";
import { replyOf } from "./reply.ts";

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
/** How long the exit may lag behind the end of output before the reply is taken as whole. */
const EXIT_LAG_MS = 100;
/** Most replies are short, and a buffer is made for each: see tests/bench. */
const FIRST_READ = 4096;
const LONG_READ = 65_536;
const STDERR_READ = 1024;

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
  try {
    exchange.lifeline.throwIfCut();
    return startProgram(command, body !== null);
  } catch (error) {
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
  readonly #stderr: ProgramLog;
  readonly #onCut = () => this.#terminate();
  readonly #exit: Promise<Deno.CommandStatus>;
  #status: Deno.CommandStatus | undefined;
  /** Pieces that were read ahead of the client's asking. */
  #early: Uint8Array<ArrayBuffer> | undefined;
  #readSize = FIRST_READ;
  #reading = false;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #terminating = false;

  constructor(request: CgiRequest, child: Deno.ChildProcess) {
    this.#request = request;
    this.#child = child;
    this.#stdout = child.stdout.getReader({ mode: "byob" });
    this.#stderr = new ProgramLog(request.log, request.exchange.id);
    this.#exit = this.#reap();
  }

  async open(): Promise<Outcome> {
    const { exchange, body } = this.#request;
    exchange.lifeline.onCut(this.#onCut);
    exchange.lifeline.handOver();
    if (body !== null) this.#feed(body);
    try {
      return await this.#readHead();
    } catch (error) {
      this.#terminate();
      throw error;
    }
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const early = this.#early;
    if (early !== undefined) {
      this.#early = undefined;
      return early;
    }
    const piece = await this.#next();
    if (piece === undefined) await this.#requireNaturalEnd();
    return piece;
  }

  cancel(): void {
    this.#terminate();
  }

  async #readHead(): Promise<Outcome> {
    const { exchange, log, maxReplyHead } = this.#request;
    const reader = new HeadReader(maxReplyHead);
    for (;;) {
      const piece = await this.#next();
      if (piece === undefined) throw await this.#noHead(reader);
      const head = reader.push(piece);
      if (head === undefined) continue;
      const interpreted = interpretHead(head.fields);
      if (interpreted.type === "reply") {
        return replyOf(interpreted, await this.#bodyOf(head.rest), exchange, log);
      }
      // RFC 3875 §6.2.2: whatever follows is not wanted.
      this.cancel();
      return interpreted;
    }
  }

  /** A short reply of a program that is done is sent as plain bytes; anything else as it comes. */
  async #bodyOf(rest: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | ByteSource> {
    if (rest.length > 0) this.#early = rest;
    // One turn of the event loop: if the program has ended by now, its last word is here.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (!this.#status?.success) return this;
    const more = await this.#next();
    if (more === undefined) return rest;
    this.#early = joined(rest, more);
    return this;
  }

  /** The next piece of output; undefined at its end. */
  async #next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#ended) return undefined;
    this.#reading = true;
    if (this.#status !== undefined) this.#expectEnd();
    const { value } = await this.#stdout.read(new Uint8Array(this.#readSize));
    this.#reading = false;
    clearTimeout(this.#patience);
    this.#request.exchange.lifeline.throwIfCut();
    if (value === undefined || value.length === 0) {
      this.#ended = true;
      return undefined;
    }
    // A long output is worth long reads.
    if (value.length === this.#readSize) this.#readSize = LONG_READ;
    return value;
  }

  /**
   * The program has exited: if nothing comes for a while and no end either, somebody else holds the pipe
   * open, and what they have to say is not this reply's. A slow client is no reason to stop.
   */
  #expectEnd(): void {
    this.#patience = setTimeout(() => this.#stopReading(), LAST_OUTPUT_MS);
  }

  #stopReading(): void {
    this.#ended = true;
    this.#stdout.cancel().catch(() => {});
  }

  async #noHead(reader: HeadReader): Promise<GatewayError> {
    const status = await this.#exit;
    const fault = reader.end();
    return new GatewayError(502, fault.failure, `${fault.message}; the program ${told(status)}`, {
      cause: fault,
      detail: this.#stderr.excerpt,
    });
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
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, EXIT_LAG_MS);
    });
    await Promise.race([this.#child.status, late]);
    clearTimeout(timer);
    return this.#status;
  }

  /** Writes the request's body to the program, which need not read it (RFC 3875 §4.2). */
  async #feed(body: SizedBody): Promise<void> {
    const stdin = this.#child.stdin.getWriter();
    try {
      // A piece is in the pipe when its write has ended: the next may take its memory.
      let piece = await body.read(true);
      for (; piece !== undefined; piece = await body.read(true)) await stdin.write(piece);
      await stdin.close();
    } catch (error) {
      const isClients = error instanceof ClientGone || error instanceof GatewayError;
      if (isClients) this.#request.exchange.lifeline.cut(error);
      await stdin.abort().catch(() => {});
    } finally {
      body.close();
    }
  }

  /** Waits for the process, whatever becomes of its output, and settles the account. */
  async #reap(): Promise<Deno.CommandStatus> {
    const stderr = this.#child.stderr.getReader({ mode: "byob" });
    const said = this.#drain(stderr);
    const status = await this.#child.status;
    this.#status = status;
    this.#request.onExit();
    if (this.#reading) this.#expectEnd();
    const stop = setTimeout(() => stderr.cancel().catch(() => {}), LAST_OUTPUT_MS);
    await said;
    clearTimeout(stop);
    this.#stderr.end();
    const { exchange, log, body } = this.#request;
    exchange.lifeline.forget(this.#onCut);
    body?.close();
    if (!status.success && !this.#terminating) {
      log.notice(`${this.#request.command.program} ${told(status)}`, exchange.id);
    }
    this.#request.onEnd();
    return status;
  }

  async #drain(stderr: ReadableStreamBYOBReader): Promise<void> {
    try {
      let piece = await stderr.read(new Uint8Array(STDERR_READ));
      while (piece.value !== undefined && piece.value.length > 0) {
        this.#stderr.push(piece.value);
        piece = await stderr.read(new Uint8Array(piece.value.buffer));
      }
    } catch {
      // The pipe broke with the process.
    }
  }

  #terminate(): void {
    // Nobody reads the output any more: a program that writes on gets SIGPIPE.
    this.#stopReading();
    if (this.#terminating || this.#status !== undefined) return;
    this.#terminating = true;
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

function joined(a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function told(status: Deno.CommandStatus): string {
  return status.signal === null ? `exited with code ${status.code}` : `died of ${status.signal}`;
}
