/**
 * Whether a started program serves its socket yet. One that makes its own is ready once that accepts
 * connections; behind a socket that was made for it every connection is accepted by the system, so it
 * must show that it takes them.
 */
import { closeQuietly } from "./dial.ts";

/** Whether somebody listens there. */
export async function isListening(path: string): Promise<boolean> {
  const socket = await connectTo(path);
  if (socket !== undefined) closeQuietly(socket);
  return socket !== undefined;
}

/** A look at a socket that was made for a program. */
export interface Look {
  /** True once somebody took the connection, or closed the socket; false: nobody holds it. */
  readonly taken: Promise<boolean>;
  /** Gives up. */
  cancel(): void;
}

/**
 * Connects and says nothing, for good: whoever takes the connection reads its end and closes it. No
 * protocol is spoken, since some libraries answer none before the first request (libfcgi 2.4 leaves
 * FCGI_GET_VALUES without an answer).
 */
export function lookAt(path: string): Look {
  let socket: Deno.UnixConn | undefined;
  let cancelled = false;
  const look = async () => {
    socket = await connectTo(path);
    if (socket === undefined) return false;
    try {
      if (!cancelled) await socket.closeWrite();
      while (!cancelled && await socket.read(new Uint8Array(256)) !== null);
    } catch {
      // Reset is as good as closed; and so is our own end of it.
    }
    closeQuietly(socket);
    return true;
  };
  return {
    taken: look(),
    cancel() {
      cancelled = true;
      if (socket !== undefined) closeQuietly(socket);
    },
  };
}

/** Undefined: nobody listens there. */
async function connectTo(path: string): Promise<Deno.UnixConn | undefined> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}
