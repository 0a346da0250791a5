/**
 * A `Response` written by the Node-compatible server. One piece is asked for when the last has gone to the
 * system, since its memory may be used again by then. A client that takes nothing for too long is cut off;
 * a body that fails ends the connection, never the message.
 */
import type { ServerResponse } from "node:http";

type Bytes = Uint8Array<ArrayBuffer>;

/** How long a client may take for what precedes a fault. */
const BREAK_OFF_MS = 2000;

/** Of bodies that are made while they are sent the gateway notices it too, and tells: it shall be first. */
const LATER_MS = 500;

/** Writes all of it, or breaks the connection. Never rejects. */
export async function sendResponse(
  response: Response,
  to: ServerResponse,
  sendTimeoutMs: number,
): Promise<void> {
  const sending = new Sending(to, sendTimeoutMs);
  try {
    await sending.send(response);
  } catch {
    // A body that failed, which the gateway has reported by then, or a client that has left.
    sending.breakOff(response);
  }
}

class Sending {
  readonly #to: ServerResponse;
  readonly #timeoutMs: number;
  #isBroken = false;

  constructor(to: ServerResponse, timeoutMs: number) {
    this.#to = to;
    this.#timeoutMs = timeoutMs;
  }

  async send(response: Response): Promise<void> {
    if (response.body === null) {
      this.#head(response, 0);
      return await this.#end(undefined);
    }
    const reader = response.body.getReader();
    const leave = () => void reader.cancel().catch(() => {});
    this.#to.once("close", leave);
    if (this.#to.destroyed) return leave();
    await this.#body(response, reader);
    this.#to.off("close", leave);
  }

  async #body(response: Response, reader: ReadableStreamDefaultReader<Bytes>): Promise<void> {
    const { done, value } = await reader.read();
    if (done) {
      this.#head(response, undefined);
      return await this.#end(undefined);
    }
    const first = value.slice();
    const second = reader.read();
    let isWhole = false;
    second.then((piece) => isWhole = piece.done, () => {});
    // What was bytes from the beginning ends at once.
    await null;
    this.#head(response, isWhole ? first.length : undefined);
    if (isWhole) return await this.#end(first);
    // It may fail while the client is waited for.
    reader.closed.catch(() => this.breakOff(response));
    await this.#write(first);
    for (let piece = await second; !piece.done; piece = await reader.read()) {
      await this.#write(piece.value);
    }
    await this.#end(undefined);
  }

  /** Sends what there is, and no end to it. */
  breakOff(response: Response): void {
    const to = this.#to;
    const { socket } = to;
    if (to.destroyed || socket === null || this.#isBroken) return;
    this.#isBroken = true;
    if (!to.headersSent) this.#head(response, undefined);
    to.flushHeaders();
    socket.destroySoon();
    const timer = setTimeout(() => socket.destroy(), BREAK_OFF_MS);
    socket.once("close", () => clearTimeout(timer));
  }

  #head({ status, statusText, headers }: Response, length: number | undefined): void {
    const fields: string[] = [];
    let isSized = status === 204 || status === 304 || length === undefined;
    headers.forEach((value, name) => {
      fields.push(name, value);
      isSized ||= name === "content-length";
    });
    if (!isSized) fields.push("content-length", String(length));
    this.#to.writeHead(status, statusText === "" ? undefined : statusText, fields);
  }

  #write(piece: Bytes): Promise<void> {
    return this.#taken((done) => this.#to.write(piece, done));
  }

  async #end(piece: Bytes | undefined): Promise<void> {
    const to = this.#to;
    if (piece === undefined) to.end();
    else to.end(piece);
    if (to.writableFinished || (to.socket?.writableLength ?? 0) === 0) return;
    await this.#taken((done) => to.once("finish", done));
  }

  /** Resolves when the system has it, or nobody will. */
  async #taken(write: (done: () => void) => void): Promise<void> {
    const to = this.#to;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#timeoutMs > 0
      ? setTimeout(() => to.destroy(), this.#timeoutMs + LATER_MS)
      : undefined;
    to.once("close", resolve);
    write(resolve);
    await promise;
    clearTimeout(timer);
    to.off("close", resolve);
    if (to.destroyed && !to.writableFinished) throw new Error("The client has left");
  }
}
