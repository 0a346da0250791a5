/**
 * Bytes as text and text as bytes, one code unit a byte.
 *
 * Strategy: Node's Buffer decodes several times as fast as all else that there is, but takes as long to
 * load as the whole of a small server. So it is loaded when there is enough to do for it.
 */
import type { ByteString } from "../exchange.ts";

/** Below this many bytes, adding up characters beats a call into the runtime. */
const SHORT = 12;
/** How many texts it takes until a faster way is wanted. */
const ENOUGH = 500;
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const TO_UTF8 = new TextEncoder();

interface Native {
  readonly latin1Slice: (this: Uint8Array, start: number, end: number) => string;
  readonly isAscii: (bytes: Uint8Array) => boolean;
}

let native: Native | undefined;
let count = 0;

/** The text of bytes from `start` to `end`. */
export function latin1FromBytes(
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
): ByteString {
  if (native !== undefined) return native.latin1Slice.call(bytes, start, end);
  if (++count === ENOUGH) loadNative();
  return slowly(bytes.subarray(start, end));
}

/** The text that these bytes are if all are ASCII, where telling costs less than it saves. */
export function asciiText(bytes: Uint8Array): string | undefined {
  if (native === undefined) {
    if (++count === ENOUGH) loadNative();
    return undefined;
  }
  return native.isAscii(bytes) ? native.latin1Slice.call(bytes, 0, bytes.length) : undefined;
}

/** Text as the bytes of its UTF-8 form. */
export function byteString(text: string): ByteString {
  if (isAscii(text)) return text;
  return latin1FromBytes(TO_UTF8.encode(text));
}

/** Bytes as the text that they are in UTF-8; what is not UTF-8 becomes U+FFFD. */
export function textOf(bytes: ByteString): string {
  if (isAscii(bytes)) return bytes;
  return new TextDecoder().decode(Uint8Array.from(bytes, (char) => char.charCodeAt(0)));
}

function isAscii(text: string): boolean {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(text);
}

/** Texts that are longer are written in one call of the runtime, if they are ASCII. */
const LONG = 64;
const ENCODER = new TextEncoder();

/**
 * Writes a text's code units as bytes, for which there has to be room, and gives their end.
 * @throws {RangeError} when one is no byte: cut down to a byte it could forge a NUL.
 */
export function writeLatin1(text: ByteString, bytes: Uint8Array, start: number): number {
  if (text.length > LONG) {
    // What is not ASCII takes more bytes than characters, or does not find room.
    const { read, written } = ENCODER.encodeInto(text, bytes.subarray(start));
    if (read === text.length && written === text.length) return start + written;
  }
  let at = start;
  let seen = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    seen |= code;
    bytes[at++] = code;
  }
  if (seen > 0xff) throw new RangeError("Cannot encode text that is no byte string");
  return at;
}

function slowly(bytes: Uint8Array): ByteString {
  if (bytes.length > SHORT) {
    // One native call decodes ASCII. UTF-8 beyond it has fewer characters than bytes, or U+FFFD.
    const text = UTF8.decode(bytes);
    if (text.length === bytes.length && !text.includes("\ufffd")) return text;
  }
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

async function loadNative(): Promise<void> {
  const { Buffer, isAscii } = await import("node:buffer");
  native = { latin1Slice: Buffer.prototype.latin1Slice, isAscii };
}
