/** One request's conversation with an upstream that closes behind its reply: when it ends early. */
import assert from "node:assert/strict";
import { ClientGone, GatewayError } from "../../lib/errors.ts";
import type { Exchange, Outcome, SizedBody } from "../../lib/exchange.ts";
import { type ClosingRequest, converse } from "../../lib/io/closing_client.ts";
import { ClosingUpstream } from "../../lib/io/closing_upstream.ts";
import { exchangeOf } from "../support/exchange.ts";
import { eventually } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";
import { MemoryLog } from "../support/service_log.ts";

const PACKET = new TextEncoder().encode("a request");
const OPTIONS = { queue: 10, queueTimeoutMs: 5000, connectTimeoutMs: 5000 };

interface Scene extends AsyncDisposable {
  readonly upstream: ClosingUpstream;
  /** What each connection brought until it was closed; in order. */
  readonly received: string[];
  send(body?: SizedBody): Sent;
}

interface Sent {
  readonly outcome: Promise<Outcome>;
  cut(): void;
}

/** An upstream that answers with `reply`, if with anything, once a request is there. */
async function setScene(max: number, reply = ""): Promise<Scene> {
  const folder = await tempFolder();
  const path = `${folder.path}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const received: string[] = [];
  const serving = serve(listener, received, reply);
  const upstream = new ClosingUpstream([{ transport: "unix", path }], { ...OPTIONS, max });
  return {
    upstream,
    received,
    send(body) {
      const exchange = exchangeOf();
      const outcome = converse(upstream, requestOf(exchange, body));
      outcome.catch(() => {});
      return { outcome, cut: () => exchange.lifeline.cut(new ClientGone()) };
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      await upstream[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function requestOf(exchange: Exchange, body: SizedBody | null = null): ClosingRequest {
  const log = new MemoryLog();
  return { exchange, packet: PACKET, body, maxReplyHead: 1024, log, suspicion: "" };
}

async function serve(listener: Deno.UnixListener, received: string[], reply: string) {
  const talks: Promise<void>[] = [];
  for await (const connection of listener) talks.push(talk(connection, received, reply));
  await Promise.all(talks);
}

async function talk(connection: Deno.UnixConn, received: string[], reply: string): Promise<void> {
  using _connection = connection;
  const index = received.push("") - 1;
  const buffer = new Uint8Array(1024);
  for (let count = await read(); count !== null; count = await read()) {
    received[index] += new TextDecoder().decode(buffer.subarray(0, count));
    if (reply !== "") await connection.write(new TextEncoder().encode(reply)).catch(() => {});
  }

  async function read(): Promise<number | null> {
    return await connection.read(buffer).catch(() => null);
  }
}

function busy(upstream: ClosingUpstream): number {
  return upstream.status().pool?.busy ?? -1;
}

function isReceived({ received }: Scene, ...wanted: string[]): boolean {
  return JSON.stringify(received) === JSON.stringify(wanted);
}

Deno.test("converse() sends nothing for a client that leaves while it connects", async () => {
  await using scene = await setScene(1);
  const { outcome, cut } = scene.send();
  cut();
  await assert.rejects(outcome, ClientGone);
  await eventually(() => busy(scene.upstream) === 0);
  await eventually(() => isReceived(scene, ""));
});

Deno.test("converse() closes the connection of a client that leaves before the head", async () => {
  await using scene = await setScene(1);
  const { outcome, cut } = scene.send();
  await eventually(() => isReceived(scene, "a request"));
  cut();
  await assert.rejects(outcome, ClientGone);
  assert.equal(busy(scene.upstream), 0);
});

Deno.test("converse() gives up its place in the line with its client", async () => {
  await using scene = await setScene(1);
  const first = scene.send();
  const second = scene.send();
  const third = scene.send();
  await eventually(() => isReceived(scene, "a request"));
  second.cut();
  await assert.rejects(second.outcome, ClientGone);
  assert.equal(scene.upstream.status().pool?.waiting, 1);
  first.cut();
  await eventually(() => isReceived(scene, "a request", "a request"));
  third.cut();
  await assert.rejects(third.outcome, ClientGone);
  await eventually(() => busy(scene.upstream) === 0);
});

Deno.test("converse() takes nothing up for a client that has left already", async () => {
  await using scene = await setScene(1);
  const exchange = exchangeOf();
  exchange.lifeline.cut(new ClientGone());
  await assert.rejects(converse(scene.upstream, requestOf(exchange)), ClientGone);
  assert.equal(busy(scene.upstream), 0);
  assert.deepEqual(scene.received, []);
});

Deno.test("converse() lets go of everything when the head is no head", async () => {
  await using scene = await setScene(1, "nonsense\n");
  let closed = 0;
  const body: SizedBody = {
    length: 3,
    bytes: undefined,
    read: () => new Promise(() => {}),
    close: () => void closed++,
  };
  const { outcome } = scene.send(body);
  await assert.rejects(outcome, /before any header/);
  assert.equal(busy(scene.upstream), 0);
  assert.equal(closed, 1);
});

Deno.test("converse() ends the request when its body fails", async () => {
  await using scene = await setScene(1);
  const body: SizedBody = {
    length: 3,
    bytes: undefined,
    read: () => Promise.reject(new GatewayError(408, "body-too-slow", "Too slow")),
    close() {},
  };
  const { outcome } = scene.send(body);
  await assert.rejects(outcome, { failure: "body-too-slow" });
  await eventually(() => busy(scene.upstream) === 0);
});

Deno.test("converse() answers with what came when the promised length is there", async () => {
  await using scene = await setScene(1, "Content-Length: 2\r\n\r\nhi");
  const outcome = await scene.send().outcome;
  assert.equal(outcome.type, "reply");
  if (outcome.type !== "reply" || !(outcome.body instanceof Uint8Array)) assert.fail("no bytes");
  assert.equal(new TextDecoder().decode(outcome.body), "hi");
  assert.equal(busy(scene.upstream), 0);
});
