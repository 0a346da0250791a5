/**
 * proxy before real origins: nginx, Caddy, Node's http and Deno's own server; over TLS; with bodies of
 * 100 MiB both ways, in memory that does not grow with them.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ask, Client } from "../support/client.ts";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { growthOf } from "../support/memory.ts";
import { testWith, which } from "../support/needs.ts";
import { startNginx } from "../support/nginx.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { freePort, tempFolder } from "../support/peers.ts";
import { serveRaw } from "../upstreams/raw_origin.ts";
import { linesOf } from "./contract.ts";

const MIB = 2 ** 20;
const LARGE = 100 * MIB;

function tableOf(to: string, fields = ""): string {
  return `server:\n  accessLog: json\nroutes:\n` +
    `  - {path: /*, maxRequestBody: 1GiB, proxy: {to: "${to}"${fields}}}\n`;
}

testWith(["nginx"], "proxy: nginx serves files through it: HEAD, 304, ranges", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(`${folder.path}/a.txt`, "0123456789");
  await using nginx = await startNginx(folder.path, `root ${folder.path};`);
  await withGateway(tableOf(`http://127.0.0.1:${nginx.port}`), async ({ port }) => {
    const whole = await ask(port, { target: "/a.txt" });
    assert.deepEqual([whole.status, whole.text], [200, "0123456789"]);
    const etag = whole.get("etag") ?? assert.fail("no ETag");
    const same = await ask(port, { target: "/a.txt", headers: { "If-None-Match": etag } });
    assert.deepEqual([same.status, same.get("etag")], [304, etag]);
    const part = await ask(port, { target: "/a.txt", headers: { Range: "bytes=2-4" } });
    assert.deepEqual([part.status, part.text], [206, "234"]);
    assert.equal(part.get("content-range"), "bytes 2-4/10");
    using client = await Client.send(port, { method: "HEAD", target: "/a.txt" });
    assert.equal((await client.head()).get("content-length"), "10");
    // nginx closes connections as it likes: nobody notices.
    for (let count = 0; count < 50; count++) {
      assert.equal((await ask(port, { target: "/a.txt" })).status, 200);
    }
  });
});

testWith(
  ["caddy"],
  "proxy: Caddy's chunked and compressed answers come through as they are",
  async () => {
    await using folder = await tempFolder();
    const port = freePort();
    await Deno.writeTextFile(`${folder.path}/page.html`, "<p>hello</p>".repeat(1000));
    await Deno.writeTextFile(
      `${folder.path}/Caddyfile`,
      `{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:${port} {\n` +
        ` bind 127.0.0.1\n encode gzip\n root * ${folder.path}\n file_server\n}\n`,
    );
    const child = new Deno.Command(which("caddy") ?? "caddy", {
      args: ["run", "--config", `${folder.path}/Caddyfile`, "--adapter", "caddyfile"],
      env: { HOME: folder.path },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      await eventually(() =>
        Deno.connect({ hostname: "127.0.0.1", port }).then((it) => (it.close(), true), () => false)
      );
      await withGateway(tableOf(`http://127.0.0.1:${port}`), async ({ base }) => {
        const response = await fetch(`${base}/page.html`);
        assert.equal(response.headers.get("vary"), "Accept-Encoding");
        assert.equal(await response.text(), "<p>hello</p>".repeat(1000));
        const missing = await fetch(`${base}/nothing`);
        await missing.body?.cancel();
        assert.equal(missing.status, 404);
      });
    } finally {
      child.kill("SIGTERM");
      await child.status;
    }
  },
);

Deno.test("proxy: Node's http before it: trailers, early hints, keep-alive that ends", async () => {
  const server = createServer({ keepAliveTimeout: 30 }, (request, response) => {
    if (request.url === "/hints") response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.setHeader("Trailer", "X-Sum");
    response.write("one,");
    request.on("data", (chunk) => response.write(chunk));
    request.on("end", () => {
      response.addTrailers({ "X-Sum": "1" });
      response.end("two");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: origin } = server.address() as AddressInfo;
  await withGateway(tableOf(`http://127.0.0.1:${origin}`), async (gateway) => {
    for (const pause of [0, 0, 60, 60]) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      const post = { method: "POST", target: "/hints", body: "body," };
      const answer = await ask(gateway.port, post);
      assert.deepEqual([answer.status, answer.text, answer.whole], [200, "one,body,two", true]);
      assert.equal(answer.get("trailer"), undefined);
    }
    assert.deepEqual(await linesOf(gateway.log()), []);
  });
  await new Promise((resolve) => server.close(resolve));
});

/** A server that tells what it got, and gives what it is asked for. */
function serveLarge(bytes: Uint8Array<ArrayBuffer>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    if (request.method === "GET") {
      let at = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at === bytes.length) return controller.close();
          controller.enqueue(bytes.slice(at, at += Math.min(MIB, bytes.length - at)));
        },
      });
      const sized = request.url.endsWith("/sized");
      return new Response(body, sized ? { headers: { "content-length": `${bytes.length}` } } : {});
    }
    return new Response(await sha256(new Uint8Array(await request.arrayBuffer())));
  });
}

