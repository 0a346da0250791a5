/**
 * A FastCGI responder that writes what a test says, byte by byte, and keeps what it was sent. For all that
 * a well-behaved responder would never do.
 */
import { FCGI_TYPES, type FcgiRecord } from "../../lib/protocol/fastcgi.ts";
import { decodePairs, type FcgiProtocolStatus } from "../../lib/protocol/fastcgi.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { encodeRecord } from "../../lib/protocol/fastcgi_encoder.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A request as it was when the script began: at the end of STDIN, or of PARAMS with `early`. */
export interface RawRequest {
  /** Which connection it came on, from 1. */
  readonly connection: number;
  readonly id: number;
  readonly role: string | undefined;
  readonly keepConnection: boolean;
  readonly params: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface Wire {
  write(...pieces: readonly Bytes[]): Promise<void>;
  /** Writes each byte by itself. */
  writeSlowly(bytes: Bytes): Promise<void>;
  close(): void;
  /** Resolves when the gateway has closed the connection; gives the types of what came until then. */
  readonly closed: Promise<readonly string[]>;
}

export type Script = (wire: Wire, request: RawRequest) => Promise<void> | void;

export interface RawResponder extends AsyncDisposable {
  readonly requests: readonly RawRequest[];
  /** Accepted so far, and open now. */
  readonly connections: number;
  readonly open: number;
}

export interface RawOptions {
  /** Begin at the end of PARAMS, and read nothing more. */
  readonly early?: boolean;
}

/** Listens; plays the script for every request. */
export function serveRaw(path: string, script: Script, options: RawOptions = {}): RawResponder {
  const listener = Deno.listen({ transport: "unix", path });
  const requests: RawRequest[] = [];
  const sockets = new Map<Deno.Conn, Promise<void>>();
  let connections = 0;
  const play = (wire: Wire, request: RawRequest) => {
    requests.push(request);
    return script(wire, request);
  };
  const accepting = (async () => {
    for await (const socket of listener) {
      const serving = serve(socket, ++connections, play, options)
        .finally(() => sockets.delete(socket));
      sockets.set(socket, serving);
    }
  })();
  return {
    requests,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const socket of sockets.keys()) close(socket);
      await Promise.all(sockets.values());
    },
  };
}

async function serve(
  socket: Deno.Conn,
  connection: number,
  script: Script,
  { early = false }: RawOptions,
): Promise<void> {
  const closed = Promise.withResolvers<readonly string[]>();
  const wire = wireOf(socket, closed.promise);
  const seen: string[] = [];
  const scripts: Promise<void>[] = [];
  let begun: Extract<FcgiRecord, { type: "begin-request" }> | undefined;
  let params = "";
  let body = "";
  const end = () => {
    if (begun === undefined) return;
    const { id, role, keepConnection } = begun;
    const pairs = new Map(decodePairs(bytesFromLatin1(params)));
    const request = { connection, id, role, keepConnection, params: pairs, body };
    [begun, params, body] = [undefined, "", ""];
    scripts.push(Promise.resolve(script(wire, request)));
  };
  for await (const record of recordsOf(socket)) {
    seen.push(record.type);
    if (record.type === "begin-request") begun = record;
    else if (record.type === "params") {
      params += latin1FromBytes(record.content);
      if (record.content.length > 0 || !early) continue;
      end();
      break;
    } else if (record.type === "stdin") {
      body += latin1FromBytes(record.content);
      if (record.content.length === 0) end();
    }
  }
  if (!early) closed.resolve(seen);
  await Promise.all(scripts);
  close(socket);
}

async function* recordsOf(socket: Deno.Conn): AsyncGenerator<FcgiRecord, void, undefined> {
  const decoder = new FcgiDecoder();
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await socket.read(buffer).catch(() => null);
    if (count === null) return;
    decoder.push(buffer.subarray(0, count));
    for (let record = decoder.next(); record !== undefined; record = decoder.next()) yield record;
  }
}

function wireOf(socket: Deno.Conn, closed: Promise<readonly string[]>): Wire {
  const write = async (...pieces: readonly Bytes[]) => {
    try {
      for (const bytes of pieces) {
        for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
      }
    } catch {
      // The gateway has closed the connection, or the test has ended.
    }
  };
  return {
    closed,
    write,
    close: () => close(socket),
    async writeSlowly(bytes) {
      for (const byte of bytes) {
        await write(new Uint8Array([byte]));
        // So that the other side reads in between.
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    },
  };
}

function close(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}

/** Any record, whatever the specification says of it. */
export function record(
  type: number,
  content: string,
  { id = 1, padding = 0, version = 1 } = {},
): Bytes {
  const { length } = content;
  const header = [version, type, id >> 8, id & 255, length >> 8, length & 255, padding, 0];
  // What stands in padding must not matter.
  return new Uint8Array([...header, ...bytesFromLatin1(content), ...Array(padding).fill(1)]);
}

export function out(text: string, options: { id?: number; padding?: number } = {}): Bytes {
  return record(FCGI_TYPES.stdout, text, options);
}

export function err(text: string): Bytes {
  return record(FCGI_TYPES.stderr, text);
}

export const OUT_END: Bytes = out("");

export function end(appStatus = 0, protocolStatus: FcgiProtocolStatus = "request-complete"): Bytes {
  return encodeRecord({ type: "end-request", id: 1, appStatus, protocolStatus }).slice();
}

/** The records, one behind the other. */
export function joined(...records: readonly Bytes[]): Bytes {
  return new Uint8Array(records.flatMap((bytes) => [...bytes]));
}
