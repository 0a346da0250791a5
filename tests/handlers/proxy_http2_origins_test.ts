/**
 * proxy with `protocol: h2` before real servers, by prior knowledge (h2c), over TLS and by Unix sockets:
 * nginx, Apache, Caddy and Deno's own. They close connections as they like and are started anew: no answer
 * is lost or cut but those that nobody could give.
 */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "../support/command.ts";
import { ask, Client } from "../support/client.ts";
import { makeCertificate } from "../support/certificate.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { type Http2Server, type ServerName, startHttp2Server } from "../support/http2_servers.ts";
import { testWith } from "../support/needs.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { tempFolder } from "../support/peers.ts";

const SERVERS: readonly ServerName[] = ["nginx", "apache2", "caddy"];
const MIB = 2 ** 20;

/** Every way to the server, at `/0/`, `/1/` and so on. */
function tableOf({ urls, ca }: Http2Server): string {
  const routes = urls.map((to, at) => ({
    path: `/${at}/*`,
    maxRequestBody: "1GiB",
    proxy: { to, protocol: "h2", stripPrefix: true, ...(to.startsWith("https") ? { ca } : {}) },
  }));
  return `routes: ${JSON.stringify(routes)}\n`;
}

for (const name of SERVERS) {
  testWith(
    [name, "openssl"],
    `proxy h2: ${name} by every way: files, fields, many at once`,
    async () => {
      await using folder = await tempFolder();
      await using server = await startHttp2Server(name, folder.path);
      const noise = fillRandom(new Uint8Array(10 * MIB));
      await Deno.writeFile(`${folder.path}/files/noise`, noise);
      await Deno.writeTextFile(`${folder.path}/files/a.txt`, "0123456789");
      const wanted = await sha256(noise);
      await withGateway(tableOf(server), async ({ base, port, log }) => {
        for (const at of server.urls.keys()) {
          const told = await ask(port, { target: `/${at}/a.txt` });
          assert.deepEqual([told.get("x-protocol"), told.text], ["HTTP/2.0", "0123456789"]);
          using client = await Client.send(port, { method: "HEAD", target: `/${at}/a.txt` });
          assert.equal((await client.head()).get("content-length"), "10");
          const part = await ask(port, { target: `/${at}/a.txt`, headers: { Range: "bytes=2-4" } });
          assert.deepEqual([part.status, part.text], [206, "234"]);
          const whole = await fetch(`${base}/${at}/noise`);
          assert.equal(await sha256(new Uint8Array(await whole.arrayBuffer())), wanted);
          const asked = Array.from({ length: 100 }, () => ask(port, { target: `/${at}/nothing` }));
          for (const { status } of await Promise.all(asked)) assert.equal(status, 404);
        }
        assert.equal(await log(), "");
      });
    },
  );
}

for (const name of ["nginx", "apache2"] as const) {
  testWith([name, "openssl"], `proxy h2: ${name} gets uploads whole, many at once`, async () => {
    await using folder = await tempFolder();
    await using server = await startHttp2Server(name, folder.path);
    await withGateway(tableOf(server), async ({ base, log }) => {
      await Promise.all(Array.from({ length: 60 }, async (_, count) => {
        const body = fillRandom(new Uint8Array(count * 5000));
        const init = { method: "PUT", body: count % 2 === 0 ? body : new Blob([body]).stream() };
        const to = `${count % server.urls.length}/put/${count}`;
        const { status } = await fetch(`${base}/${to}`, init).then(emptied);
        assert.equal(status, 201, `upload ${count}`);
        const came = await Deno.readFile(`${folder.path}/put/${count}`);
        assert.equal(await sha256(came), await sha256(body), `upload ${count}`);
      }));
      assert.equal(await log(), "");
    });
  });
}

async function emptied(response: Response): Promise<Response> {
  await response.body?.cancel();
  return response;
}

