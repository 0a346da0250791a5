/**
 * A connection of ours as the stream that `node:http2` wants below a session, watched on its way in. So one
 * way of connecting, with its limits and its names for faults, serves both versions of HTTP.
 */
import { Duplex } from "node:stream";
import { closeQuietly } from "./dial.ts";
import type { OriginSocket } from "./http_origin.ts";

const READ_SIZE = 65_536;
/** A piece of a body of that size too, in its frames. */
const WRITE_SIZE = 66_560;

type Done = (error?: Error | null) => void;

export class SessionSocket extends Duplex {
  readonly #socket: OriginSocket;
  readonly #watch: (bytes: Uint8Array) => void;
  #buffer = new Uint8Array(READ_SIZE);
  readonly #gathered = new Uint8Array(WRITE_SIZE);

  /** `watch` sees all that comes in, before the session does. */
  constructor(socket: OriginSocket, watch: (bytes: Uint8Array) => void) {
    super();
    this.#socket = socket;
    this.#watch = watch;
  }

  override async _read(): Promise<void> {
    try {
      const count = await this.#socket.read(this.#buffer);
      if (count === null) return void this.push(null);
      const bytes = this.#buffer.subarray(0, count);
      this.#watch(bytes);
      this.push(bytes);
      // A session takes at once what comes, as long as it takes anything.
      if (this.readableLength > 0) this.#buffer = new Uint8Array(READ_SIZE);
    } catch (error) {
      this.destroy(asError(error));
    }
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#send(chunk).then(() => done(), (error) => done(asError(error)));
  }

  /** What has gathered meanwhile goes out at once: a session writes each frame by itself. */
  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this.#sendAll(chunks.map(({ chunk }) => chunk)).then(
      () => done(),
      (error) => done(asError(error)),
    );
  }

  override _destroy(error: Error | null, done: Done): void {
    closeQuietly(this.#socket);
    done(error);
  }

  async #sendAll(chunks: readonly Uint8Array[]): Promise<void> {
    let size = 0;
    for (const chunk of chunks) {
      if (size + chunk.length > WRITE_SIZE) {
        await this.#send(this.#gathered.subarray(0, size));
        size = 0;
      }
      if (chunk.length > WRITE_SIZE) await this.#send(chunk);
      else {
        this.#gathered.set(chunk, size);
        size += chunk.length;
      }
    }
    await this.#send(this.#gathered.subarray(0, size));
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#socket.write(bytes.subarray(at));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
