/**
 * One connection of a FastCGI responder: answers management records, and runs one request at a time.
 *
 * Strategy: a second request gets CANT_MPX_CONN, so the socket's own back-pressure is exactly that of
 * the request's STDIN. Records of a request that is not active are skipped (§3.3), which is also how
 * STDIN ends that nobody read.
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

/** What all connections of a responder share; see ResponderOptions. */
export interface Settings {
  readonly application: FcgiApplication;
  readonly roles: readonly ServedRole[];
  readonly maxConnections: number;
  readonly maxParams: number;
  readonly onError: (error: unknown) => void;
}

const READ_SIZE = 65_536;
/** How long a gateway may take to close its side after the last record. */
const LINGER_MS = 1000;

export class Connection implements Outlet {
  readonly #socket: Deno.Conn;
  readonly #settings: Settings;
  readonly #encoder = new FcgiEncoder();
  /** The request under way; its end, once its application has begun. */
  #call: Call | undefined;
  #served: Promise<void> | undefined;
  /** Writes follow one another: each waits for the one before. */
  #written: Promise<void> = Promise.resolve();
  #linger: ReturnType<typeof setTimeout> | undefined;
  #retired = false;
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
      const left = this.#closed || error instanceof Deno.errors.ConnectionReset;
      if (!left) this.#settings.onError(error);
    }
    this.close();
    await this.#served;
  }

  /** Closes the connection, after the request under way if there is one. */
  retire(): void {
    this.#retired = true;
    // In turn: what was written last is still to go out.
    this.#inTurn(() => {
      if (this.#call === undefined) this.close();
      return Promise.resolve();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#linger);
    this.#socket.close();
    this.#call?.abort(new Error("The connection is closed"));
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
    if (call !== undefined && "id" in record && record.id === call.id) {
      await this.#takeFor(call, record);
    }
  }

  async #takeFor(call: Call, record: FcgiRecord): Promise<void> {
    switch (record.type) {
      case "params":
        if (this.#served !== undefined) return;
        if (record.content.length > 0) return call.addParams(record.content);
        call.endParams();
        this.#served = this.#serve(call);
        return;
      case "stdin":
        return record.content.length > 0 ? await call.addInput(record.content) : call.endInput();
      case "abort-request":
        call.abort(new Error("The gateway aborted the request"));
        // §5.4: END_REQUEST follows as soon as the application is done, at once if it never began.
        this.#served ??= this.#serve(call);
        return;
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
    this.#served = undefined;
    await this.#send((encoder) => {
      encoder.endStream("stdout", call.id);
      if (call.stderrUsed) encoder.endStream("stderr", call.id);
      encoder.endRequest(call.id, appStatus, "request-complete");
    }).catch(() => {});
    if (!call.keepConnection || this.#retired) this.#finish();
  }

  async #runApplication(call: Call): Promise<number> {
    try {
      call.signal.throwIfAborted();
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
    if (this.#closed) return;
    this.#socket.closeWrite().catch(() => {});
    this.#linger ??= setTimeout(() => this.close(), LINGER_MS);
  }
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}
