/**
 * Connections that are taken over whole: what the Node-compatible server lets go of when a WebSocket is
 * agreed on. Both sides then speak the same protocol without extensions, so the gateway has nothing to do
 * but pass bytes on, no faster than either side takes them.
 */
import type { Duplex } from "node:stream";
import type { Lifeline } from "../lifeline.ts";
import type { OriginConnection } from "./http_origin_connection.ts";

/** How long a client may take to hang up when the origin has. */
const CLOSE_GRACE_MS = 2000;

const sockets = new WeakMap<object, Duplex>();

/** The listener says that this request's connection can be had. */
export function offerSocket(request: object, socket: Duplex): void {
  sockets.set(request, socket);
}

/** Undefined: the runtime keeps the connection to itself. */
export function rawSocketOf(request: Request): Duplex | undefined {
  return sockets.get(request);
}

export interface TunnelOptions {
  readonly connection: OriginConnection;
  /** What the origin has sent already. */
  readonly rest: Uint8Array;
  readonly lifeline: Lifeline;
}

/** Passes bytes both ways until both sides have ended. Never rejects. */
export async function tunnel(client: Duplex, options: TunnelOptions): Promise<void> {
  const { connection, lifeline } = options;
  const cut = () => {
    client.destroy();
    connection.close();
  };
  lifeline.onCut(cut);
  await Promise.all([upstream(client, connection), downstream(client, options)]);
  lifeline.forget(cut);
  client.destroy();
}

async function upstream(client: Duplex, connection: OriginConnection): Promise<void> {
  try {
    for await (const piece of client) {
      if (!await connection.send(piece)) break;
    }
  } catch {
    // The client broke off, or the origin did: the other direction ends by it.
  }
  connection.close();
}

async function downstream(
  client: Duplex,
  { connection, rest }: TunnelOptions,
): Promise<void> {
  let piece: Uint8Array | undefined = rest;
  while (piece !== undefined && !client.destroyed) {
    await written(client, piece);
    connection.startOver();
    piece = await connection.receive();
  }
  if (client.destroyed) return;
  client.end();
  const timer = setTimeout(() => client.destroy(), CLOSE_GRACE_MS);
  client.once("close", () => clearTimeout(timer));
}

/** Resolves when the system has it: the memory is used again. */
async function written(client: Duplex, piece: Uint8Array): Promise<void> {
  if (piece.length === 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  client.once("close", resolve);
  client.write(piece, () => resolve());
  await promise;
  client.off("close", resolve);
}
