/** The runtime's own server: fast, and without limits on what a connection may do before its request. */
import { isReported } from "../errors.ts";
import type { Endpoint } from "../exchange.ts";
import type { Accepting, Opening } from "./accepting.ts";

/** Listens there. Throws the runtime's own errors. */
export function serveByDeno({ address, tls, sharers, receive, notice }: Opening): Accepting {
  const common = {
    onListen: () => {},
    onError: (error: unknown) => {
      // Called for bodies that failed. Of those that it drew itself the gateway has reported by then.
      if (!isReported(error)) notice(`The body of an answer failed: ${messageOf(error)}`);
      return new Response(null, { status: 500 });
    },
  };
  const handler = (request: Request, info: Deno.ServeHandlerInfo) =>
    receive(request, peerOf(info.remoteAddr), info);
  if (address.transport === "unix") {
    const { finished, shutdown } = bound(
      Deno.serve({ ...common, path: address.path }, handler),
    );
    return { addr: undefined, finished, shutdown };
  }
  const { hostname, port } = address;
  const options = { ...common, ...tls, hostname, port };
  // The runtime refuses to hear of it unless it was started with leave to (deno.json, "unstable").
  const server = Deno.serve(sharers > 1 ? { ...options, reusePort: true } : options, handler);
  const addr = server.addr.transport === "tcp" ? server.addr : undefined;
  return { addr, ...bound(server) };
}

function bound(server: Deno.HttpServer): Pick<Accepting, "finished" | "shutdown"> {
  return { finished: server.finished, shutdown: () => server.shutdown() };
}

function peerOf(remote: Deno.Addr): Endpoint {
  // A peer on a Unix socket has no address of its own. "unix:" is what programs know from nginx.
  if (!("hostname" in remote)) return { address: "unix:", port: 0 };
  return { address: remote.hostname, port: remote.port };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
