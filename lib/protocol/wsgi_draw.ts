/**
 * An answer that is drawn from the application: it returned a promise, a generator, a stream, or writes.
 *
 * Strategy: whatever happens (the promise settled, a piece came, something was written, all failed) is
 * taken down, and then {@link Draw.happened} looks whether that makes an answer, or what a reader waits
 * for. A piece is asked for when the last one was taken, so none is delayed for the next (PEP 3333,
 * "Buffering and Streaming"), and none piles up.
 */
import type { ByteSource, Exchange } from "../exchange.ts";
import type { HeadReply } from "./cgi_response.ts";
import { forbidsBody } from "./http_fields.ts";
import { withLength } from "./wsgi_head.ts";
import { closeResult, type Report, ResultReader } from "./wsgi_result.ts";
import type { Start } from "./wsgi_start.ts";
import type { WriteQueue } from "./wsgi_writes.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What an application answered. Bytes are all of the body. */
export interface Answer {
  readonly head: HeadReply;
  readonly body: Bytes | ByteSource;
}

/** The call that an answer is drawn from. */
export interface Drawn {
  readonly exchange: Exchange;
  readonly start: Start;
  /** What was written with write(); undefined: nothing so far. */
  readonly writes: WriteQueue | undefined;
  readonly isOver: boolean;
  /** The answer of an application that returned all pieces at once. */
  whole(result: readonly unknown[]): Answer;
  /** The answer is complete, or nobody will see the rest of it. */
  finish(): void;
  /** Whoever wanted the answer is gone. */
  depart(reason: Error): void;
  /** Ends the call with what the application threw; gives the error to answer with. */
  fail(error: unknown): Error;
  /** Takes a fault of a result that is being closed. */
  report(what: string, error: unknown): void;
}

const NOTHING = new Uint8Array();

export class Draw implements ByteSource {
  readonly #call: Drawn;
  /** Reads what the application returned; undefined: it has not returned yet. */
  #reader: ResultReader | undefined;
  /** The next piece is on its way. */
  #asked = false;
  /** All pieces at once, as a promised array. */
  #all: readonly unknown[] | undefined;
  #piece: Bytes | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  /** The gateway waits for this. */
  #answer: PromiseWithResolvers<Answer> | undefined;
  /** A reader waits for this. */
  #change: PromiseWithResolvers<void> | undefined;

  constructor(call: Drawn) {
    this.#call = call;
  }

  /** Takes what the application returned. */
  begin(result: unknown): Answer | Promise<Answer> {
    try {
      if (result instanceof Promise) this.#expect(result);
      else this.#open(result);
      return this.#ready() ?? this.#later();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async read(): Promise<Bytes | undefined> {
    for (;;) {
      const piece = this.#call.writes?.shift() ?? this.#take();
      if (piece !== undefined) return piece;
      if (this.#failure !== undefined) throw this.#fail(this.#failure.error);
      if (this.#ended) break;
      if (this.#reader !== undefined && !this.#asked) this.#ask(this.#reader);
      else await (this.#change ??= Promise.withResolvers()).promise;
    }
    this.#call.finish();
    return undefined;
  }

  cancel(reason: Error): void {
    if (this.#call.isOver) return;
    this.#call.depart(reason);
    this.#reader?.close();
    this.#failed(reason);
  }

  /** Something was taken down: tells whoever waits for it. */
  happened(): void {
    this.#change?.resolve();
    this.#change = undefined;
    const waiting = this.#answer;
    if (waiting === undefined) return;
    try {
      const answer = this.#ready();
      if (answer === undefined) return;
      waiting.resolve(answer);
    } catch (error) {
      waiting.reject(this.#fail(error));
    }
    this.#answer = undefined;
    this.#call.exchange.lifeline.forget(this.#cut);
  }

  readonly #cut = (reason: Error): void => this.cancel(reason);

  #later(): Promise<Answer> {
    const { lifeline } = this.#call.exchange;
    this.#answer = Promise.withResolvers();
    const { promise } = this.#answer;
    lifeline.handOver();
    lifeline.onCut(this.#cut);
    return promise;
  }

  /** The answer, if there is enough for one. */
  #ready(): Answer | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    const { start, exchange } = this.#call;
    if (this.#all !== undefined) return this.#call.whole(this.#all);
    if (start.isSent) return { head: start.send(), body: this };
    if (this.#piece === undefined && !this.#ended) return undefined;
    const length = this.#reader?.length;
    const head = length === undefined ? start.send() : withLength(start.send(), length);
    if (!this.#ended && exchange.method !== "HEAD" && !forbidsBody(head.status)) {
      return { head, body: this };
    }
    this.#reader?.close();
    this.#call.finish();
    return { head, body: NOTHING };
  }

  #expect(promise: Promise<unknown>): void {
    promise.then((result) => this.#returned(result), (error) => this.#failed(error));
  }

  #returned(result: unknown): void {
    if (this.#call.isOver) {
      // Too late for anybody to see, but whatever it holds is to be given back.
      closeResult(result, this.#report);
      return;
    }
    try {
      if (Array.isArray(result) && !this.#call.start.isSent) this.#all = result;
      else this.#open(result);
    } catch (error) {
      this.#failure = { error };
    }
    this.happened();
  }

  #open(result: unknown): void {
    try {
      this.#reader = new ResultReader(result, this.#report);
    } catch (error) {
      closeResult(result, this.#report);
      throw error;
    }
    if (!this.#call.start.isSent) this.#ask(this.#reader);
  }

  #ask(reader: ResultReader): void {
    try {
      const piece = reader.next();
      if (piece instanceof Promise) this.#await(piece);
      else this.#came(piece);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #await(piece: Promise<Bytes | undefined>): void {
    this.#asked = true;
    piece.then((bytes) => {
      this.#asked = false;
      this.#came(bytes);
      this.happened();
    }, (error) => this.#failed(error));
  }

  #came(piece: Bytes | undefined): void {
    this.#piece = piece;
    this.#ended = piece === undefined;
  }

  #take(): Bytes | undefined {
    const piece = this.#piece;
    this.#piece = undefined;
    return piece;
  }

  #failed(error: unknown): void {
    this.#failure ??= { error };
    this.happened();
  }

  #fail(error: unknown): Error {
    this.#reader?.close();
    return this.#call.fail(error);
  }

  readonly #report: Report = (what, error) => this.#call.report(what, error);
}
