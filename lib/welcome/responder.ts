/**
 * A FastCGI responder: the gateway's own codec turned round. It serves the welcome page's example, and
 * the tests use it as the application behind the gateway.
 *
 * Strategy: one request at a time on a connection, any number of connections. A second request gets
 * CANT_MPX_CONN, and so the socket's own back-pressure is exactly that of the request's STDIN. Records
 * of a request that is not active are skipped (§3.3), which is also how STDIN ends that nobody read.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { ProtocolError } from "../errors.ts";
import {
  decodePairs,
  FCGI_MAX_CONTENT,
  FCGI_NULL_REQUEST_ID,
  type FcgiProtocolStatus,
  type FcgiRecord,
} from "../protocol/fastcgi.ts";
import { FcgiDecoder } from "../protocol/fastcgi_decoder.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { Call, type FcgiApplication, type Outlet, type ServedRole } from "./responder_call.ts";

export type { FcgiApplication, FcgiCall, Peer, ServedRole } from "./responder_call.ts";

export interface ResponderOptions {
  /** Default: responder alone. */
  readonly roles?: readonly ServedRole[];
  /** Further ones wait to be accepted. Default 64. */
  readonly maxConnections?: number;
  /** Bytes of a request's PARAMS; the connection is closed past it. Default 1 MiB. */
  readonly maxParams?: number;
  /** Told of broken rules on a connection and of applications that throw. */
  readonly onError?: (error: unknown) => void;
}

/** A responder at work. Disposing it closes the listener and all connections, and waits for the rest. */
export interface Responder extends AsyncDisposable {
  /** Settles when the listener and the last connection are closed; rejects if accepting fails. */
  readonly finished: Promise<void>;
}

const READ_SIZE = 65_536;
/** How long a gateway may take to close its side after the last record. */
const LINGER_MS = 1000;

/** Serves every connection of the listener until disposed; the listener is then closed too. */
export function serveFastcgi(
  listener: Deno.Listener,
  application: FcgiApplication,
  options: ResponderOptions = {},
): Responder {
  const settings: Settings = {
    application,
    roles: options.roles ?? ["responder"],
    maxConnections: options.maxConnections ?? 64,
    maxParams: options.maxParams ?? 1_048_576,
    onError: options.onError ?? (() => {}),
  };
  const connections = new Map<Connection, Promise<void>>();
  const finished = acceptAll(listener, settings, connections);
  let closed = false;
  return {
    finished,
    async [Symbol.asyncDispose]() {
      if (!closed) listener.close();
      closed = true;
      for (const connection of connections.keys()) connection.close();
      await finished;
    },
  };
}

interface Settings extends Required<ResponderOptions> {
  readonly application: FcgiApplication;
}

async function acceptAll(
  listener: Deno.Listener,
  settings: Settings,
  connections: Map<Connection, Promise<void>>,
): Promise<void> {
  for await (const socket of listener) {
    const connection = new Connection(socket, settings);
    const ended = connection.run().finally(() => connections.delete(connection));
    connections.set(connection, ended);
    while (connections.size >= settings.maxConnections) await Promise.race(connections.values());
  }
  await Promise.all(connections.values());
}

