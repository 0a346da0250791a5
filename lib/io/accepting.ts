/** What accepts connections on one address: the runtime's own server, or its Node-compatible one. */
import type { Endpoint } from "../exchange.ts";
import type { Address } from "../fields.ts";
import type { TlsPair } from "./tls_files.ts";

export interface Opening {
  readonly address: Address;
  /** Undefined: plain HTTP. */
  readonly tls: TlsPair | undefined;
  /** How many processes listen there, with this one. */
  readonly sharers: number;
  receive(request: Request, peer: Endpoint, sending?: Sending): Response | Promise<Response>;
  /** Takes what no request can be told of. */
  notice(message: string): void;
}

/** Tells when an answer has been sent, or that it was not; asking costs something. */
export interface Sending {
  readonly completed: Promise<void>;
}

export interface Accepting {
  /** Where it listens, its port settled; undefined for a Unix socket. */
  readonly addr: { readonly hostname: string; readonly port: number } | undefined;
  /** Resolves when it has shut down; rejects when it ended by itself. */
  readonly finished: Promise<void>;
  /** Stops accepting; resolves when the requests under way have ended. */
  shutdown(): Promise<void>;
  /** Accepts by another certificate from now on; undefined: it cannot. */
  renew?(tls: TlsPair): void;
}
