/**
 * proxy with `protocol: h2`: 100 MiB both ways, whole, in memory that does not grow with them; and who reads
 * slowly holds back whoever sends, and nobody else on the session.
 */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { startPortico } from "../support/command.ts";
import { tableOf } from "../support/framed.ts";
import { type Http2Server, type ServerName, startHttp2Server } from "../support/http2_servers.ts";
import { growthOf } from "../support/memory.ts";
import { testWith } from "../support/needs.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { tempFolder } from "../support/peers.ts";
import { serveFrames } from "../upstreams/frame_origin.ts";

const MIB = 2 ** 20;

/** A gateway as a process of its own, before one way to a server, and the hash of its large file. */
async function withLarge(
  name: ServerName,
  way: number,
  size: number,
  body: (
    gateway: { base: string; pid: number },
    server: Http2Server,
    hash: string,
  ) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  await using server = await startHttp2Server(name, folder.path);
  const noise = fillRandom(new Uint8Array(size));
  await Deno.writeFile(`${folder.path}/files/large`, noise);
  await Deno.writeTextFile(`${folder.path}/files/a.txt`, "hello");
  const to = server.urls[way] ?? assert.fail("no such way");
  const ca = to.startsWith("https") ? { ca: server.ca } : {};
  await Deno.writeTextFile(
    `${folder.path}/routes.yaml`,
    tableOf(to, ca, { maxRequestBody: "1GiB" }),
  );
  const args = ["-c", `${folder.path}/routes.yaml`, "--listen", "127.0.0.1:0"];
  await using portico = await startPortico(args);
  await body(portico, server, await sha256(noise));
}

async function shell(script: string): Promise<string> {
  const { success, stdout } = await new Deno.Command("sh", { args: ["-ec", script] }).output();
  assert.ok(success, script);
  return new TextDecoder().decode(stdout).split(" ")[0] ?? "";
}

for (
  const [name, way, how] of [["nginx", 0, "h2c"], ["nginx", 1, "TLS"], [
    "apache2",
    0,
    "h2c",
  ]] as const
) {
  testWith(
    [name, "curl", "openssl"],
    `proxy h2: 100 MiB pass both ways whole, without being held: ${name}, ${how}`,
    () =>
      withLarge(name, way, 100 * MIB, async ({ base, pid }, { folder }, hash) => {
        const grown = await growthOf(pid, async () => {
          assert.equal(await shell(`curl -sSf ${base}/large | sha256sum`), hash);
          for (const coding of ["", "-H 'Transfer-Encoding: chunked'"]) {
            await shell(`curl -sSf -H Expect: ${coding} -T ${folder}/files/large ${base}/put/up`);
            assert.equal(await shell(`sha256sum ${folder}/put/up`), hash, coding);
          }
        });
        // None of the bodies was: what there is, is not collected yet, and does not grow with more of them.
        assert.ok(grown < 100 * MIB, `memory grew by ${(grown / MIB).toFixed(0)} MiB`);
      }),
  );
}

testWith(
  ["nginx", "openssl"],
  "proxy h2: clients that do not read hold the origin back, and nobody else",
  () =>
    withLarge("nginx", 0, 20 * MIB, async ({ base, pid }, _server, hash) => {
      const port = Number(new URL(base).port);
      const slow: Client[] = [];
      const grown = await growthOf(pid, async () => {
        for (let count = 0; count < 8; count++) {
          const client = await Client.send(port, { target: "/large" });
          assert.equal((await client.head()).status, 200);
          slow.push(client);
        }
        for (let count = 0; count < 20; count++) {
          assert.equal((await ask(port, { target: "/a.txt" })).text, "hello");
        }
      });
      assert.ok(grown < 60 * MIB, `memory grew by ${(grown / MIB).toFixed(0)} MiB`);
      const { bytes, whole } = await slow[0]?.body() ?? assert.fail();
      assert.deepEqual([whole, await sha256(bytes)], [true, hash]);
      for (const client of slow) client.close();
    }),
);

Deno.test("proxy h2: an origin that does not read holds its client back", async () => {
  await using folder = await tempFolder();
  await using origin = serveFrames(() => {});
  await Deno.writeTextFile(
    `${folder.path}/routes.yaml`,
    tableOf(origin.url, {}, { maxRequestBody: "1GiB" }, "drainTimeout: 100ms"),
  );
  await using portico = await startPortico([
    "-c",
    `${folder.path}/routes.yaml`,
    "--listen",
    "127.0.0.1:0",
  ]);
  const grown = await growthOf(portico.pid, async () => {
    using client = await Client.connect(Number(new URL(portico.base).port));
    await client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${100 * MIB}\r\n\r\n`);
    let sent = 0;
    const sending = (async () => {
      for (const piece = new Uint8Array(MIB); sent < 100 * MIB; sent += MIB) {
        await client.write(piece);
      }
    })().catch(() => {});
    for (let before = -1; before < sent;) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    assert.equal(origin.received, 65_535);
    // What the kernels of both hold is not ours.
    assert.ok(sent < 40 * MIB, `${sent / MIB} MiB were taken`);
    client.close();
    await sending;
  });
  assert.ok(grown < 40 * MIB, `memory grew by ${(grown / MIB).toFixed(0)} MiB`);
});
