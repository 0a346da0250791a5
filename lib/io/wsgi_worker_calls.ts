/**
 * The worker's side of `isolate: worker`: answers calls that come as messages, by the very code that would
 * answer them in the gateway.
 *
 * Strategy: knows nothing of threads, only a way to post. An answer's body is sent as far as its credit
 * reaches (protocol/wsgi_credit.ts); a request's body is asked for piece by piece.
 */
import type { ByteSource, SizedBody } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { Lifeline } from "../lifeline.ts";
import { CallTable } from "../protocol/call_table.ts";
import { Credit } from "../protocol/wsgi_credit.ts";
import type { Fetched } from "../protocol/wsgi_fetch_call.ts";
import {
  type BodyNotice,
  decodeFault,
  encodeFault,
  encodeHead,
  parcel,
  type ToGateway,
  type ToWorker,
} from "../protocol/wsgi_wire.ts";
import { decodeExchange } from "../protocol/wsgi_wire_exchange.ts";
import type { Callee } from "./wsgi_inline.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export type Post = (message: ToGateway, transfer?: ArrayBuffer[]) => void;

/** Gives a whole answer the short way, which takes a copy of it; false: it has to be posted. */
export type Answered = (call: number, head: readonly string[], body: Uint8Array) => boolean;

/** The calls under way in this worker. */
export class WorkerCalls {
  readonly #callee: Callee;
  readonly #channel: Channel;
  readonly #calls = new CallTable<ServedCall>();

  constructor(callee: Callee, post: Post, answered: Answered) {
    this.#callee = callee;
    this.#channel = { post, answered, ended: (call) => this.#calls.delete(call) };
  }

  take(message: ToWorker): void {
    switch (message[0]) {
      case "call":
        return this.begin(message[1], message[2], message[3]);
      case "ping":
        return this.#channel.post(["pong"]);
      case "stop":
        return;
      default:
        // A call may have ended while the message about it was on its way.
        this.#calls.get(message[1])?.take(message);
    }
  }

