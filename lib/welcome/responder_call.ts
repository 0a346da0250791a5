/**
 * One request inside a FastCGI responder: gathers PARAMS, takes STDIN in, and is what the application
 * sees of both.
 *
 * Strategy: PARAMS is bounded and must be whole before the application starts; STDIN flows through a
 * standard stream whose queue is bounded, so an application that does not read holds up its gateway's
 * connection and not this process's memory.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";
import { decodePairs, type FcgiRole } from "../protocol/fastcgi.ts";

/** The roles that can be served; a filter's second input stream (§6.4) is not. */
export type ServedRole = Exclude<FcgiRole, "filter">;

/** The connection under a request, for those who have to break its rules. */
export interface Peer {
  /** Writes bytes as they are, in turn with the records of the request. */
  write(bytes: Uint8Array): Promise<void>;
  /** Drops the connection, whatever is under way on it. */
  close(): void;
}

/** What an application is given of one request. */
export interface FcgiCall {
  readonly id: number;
  readonly role: ServedRole;
  readonly params: ReadonlyMap<string, ByteString>;
  /** The body, as far as the application cares to read it. Fails when the request is aborted. */
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Aborted when the gateway aborts the request or closes the connection. */
  readonly signal: AbortSignal;
  readonly peer: Peer;
  /** Resolves once the connection has taken the bytes; text goes as UTF-8. Rejects after an abort. */
  writeStdout(content: string | Uint8Array): Promise<void>;
  writeStderr(content: string | Uint8Array): Promise<void>;
}

/** Serves one request; gives its appStatus (§5.5), 0 if none. Has to end soon after an abort. */
export type FcgiApplication = (call: FcgiCall) => number | void | Promise<number | void>;

/** Where a request's output goes. */
export interface Outlet extends Peer {
  stream(type: "stdout" | "stderr", id: number, content: Uint8Array): Promise<void>;
}

export interface CallHead {
  readonly id: number;
  readonly role: ServedRole;
  readonly keepConnection: boolean;
  /** Bytes of PARAMS at most. */
  readonly maxParams: number;
}

const STDIN_QUEUE = 262_144;
const UTF8 = new TextEncoder();

export class Call implements FcgiCall {
  readonly id: number;
  readonly role: ServedRole;
  readonly keepConnection: boolean;
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  params: ReadonlyMap<string, ByteString> = new Map();
  /** §5.3: a stream that was never written to need not be ended. */
  stderrUsed = false;

  readonly peer: Outlet;
  readonly #maxParams: number;
  readonly #aborter = new AbortController();
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #pieces: Uint8Array[] = [];
  #size = 0;
  #finished = false;

  constructor(head: CallHead, outlet: Outlet) {
    this.id = head.id;
    this.role = head.role;
    this.keepConnection = head.keepConnection;
    this.#maxParams = head.maxParams;
    this.peer = outlet;
    const queue = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>(
      undefined,
      new ByteLengthQueuingStrategy({ highWaterMark: STDIN_QUEUE }),
    );
    this.stdin = queue.readable;
    this.#input = queue.writable.getWriter();
  }

  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /**
   * Takes a piece of PARAMS.
   * @throws {ProtocolError} `fcgi-params` past the limit.
   */
  addParams(piece: Uint8Array): void {
    this.#size += piece.length;
    if (this.#size > this.#maxParams) {
      throw new ProtocolError("fcgi-params", `Cannot take PARAMS past ${this.#maxParams} bytes`);
    }
    this.#pieces.push(piece.slice());
  }

  /**
   * PARAMS is whole: reads it.
   * @throws {ProtocolError} `fcgi-pairs`.
   */
  endParams(): void {
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    this.params = new Map(decodePairs(bytes));
  }

  /** Takes a piece of STDIN; resolves when there is room for the next. */
  async addInput(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      // The piece is a view of a buffer that the next read overwrites.
      this.#input.write(piece.slice()).catch(() => {});
      await this.#input.ready;
    } catch {
      // Aborted, or not wanted any more.
    }
  }

  endInput(): void {
    this.#input.close().catch(() => {});
  }

  abort(reason: Error): void {
    this.#aborter.abort(reason);
    this.#input.abort(reason).catch(() => {});
  }

  /** The application is done: what is left of STDIN is nobody's. */
  finish(): void {
    this.#finished = true;
    this.#input.abort(new Error("The request has ended")).catch(() => {});
  }

  async writeStdout(content: string | Uint8Array): Promise<void> {
    await this.#write("stdout", content);
  }

  async writeStderr(content: string | Uint8Array): Promise<void> {
    this.stderrUsed = true;
    await this.#write("stderr", content);
  }

  async #write(type: "stdout" | "stderr", content: string | Uint8Array): Promise<void> {
    this.signal.throwIfAborted();
    if (this.#finished) throw new Error(`Cannot write to ${type}: the request has ended`);
    const bytes = typeof content === "string" ? UTF8.encode(content) : content;
    await this.peer.stream(type, this.id, bytes);
  }
}
