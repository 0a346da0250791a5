/**
 * curl against a gateway that listens on a Unix socket: a client that is not ours, on the transport that
 * front proxies use. HTTP/1.1 and HTTP/2, uploads of every framing, and who the client is taken for.
 */
import assert from "node:assert/strict";
import { startPortico } from "../support/command.ts";
import { TESTS } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

/** Runs curl; gives what it prints. */
type Curl = (...args: string[]) => Promise<string>;

function curlOver(socket: string): Curl {
  return async (...args) => {
    const command = new Deno.Command("curl", {
      args: ["-sS", "--max-time", "20", "--unix-socket", socket, ...args],
      stdin: "null",
    });
    const { success, stdout, stderr } = await command.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
}

/** The environ that environ.sh prints. */
function environOf(text: string): Record<string, string> {
  return Object.fromEntries(
    Array.from(text.matchAll(/^([A-Z_]+)=(.*)$/gm), ([, name = "", value = ""]) => [name, value]),
  );
}

testWith(["curl", "sh", "perl"], "curl reaches every route over a Unix socket", async (t) => {
  await using folder = await tempFolder();
  const { path } = folder;
  const table = `${path}/routes.yaml`;
  await Deno.writeTextFile(
    table,
    `server:
  listen: "unix:gateway.sock"
  trustedProxies: [unix]
  spoolDir: ${path}/spool
  accessLog: combined
routes:
  - path: /cgi/*
    cgi: {root: "${TESTS}/apps/cgi", env: {GATE: "${path}/gate"}}
  - path: /hello
    respond: hello
  - path: /go
    redirect: /hello
`,
  );
  await using gateway = await startPortico(["--config", table]);
  const socket = `${path}/gateway.sock`;
  assert.equal(gateway.base, `unix:${socket}`);
  const curl = curlOver(socket);
  const url = "http://app.example:81";

  await t.step("a request, its host, and no address of the client", async () => {
    const environ = environOf(await curl(`${url}/cgi/environ.sh/x?y`));
    assert.equal(environ.HTTP_HOST, "app.example:81");
    assert.equal(environ.SERVER_NAME, "app.example");
    assert.equal(environ.SERVER_PORT, "80");
    assert.equal(environ.SERVER_ADDR, socket);
    assert.equal(environ.REMOTE_ADDR, "unix:");
    assert.equal(environ.REMOTE_PORT, undefined);
    assert.equal(environ.PATH_INFO, "/x");
    assert.match(gateway.out(), /listening on unix:/);
  });

  await t.step("a front proxy on the socket is believed, if the table says so", async () => {
    const environ = environOf(
      await curl(
        ...["-H", "X-Forwarded-For: 2001:db8::7", "-H", "X-Forwarded-Proto: https"],
        ...["-H", "X-Forwarded-Host: front.example", `${url}/cgi/environ.sh`],
      ),
    );
    assert.equal(environ.REMOTE_ADDR, "2001:db8::7");
    assert.deepEqual([environ.HTTPS, environ.SERVER_NAME], ["on", "front.example"]);
  });

  await t.step("HEAD, redirects and statuses", async () => {
    assert.match(await curl("--head", `${url}/hello`), /^HTTP\/1\.1 200 OK\r\n/);
    const followed = await curl("-L", "-w", " %{http_code} %{num_redirects}", `${url}/go`);
    assert.equal(followed, "hello 200 1");
    assert.equal(await curl("-o", "/dev/null", "-w", "%{http_code}", `${url}/none`), "404");
  });

  await t.step("one connection for several requests", async () => {
    const urls = ["/hello", "/cgi/environ.sh", "/none"].map((target) => url + target);
    const out = urls.flatMap(() => ["-o", "/dev/null"]);
    assert.equal(await curl(...out, "-w", "%{num_connects} ", ...urls), "1 0 0 ");
  });

  const upload = `${path}/upload`;
  await Deno.writeFile(upload, new Uint8Array(3 * 2 ** 20).fill(120));
  const uploads = {
    "with its length, after 100 Continue": ["-H", "Expect: 100-continue", "--data-binary"],
    "chunked": ["-H", "Transfer-Encoding: chunked", "--data-binary"],
    "over HTTP/2": ["--http2-prior-knowledge", "--data-binary"],
  };
  for (const [how, args] of Object.entries(uploads)) {
    await t.step(`an upload ${how}`, async () => {
      const type = ["-H", "Content-Type: application/octet-stream"];
      const told = JSON.parse(await curl(...type, ...args, `@${upload}`, `${url}/cgi/report.pl`));
      assert.deepEqual([told.length, told.past], [3 * 2 ** 20, 0]);
      assert.equal(Number(told.environ.CONTENT_LENGTH), 3 * 2 ** 20);
      assert.equal(told.environ.HTTP_HOST, "app.example:81");
    });
  }

  await t.step("output arrives while the program runs", async () => {
    const child = new Deno.Command("curl", {
      args: ["-sSN", "--max-time", "20", "--unix-socket", socket, `${url}/cgi/answers.sh/ticks`],
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "first\n");
    await Deno.writeTextFile(`${path}/gate`, "");
    assert.equal((await reader.read()).value, "second\n");
    assert.equal((await reader.read()).done, true);
    assert.ok((await child.status).success);
  });
});
