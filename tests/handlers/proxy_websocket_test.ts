/**
 * proxy: WebSockets through the gateway, with the runtime's own client at one end and the runtime's own
 * server, or an origin that does as a test says, at the other.
 */
import assert from "node:assert/strict";
import { writeAll } from "../../lib/io/dial.ts";
import { encodeFrame } from "../../lib/protocol/websocket.ts";
import { Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { serveRaw } from "../upstreams/raw_origin.ts";
import { linesOf } from "./contract.ts";

type Seen = { code: number; reason: string };

/** What is left of a request when it has been answered. */
interface Asked {
  readonly url: string;
  readonly headers: Headers;
}

interface Echo extends AsyncDisposable {
  readonly url: string;
  readonly closes: readonly Seen[];
  readonly requests: readonly Asked[];
}

/** Sends back what comes; "close CODE REASON" closes, "flood" sends 64 MiB. */
function serveEcho(): Echo {
  const closes: Seen[] = [];
  const requests: Asked[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    requests.push({ url: request.url, headers: new Headers(request.headers) });
    if (request.headers.get("upgrade") === null) return new Response("plain");
    if (request.url.endsWith("/no")) return new Response("not you", { status: 403 });
    const [protocol = ""] = (request.headers.get("sec-websocket-protocol") ?? "").split(", ");
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol });
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      const [word, code, reason] = typeof data === "string" ? data.split(" ") : [];
      if (word === "close") return socket.close(Number(code), reason);
      if (word !== "flood") return socket.send(data);
      for (let count = 0; count < 64; count++) socket.send(new Uint8Array(2 ** 20).fill(count));
    };
    socket.onclose = ({ code, reason }) => closes.push({ code, reason });
    return response;
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    closes,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function tableOf(to: string, more = ""): string {
  return `server:\n  accessLog: json\nroutes:\n  - {path: /ws/*, proxy: {to: "${to}"}${more}}\n`;
}

async function withEcho(
  body: (gateway: TestGateway, echo: Echo) => Promise<void>,
  more?: string,
): Promise<void> {
  await using echo = serveEcho();
  await withGateway(tableOf(echo.url, more), (gateway) => body(gateway, echo));
}

interface Talk {
  readonly socket: WebSocket;
  /** The next message. */
  next(): Promise<unknown>;
  readonly closed: Promise<Seen>;
}

async function talk({ port }: TestGateway, path = "/ws/", protocols: string[] = []): Promise<Talk> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
  socket.binaryType = "arraybuffer";
  const messages: unknown[] = [];
  let wake = () => {};
  socket.onmessage = ({ data }) => {
    messages.push(data);
    wake();
  };
  const closed = new Promise<Seen>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = (event) => reject(new Error(event instanceof ErrorEvent ? event.message : ""));
  });
  socket.onerror = null;
  return {
    socket,
    closed,
    next: async () => {
      while (messages.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return messages.shift();
    },
  };
}

Deno.test("proxy: a WebSocket echoes text, bytes and long messages", async () => {
  await withEcho(async (gateway, echo) => {
    const { socket, next, closed } = await talk(gateway, "/ws/a?b=c", ["chat", "other"]);
    assert.equal(socket.protocol, "chat");
    for (const text of ["", "hello", "\u20ac\u{1f600}", "x".repeat(200), "y".repeat(70_000)]) {
      socket.send(text);
      assert.equal(await next(), text);
    }
    const bytes = crypto.getRandomValues(new Uint8Array(50_000));
    socket.send(bytes);
    const data = await next();
    assert.ok(data instanceof ArrayBuffer);
    assert.deepEqual(new Uint8Array(data), bytes);
    socket.close(4001, "done");
    assert.deepEqual(await closed, { code: 4001, reason: "done" });
    await eventually(() => echo.closes.length === 1);
    assert.deepEqual(echo.closes, [{ code: 4001, reason: "done" }]);
    const [request] = echo.requests;
    assert.ok(request?.url.endsWith("/ws/a?b=c"));
    assert.equal(request?.headers.get("x-forwarded-for"), "127.0.0.1");
    assert.equal(request?.headers.get("sec-websocket-extensions"), null);
    await eventually(async () => (await linesOf(gateway.access())).at(-1)?.status === 101);
  });
});

Deno.test("proxy: the origin's close reaches the WebSocket's client", async () => {
  await withEcho(async (gateway, echo) => {
    for (const code of [1000, 1001, 1011, 3000]) {
      const { socket, closed } = await talk(gateway);
      socket.send(`close ${code} bye`);
      assert.deepEqual(await closed, { code, reason: "bye" });
    }
    await eventually(() => echo.closes.length === 4);
  });
});

