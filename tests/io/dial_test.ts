import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { closeQuietly, dial, writeAll } from "../../lib/io/dial.ts";

function isFailure(status: number, failure: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof GatewayError, String(error));
    assert.deepEqual([error.status, error.failure], [status, failure]);
    assert.match(error.message, message);
    return true;
  };
}

Deno.test("dial() reaches a TCP and a Unix listener", async () => {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-dial-" });
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const unix = Deno.listen({ transport: "unix", path: `${folder}/s` });
  const port = tcp.addr.transport === "tcp" ? tcp.addr.port : 0;
  const addresses = [
    { transport: "tcp", hostname: "127.0.0.1", port },
    { transport: "unix", path: `${folder}/s` },
  ] as const;
  for (const [index, listener] of [tcp, unix].entries()) {
    const accepted = listener.accept();
    const socket = await dial(addresses[index] ?? assert.fail(), 1000);
    const peer = await accepted;
    await writeAll(socket, new TextEncoder().encode("hi"));
    assert.equal(await peer.read(new Uint8Array(10)), 2);
    closeQuietly(socket);
    closeQuietly(socket);
    peer.close();
    listener.close();
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("dial() tells that nobody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  listener.close();
  await assert.rejects(
    dial({ transport: "tcp", hostname: "127.0.0.1", port }, 1000),
    isFailure(502, "connect-refused", new RegExp(`"127.0.0.1:${port}": connection refused`)),
  );
});

Deno.test("dial() tells that a socket is missing, or that nobody listens on it", async () => {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-dial-" });
  const path = `${folder}/s`;
  const address = { transport: "unix", path } as const;
  await assert.rejects(dial(address, 1000), isFailure(502, "connect-refused", /no such socket/));
  await Deno.writeTextFile(path, "");
  await assert.rejects(dial(address, 1000), isFailure(502, "connect-refused", /refused/));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("dial() waits no longer than it may", async () => {
  // A listener whose queue is full lets others wait.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  const address = { transport: "tcp", hostname: "127.0.0.1", port } as const;
  const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => dial(address, 200)));
  const refused = attempts.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
  assert.ok(refused.length > 0);
  for (const reason of refused) {
    assert.ok(isFailure(504, "connect-timeout", /within 200 ms/)(reason));
  }
  listener.close();
  for (const one of attempts) if (one.status === "fulfilled") one.value.close();
  // What still comes of the attempts is closed when it does.
  await new Promise((resolve) => setTimeout(resolve, 1500));
});
