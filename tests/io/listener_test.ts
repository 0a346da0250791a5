/** A listener's Unix socket, where another one stood, or stands. */
import assert from "node:assert/strict";
import { Listener } from "../../lib/io/listener.ts";
import { tempFolder } from "../support/peers.ts";

async function open(path: string): Promise<Listener> {
  return await Listener.open({
    address: { transport: "unix", path },
    tls: undefined,
    node: undefined,
    sharers: 1,
    receive: () => new Response("served"),
    notice: () => {},
  });
}

Deno.test("Listener takes the place of a socket that nobody listens on", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/s`;
  const code = `Deno.listen({ transport: "unix", path: "${path}" }); Deno.exit()`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
  assert.ok((await Deno.lstat(path)).isSocket);
  const listener = await open(path);
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  assert.equal(await (await fetch("http://localhost/", { client })).text(), "served");
  await listener.shutdown();
});

Deno.test("Listener leaves a socket alone that another listens on, be its backlog full", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/s`;
  using busy = Deno.listen({ transport: "unix", path });
  const reason = { message: `Cannot listen on unix:${path}: another process does` };
  await assert.rejects(open(path), reason);
  const waiting: Deno.UnixConn[] = [];
  try {
    for (;;) waiting.push(await Deno.connect({ transport: "unix", path }));
  } catch (error) {
    assert.ok(error instanceof Deno.errors.WouldBlock, String(error));
  }
  await assert.rejects(open(path), reason);
  assert.ok((await Deno.lstat(path)).isSocket);
  for (const connection of waiting) connection.close();
  assert.ok(busy.addr);
});
