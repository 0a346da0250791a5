/** proxy with `protocol: h2` before real servers: Caddy by prior knowledge (h2c), Deno's own over TLS. */
import assert from "node:assert/strict";
import { runPortico } from "../support/command.ts";
import { ask } from "../support/client.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { testWith, which } from "../support/needs.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { freePort, tempFolder } from "../support/peers.ts";

function tableOf(to: string, fields = ""): string {
  return `routes:\n  - {path: /*, maxRequestBody: 1GiB, proxy: {to: "${to}", protocol: h2${fields}}}\n`;
}

testWith(["caddy"], "proxy h2: Caddy by prior knowledge: files, fields, many at once", async () => {
  await using folder = await tempFolder();
  const port = freePort();
  const noise = fillRandom(new Uint8Array(20 * 2 ** 20));
  await Deno.writeFile(`${folder.path}/noise`, noise);
  await Deno.writeTextFile(
    `${folder.path}/Caddyfile`,
    `{\n admin off\n auto_https off\n servers {\n  protocols h1 h2 h2c\n }\n}\n` +
      `http://127.0.0.1:${port} {\n bind 127.0.0.1\n` +
      ` respond /told "{http.request.proto} {header.via}"\n root * ${folder.path}\n file_server\n}\n`,
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
    await withGateway(tableOf(`http://127.0.0.1:${port}`), async (gateway) => {
      const told = await ask(gateway.port, { target: "/told" });
      assert.match(told.text, /^HTTP\/2\.0 1\.1 portico/);
      const whole = await fetch(`${gateway.base}/noise`);
      assert.equal(
        await sha256(new Uint8Array(await whole.arrayBuffer())),
        await sha256(noise),
      );
      const asked = Array.from({ length: 100 }, () => ask(gateway.port, { target: "/nothing" }));
      for (const { status } of await Promise.all(asked)) assert.equal(status, 404);
      assert.equal(await gateway.log(), "");
    });
  } finally {
    child.kill("SIGTERM");
    await child.status;
  }
});

testWith(["openssl"], "proxy h2: an https origin by ALPN, trusted by its certificate", async () => {
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
  assert.ok(made.success);
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
    onListen() {},
  }, async (request) => new Response(`${request.headers.has("host")} ${await request.text()}`));
  const url = `https://localhost:${server.addr.port}`;
  await withGateway(tableOf(url, `, ca: "${cert}"`), async ({ port }) => {
    const { text } = await ask(port, { method: "POST", target: "/", body: "upload" });
    // HTTP/2 has no Host field.
    assert.equal(text, "false upload");
  });
  await withGateway(tableOf(url), async ({ port }) => {
    const answer = await ask(port, { target: "/" });
    assert.equal(answer.get("proxy-status"), "portico; error=tls_certificate_error");
  });
  await server.shutdown();
});

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
