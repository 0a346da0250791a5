/**
 * The runtime's Node-compatible server in the place of its own: slower, but with limits on what a connection
 * may do before and between requests, and with news of clients that leave at any time.
 *
 * Its accept loop dies without a word when descriptors run out. So connections are limited below that, and
 * a listener that hears of no connection for some time is tried out by one of our own.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Address, formatAddress } from "../fields.ts";
import type { Accepting, Opening } from "./accepting.ts";
import { closeQuietly } from "./dial.ts";
import { faultOf, refusalOf, REFUSED } from "./node_faults.ts";
import { NodeRequest } from "./node_request.ts";
import { sendResponse } from "./node_response.ts";
import { NodeTurns } from "./node_turns.ts";
import { offerSocket } from "./raw_upgrade.ts";
import type { TlsPair } from "./tls_files.ts";

/** What a connection may do (times in milliseconds, sizes in bytes). */
export interface NodeLimits {
  /** From a connection's or a request's first moment to the end of its head; TLS handshakes too. */
  readonly headerTimeoutMs: number;
  /** Between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** 0: as many as there are descriptors for. */
  readonly maxConnections: number;
  readonly maxRequestHead: number;
  /** How long a client may take nothing of its answer; 0: any time. */
  readonly sendTimeoutMs: number;
}

/** How long the rest of a body may come that nobody wants, so that its sender gets to see the answer. */
const LINGER_MS = 2000;
const LOOK_MS = 2000;
const MOST_LOOKS_APART_MS = 1000;
/** Where several processes listen each of them hears of one connection in so many: it is tried more often. */
const KNOCKS_EACH = 24;
const KNOCK_MS = 2;
const NO_LIMIT = 0;

/** Listens there. Rejects with the runtime's own errors. */
export async function serveByNode(opening: Opening, limits: NodeLimits): Promise<Accepting> {
  const server = new NodeServer(opening, limits);
  await server.listen();
  return server;
}

class NodeServer implements Accepting {
  readonly #opening: Opening;
  readonly #limits: NodeLimits;
  readonly #server: Server;
  readonly #ended = Promise.withResolvers<void>();
  readonly #sockets = new Set<Duplex>();
  readonly #turns = new NodeTurns();
  /** Requests whose bodies are still to come, each by its connection. */
  readonly #uploads = new WeakMap<Duplex, { incoming: IncomingMessage; to: ServerResponse }>();
  /** Connections since the last look. */
  #heard = 0;
  #isStopping = false;
  #clock: ReturnType<typeof setInterval> | undefined;
  /** A connection of our own that was made at the last look. */
  #probing: Deno.Conn | undefined;
  #knocking = false;

