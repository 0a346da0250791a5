/** Upstreams that close behind each reply, at several addresses. */
import assert from "node:assert/strict";
import { ClosingUpstream } from "../../lib/io/closing_upstream.ts";
import { Lifeline } from "../../lib/lifeline.ts";
import { freePort } from "../support/peers.ts";

const OPTIONS = { max: 10, queue: 10, queueTimeoutMs: 1000, connectTimeoutMs: 5000 };
const at = (port: number) => ({ transport: "tcp", hostname: "127.0.0.1", port }) as const;

/** Takes connections and drops them. */
function listen(port = 0): Deno.TcpListener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  (async () => {
    for await (const connection of listener) connection.close();
  })();
  return listener;
}

/** Which addresses so many requests reach. */
async function reach(upstream: ClosingUpstream, count: number): Promise<string[]> {
  const reached: string[] = [];
  for (let times = 0; times < count; times++) {
    const one = await upstream.reach(new Lifeline());
    reached.push(one.where);
    upstream.leave(one);
  }
  return reached;
}

Deno.test("ClosingUpstream lets its addresses take turns", async () => {
  using one = listen();
  using two = listen();
  const ports = [one.addr.port, two.addr.port];
  await using upstream = new ClosingUpstream(ports.map(at), OPTIONS);
  const [a, b] = ports.map((port) => `127.0.0.1:${port}`);
  assert.deepEqual(await reach(upstream, 4), [a, b, a, b]);
});

Deno.test("ClosingUpstream leaves out an address that is gone, until it is back", async () => {
  using one = listen();
  const gone = freePort();
  const notices: string[] = [];
  const notice = (message: string) => notices.push(message);
  await using upstream = new ClosingUpstream([at(gone), at(one.addr.port)], { ...OPTIONS, notice });
  const there = `127.0.0.1:${one.addr.port}`;
  assert.deepEqual(new Set(await reach(upstream, 20)), new Set([there]));
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? "", /is down after 3 failures: /);
  using _back = listen(gone);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.deepEqual(new Set(await reach(upstream, 4)), new Set([there, `127.0.0.1:${gone}`]));
  assert.match(notices[1] ?? "", /is back/);
});

Deno.test("ClosingUpstream tells why when nobody is there", async () => {
  await using upstream = new ClosingUpstream([at(freePort()), at(freePort())], OPTIONS);
  for (let times = 0; times < 5; times++) {
    await assert.rejects(upstream.reach(new Lifeline()), /refused/);
  }
});
