/**
 * What a fetch handler answered, as an answer of the `wsgi` kind: the same checks of the head, and a body
 * that is bytes if it is there at once.
 *
 * Strategy: the runtime does not tell whether a Response's body lies in memory. But one that does is read
 * within a few turns of the microtask queue, and no stream that waits for anything is.
 */
import { ClientGone } from "../errors.ts";
import type { ByteSource } from "../exchange.ts";
import { forbidsBody, isHopByHop } from "./http_fields.ts";
import type { FieldPair } from "./wsgi.ts";
import type { Answer } from "./wsgi_draw.ts";
import { checkedHead } from "./wsgi_head.ts";
import { isBytes, notBytes } from "./wsgi_result.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Reader = ReadableStreamDefaultReader<unknown>;

const NOTHING: Bytes = new Uint8Array();

/** Status and fields as an application says them. What is the server's to send is left to it. */
export function saidBy(response: Response): readonly [status: string, fields: FieldPair[]] {
  const fields: FieldPair[] = [];
  response.headers.forEach((value, name) => {
    if (!isHopByHop(name)) fields.push([name, value]);
  });
  return [`${response.status} ${response.statusText || "Unspecified"}`, fields];
}

/** Makes sure that a handler answered with a Response. */
export function checkedResponse(value: unknown): Response {
  if (value instanceof Response) return value;
  throw new TypeError(`fetch() gave ${value === null ? "null" : `a ${typeof value}`}, no Response`);
}

/** Called once, when nobody reads a body any more; with the reason if that is before its end. */
export type Done = (reason?: Error) => void;

/** The answer that a Response is. */
export async function answerFrom(response: Response, method: string, done: Done): Promise<Answer> {
  const head = checkedHead(...saidBy(response));
  const { body } = response;
  if (body === null || (method !== "HEAD" && !forbidsBody(head.status))) {
    return { head, body: await drawBody(body, done) };
  }
  await body.cancel();
  done();
  return { head, body: NOTHING };
}

/** All of a body if it is there at once, else what reads it. */
export async function drawBody(
  body: ReadableStream<Uint8Array> | null,
  done: Done,
): Promise<Bytes | ResponseBody> {
  const reader = body?.getReader();
  const begun: Step[] = [];
  let step: Step;
  while (reader !== undefined && begun.length < 2) {
    step = await soon(nextPiece(reader));
    if (step === undefined) break;
    begun.push(step);
    if (!isBytes(step)) break;
  }
  if (reader !== undefined && step !== undefined) return new ResponseBody(reader, begun, done);
  done();
  return isBytes(begun[0]) ? begun[0] : NOTHING;
}

/** A step that was there at once, or is still to come. */
type Step = Bytes | undefined | { readonly later: Promise<Bytes | undefined> };

async function soon(step: Promise<Bytes | undefined>): Promise<Step> {
  return await Promise.race([step, turns({ later: step })]);
}

/** Turns of the microtask queue that a body in memory takes at most. */
const TURNS = 6;

async function turns<T>(value: T): Promise<T> {
  for (let turn = 0; turn < TURNS; turn++) await undefined;
  return value;
}

/** The next piece that is not empty. */
async function nextPiece(reader: Reader): Promise<Bytes | undefined> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    if (!isBytes(value)) throw notBytes(value);
    if (value.length > 0) return value;
  }
}

/** A body on its way, for the server and for middleware alike. */
export class ResponseBody implements ByteSource, AsyncIterable<Bytes> {
  readonly #reader: Reader;
  /** What was asked for already. */
  readonly #begun: Step[];
  readonly #done: Done;
  #over = false;

  constructor(reader: Reader, begun: Step[], done: Done) {
    this.#reader = reader;
    this.#begun = begun;
    this.#done = done;
  }

  async read(): Promise<Bytes | undefined> {
    try {
      const step = this.#begun.length === 0 ? await nextPiece(this.#reader) : this.#begun.shift();
      const piece = step === undefined || isBytes(step) ? step : await step.later;
      if (piece === undefined) this.#finish();
      return piece;
    } catch (error) {
      this.#finish();
      throw error;
    }
  }

  cancel(reason: Error): void {
    this.#finish(reason);
    this.#reader.cancel(reason).catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) yield piece;
  }

  /** Ends what was not read to its end. */
  close(): void {
    if (!this.#over) this.cancel(new ClientGone());
  }

  #finish(reason?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#done(reason);
  }
}
