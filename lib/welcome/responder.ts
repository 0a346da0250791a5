/**
 * A FastCGI responder: the gateway's own codec turned round. It serves the welcome page's example, and
 * the tests use it as the application behind the gateway. Any number of connections, each with one
 * request at a time; see responder_connection.ts and, for the application's side, responder_call.ts.
 *
 * Source: FastCGI Specification 1.0.
 */
import { Connection, type Settings } from "./responder_connection.ts";
import type { FcgiApplication, ServedRole } from "./responder_call.ts";

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

/** A responder at work. Disposing it drops all connections and waits until the applications are done. */
export interface Responder extends AsyncDisposable {
  /** Accepts no more; requests under way may finish. */
  retire(): void;
  /** Settles when the listener and the last connection are closed; rejects if accepting fails. */
  readonly finished: Promise<void>;
}

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
  let retired = false;
  const retire = () => {
    if (!retired) listener.close();
    retired = true;
    for (const connection of connections.keys()) connection.retire();
  };
  return {
    finished,
    retire,
    async [Symbol.asyncDispose]() {
      retire();
      for (const connection of connections.keys()) connection.close();
      await finished;
    },
  };
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
