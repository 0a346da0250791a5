/**
 * WebSockets through the gateway (RFC 6455): the origin is asked first, by an upgrade of our own, and the
 * client's is accepted when it has agreed; any other answer of the origin's goes to the client as it is.
 */
import { GatewayError, ProtocolError } from "../errors.ts";
import type { Exchange, Outcome } from "../exchange.ts";
import type { ServiceLog } from "../handler.ts";
import { converse, type OriginRequest, type Switched } from "./http_origin_client.ts";
import type { OriginPool } from "./http_origin_pool.ts";
import { WebSocketBridge } from "./http_websocket_bridge.ts";
import { rawSocketOf, tunnel } from "./raw_upgrade.ts";

export interface JoinOptions {
  readonly exchange: Exchange;
  readonly pool: OriginPool;
  readonly log: ServiceLog;
}

/** Whether the request asks for a WebSocket in a way that the runtime can accept. */
export function asksForWebSocket({ method, headers, request }: Exchange): boolean {
  if (method !== "GET" || request === undefined) return false;
  const upgrade = headers.get("upgrade");
  if (upgrade === null || upgrade.toLowerCase() !== "websocket") return false;
  return hasToken(headers.get("connection"), "upgrade") &&
    headers.get("sec-websocket-version") === "13" &&
    /^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "");
}

function hasToken(list: string | null, token: string): boolean {
  return (list ?? "").toLowerCase().split(",").some((part) => part.trim() === token);
}

/** The client's own handshake ends here. Extensions too: each side of the gateway would have its own. */
const REPLACED: ReadonlySet<string> = new Set([
  "sec-websocket-extensions",
  "sec-websocket-key",
  "sec-websocket-version",
]);

/** Connects the client to the origin, if both want to. */
export async function joinWebSockets(
  options: JoinOptions,
  requestOf: (lines: string, replaces: ReadonlySet<string>) => OriginRequest,
): Promise<Outcome> {
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  const lines = `connection: upgrade\r\nupgrade: websocket\r\n` +
    `sec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n`;
  const outcome = await converse(options.pool, requestOf(lines, REPLACED));
  if (outcome.type !== "switched") return outcome;
  try {
    const protocol = await agreedProtocol(outcome, key, options.exchange);
    return await accept(options, outcome, protocol);
  } catch (error) {
    options.pool.release(outcome.connection, false);
    throw error;
  }
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** What proves that a key was understood (§4.2.2). */
async function acceptFor(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  return new Uint8Array(digest).toBase64();
}

/** Checks what the origin answered (§4.1), and gives the protocol that it chose. */
async function agreedProtocol(
  { headers }: Switched,
  key: string,
  exchange: Exchange,
): Promise<string | undefined> {
  const fields = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
  if (fields.get("sec-websocket-accept") !== await acceptFor(key)) {
    throw new ProtocolError("upgrade-failed", "The origin's Sec-WebSocket-Accept is not ours");
  }
  if (fields.has("sec-websocket-extensions")) {
    throw new ProtocolError("upgrade-failed", "The origin uses an extension that nobody offered");
  }
  const protocol = fields.get("sec-websocket-protocol");
  const offered = exchange.headers.get("sec-websocket-protocol") ?? "";
  const isOffered = offered.split(",").some((one) => one.trim() === protocol);
  if (protocol === undefined || isOffered) return protocol;
  throw new ProtocolError("upgrade-failed", "The origin chose a protocol that nobody offered");
}

async function accept(
  options: JoinOptions,
  origin: Switched,
  protocol: string | undefined,
): Promise<Outcome> {
  const { exchange, pool, log } = options;
  exchange.lifeline.throwIfCut();
  if (exchange.request === undefined) {
    throw new GatewayError(500, "internal", "There is no request to upgrade");
  }
  const raw = rawSocketOf(exchange.request);
  if (raw !== undefined) {
    const key = exchange.headers.get("sec-websocket-key") ?? "";
    raw.write(acceptance(await acceptFor(key), protocol));
    const { connection, rest } = origin;
    const ended = tunnel(raw, { connection, rest, lifeline: exchange.lifeline })
      .finally(() => pool.release(connection, false));
    return { type: "response", response: new Response(null, { status: 101 }), ended };
  }
  const { socket, response } = Deno.upgradeWebSocket(
    exchange.request,
    protocol === undefined ? {} : { protocol },
  );
  const bridge = new WebSocketBridge(socket, origin, {
    lifeline: exchange.lifeline,
    notice: (message) => log.notice(message, exchange.id),
  });
  const ended = bridge.run().finally(() => pool.release(origin.connection, false));
  return { type: "response", response, ended };
}

function acceptance(proof: string, protocol: string | undefined): string {
  const chosen = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
    `Sec-WebSocket-Accept: ${proof}\r\n${chosen}\r\n`;
}
