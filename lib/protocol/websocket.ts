/**
 * WebSocket frames (RFC 6455 §5) as a client of a server writes and reads them: written masked, read
 * unmasked, fragments put together. No extension is known, so none may show.
 */
import { ProtocolError } from "../errors.ts";
import { joinedOrOnly } from "./joined.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export type WebSocketEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "binary"; readonly data: Bytes }
  | { readonly type: "ping" | "pong"; readonly data: Bytes }
  /** `code` is undefined where the frame had none. */
  | { readonly type: "close"; readonly code: number | undefined; readonly reason: string };

const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A WebSocket fault, with the code to close with (§7.4.1). */
export class WebSocketFault extends ProtocolError {
  constructor(readonly code: number, message: string) {
    super("websocket-fault", message);
  }
}

/** A frame that is a whole message, or a control frame. `mask` is four unpredictable bytes (§5.3). */
export function encodeFrame(
  type: Exclude<keyof typeof OPCODES, "continuation">,
  data: Uint8Array,
  mask: Uint8Array,
): Bytes {
  const { length } = data;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = new Uint8Array(6 + extra + length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | OPCODES[type];
  frame[1] = 0x80 | (extra === 0 ? length : extra === 2 ? 126 : 127);
  if (extra === 2) view.setUint16(2, length);
  if (extra === 8) view.setBigUint64(2, BigInt(length));
  const start = 6 + extra;
  frame.set(mask, start - 4);
  for (let at = 0; at < length; at++) {
    frame[start + at] = (data[at] ?? 0) ^ (mask[at & 3] ?? 0);
  }
  return frame;
}

/** The payload of a close frame (§5.5.1). */
export function closePayload(code: number | undefined, reason: string): Bytes {
  if (code === undefined) return new Uint8Array(0);
  const text = new TextEncoder().encode(reason).subarray(0, 123);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return payload;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class FrameDecoder {
  readonly #maxMessage: number;
  /** The frame's head as far as it has come. */
  readonly #head = new Uint8Array(10);
  #headLength = 0;
  /** Bytes of this frame's payload that are still due; undefined: its head is not whole. */
  #due: number | undefined;
  /** The pieces of this frame, and of the message that it is a fragment of. */
  #frame: Bytes[] = [];
  #message: Bytes[] = [];
  #messageSize = 0;
  #opcode: number | undefined;

  /** Messages of more bytes are refused. */
  constructor(maxMessage: number) {
    this.#maxMessage = maxMessage;
  }

  /**
   * Takes the next chunk; its buffer may be reused afterwards.
   * @throws {WebSocketFault}
   */
  push(chunk: Uint8Array): WebSocketEvent[] {
    const events: WebSocketEvent[] = [];
    for (let at = 0; at < chunk.length || this.#due === 0;) {
      if (this.#due === undefined) {
        this.#head[this.#headLength++] = chunk[at++] ?? 0;
        this.#readHead();
        continue;
      }
      const piece = chunk.slice(at, at + this.#due);
      at += piece.length;
      this.#due -= piece.length;
      if (piece.length > 0) this.#frame.push(piece);
      if (this.#due > 0) continue;
      const event = this.#endFrame();
      if (event !== undefined) events.push(event);
    }
    return events;
  }

  #readHead(): void {
    const [first = 0, second = 0] = this.#head;
    if (this.#headLength < 2) return;
    const short = second & 0x7f;
    const size = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (this.#headLength < size) return;
    // §5.2, §5.1: no extension was agreed on; a server does not mask.
    if ((first & 0x70) !== 0) throw new WebSocketFault(1002, "A frame has reserved bits set");
    if ((second & 0x80) !== 0) throw new WebSocketFault(1002, "A server's frame is masked");
    const view = new DataView(this.#head.buffer);
    const length = size === 2
      ? short
      : size === 4
      ? view.getUint16(2)
      : Number(view.getBigUint64(2));
    this.#require(first, length);
    this.#due = length;
  }

  #require(first: number, length: number): void {
    const opcode = first & 0x0f;
    if (opcode >= 8) {
      const isKnown = opcode <= 10;
      // §5.5: control frames are short and whole.
      if (isKnown && (first & 0x80) !== 0 && length < 126) return;
      throw new WebSocketFault(1002, "A control frame is unknown, too long or in fragments");
    }
    const continues = this.#opcode !== undefined;
    if (opcode > 2 || continues !== (opcode === OPCODES.continuation)) {
      throw new WebSocketFault(1002, "A frame is unknown or out of order");
    }
    if (this.#messageSize + length > this.#maxMessage) {
      throw new WebSocketFault(1009, `A message has more than ${this.#maxMessage} bytes`);
    }
  }

  #endFrame(): WebSocketEvent | undefined {
    const [first = 0] = this.#head;
    const pieces = this.#frame;
    this.#frame = [];
    this.#headLength = 0;
    this.#due = undefined;
    const opcode = first & 0x0f;
    if (opcode >= 8) return controlEvent(opcode, joinedOrOnly(pieces));
    this.#opcode ??= opcode;
    for (const piece of pieces) {
      this.#message.push(piece);
      this.#messageSize += piece.length;
    }
    if ((first & 0x80) === 0) return undefined;
    const data = joinedOrOnly(this.#message);
    const isText = this.#opcode === OPCODES.text;
    this.#message = [];
    this.#messageSize = 0;
    this.#opcode = undefined;
    return isText ? { type: "text", text: decodeText(data) } : { type: "binary", data };
  }
}

function controlEvent(opcode: number, data: Bytes): WebSocketEvent {
  if (opcode === OPCODES.ping) return { type: "ping", data };
  if (opcode === OPCODES.pong) return { type: "pong", data };
  if (data.length === 0) return { type: "close", code: undefined, reason: "" };
  if (data.length === 1) throw new WebSocketFault(1002, "A close frame has half a code");
  const code = new DataView(data.buffer, data.byteOffset).getUint16(0);
  if (!isSendableCode(code)) throw new WebSocketFault(1002, `A close frame has the code ${code}`);
  return { type: "close", code, reason: decodeText(data.subarray(2)) };
}

/** Whether a close frame may have the code (§7.4, and the registry that goes on from it). */
export function isSendableCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) ||
    (code >= 3000 && code <= 4999);
}

function decodeText(data: Uint8Array): string {
  try {
    return UTF8.decode(data);
  } catch {
    throw new WebSocketFault(1007, "Text is not UTF-8");
  }
}
