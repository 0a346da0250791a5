/**
 * One call of an application, from start_response to the end of its answer (PEP 3333): a head, and a
 * body that is bytes if all of it was there at once.
 *
 * Strategy: an application that returns an array without waiting is answered without a promise and with
 * nothing set up for later; whatever else it returns goes on in a {@link Draw}.
 */
import { ClientGone, GatewayError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import { type Application, breach, type Environ, type StartResponse, type Write } from "./wsgi.ts";
import { type Answer, Draw, type Drawn } from "./wsgi_draw.ts";
import { withLength } from "./wsgi_head.ts";
import { closeResult, isBytes, notBytes } from "./wsgi_result.ts";
import { Start } from "./wsgi_start.ts";
import { WriteQueue } from "./wsgi_writes.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a call holds while it lasts. */
export interface Held {
  /** The call is over: gives back the request's body and the like. Called once. */
  release(): void;
  /** Takes what is worth an operator's attention and fails no request. */
  notice(message: string): void;
}

export class Call implements Drawn {
  readonly exchange: Exchange;
  readonly start = new Start();
  writes: WriteQueue | undefined;
  readonly #held: Held;
  #draw: Draw | undefined;
  #written = 0;
  #over = false;
  #gone: Error | undefined;
  readonly #controller = new AbortController();

  constructor(exchange: Exchange, held: Held) {
    this.exchange = exchange;
    this.#held = held;
  }

  /** Aborted when the work has become pointless: the client left, or a time ran out. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Calls the application. Throws, or rejects with, what went wrong before anything was to send. */
  run(application: Application, environ: Environ): Answer | Promise<Answer> {
    try {
      const result = application(environ, this.#startResponse);
      if (Array.isArray(result)) return this.whole(result);
      this.#draw = new Draw(this);
      return this.#draw.begin(result);
    } catch (error) {
      throw this.fail(error);
    }
  }

  whole(result: readonly unknown[]): Answer {
    try {
      const { writes } = this;
      const body = joined(writes === undefined ? result : [...writes.drain(), ...result]);
      const head = this.start.send();
      this.finish();
      // HEAD tells the length that GET would have (RFC 9110 §9.3.2), where it was given away.
      const known = this.#isHead && body.length > 0;
      return { head: known ? withLength(head, body.length) : head, body };
    } finally {
      if ("close" in result) closeResult(result, (what, error) => this.report(what, error));
    }
  }

  finish(reason?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.writes?.close(reason ?? tooLate());
    this.#held.release();
  }

  depart(reason: Error): void {
    this.#gone = reason;
    this.#controller.abort(reason);
    this.finish(reason);
  }

  fail(error: unknown): Error {
    const fault = faultOf(error);
    this.finish(fault);
    return fault;
  }

  report(what: string, error: unknown): void {
    this.#held.notice(`${what} of what the application returned failed: ${textOf(error)}`);
  }

  readonly #startResponse: StartResponse = (status, headers, excInfo) => {
    this.start.say(status, headers, excInfo);
    return this.#write;
  };

  readonly #write: Write = (data: unknown) => {
    if (!isBytes(data)) throw notBytes(data);
    if (this.#over) return refused(this.#gone ?? tooLate());
    const { contentLength } = this.start.send();
    this.#written += data.length;
    if (contentLength !== undefined && this.#written > contentLength) {
      const message = `Cannot write more than the ${contentLength} bytes that were promised`;
      throw breach("content-length", message, "Handling the Content-Length Header");
    }
    this.writes ??= new WriteQueue();
    const taken = this.writes.push(data);
    this.#draw?.happened();
    return taken;
  };

  get #isHead(): boolean {
    return this.exchange.method === "HEAD";
  }
}

/** The pieces as one; a single piece is not copied. */
function joined(pieces: readonly unknown[]): Bytes {
  const only = pieces[0];
  if (pieces.length === 1 && isBytes(only)) return only;
  let length = 0;
  for (const piece of pieces) {
    if (!isBytes(piece)) throw notBytes(piece);
    length += piece.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    if (!isBytes(piece)) continue;
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** What the application threw, as the answer to it. What the server threw at it goes on as it is. */
export function faultOf(error: unknown): Error {
  if (error instanceof GatewayError || error instanceof ClientGone) return error;
  return new GatewayError(500, "application-error", textOf(error), { cause: error });
}

/** How the frames of the files around this one begin. */
const OWN_FRAMES = new URL("./wsgi_", import.meta.url).href;

/** An error with the application's own part of its stack. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? error.message;
  const theirs = text.slice(0, text.lastIndexOf("\n", text.indexOf(OWN_FRAMES)));
  return text.includes(OWN_FRAMES) && theirs.includes("\n    at ") ? theirs : text;
}

function tooLate(): Error {
  return new Error("Cannot write: the response is complete");
}

function refused(reason: Error): Promise<never> {
  const promise = Promise.reject(reason);
  promise.catch(() => {});
  return promise;
}
