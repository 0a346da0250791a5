/**
 * Messages between processes over a standard stream: frames of a mark, a type, a length and a payload.
 * An application may write to the worker's standard output too: what stands between frames is its own,
 * and told apart.
 *
 *   0x1E  type (one letter)  length (decimal)  LF  payload
 */

const MARK = 0x1e;
const LINE_FEED = 0x0a;
/** Mark, letter, digits, line feed: no head is longer. */
const MAX_HEAD = 16;
const UTF8 = new TextEncoder();
const TEXT = new TextDecoder();
const NOTHING = new Uint8Array(0);

/** `m` is a message, as JSON; `o` and `e` are bytes for the standard streams. */
export type FrameType = "m" | "o" | "e";

export interface Frame {
  /** Undefined: no frame, but what stood between them. */
  readonly type: FrameType | undefined;
  readonly payload: Uint8Array<ArrayBuffer>;
}

export function encodeFrame(type: FrameType, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = UTF8.encode(`\x1e${type}${payload.length}\n`);
  const frame = new Uint8Array(head.length + payload.length);
  frame.set(head);
  frame.set(payload, head.length);
  return frame;
}

export function encodeMessage(message: unknown): Uint8Array<ArrayBuffer> {
  return encodeFrame("m", UTF8.encode(JSON.stringify(message)));
}

/** What a message says. Both ends are this program: its shape is not checked again. */
export function decodeMessage<T>({ payload }: Frame): T {
  return JSON.parse(TEXT.decode(payload));
}

export class FrameDecoder {
  #rest: Uint8Array<ArrayBuffer> = NOTHING;

  /** The frames that are complete by now, and what stood between them. Copies what it gives. */
  *push(bytes: Uint8Array): Generator<Frame> {
    this.#rest = joined(this.#rest, bytes);
    for (;;) {
      const rest = this.#rest;
      const mark = rest.indexOf(MARK);
      const between = mark === -1 ? rest : rest.subarray(0, mark);
      this.#rest = mark === -1 ? NOTHING : rest.subarray(mark);
      if (between.length > 0) yield { type: undefined, payload: between };
      const head = readHead(this.#rest);
      if (head === undefined) return;
      if (head === "none") {
        // A mark that somebody else wrote.
        yield { type: undefined, payload: this.#rest.subarray(0, 1) };
        this.#rest = this.#rest.subarray(1);
        continue;
      }
      const { type, start, end } = head;
      if (end > this.#rest.length) return;
      const payload = this.#rest.subarray(start, end);
      this.#rest = this.#rest.subarray(end);
      yield { type, payload };
    }
  }
}

interface Head {
  readonly type: FrameType;
  readonly start: number;
  readonly end: number;
}

/** Undefined: not all of it is there yet. */
function readHead(bytes: Uint8Array): Head | "none" | undefined {
  const end = bytes.subarray(0, MAX_HEAD).indexOf(LINE_FEED);
  if (end === -1) return bytes.length < MAX_HEAD ? undefined : "none";
  const [, type, length] = /^([moe])(\d{1,9})$/.exec(TEXT.decode(bytes.subarray(1, end))) ?? [];
  if (type !== "m" && type !== "o" && type !== "e") return "none";
  return { type, start: end + 1, end: end + 1 + Number(length) };
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
