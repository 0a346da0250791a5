/** Reaches an upstream: TCP or Unix socket, within a time, with errors that name the cause. */
import { GatewayError } from "../errors.ts";
import { type Address, formatAddress } from "../fields.ts";
import { isShortage, shortageOf } from "./shortage.ts";

type TcpAddress = Extract<Address, { transport: "tcp" }>;

/** A connected stream socket, whichever the transport. */
export type Socket = Deno.TcpConn | Deno.UnixConn;

/**
 * Connects.
 * @throws {GatewayError} 502 `connect-refused` or `connect-failed`, 503 `connect-busy` (the backlog of a
 * Unix socket is full) or `no-descriptors`, 504 `connect-timeout`.
 */
export function dial(address: Address, timeoutMs: number): Promise<Socket> {
  return address.transport === "unix" ? dialUnix(address) : dialTcp(address, timeoutMs);
}

async function dialTcp(address: TcpAddress, timeoutMs: number): Promise<Socket> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const connecting = connect(address);
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      // The attempt itself cannot be called off: close what it may yet bring.
      connecting.then((socket) => socket.close(), () => {});
      reject(
        new GatewayError(
          504,
          "connect-timeout",
          `Cannot connect to "${formatAddress(address)}" within ${timeoutMs} ms`,
        ),
      );
    }, timeoutMs);
  });
  try {
    return await Promise.race([connecting, late]);
  } catch (error) {
    throw error instanceof GatewayError ? error : connectError(address, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Connecting to a Unix socket never waits: it succeeds or fails at once. */
async function dialUnix(address: Extract<Address, { transport: "unix" }>): Promise<Socket> {
  try {
    return await Deno.connect(address);
  } catch (error) {
    throw connectError(address, error);
  }
}

async function connect(address: TcpAddress): Promise<Socket> {
  const socket = await Deno.connect({ hostname: address.hostname, port: address.port });
  socket.setNoDelay(true);
  return socket;
}

function connectError(address: Address, error: unknown): GatewayError {
  const where = formatAddress(address);
  if (error instanceof Deno.errors.ConnectionRefused) {
    return new GatewayError(
      502,
      "connect-refused",
      `Cannot connect to "${where}": connection refused`,
    );
  }
  if (error instanceof Deno.errors.NotFound) {
    return new GatewayError(502, "connect-refused", `Cannot connect to "${where}": no such socket`);
  }
  if (error instanceof Deno.errors.WouldBlock) {
    return new GatewayError(
      503,
      BUSY,
      `Cannot connect to "${where}": its backlog is full`,
      { headers: [["retry-after", "1"]] },
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  return shortageOf(error, `connect to "${where}"`) ??
    new GatewayError(502, "connect-failed", `Cannot connect to "${where}": ${reason}`);
}

const BUSY = "connect-busy";

/** Whether a failure to connect says that nobody is there, rather than too many there or here. */
export function isGone(error: unknown): boolean {
  if (isShortage(error)) return false;
  return !(error instanceof GatewayError) || error.failure !== BUSY;
}

/** Writes all bytes. */
export async function writeAll(socket: Socket, bytes: Uint8Array): Promise<void> {
  let written = await socket.write(bytes);
  while (written < bytes.length) written += await socket.write(bytes.subarray(written));
}

/** Closes a socket that may be closed already. */
export function closeQuietly(socket: { close(): void }): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