for (const name of SERVERS) {
  testWith(
    [name, "openssl"],
    `proxy h2: ${name} is stopped and started again in mid-traffic`,
    async () => {
      await using folder = await tempFolder();
      await using server = await startHttp2Server(name, folder.path);
      const text = "whole".repeat(10_000);
      await Deno.writeTextFile(`${folder.path}/files/a.txt`, text);
      await withGateway(tableOf(server), async ({ port }) => {
        const seen = new Set<number>();
        let isOver = false;
        const workers = Array.from({ length: 8 }, async (_, count) => {
          while (!isOver) {
            const target = `/${count % server.urls.length}/a.txt`;
            const answer = await ask(port, { target });
            seen.add(answer.status);
            // What is whole is right; else nobody was there, or went before it was done, and that shows.
            if (answer.status === 200) assert.equal(answer.whole, answer.text === text, target);
            else assert.ok([502, 503].includes(answer.status), `${answer.status}`);
            if (answer.status !== 200) await new Promise((resolve) => setTimeout(resolve, 20));
          }
        });
        for (let turn = 0; turn < 2; turn++) {
          seen.clear();
          await eventually(() => seen.has(200));
          await server.stop();
          seen.clear();
          await eventually(() => seen.has(502));
          await server.start();
        }
        seen.clear();
        await eventually(() => seen.has(200));
        isOver = true;
        await Promise.all(workers);
        for (const at of server.urls.keys()) {
          await eventually(async () =>
            (await ask(port, { target: `/${at}/a.txt` })).status === 200
          );
        }
      });
    },
  );
}

testWith(["openssl"], "proxy h2: an https origin by ALPN, trusted by its certificate", async () => {
  await using folder = await tempFolder();
  const { cert, key } = await makeCertificate(folder.path, "deno");
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
    onListen() {},
  }, async (request) => new Response(`${request.headers.has("host")} ${await request.text()}`));
  const proxy = { to: `https://localhost:${server.addr.port}`, protocol: "h2" };
  const tableOf = (fields: object) =>
    `routes: ${JSON.stringify([{ path: "/*", proxy: { ...proxy, ...fields } }])}\n`;
  await withGateway(tableOf({ ca: cert }), async ({ port }) => {
    const { text } = await ask(port, { method: "POST", target: "/", body: "upload" });
    // HTTP/2 has no Host field.
    assert.equal(text, "false upload");
  });
  await withGateway(tableOf({}), async ({ port }) => {
    const answer = await ask(port, { target: "/" });
    assert.equal(answer.get("proxy-status"), "portico; error=tls_certificate_error");
  });
  await server.shutdown();
});

testWith(
  ["nginx", "openssl"],
  "proxy h2: what `flags` prints is enough, by every way",
  async () => {
    await using folder = await tempFolder();
    await using server = await startHttp2Server("nginx", folder.path);
    await Deno.writeTextFile(`${folder.path}/files/a.txt`, "hello");
    const file = `${folder.path}/routes.yaml`;
    await Deno.writeTextFile(file, `server: {listen: "127.0.0.1:0"}\n${tableOf(server)}`);
    const { out } = await runPortico(["flags", "-c", file]);
    await using portico = await startPortico(["-c", file], { flags: out.trim().split(" ") });
    for (const at of server.urls.keys()) {
      assert.equal(await (await fetch(`${portico.base}/${at}/a.txt`)).text(), "hello");
      const told = await runPortico(["explain", `/${at}/a.txt`, "-c", file]);
      assert.match(told.out, /sends a request of HTTP\/2 with these fields to /);
      assert.match(told.out, /^:path=\/a\.txt$/m);
    }
  },
);

Deno.test("proxy: a protocol that there is not is a fault of the file", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `routes:\n  - {path: /, proxy: {to: "http://a", protocol: h2c}}\n`,
  );
  const { err, out } = await runPortico(["check", "-c", file]);
  assert.match(err + out, /2:\d+: .*"h2c".*"h2"|2:\d+: .*h2c.*h2/);
});
