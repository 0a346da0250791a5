/**
 * A FastCGI application that takes several requests on one connection (FCGI_MPXS_CONNS=1), or says so and
 * does not. Each request is answered by a function, all at once, their records interleaved.
 */
import type { FcgiRecord } from "../../lib/protocol/fastcgi.ts";
import { decodePairs } from "../../lib/protocol/fastcgi.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { FcgiEncoder } from "../../lib/protocol/fastcgi_encoder.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";

/** One request; whole when the answer begins. */
export interface SharedCall {
  readonly id: number;
  readonly connection: number;
  readonly params: ReadonlyMap<string, string>;
  readonly body: string;
  readonly aborted: AbortSignal;
  write(text: string | Uint8Array<ArrayBuffer>): Promise<void>;
  /** Closes the connection, whoever else is on it. */
  hangUp(): void;
}

export interface MultiplexingOptions {
  /** What GET_VALUES is answered with; undefined: nothing at all. */
  readonly values?: Readonly<Record<string, string>> | undefined;
  /** Refuse a second request with CANT_MPX_CONN. */
  readonly refuses?: boolean;
}

export interface Multiplexing extends AsyncDisposable {
  connections: number;
  /** The names that were asked for, in order. */
  readonly asked: string[];
  /** Of each request: connection and id. */
  readonly calls: SharedCall[];
  /** The most requests that were under way on one connection. */
  most: number;
}

export function serveMultiplexing(
  path: string,
  answer: (call: SharedCall) => Promise<void>,
  options: MultiplexingOptions = {},
): Multiplexing {
  const listener = Deno.listen({ transport: "unix", path });
  const sockets = new Set<Deno.Conn>();
  const running: Promise<void>[] = [];
  const state: Multiplexing = {
    connections: 0,
    asked: [],
    calls: [],
    most: 0,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const socket of sockets) close(socket);
      await Promise.all(running);
    },
  };
  running.push((async () => {
    for await (const socket of listener) {
      sockets.add(socket);
      const connection = new Shared(socket, ++state.connections, state, answer, options);
      running.push(connection.run().finally(() => sockets.delete(socket)));
    }
  })());
  return state;
}

interface Draft {
  params: string;
  body: string;
  readonly abort: AbortController;
}

class Shared {
  readonly #active = new Map<number, Draft>();
  readonly #encoder = new FcgiEncoder();
  readonly #answers: Promise<void>[] = [];
  #written: Promise<void> = Promise.resolve();

  constructor(
    readonly socket: Deno.Conn,
    readonly index: number,
    readonly state: Multiplexing,
    readonly answer: (call: SharedCall) => Promise<void>,
    readonly options: MultiplexingOptions,
  ) {}

  async run(): Promise<void> {
    const decoder = new FcgiDecoder();
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const count = await this.socket.read(buffer).catch(() => null);
      if (count === null) break;
      decoder.push(buffer.subarray(0, count));
      for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
        this.#take(record);
      }
    }
    for (const { abort } of this.#active.values()) abort.abort();
    await Promise.allSettled(this.#answers);
    close(this.socket);
  }

  #take(record: FcgiRecord): void {
    if (record.type === "get-values") return this.#tell(decodePairs(record.content));
    if (!("id" in record)) return;
    const { id } = record;
    if (record.type === "begin-request") {
      if (this.options.refuses && this.#active.size > 0) {
        this.#send((encoder) => encoder.endRequest(id, 0, "cant-mpx-conn"));
        return;
      }
      this.#active.set(id, { params: "", body: "", abort: new AbortController() });
      this.state.most = Math.max(this.state.most, this.#active.size);
      return;
    }
    const draft = this.#active.get(id);
    if (draft === undefined) return;
    if (record.type === "abort-request") draft.abort.abort();
    else if (record.type === "params") draft.params += latin1FromBytes(record.content);
    else if (record.type === "stdin") {
      draft.body += latin1FromBytes(record.content);
      if (record.content.length === 0) this.#answers.push(this.#serve(id, draft));
    }
  }

  #tell(names: readonly (readonly [string, string])[]): void {
    const { values } = this.options;
    this.state.asked.push(...names.map(([name]) => name));
    if (values === undefined) return;
    this.#send((encoder) => encoder.values("get-values-result", Object.entries(values)));
  }

  async #serve(id: number, { params, body, abort }: Draft): Promise<void> {
    const call: SharedCall = {
      id,
      connection: this.index,
      params: new Map(decodePairs(bytesFromLatin1(params))),
      body,
      aborted: abort.signal,
      write: (text) => {
        const bytes = typeof text === "string" ? bytesFromLatin1(text) : text;
        return this.#send((encoder) => encoder.stream("stdout", id, bytes));
      },
      hangUp: () => close(this.socket),
    };
    this.state.calls.push(call);
    await this.answer(call).catch(() => {});
    this.#active.delete(id);
    await this.#send((encoder) => {
      encoder.endStream("stdout", id);
      encoder.endRequest(id, 0, "request-complete");
    });
  }

  #send(encode: (encoder: FcgiEncoder) => void): Promise<void> {
    this.#written = this.#written.then(async () => {
      encode(this.#encoder);
      const bytes = this.#encoder.take();
      for (let at = 0; at < bytes.length;) at += await this.socket.write(bytes.subarray(at));
    }).catch(() => {});
    return this.#written;
  }
}

function close(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