class Connection implements Outlet {
  readonly #socket: Deno.Conn;
  readonly #settings: Settings;
  readonly #encoder = new FcgiEncoder();
  /** The request under way, and its end. */
  #call: Call | undefined;
  #served: Promise<void> = Promise.resolve();
  /** Writes follow one another: each waits for the one before. */
  #written: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(socket: Deno.Conn, settings: Settings) {
    this.#socket = socket;
    this.#settings = settings;
  }

  /** Reads records until the gateway closes or breaks the rules. Never rejects. */
  async run(): Promise<void> {
    const decoder = new FcgiDecoder();
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        const count = await this.#socket.read(buffer);
        if (count === null) break;
        decoder.push(buffer.subarray(0, count));
        for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
          await this.#take(record);
        }
      }
    } catch (error) {
      if (error instanceof ProtocolError) this.#settings.onError(error);
    }
    this.#call?.abort(new Error("The gateway closed the connection"));
    await this.#served;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#inTurn(() => writeAll(this.#socket, bytes));
  }

  stream(type: "stdout" | "stderr", id: number, content: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      for (let at = 0; at < content.length; at += FCGI_MAX_CONTENT) {
        this.#encoder.stream(type, id, content.subarray(at, at + FCGI_MAX_CONTENT));
        await writeAll(this.#socket, this.#encoder.take());
      }
    });
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const done = this.#written.then(action);
    this.#written = done.catch(() => {});
    return done;
  }

  async #take(record: FcgiRecord): Promise<void> {
    switch (record.type) {
      case "get-values":
        return await this.#answerValues(record.content);
      case "begin-request":
        return await this.#begin(record);
      case "unrecognised":
        // §4.2; such a record of an application is skipped.
        if (record.id === FCGI_NULL_REQUEST_ID) await this.#answerUnknown(record.number);
        return;
    }
    const call = this.#call;
    if (call === undefined || !("id" in record) || record.id !== call.id) return;
    switch (record.type) {
      case "params":
        if (record.content.length > 0) return call.addParams(record.content);
        call.endParams();
        this.#served = this.#serve(call);
        return;
      case "stdin":
        return record.content.length > 0 ? await call.addInput(record.content) : call.endInput();
      case "abort-request":
        // §5.4: END_REQUEST follows as soon as the application is done.
        return call.abort(new Error("The gateway aborted the request"));
    }
  }

  /** §4.1: tells what is asked for and known. */
  async #answerValues(names: Uint8Array): Promise<void> {
    const max = String(this.#settings.maxConnections);
    const known = new Map([
      ["FCGI_MAX_CONNS", max],
      ["FCGI_MAX_REQS", max],
      ["FCGI_MPXS_CONNS", "0"],
    ]);
    const asked = new Set(decodePairs(names).map(([name]) => name));
    await this.#send((encoder) =>
      encoder.values("get-values-result", [...known].filter(([name]) => asked.has(name)))
    );
  }

  async #answerUnknown(type: number): Promise<void> {
    await this.#send((encoder) => encoder.unknownType(type));
  }

  async #begin(record: Extract<FcgiRecord, { type: "begin-request" }>): Promise<void> {
    const { id, keepConnection } = record;
    if (id === FCGI_NULL_REQUEST_ID || id === this.#call?.id) {
      throw new ProtocolError("fcgi-begin", `Cannot begin request ${id}: the id is taken`);
    }
    if (this.#call !== undefined) return await this.#refuse(id, "cant-mpx-conn");
    const role = this.#settings.roles.find((role) => role === record.role);
    if (role !== undefined) {
      const { maxParams } = this.#settings;
      this.#call = new Call({ id, role, keepConnection, maxParams }, this);
      return;
    }
    await this.#refuse(id, "unknown-role");
    if (!keepConnection) this.#finish();
  }

  async #refuse(id: number, status: FcgiProtocolStatus): Promise<void> {
    await this.#send((encoder) => encoder.endRequest(id, 0, status));
  }

  async #serve(call: Call): Promise<void> {
    const appStatus = await this.#runApplication(call);
    call.finish();
    this.#call = undefined;
    await this.#send((encoder) => {
      encoder.endStream("stdout", call.id);
      if (call.stderrUsed) encoder.endStream("stderr", call.id);
      encoder.endRequest(call.id, appStatus, "request-complete");
    }).catch(() => {});
    if (!call.keepConnection) this.#finish();
  }

  async #runApplication(call: Call): Promise<number> {
    try {
      return await this.#settings.application(call) ?? 0;
    } catch (error) {
      if (call.signal.aborted) return 1;
      this.#settings.onError(error);
      await call.writeStderr(error instanceof Error ? error.stack ?? error.message : String(error))
        .catch(() => {});
      return 1;
    }
  }

  #send(encode: (encoder: FcgiEncoder) => void): Promise<void> {
    return this.#inTurn(async () => {
      encode(this.#encoder);
      await writeAll(this.#socket, this.#encoder.take());
    });
  }

  /**
   * Ends our side and reads on, for a while: closing over unread STDIN would reset the connection, and
   * the reply might be lost with it.
   */
  #finish(): void {
    this.#socket.closeWrite().catch(() => {});
    const timer = setTimeout(() => this.close(), LINGER_MS);
    Deno.unrefTimer(timer);
  }
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}