  begin(number: number, words: readonly string[], body: BodyNotice): void {
    const call = new ServedCall(number, this.#channel);
    call.run(this.#callee, words, body);
    // Most have ended by now, and nothing more is said about them.
    if (!call.isOver) this.#calls.add(call);
  }
}

interface Channel {
  readonly post: Post;
  readonly answered: Answered;
  ended(call: ServedCall): void;
}

/** One call, from its request to the end of its answer. */
class ServedCall {
  readonly number: number;
  readonly #channel: Channel;
  readonly #lifeline = new Lifeline();
  readonly #credit = new Credit();
  #input: PulledBody | undefined;
  /** The answer's body, once it is being sent. */
  #body: ByteSource | undefined;
  #over = false;

  constructor(number: number, channel: Channel) {
    this.number = number;
    this.#channel = channel;
  }

  get isOver(): boolean {
    return this.#over;
  }

  run(callee: Callee, words: readonly string[], notice: BodyNotice): void {
    try {
      const { exchange, mount } = decodeExchange(words, this.#lifeline);
      const answer = callee.call(exchange, mount, this.#bodyOf(notice));
      if (!(answer instanceof Promise)) return this.#answer(answer);
      answer.then((later) => this.#answer(later), (error) => this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
  }

  take(message: Exclude<ToWorker, readonly ["call" | "ping" | "stop", ...unknown[]]>): void {
    switch (message[0]) {
      case "piece":
        return this.#input?.came(message[2]);
      case "end":
        return this.#input?.came(undefined);
      case "fail":
        return this.#input?.failed(decodeFault(message[2]));
      case "more":
        return this.#credit.grant(message[2]);
      case "cut":
        return this.#cut(decodeFault(message[2]));
      default:
        return message satisfies never;
    }
  }

  #bodyOf(notice: BodyNotice): SizedBody | null {
    if (notice === null) return null;
    if (notice instanceof Uint8Array) return new WholeBody(notice);
    const pull = () => this.#channel.post(["pull", this.number]);
    return this.#input = new PulledBody(notice.length ?? undefined, pull);
  }

  #answer(answer: Fetched): void {
    // Nothing but parts of it can go to another thread.
    if ("response" in answer) return this.#fail(new TypeError("Cannot hand a Response over"));
    const { head, body } = answer;
    if (this.#over) return body instanceof Uint8Array ? undefined : body.cancel(this.#reason);
    const words = encodeHead(head);
    if (body instanceof Uint8Array) {
      return this.#answerWhole(words, body);
    }
    this.#body = body;
    this.#channel.post(["head", this.number, words]);
    this.#send(body).catch((error) => this.#fail(error));
  }

  #answerWhole(words: readonly string[], body: Bytes): void {
    if (this.#channel.answered(this.number, words, body)) return this.#left();
    const { bytes, transfer } = parcel(body);
    this.#end(["whole", this.number, words, bytes], transfer);
  }

  async #send(body: ByteSource): Promise<void> {
    for (;;) {
      if (this.#credit.isSpent) await this.#credit.granted();
      if (this.#over) return;
      const piece = await body.read();
      if (this.#over) return;
      if (piece === undefined) return this.#end(["done", this.number]);
      const { bytes, transfer } = parcel(piece);
      this.#credit.spend(bytes.length);
      this.#channel.post(["data", this.number, bytes], transfer);
    }
  }

  #cut(reason: Error): void {
    if (this.#over) return;
    // First of all, or what was read of it would pass for all of it.
    this.#input?.failed(reason);
    // Whoever is waited for before there is a head hears of it by the lifeline.
    this.#lifeline.cut(reason);
    this.#body?.cancel(reason);
    this.#end(["over", this.number]);
  }

  #fail(error: unknown): void {
    this.#end(["broken", this.number, encodeFault(error)]);
  }

  #end(message: ToGateway, transfer?: ArrayBuffer[]): void {
    if (this.#over) return;
    this.#channel.post(message, transfer);
    this.#left();
  }

  #left(): void {
    this.#over = true;
    this.#channel.ended(this);
  }

  get #reason(): Error {
    return this.#lifeline.reason ?? new Error("The call is over");
  }
}

/** A request's body that came with the request. */
class WholeBody implements SizedBody {
  readonly bytes: Bytes;
  #taken = false;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  read(): Promise<Bytes | undefined> {
    const piece = this.#taken || this.bytes.length === 0 ? undefined : this.bytes;
    this.#taken = true;
    return Promise.resolve(piece);
  }

  close(): void {
    this.#taken = true;
  }
}

/** A request's body that the gateway holds. */
class PulledBody implements SizedBody {
  readonly length: number | undefined;
  readonly bytes = undefined;
  readonly #pull: () => void;
  #asked: PromiseWithResolvers<Bytes | undefined> | undefined;
  #failure: Error | undefined;
  #closed = false;

  constructor(length: number | undefined, pull: () => void) {
    this.length = length;
    this.#pull = pull;
  }

  read(): Promise<Bytes | undefined> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.resolve(undefined);
    this.#asked = Promise.withResolvers();
    this.#pull();
    return this.#asked.promise;
  }

  came(piece: Bytes | undefined): void {
    this.#asked?.resolve(piece);
    this.#asked = undefined;
  }

  failed(reason: Error): void {
    this.#failure ??= reason;
    this.#asked?.reject(reason);
    this.#asked = undefined;
  }

  /** The gateway lets go of it when the call ends; whoever still reads finds the end. */
  close(): void {
    this.#closed = true;
    this.came(undefined);
  }
}

/** Passes on what would be logged. */
export function postedLog(post: Post): ServiceLog {
  return {
    program: (id, line) => post(["log", id, line]),
    notice: (message, id) => post(["notice", id, message]),
  };
}
