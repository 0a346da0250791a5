/**
 * Servers of the protocols that close the connection behind each reply: a decoder tells one from the
 * other. Over TCP, where a server can break a connection off so that it does not look like an end.
 */
import net from "node:net";
import type { ByteString } from "../../lib/exchange.ts";
import { ScgiDecoder } from "../../lib/protocol/scgi.ts";
import { UwsgiDecoder } from "../../lib/protocol/uwsgi.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface ClosingCall {
  readonly variables: ReadonlyMap<string, ByteString>;
  /** The body; breaks off if the gateway leaves before its end. */
  readonly body: ReadableStream<Bytes>;
  /** Aborted when the gateway has closed the connection. */
  readonly signal: AbortSignal;
  /** Resolves when the bytes have left. */
  write(bytes: Bytes | ByteString): Promise<void>;
  /** Breaks the connection off. */
  reset(): void;
}

/** The connection is closed when it resolves. */
export type ClosingApplication = (call: ClosingCall) => Promise<void> | void;

export interface ClosingResponder extends AsyncDisposable {
  readonly port: number;
  /** As routes.yaml writes it. */
  readonly address: string;
  /** Accepted so far. */
  readonly connections: number;
  /** Calls that go on. */
  readonly running: number;
  /** What calls threw that were not aborted. */
  readonly faults: readonly unknown[];
  /** The modifiers of the last request. */
  readonly modifiers: readonly (number | undefined)[];
}

export type ClosingProtocolName = "uwsgi" | "scgi";

/** Listens on a free port. */
export async function serveClosing(
  protocol: ClosingProtocolName,
  application: ClosingApplication,
): Promise<ClosingResponder> {
  let connections = 0;
  let running = 0;
  let modifiers: (number | undefined)[] = [];
  const faults: unknown[] = [];
  const sockets = new Map<net.Socket, Promise<void>>();
  const run = async (call: ClosingCall) => {
    running++;
    try {
      await application(call);
    } catch (error) {
      if (!call.signal.aborted) faults.push(error);
    } finally {
      running--;
    }
  };
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    connections++;
    const serving = serve(socket, protocol, run, (both) => modifiers = both)
      .catch((error) => void faults.push(error))
      .finally(() => sockets.delete(socket));
    sockets.set(socket, serving);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    address: `127.0.0.1:${port}`,
    faults,
    get connections() {
      return connections;
    },
    get running() {
      return running;
    },
    get modifiers() {
      return modifiers;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets.keys()) socket.destroy();
      await Promise.all(sockets.values());
      await closed;
    },
  };
}

async function serve(
  socket: net.Socket,
  protocol: ClosingProtocolName,
  run: (call: ClosingCall) => Promise<void>,
  tellModifiers: (modifiers: (number | undefined)[]) => void,
): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {});
  const decoder = protocol === "uwsgi" ? new UwsgiDecoder() : new ScgiDecoder(2 ** 22);
  const { promise: head, resolve } = Promise.withResolvers<Head | undefined>();
  const left = new AbortController();
  const arriving = new ArrivingBody();
  let begun = false;
  socket.on("data", (data: Uint8Array) => {
    const chunk = new Uint8Array(data);
    if (begun) return arriving.push(chunk);
    const request = decoder.push(chunk);
    if (request === undefined) return;
    begun = true;
    arriving.expect(Number(request.variables.get("CONTENT_LENGTH") ?? 0));
    arriving.push(request.rest);
    tellModifiers("modifier1" in request ? [request.modifier1, request.modifier2] : []);
    resolve(request);
  });
  const leave = () => {
    left.abort(new Error("The gateway left"));
    arriving.breakOff();
    resolve(undefined);
  };
  socket.once("end", leave);
  socket.once("close", leave);
  const request = await head;
  if (request !== undefined) {
    await run(callOf(socket, request.variables, arriving.stream, left));
  }
  if (!socket.destroyed) socket.end();
  // The gateway need not have closed its side.
  if (left.signal.aborted) socket.destroy();
  await closed;
}

interface Head {
  readonly variables: ReadonlyMap<string, ByteString>;
}

function callOf(
  socket: net.Socket,
  variables: ReadonlyMap<string, ByteString>,
  body: ReadableStream<Bytes>,
  left: AbortController,
): ClosingCall {
  return {
    variables,
    body,
    signal: left.signal,
    reset: () => void socket.resetAndDestroy(),
    write: (bytes) =>
      new Promise((resolve, reject) => {
        const piece = typeof bytes === "string" ? bytesOf(bytes) : bytes;
        if (piece.length === 0) return resolve();
        socket.once("close", reject);
        socket.write(piece, (error) => {
          socket.off("close", reject);
          if (!error) return resolve();
          left.abort(error);
          reject(error);
        });
      }),
  };
}

/** A body of known length, from pieces that come when they come. */
class ArrivingBody {
  readonly stream: ReadableStream<Bytes>;
  #controller: ReadableStreamDefaultController<Bytes> | undefined;
  #due = 0;
  #over = false;

  constructor() {
    this.stream = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
    });
  }

  expect(length: number): void {
    this.#due = length;
  }

  push(chunk: Bytes): void {
    if (this.#over) return;
    if (chunk.length > 0) this.#controller?.enqueue(chunk);
    this.#due -= chunk.length;
    if (this.#due > 0) return;
    this.#over = true;
    this.#controller?.close();
  }

  breakOff(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.error(new Error("The body broke off"));
  }
}

export function bytesOf(text: ByteString): Bytes {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