  constructor(opening: Opening, limits: NodeLimits) {
    this.#opening = opening;
    this.#limits = limits;
    const server = create(opening.tls, limits);
    this.#server = server;
    server.maxConnections = limits.maxConnections || Infinity;
    // Beyond such a number fields would be left out without a word; the head's size bounds them.
    server.maxHeadersCount = NO_LIMIT;
    server.on(opening.tls === undefined ? "connection" : "secureConnection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("connection", () => this.#heard++);
    server.on("drop", () => this.#heard++);
    server.on("request", (incoming, to) => this.#answer(incoming, to));
    server.on("checkContinue", (incoming, to) => {
      this.#answer(incoming, to, () => to.headersSent || to.writeContinue());
    });
    server.on("upgrade", (incoming, socket: Duplex) => this.#upgrade(incoming, socket));
    server.on("connect", (_, socket: Duplex) => socket.end(REFUSED));
    server.on("clientError", (error, socket: Duplex) => this.#refuse(error, socket));
    server.on("close", () => this.#ended.resolve());
  }

  get finished(): Promise<void> {
    return this.#ended.promise;
  }

  get addr(): { readonly hostname: string; readonly port: number } | undefined {
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") return undefined;
    return { hostname: address.address, port: address.port };
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failed = (error: Error) => reject(asRuntimeError(error));
    this.#server.once("error", failed);
    const { address } = this.#opening;
    const where = address.transport === "unix"
      ? { path: address.path }
      : { host: address.hostname, port: address.port, reusePort: this.#opening.sharers > 1 };
    this.#server.listen(where, resolve);
    await promise;
    this.#server.off("error", failed);
    this.#server.on("error", (error) => this.#ended.reject(error));
    this.#clock = setInterval(() => this.#look(), LOOK_MS);
  }

  renew(tls: TlsPair): void {
    if ("setSecureContext" in this.#server && typeof this.#server.setSecureContext === "function") {
      this.#server.setSecureContext(tls);
    }
  }

  shutdown(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      clearInterval(this.#clock);
      if (this.#probing !== undefined) closeQuietly(this.#probing);
      this.#server.close();
      for (const socket of this.#sockets) {
        if (!this.#turns.isBusy(socket)) socket.destroy();
      }
    }
    return this.finished.catch(() => {});
  }

  async #answer(incoming: IncomingMessage, to: ServerResponse, sendContinue?: () => void) {
    const { socket } = incoming;
    const request = new NodeRequest(incoming, { scheme: this.#scheme, sendContinue });
    to.once("close", () => {
      if (!to.writableFinished) request.leave();
    });
    this.#uploads.set(socket, { incoming, to });
    // The parser loses what stands behind a request for another protocol, wanted or not.
    if (incoming.headers.upgrade !== undefined) to.shouldKeepAlive = false;
    await this.#turns.take(socket, async () => {
      if (!socket.destroyed) await this.#reply(request, incoming, to);
      if (!to.shouldKeepAlive) this.#turns.close(socket);
    });
    this.#rest(incoming);
  }

  async #reply(request: NodeRequest, incoming: IncomingMessage, to: ServerResponse): Promise<void> {
    const refused = faultOf(incoming);
    if (refused !== undefined) {
      to.shouldKeepAlive = false;
      to.writeHead(refused, ["content-length", "0"]).end();
      return;
    }
    const response = await this.#receive(request, incoming);
    if (this.#isStopping) to.shouldKeepAlive = false;
    if (!incoming.complete) lingerOn(incoming.socket);
    await sendResponse(response, to, this.#limits.sendTimeoutMs);
  }

  /**
   * What the parser refuses. Requests that came whole before it are answered first; one whose body is at
   * fault never will be.
   */
  #refuse(error: Error, socket: Duplex): void {
    if (!socket.writable) return void socket.destroy();
    const upload = this.#uploads.get(socket);
    const hangUp = () => {
      this.#turns.close(socket);
      socket.end(refusalOf(error));
      socket.resume();
      destroyLater(socket);
    };
    if (upload === undefined || upload.incoming.complete) {
      this.#turns.take(socket, hangUp);
    } else {
      if (upload.to.headersSent) return void socket.destroy();
      this.#turns.close(socket);
      socket.end(refusalOf(error), () => socket.destroy());
    }
  }

  /** A connection that is to speak another protocol, if the gateway agrees. */
  async #upgrade(incoming: IncomingMessage, socket: Duplex): Promise<void> {
    socket.on("error", () => {});
    const request = new NodeRequest(incoming, { scheme: this.#scheme, sendContinue: undefined });
    offerSocket(request, socket);
    const leave = () => request.leave();
    socket.once("close", leave);
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    socket.once("close", close);
    this.#turns.take(socket, () => closed);
    const response = await this.#receive(request, incoming);
    if (response.status === 101) return;
    const to = new ServerResponse(incoming);
    to.assignSocket(incoming.socket);
    to.shouldKeepAlive = false;
    to.once("finish", () => socket.end());
    await sendResponse(response, to, this.#limits.sendTimeoutMs);
  }

  #receive(request: NodeRequest, { socket }: IncomingMessage): Response | Promise<Response> {
    if (!(request instanceof Request)) throw new TypeError("Not a request");
    // A peer on a Unix socket has no address of its own. "unix:" is what programs know from nginx.
    const { remoteAddress: address = "unix:", remotePort: port = 0 } = socket;
    return this.#opening.receive(request, { address, port });
  }

  /** The answer has gone; what is left of the request's body does not hold the connection for long. */
  #rest(incoming: IncomingMessage): void {
    const { socket } = incoming;
    if (socket.destroyed) return;
    if (!incoming.complete) {
      incoming.resume();
      destroyLater(socket);
    } else if (this.#isStopping && !this.#turns.isBusy(socket)) {
      socket.end();
    }
  }

  get #scheme(): "http" | "https" {
    return this.#opening.tls === undefined ? "http" : "https";
  }

  /** Nobody came for some time: is that so, or does the listener not hear any more? */
  #look(): void {
    if (this.#knocking) return;
    const probing = this.#probing;
    this.#probing = undefined;
    if (probing !== undefined) closeQuietly(probing);
    if (this.#heard > 0) {
      this.#heard = 0;
    } else if (probing === undefined) {
      this.#knock();
    } else {
      clearInterval(this.#clock);
      this.#server.close();
      this.#ended.reject(new Error("It accepts no connections any more"));
    }
  }

  async #knock(): Promise<void> {
    this.#knocking = true;
    const { address } = this.#opening;
    const to = address.transport === "unix" ? address : { ...address, port: this.addr?.port ?? 0 };
    try {
      const host = formatAddress(to);
      if ((await Deno.permissions.query({ name: "net", host })).state !== "granted") return;
      const { sharers } = this.#opening;
      const tries = sharers > 1 && address.transport === "tcp" ? KNOCKS_EACH * sharers : 1;
      for (let i = 0; i < tries && this.#heard === 0 && !this.#isStopping; i++) {
        const connection = await dialOnce(to);
        if (this.#probing !== undefined) closeQuietly(this.#probing);
        this.#probing = connection;
        if (tries > 1) await new Promise((resolve) => setTimeout(resolve, KNOCK_MS));
      }
      if (this.#isStopping && this.#probing !== undefined) closeQuietly(this.#probing);
    } catch {
      // Descriptors have run out: there will be another look.
    } finally {
      this.#knocking = false;
    }
  }
}

function create(tls: TlsPair | undefined, limits: NodeLimits): Server {
  const { headerTimeoutMs } = limits;
  const options = {
    headersTimeout: headerTimeoutMs,
    // Bodies have limits of their own, which the gateway keeps.
    requestTimeout: NO_LIMIT,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    keepAliveTimeoutBuffer: 0,
    connectionsCheckingInterval: Math.min(headerTimeoutMs / 4, MOST_LOOKS_APART_MS),
    maxHeaderSize: limits.maxRequestHead,
    requireHostHeader: false,
    shouldUpgradeCallback: ({ method, headers }: IncomingMessage) =>
      method === "GET" && headers.upgrade?.toLowerCase() === "websocket",
  };
  if (tls === undefined) return createServer(options);
  const secure = { ...tls, handshakeTimeout: headerTimeoutMs, ALPNProtocols: ["http/1.1"] };
  return createSecureServer({ ...options, ...secure });
}

/**
 * A connection that is closed while more is being sent on it is reset, and the answer with it. So where the
 * server would close it, it says so to the client first, and takes what comes until that hangs up.
 */
function lingerOn(socket: Socket): void {
  socket.destroySoon = () => {
    if (socket.writable) socket.end();
    destroyLater(socket);
  };
}

function destroyLater(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

function dialOnce(address: Address): Promise<Deno.Conn> {
  return address.transport === "unix" ? Deno.connect(address) : Deno.connect(address);
}

function asRuntimeError(error: Error): Error {
  const code = "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return new Deno.errors.AddrInUse(error.message);
  if (code === "EADDRNOTAVAIL") return new Deno.errors.AddrNotAvailable(error.message);
  if (code === "EACCES") return new Deno.errors.PermissionDenied(error.message);
  return error;
}
