/**
 * A growing buffer that requests are written into, for protocols that send variables as text: filled,
 * taken, filled again.
 */
import type { ByteString } from "../exchange.ts";
import { writeLatin1 } from "./latin1.ts";

export class ByteWriter {
  #bytes = new Uint8Array(2048);
  #end = 0;

  /** Bytes written since the last {@link take}. */
  get length(): number {
    return this.#end;
  }

  /** A view of what was written, less what comes before `start`; valid until the next write. */
  take(start = 0): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.subarray(start, this.#end);
    this.#end = 0;
    return bytes;
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  byte(value: number): void {
    this.reserve(1);
    this.#bytes[this.#end++] = value;
  }

  text(text: ByteString): void {
    this.reserve(text.length);
    this.#end = writeLatin1(text, this.#bytes, this.#end);
  }

  /** Text behind its length in two bytes, the lower one first. */
  sizedText(text: ByteString): void {
    const { length } = text;
    this.reserve(2 + length);
    const bytes = this.#bytes;
    const at = this.#end;
    bytes[at] = length & 255;
    bytes[at + 1] = length >> 8;
    this.#end = writeLatin1(text, bytes, at + 2);
  }

  /** Skips bytes, to be written by {@link patch}. */
  skip(count: number): void {
    this.reserve(count);
    this.#end += count;
  }

  /** Writes over what was written or skipped before. */
  patch(at: number, bytes: readonly number[]): void {
    this.#bytes.set(bytes, at);
  }

  /** A view of the bytes from `start` on; valid until the next write. */
  view(start: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(start, this.#end);
  }

  /** Takes back what was written since `length`. */
  truncate(length: number): void {
    this.#end = length;
  }

  /** Makes room for so many bytes more. */
  reserve(more: number): void {
    const needed = this.#end + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = grown;
  }
}