Deno.test("proxy: an origin that refuses a WebSocket answers the client itself", async () => {
  await withEcho(async ({ port }) => {
    using client = await Client.connect(port);
    await client.write(
      "GET /ws/no HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    const answer = await client.answer();
    assert.deepEqual([answer.status, answer.text], [403, "not you"]);
  });
});

Deno.test("proxy: a flood of messages arrives whole and in order", async () => {
  await withEcho(async (gateway) => {
    const { socket, next, closed } = await talk(gateway);
    socket.send("flood");
    for (let count = 0; count < 64; count++) {
      const data = await next();
      assert.ok(data instanceof ArrayBuffer);
      assert.deepEqual([data.byteLength, new Uint8Array(data)[0]], [2 ** 20, count]);
    }
    socket.close();
    await closed;
  });
});

Deno.test("proxy: a WebSocket outlives the time of a request, and ends with the server", async () => {
  let closed: Promise<Seen> | undefined;
  await withEcho(async (gateway) => {
    const conversation = await talk(gateway);
    closed = conversation.closed;
    await new Promise((resolve) => setTimeout(resolve, 300));
    conversation.socket.send("still here");
    assert.equal(await conversation.next(), "still here");
    gateway.ground.sweeper.cutAll(new Error("stop"));
    assert.deepEqual(await closed, { code: 1001, reason: "" });
  }, ", timeout: 100ms");
});

const HANDSHAKE = "GET /ws/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

Deno.test("proxy: an origin that accepts with another key is a 502", async () => {
  await using origin = serveRaw((_request, reply) =>
    reply.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )
  );
  await withGateway(tableOf(origin.url), async (gateway) => {
    using client = await Client.connect(gateway.port);
    await client.write(HANDSHAKE);
    const head = await client.head();
    assert.equal(head.status, 502);
    assert.equal(head.get("proxy-status"), "portico; error=http_upgrade_failed");
    assert.equal((await linesOf(gateway.log()))[0]?.failure, "upgrade-failed");
  });
});

/** An origin that agrees properly, and then does as a test says. */
async function accepted(key: string): Promise<string> {
  const text = `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${new Uint8Array(digest).toBase64()}\r\n\r\n`;
}

Deno.test("proxy: frames that come with the handshake are not lost; a ping is answered", async () => {
  let pong = "";
  await using origin = serveRaw(async (request, reply) => {
    const [key = ""] = request.all("sec-websocket-key");
    await reply.write(await accepted(key) + "\x81\x02hi\x89\x01p\x01\x02th\x80\x02en");
    pong = await reply.some() ?? "";
    await reply.write("\x88\x00");
    await reply.closed();
  });
  await withGateway(tableOf(origin.url), async (gateway) => {
    const { next, closed } = await talk(gateway);
    assert.deepEqual([await next(), await next()], ["hi", "then"]);
    assert.equal((await closed).code, 1005);
    const codes = Array.from(pong, (char) => char.charCodeAt(0));
    assert.deepEqual(codes.slice(0, 2), [0x8a, 0x81], "a masked pong of one byte");
    assert.equal((codes[2] ?? 0) ^ (codes[6] ?? 0), "p".charCodeAt(0));
  });
});

Deno.test("proxy: an origin that breaks the WebSocket protocol, or just goes, ends it with 1011", async () => {
  for (const frames of ["\x81\x82abcdxx", "\xc1\x00", "\x81\x01\xff", ""]) {
    await using origin = serveRaw(async (request, reply) => {
      const [key = ""] = request.all("sec-websocket-key");
      await reply.write(await accepted(key) + frames);
      await new Promise((resolve) => setTimeout(resolve, 20));
      reply.close();
    });
    await withGateway(tableOf(origin.url), async (gateway) => {
      const { closed } = await talk(gateway);
      assert.equal((await closed).code, 1011);
    });
  }
});

const MIB = 2 ** 20;

Deno.test("proxy: a WebSocket's client that does not read holds the origin back", async () => {
  const frame = new Uint8Array(10 + MIB);
  frame.set([0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]);
  let written = 0;
  await using origin = serveRaw(async (request, reply) => {
    const [key = ""] = request.all("sec-websocket-key");
    await reply.write(await accepted(key));
    for (; written < 64; written++) await reply.write(frame);
    await reply.closed();
  });
  await withGateway(tableOf(origin.url), async ({ port }) => {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port });
    await socket.write(new TextEncoder().encode(HANDSHAKE));
    await new Promise((resolve) => setTimeout(resolve, 500));
    // What the sockets of both sides hold, and what may wait for the client.
    assert.ok(written < 32, `${written} MiB were taken`);
    const buffer = new Uint8Array(MIB);
    for (let count = 0; count < 64 * MIB;) {
      count += await socket.read(buffer) ?? assert.fail("it ended");
    }
    assert.equal(written, 64);
    socket.close();
  });
});

Deno.test("proxy: a WebSocket's client that outruns the origin is cut off", async () => {
  const done = Promise.withResolvers<void>();
  await using origin = serveRaw(async (request, reply) => {
    const [key = ""] = request.all("sec-websocket-key");
    await reply.write(await accepted(key));
    await done.promise;
    reply.close();
  });
  // Whatever happens, the origin is not waited for.
  using _ = { [Symbol.dispose]: done.resolve };
  await withGateway(tableOf(origin.url), async (gateway) => {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
    await socket.write(new TextEncoder().encode(HANDSHAKE));
    const buffer = new Uint8Array(1000);
    await socket.read(buffer);
    const frame = encodeFrame("binary", new Uint8Array(MIB), new Uint8Array(4));
    const sending = (async () => {
      for (let count = 0; count < 64; count++) await writeAll(socket, frame);
    })().catch(() => {});
    // A close frame with 1008, unless the reset behind it comes first.
    const end = await socket.read(buffer).catch((error) => error);
    const wasReset = end instanceof Deno.errors.ConnectionReset;
    if (!wasReset) assert.deepEqual([...buffer.subarray(0, 4)], [0x88, 2, 0x03, 0xf0]);
    socket.close();
    await sending;
    assert.match(JSON.stringify(await linesOf(gateway.log())), /faster than the origin takes/);
  });
});
