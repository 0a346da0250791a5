/**
 * A connection of ours as the stream that `node:http2` wants below a session, watched on its way in. So one
 * way of connecting, with its limits and its names for faults, serves both versions of HTTP.
 */
import { Duplex } from "node:stream";
import { closeQuietly } from "./dial.ts";
import type { OriginSocket } from "./http_origin.ts";

const READ_SIZE = 65_536;

type Done = (error?: Error | null) => void;

export class SessionSocket extends Duplex {
  readonly #socket: OriginSocket;
  readonly #watch: (bytes: Uint8Array) => void;

  /** `watch` sees all that comes in, before the session does. */
  constructor(socket: OriginSocket, watch: (bytes: Uint8Array) => void) {
    super();
    this.#socket = socket;
    this.#watch = watch;
  }

  override async _read(): Promise<void> {
    try {
      const buffer = new Uint8Array(READ_SIZE);
      const count = await this.#socket.read(buffer);
      if (count === null) return void this.push(null);
      const bytes = buffer.subarray(0, count);
      this.#watch(bytes);
      this.push(bytes);
    } catch (error) {
      this.destroy(asError(error));
    }
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#send(chunk).then(() => done(), (error) => done(asError(error)));
  }

  /** What has gathered meanwhile goes out at once: a session writes each frame by itself. */
  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this._write(joined(chunks.map(({ chunk }) => chunk)), "", done);
  }

  override _destroy(error: Error | null, done: Done): void {
    closeQuietly(this.#socket);
    done(error);
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#socket.write(bytes.subarray(at));
  }
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