testWith(["curl"], "proxy: 100 MiB pass both ways whole, without being held", async () => {
  await using folder = await tempFolder();
  const noise = fillRandom(new Uint8Array(LARGE));
  const wanted = await sha256(noise);
  const file = `${folder.path}/noise`;
  await Deno.writeFile(file, noise);
  const origin = serveLarge(noise);
  const config = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(config, tableOf(`http://127.0.0.1:${origin.addr.port}`));
  const shell = async (script: string) => {
    const { success, stdout } = await new Deno.Command("sh", { args: ["-ec", script] }).output();
    assert.ok(success, script);
    return new TextDecoder().decode(stdout);
  };
  await using portico = await startPortico(["-c", config, "--listen", "127.0.0.1:0"]);
  const grown = await growthOf(portico.pid, async () => {
    for (const path of ["sized", "chunked"]) {
      const sum = await shell(`curl -sSf ${portico.base}/${path} | sha256sum`);
      assert.equal(sum.split(" ")[0], wanted, path);
    }
    for (const coding of ["", "-H 'Transfer-Encoding: chunked'"]) {
      const upload = `curl -sSf -H Expect: ${coding} -X POST -T ${file} ${portico.base}/up`;
      assert.equal(await shell(upload), wanted, coding);
    }
  });
  assert.ok(grown < 60 * MIB, `memory grew by ${(grown / MIB).toFixed(0)} MiB`);
  await origin.shutdown();
});

testWith(["openssl"], "proxy: an https origin is trusted by its certificate alone", async () => {
  await using folder = await tempFolder();
  const [cert, key] = [`${folder.path}/cert.pem`, `${folder.path}/key.pem`];
  const made = await new Deno.Command("openssl", {
    args: [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost"],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ],
  }).output();
  assert.ok(made.success, new TextDecoder().decode(made.stderr));
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
    onListen() {},
  }, (request) => new Response(`${new URL(request.url).protocol} ${request.headers.get("host")}`));
  const url = `https://localhost:${server.addr.port}`;
  await withGateway(tableOf(url, `, ca: "${cert}"`), async ({ port }) => {
    for (let count = 0; count < 3; count++) {
      const answer = await ask(port, { target: "/" });
      assert.deepEqual([answer.status, answer.text], [200, `https: ${url.slice(8)}`]);
    }
  });
  await withGateway(tableOf(url), async (gateway) => {
    const answer = await ask(gateway.port, { target: "/" });
    assert.equal(answer.status, 502);
    assert.equal(answer.get("proxy-status"), "portico; error=tls_certificate_error");
  });
  const plain = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response());
  await withGateway(tableOf(`https://localhost:${plain.addr.port}`), async (gateway) => {
    const answer = await ask(gateway.port, { target: "/" });
    assert.equal(answer.get("proxy-status"), "portico; error=tls_protocol_error");
  });
  await Promise.all([server.shutdown(), plain.shutdown()]);
});

Deno.test("proxy: the permissions that `flags` prints are enough, and none of them is too much", async () => {
  await using folder = await tempFolder();
  await using socket = serveRaw(
    (_request, reply) => reply.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix"),
    `${folder.path}/o.sock`,
  );
  await using tcp = serveRaw((_request, reply) =>
    reply.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntcp")
  );
  const config = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(
    config,
    `server:\n  listen: 127.0.0.1:0\nroutes:\n  - {path: /u, proxy: "${socket.url}"}\n` +
      `  - {path: /t, proxy: "${tcp.url}"}\n`,
  );
  const { out } = await runPortico(["flags", "-c", config]);
  const flags = out.trim().split(" ");
  assert.deepEqual(flags.slice(1), [
    `--allow-read=${config},${folder.path}/o.sock`,
    `--allow-write=${folder.path}/o.sock`,
    `--allow-net=127.0.0.1:0,unix:${folder.path}/o.sock,127.0.0.1:${tcp.port}`,
    "--allow-env=DENO_SERVE_ADDRESS,DENO_TRUST_PROXY_HEADERS",
  ]);
  await using portico = await startPortico(["-c", config], { flags });
  const text = async (path: string) => await (await fetch(portico.base + path)).text();
  assert.deepEqual([await text("/u"), await text("/t")], ["unix", "tcp"]);
});
