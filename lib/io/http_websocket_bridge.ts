/**
 * Two WebSockets, joined: the client's, which the runtime speaks, and the origin's, which we do. What passes
 * are whole messages and the close; pings are answered on each side.
 *
 * Towards the client, no more is read from the origin than the client takes. Towards the origin the runtime
 * cannot be told to stop reading: a client that sends faster than the origin takes is cut off at a limit.
 */
import type { Lifeline } from "../lifeline.ts";
import {
  closePayload,
  encodeFrame,
  FrameDecoder,
  isSendableCode,
  type WebSocketEvent,
  WebSocketFault,
} from "../protocol/websocket.ts";
import type { Switched } from "./http_origin_client.ts";

export interface BridgeOptions {
  readonly lifeline: Lifeline;
  /** Told why a connection was ended by the gateway itself. */
  readonly notice: (message: string) => void;
}

const MAX_MESSAGE = 16 * 2 ** 20;
/** What may wait to be taken by the origin, and by the client before the origin is read on. */
const MAX_QUEUED = 32 * 2 ** 20;
const MAX_BUFFERED = 2 ** 20;
const LOOK_MS = 5;
/** How long either side may take to answer a close. */
const CLOSE_GRACE_MS = 2000;
const GOING_AWAY = 1001;
const POLICY = 1008;
const BROKEN = 1011;

const UTF8 = new TextEncoder();

export class WebSocketBridge {
  readonly #socket: WebSocket;
  readonly #origin: Switched;
  readonly #options: BridgeOptions;
  readonly #decoder = new FrameDecoder(MAX_MESSAGE);
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #sending: Promise<void> | undefined;
  /** A close frame went to the origin: nothing may follow it. */
  #closeSent = false;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #onCut = () => this.#end(GOING_AWAY, "");

  constructor(socket: WebSocket, origin: Switched, options: BridgeOptions) {
    this.#socket = socket;
    this.#origin = origin;
    this.#options = options;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened.resolve();
    socket.onmessage = ({ data }) => this.#forward(data);
    socket.onclose = ({ code, reason }) => this.#clientClosed(code, reason);
    // A close event follows, but not where the connection broke before it was open.
    socket.onerror = () => this.#clientClosed(1006, "");
  }

  /** Runs until both sides have closed. Never rejects. */
  async run(): Promise<void> {
    const { lifeline } = this.#options;
    lifeline.onCut(this.#onCut);
    await Promise.race([this.#opened.promise, this.#closed.promise]);
    await this.#pump();
    await this.#sending;
    this.#origin.connection.close();
    await this.#closed.promise;
    clearTimeout(this.#graceTimer);
    lifeline.forget(this.#onCut);
  }

  /** From the origin to the client. */
  async #pump(): Promise<void> {
    const { connection, rest } = this.#origin;
    try {
      let chunk: Uint8Array | undefined = rest;
      while (chunk !== undefined) {
        for (const event of this.#decoder.push(chunk)) {
          if (event.type === "close") return this.#originClosed(event);
          await this.#deliver(event);
        }
        connection.startOver();
        chunk = await connection.receive();
      }
      if (!this.#closeSent) this.#endClient(BROKEN, "");
    } catch (error) {
      if (!(error instanceof WebSocketFault)) throw error;
      this.#options.notice(`The origin broke the WebSocket protocol: ${error.message}`);
      this.#send("close", closePayload(error.code, ""));
      this.#endClient(BROKEN, "");
    }
  }

  async #deliver(event: Exclude<WebSocketEvent, { type: "close" }>): Promise<void> {
    if (event.type === "pong") return;
    if (event.type === "ping") return this.#send("pong", event.data);
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(event.type === "text" ? event.text : event.data);
    while (this.#socket.bufferedAmount > MAX_BUFFERED && this.#isOpen) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  get #isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** From the client to the origin. */
  #forward(data: unknown): void {
    if (typeof data === "string") this.#send("text", UTF8.encode(data));
    else if (data instanceof ArrayBuffer) this.#send("binary", new Uint8Array(data));
  }

  #send(type: "text" | "binary" | "pong" | "close", data: Uint8Array): void {
    if (this.#closeSent) return;
    const frame = encodeFrame(type, data, crypto.getRandomValues(new Uint8Array(4)));
    this.#closeSent = type === "close";
    this.#queue.push(frame);
    this.#queued += frame.length;
    if (this.#queued > MAX_QUEUED && type !== "close") {
      this.#options.notice("A WebSocket's client sends faster than the origin takes: cut off");
      this.#queue.length = 0;
      this.#origin.connection.close();
      return this.#endClient(POLICY, "");
    }
    this.#sending ??= this.#drain();
  }

  async #drain(): Promise<void> {
    for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
      // The reader finds out that the origin is gone.
      const isSent = await this.#origin.connection.send(frame).catch(() => false);
      if (!isSent) this.#queue.length = 0;
      this.#queued = isSent ? this.#queued - frame.length : 0;
    }
    this.#sending = undefined;
  }

  #clientClosed(code: number, reason: string): void {
    this.#send("close", closePayload(toOrigin(code), reason));
    // The origin's own close, or its end, ends the pump.
    this.#closeSoon();
    this.#closed.resolve();
  }

  #originClosed({ code, reason }: Extract<WebSocketEvent, { type: "close" }>): void {
    this.#send("close", closePayload(code, ""));
    this.#endClient(code, reason);
  }

  #end(code: number, reason: string): void {
    this.#send("close", closePayload(code, reason));
    this.#endClient(code, reason);
  }

  /** A side that does not answer the close is not waited for. */
  #closeSoon(): void {
    this.#graceTimer ??= setTimeout(() => {
      this.#origin.connection.close();
      this.#closed.resolve();
    }, CLOSE_GRACE_MS);
  }

  #endClient(code: number | undefined, reason: string): void {
    this.#closeSoon();
    try {
      if (code === undefined) this.#socket.close();
      else this.#socket.close(code, reason);
    } catch {
      // Closed already, or not yet open: then it never will be.
      this.#closed.resolve();
    }
  }
}

/** 1005 and 1006 stand for no code and no close at all; neither can be sent (§7.4.1). */
function toOrigin(code: number): number | undefined {
  if (code === 1005) return undefined;
  return isSendableCode(code) ? code : GOING_AWAY;
}
