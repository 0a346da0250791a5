/**
 * Upstreams that answer what the fuzzer says: bytes by the number in the path that they are asked for, and
 * to `control-TOKEN` a proper reply that holds the token.
 */
import { encodeRecord } from "../../../lib/protocol/fastcgi_encoder.ts";
import { record } from "../../upstreams/raw_fastcgi.ts";
import { latin1, latin1Of } from "./random.ts";
import type { Bytes } from "./target.ts";

/** The kinds that speak over a socket, as the paths of their routes begin. */
export const SOCKET_KINDS = ["fastcgi", "scgi", "uwsgi", "proxy", "ws"] as const;
export type SocketKind = typeof SOCKET_KINDS[number];

export interface Planned {
  readonly bytes: Bytes;
  /** What becomes of the connection behind them. */
  readonly then: "close" | "keep";
}

/** A reply as it should be. */
export function goodReply(kind: SocketKind, text: string): string {
  const cgi = `Content-Type: text/plain\n\n${text}`;
  if (kind === "scgi" || kind === "uwsgi") return cgi;
  if (kind !== "fastcgi") return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  const end = {
    type: "end-request",
    id: 1,
    appStatus: 0,
    protocolStatus: "request-complete",
  } as const;
  return latin1Of(record(6, cgi)) + latin1Of(record(6, "")) + latin1Of(encodeRecord(end));
}

export class Upstreams implements AsyncDisposable {
  readonly #plans = new Map<string, Planned>();
  readonly #listeners: Deno.Listener[] = [];
  readonly #open = new Map<Deno.Conn, Promise<void>>();
  readonly #accepted = new Map<SocketKind, number>();
  readonly #accepting: Promise<void>[] = [];

  /** Listens for a kind; gives the port. */
  listen(kind: SocketKind): number {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#listeners.push(listener);
    this.#accepting.push(this.#accept(listener, kind));
    return listener.addr.port;
  }

  /** Accepted so far. */
  connections(kind: SocketKind): number {
    return this.#accepted.get(kind) ?? 0;
  }

  plan(number: string, planned: Planned): void {
    this.#plans.set(number, planned);
  }

  forget(number: string): void {
    this.#plans.delete(number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    await Promise.all(this.#accepting);
    for (const socket of this.#open.keys()) closeQuietly(socket);
    await Promise.all(this.#open.values());
  }

  async #accept(listener: Deno.Listener, kind: SocketKind): Promise<void> {
    for await (const socket of listener) {
      this.#accepted.set(kind, this.connections(kind) + 1);
      const serving = this.#serve(socket, kind).catch(() => {}).finally(() => {
        closeQuietly(socket);
        this.#open.delete(socket);
      });
      this.#open.set(socket, serving);
    }
  }

  async #serve(socket: Deno.Conn, kind: SocketKind): Promise<void> {
    const buffer = new Uint8Array(65_536);
    let text = "";
    for (;;) {
      const count = await socket.read(buffer);
      if (count === null) return;
      text += latin1Of(buffer.subarray(0, count));
      const asked = Array.from(
        text.matchAll(/\/(?:fastcgi|scgi|uwsgi|proxy|zipped|ws)\/([a-z0-9-]+)/g),
      );
      const number = asked.at(-1)?.[1];
      if (number === undefined) continue;
      const planned = this.#plans.get(number) ?? {
        bytes: latin1(goodReply(kind, number)),
        then: kind === "scgi" || kind === "uwsgi" ? "close" : "keep",
      };
      const before = kind === "ws" ? await handshake(text) : "";
      text = "";
      await writeAll(socket, new Uint8Array([...latin1(before), ...planned.bytes]));
      if (planned.then === "close") return;
    }
  }
}

/** RFC 6455 section 4.2.2; nothing for a request that asks for no WebSocket. */
async function handshake(request: string): Promise<string> {
  const [, key] = /sec-websocket-key: (\S+)/i.exec(request) ?? [];
  if (key === undefined) return "";
  const text = `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${new Uint8Array(digest).toBase64()}\r\n\r\n`;
}

async function writeAll(socket: Deno.Conn, bytes: Bytes): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

function closeQuietly(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
