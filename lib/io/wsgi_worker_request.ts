/**
 * One call that a worker answers, seen from the gateway: hands over the request and its body, and gives
 * the answer as any other application's would be.
 */
import { GatewayError } from "../errors.ts";
import type { ByteSource, Exchange, Mount, SizedBody } from "../exchange.ts";
import { Consumption } from "../protocol/wsgi_credit.ts";
import type { Answer } from "../protocol/wsgi_draw.ts";
import { MAX_SHORT } from "../protocol/wsgi_lane.ts";
import {
  type BodyNotice,
  type CallMessage,
  decodeFault,
  decodeHead,
  encodeFault,
  type ToWorker,
} from "../protocol/wsgi_wire.ts";
import { encodeExchange } from "../protocol/wsgi_wire_exchange.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What calls ask of their worker. */
export interface RequestChannel {
  /** Makes a call the short way, which takes a copy of the body; false: it has to be posted. */
  call(number: number, words: readonly string[], body: Uint8Array | null): boolean;
  post(message: ToWorker, transfer?: ArrayBuffer[]): void;
  /** The worker has let go of a call. */
  ended(call: WorkerRequest): void;
  /** A time limit has run out: the worker has to let go of the call soon. */
  overdue(call: WorkerRequest, reason: Error): void;
}

export class WorkerRequest implements ByteSource {
  readonly number: number;
  readonly #exchange: Exchange;
  readonly #body: SizedBody | null;
  readonly #channel: RequestChannel;
  readonly #answer = Promise.withResolvers<Answer>();
  /** Made with the first piece: most answers are complete at once. */
  #consumption: Consumption | undefined;
  #pieces: Bytes[] | undefined;
  #ended = false;
  #failure: Error | undefined;
  /** A reader waits for this. */
  #change: PromiseWithResolvers<void> | undefined;
  /** Nobody wants the answer any more. */
  #left = false;

  constructor(number: number, parts: {
    readonly exchange: Exchange;
    readonly body: SizedBody | null;
    readonly channel: RequestChannel;
  }) {
    this.number = number;
    this.#exchange = parts.exchange;
    this.#body = parts.body;
    this.#channel = parts.channel;
  }

  /** Hands the request over; the answer, or why there is none. */
  begin(mount: Mount): Promise<Answer> {
    const exchange = this.#exchange;
    this.#call(encodeExchange(exchange, mount));
    exchange.lifeline.handOver();
    exchange.lifeline.onCut(this.#cut);
    return this.#answer.promise;
  }

  take(message: CallMessage): void {
    switch (message[0]) {
      case "whole":
        return this.answered(message[2], message[3]);
      case "head":
        return this.#reply(message[2], this);
      case "data":
        if (!this.#left) (this.#pieces ??= []).push(message[2]);
        return this.#changed();
      case "done":
      case "over":
        return this.#end();
      case "broken":
        return this.fail(decodeFault(message[2]));
      case "pull":
        return void this.#feed();
      default:
        return message satisfies never;
    }
  }

  /** Ends the call with all of its answer. */
  answered(head: readonly string[], body: Bytes): void {
    this.#reply(head, body);
    this.#end();
  }

  /** Ends the call: the application failed, or its worker died. */
  fail(error: Error): void {
    this.#failure = error;
    this.#answer.reject(error);
    this.#end();
  }

  async read(): Promise<Bytes | undefined> {
    for (;;) {
      const piece = this.#pieces?.shift();
      if (piece !== undefined) return this.#consumed(piece);
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended || this.#left) return undefined;
      await (this.#change ??= Promise.withResolvers()).promise;
    }
  }

  cancel(reason: Error): void {
    this.#leave(reason);
  }

  readonly #cut = (reason: Error): void => {
    this.#answer.reject(reason);
    this.#leave(reason);
  };

  #call(words: readonly string[]): void {
    const body = this.#body;
    const bytes = body === null ? null : body.bytes;
    const isShort = bytes !== undefined && (bytes === null || bytes.length <= MAX_SHORT);
    if (isShort && this.#channel.call(this.number, words, bytes)) return;
    this.#channel.post(["call", this.number, words, noticeOf(body)]);
  }

  #leave(reason: Error): void {
    if (this.#left) return;
    this.#left = true;
    this.#pieces = undefined;
    this.#body?.close();
    this.#changed();
    if (this.#ended) return;
    this.#channel.post(["cut", this.number, encodeFault(reason)]);
    if (reason instanceof GatewayError) this.#channel.overdue(this, reason);
  }

  #reply(words: readonly string[], body: Bytes | ByteSource): void {
    this.#exchange.lifeline.forget(this.#cut);
    this.#answer.resolve({ head: decodeHead(words), body });
  }

  #consumed(piece: Bytes): Bytes {
    this.#consumption ??= new Consumption();
    const credit = this.#consumption.take(piece.length);
    if (credit > 0 && !this.#ended) this.#channel.post(["more", this.number, credit]);
    return piece;
  }

  async #feed(): Promise<void> {
    let piece: Uint8Array | undefined;
    try {
      piece = await this.#body?.read();
    } catch (error) {
      if (!this.#ended) this.#channel.post(["fail", this.number, encodeFault(error)]);
      return;
    }
    if (this.#ended) return;
    if (piece === undefined) return this.#channel.post(["end", this.number]);
    const { bytes, transfer } = sendable(piece, this.#body?.bytes === undefined);
    this.#channel.post(["piece", this.number, bytes], transfer);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#exchange.lifeline.forget(this.#cut);
    this.#body?.close();
    this.#changed();
    this.#channel.ended(this);
  }

  #changed(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }
}

/** More than this goes over in pieces, as it is asked for. */
const MAX_ENCLOSED = 65_536;

function noticeOf(body: SizedBody | null): BodyNotice {
  if (body === null) return null;
  const { bytes, length } = body;
  if (bytes === undefined || bytes.length > MAX_ENCLOSED) return { length: length ?? null };
  return new Uint8Array(bytes);
}

/** A piece of a body that only streams is the reader's own, and goes over without a copy. */
function sendable(
  piece: Uint8Array,
  own: boolean,
): { readonly bytes: Bytes; readonly transfer: ArrayBuffer[] } {
  const { buffer } = piece;
  const whole = own && buffer instanceof ArrayBuffer && buffer.byteLength === piece.length;
  const bytes = whole ? new Uint8Array(buffer) : new Uint8Array(piece);
  return { bytes, transfer: [bytes.buffer] };
}
