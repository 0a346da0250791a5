/**
 * Where an HTTP origin is, and how it is reached: TCP, a Unix socket, or TLS over TCP.
 */
import { GatewayError } from "../errors.ts";
import type { Address } from "../fields.ts";
import { closeQuietly, dial, type Socket } from "./dial.ts";

/** An origin as the configuration names it. */
export interface Origin {
  /** For people. */
  readonly name: string;
  readonly address: Address;
  readonly secure: boolean;
  /** What its Host field says, unless the route preserves the client's. */
  readonly host: string;
  /** Stands before every path; `""` or `/path`. */
  readonly prefix: string;
  /** Serves only while no other is up. */
  readonly backup: boolean;
}

/** A byte stream to an origin and back. */
export interface OriginSocket {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

export interface ReachOptions {
  readonly connectTimeoutMs: number;
  /** Certificates (PEM) that vouch for origins beside the runtime's own. */
  readonly caCerts: readonly string[];
}

/**
 * Connects. `protocol`: what both must agree on in a TLS handshake (ALPN).
 * @throws {GatewayError} as {@link dial}; 502 `tls-failed`, `tls-certificate` or `no-http2`, 504
 * `connect-timeout`.
 */
export async function reachOrigin(
  origin: Origin,
  options: ReachOptions,
  protocol?: "h2",
): Promise<OriginSocket> {
  const { connectTimeoutMs } = options;
  const since = performance.now();
  const socket = await dial(origin.address, connectTimeoutMs);
  if (!origin.secure || !isTcp(socket)) return socket;
  const left = Math.max(1, connectTimeoutMs - (performance.now() - since));
  return await shakeHands(socket, origin, { ...options, connectTimeoutMs: left, protocol });
}

function isTcp(socket: Socket): socket is Deno.TcpConn {
  return "setNoDelay" in socket;
}

async function shakeHands(
  socket: Deno.TcpConn,
  { name, address }: Origin,
  { connectTimeoutMs, caCerts, protocol }: ReachOptions & { readonly protocol: "h2" | undefined },
): Promise<OriginSocket> {
  const hostname = address.transport === "tcp" ? address.hostname : "localhost";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let open: { close(): void } = socket;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new GatewayError(504, "connect-timeout", LATE)),
        connectTimeoutMs,
      );
    });
    const alpn = protocol === undefined ? {} : { alpnProtocols: [protocol] };
    const secured = await Deno.startTls(socket, { hostname, caCerts: [...caCerts], ...alpn });
    open = secured;
    const shaking = secured.handshake();
    shaking.catch(() => {});
    const { alpnProtocol } = await Promise.race([shaking, late]);
    if (protocol !== undefined && alpnProtocol !== protocol) throw noHttp2(name);
    return secured;
  } catch (error) {
    closeQuietly(open);
    throw error instanceof GatewayError ? error : tlsError(name, error);
  } finally {
    clearTimeout(timer);
  }
}

const LATE = "The TLS handshake took too long";

function tlsError(name: string, error: unknown): GatewayError {
  const reason = error instanceof Error ? error.message : String(error);
  // The alert by which a server says that it shares none of the protocols (RFC 7301 §3.2).
  if (/NoApplicationProtocol/i.test(reason)) return noHttp2(name);
  const failure = /certificate/i.test(reason) ? "tls-certificate" : "tls-failed";
  return new GatewayError(502, failure, `Cannot speak TLS with ${name}: ${reason}`);
}

/** The origin answers, but not as the route wants it to. */
export function noHttp2(name: string): GatewayError {
  return new GatewayError(502, "no-http2", `${name} does not speak HTTP/2`);
}
