/** TLS from one end to the other: what clients get, what programs are told, what faulty files say. */
import assert from "node:assert/strict";
import { readTlsFiles } from "../../lib/io/tls_files.ts";
import { curl, encryptKey, makeCertificate } from "../support/certificate.ts";
import { eventually, rawExchange, TESTS } from "../support/gateway.ts";
import { withServer } from "../support/listening.ts";
import { testWith } from "../support/needs.ts";
import { freePort, tempFolder } from "../support/peers.ts";

const NEEDS = ["openssl", "curl"];
const portOf = (url = "") => Number(url.slice(url.lastIndexOf(":") + 1));

function tableOf(server: string): string {
  return `server:
  drainTimeout: 2s
${server}
routes:
  - {path: /env/*, cgi: ${TESTS}/apps/cgi/environ.sh}
  - {path: /own, headers: {set: {Strict-Transport-Security: max-age=1}}, respond: own}
  - {path: /*, respond: hi}
`;
}

testWith(NEEDS, "tls: HTTP/2 and HTTP/1.1 by ALPN, and what programs are told", async () => {
  await using folder = await tempFolder();
  await makeCertificate(folder.path, "one");
  const table = tableOf("  listen: 127.0.0.1:0\n  tls: {cert: one.pem, key: ./one.key}");
  await withServer(folder.path, table, async ({ server }) => {
    const [url = ""] = server.addresses;
    assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
    for (const [flag, version] of [["--http2", "2"], ["--http1.1", "1.1"]] as const) {
      const told = await curl(flag, `${url}/env/x?q=1`);
      assert.deepEqual([told.status, told.version], [200, version]);
      const port = portOf(url);
      for (const line of ["HTTPS=on", "REQUEST_SCHEME=https", `SERVER_PORT=${port}`]) {
        assert.ok(told.body.split("\n").includes(line), line);
      }
      assert.ok(told.body.includes(`HTTP_HOST=127.0.0.1:${port}\n`));
      assert.doesNotMatch(told.head, /strict-transport-security/i);
      // A name that the runtime also puts in place of a missing one.
      const local = ["--connect-to", `::127.0.0.1:${port}`, `https://localhost:${port}/`];
      assert.equal((await curl(flag, ...local)).status, 200);
    }
    // Plain HTTP is not understood there, and ends nothing.
    assert.equal((await rawExchange(portOf(url), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status, 0);
    assert.equal((await curl(url)).body, "hi");
  });
});

testWith(NEEDS, "tls: a target in absolute form names the listener's scheme", async () => {
  await using folder = await tempFolder();
  await makeCertificate(folder.path, "one");
  const table = tableOf("  listen: 127.0.0.1:0\n  tls: {cert: one.pem, key: one.key}");
  await withServer(folder.path, table, async ({ server }) => {
    const [url = ""] = server.addresses;
    const ask = async (target: string) =>
      (await curl("--http1.1", "--request-target", target, `${url}/`)).status;
    assert.equal(await ask(`${url}/`), 200);
    assert.equal(await ask(`${url.replace("https", "http")}/`), 400);
  });
});

testWith(NEEDS, "tls: plain listeners beside it, one of which redirects", async () => {
  await using folder = await tempFolder();
  await makeCertificate(folder.path, "one");
  const listen = `["https://127.0.0.1:0", "http://127.0.0.1:0", "unix:g.sock"]`;
  const table = tableOf(
    `  accessLog: json\n  listen: ${listen}\n  tls: {cert: one.pem, key: one.key, redirect: "127.0.0.1:0"}`,
  );
  await withServer(folder.path, table, async ({ server, access }) => {
    const [secure, plain, socket, redirect = ""] = server.addresses;
    const told = (await curl(`${plain}/env/`)).body;
    assert.match(told, /^REQUEST_SCHEME=http$/m);
    assert.doesNotMatch(told, /^HTTPS=/m);
    assert.equal(socket, `unix:${folder.path}/g.sock`);
    const overSocket = await curl("--unix-socket", `${folder.path}/g.sock`, "http://a.test/");
    assert.equal(overSocket.body, "hi");
    const ask = (line: string, fields = "Host: www.test:80") =>
      rawExchange(portOf(redirect), `${line} HTTP/1.1\r\n${fields}\r\nConnection: close\r\n\r\n`);
    const port = portOf(secure);
    for (const method of ["GET", "POST", "HEAD"]) {
      const { status, head, body } = await ask(`${method} /a%20b//..?q="\xc3\xa9"`);
      assert.equal(status, 308);
      const location = `https://www.test:${port}/a%20b//..?q=%22%C3%A9%22`;
      assert.equal(/^location: (.*)$/m.exec(head)?.[1], location);
      assert.equal(body, "");
      assert.doesNotMatch(head, /strict-transport-security/i);
    }
    const claim = "Host: a.test\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https";
    assert.match((await ask("GET /", claim)).head, /^location: https:\/\/a\.test:/m);
    for (const bad of ["Host: a.test/x", "X-No: host", "Host: a@b"]) {
      assert.equal((await ask("GET /", bad)).status, 400, bad);
    }
    const lines = (await access()).trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ status }) => status).filter((status) => status !== 200),
      [308, 308, 308, 308, 400, 400, 400],
    );
  });
});

testWith(
  NEEDS,
  "tls: HSTS goes out on https alone, and an application's own word stands",
  async () => {
    await using folder = await tempFolder();
    await makeCertificate(folder.path, "one");
    const cases: readonly (readonly [written: string, sent: string])[] = [
      ["365d", "max-age=31536000"],
      ["{maxAge: 24h}", "max-age=86400"],
      [
        "{maxAge: 730d, includeSubDomains: true, preload: true}",
        "max-age=63072000; includeSubDomains; preload",
      ],
    ];
    for (const [written, sent] of cases) {
      const table = tableOf(
        `  listen: ["127.0.0.1:0", "http://127.0.0.1:0"]\n` +
          `  tls: {cert: one.pem, key: one.key, hsts: ${written}}`,
      );
      await withServer(folder.path, table, async ({ server }) => {
        const [secure, plain] = server.addresses;
        const hsts = async (url: string) => {
          const { head } = await curl("--http1.1", url);
          return /^strict-transport-security: (.*?)\r?$/im.exec(head)?.[1];
        };
        assert.equal(await hsts(`${secure}/`), sent);
        assert.equal(await hsts(`${secure}/env/`), sent);
        assert.equal(await hsts(`${secure}/own`), "max-age=1");
        assert.equal(await hsts(`${plain}/`), undefined);
      });
    }
  },
);

testWith(
  NEEDS,
  "tls: a reload takes a new certificate and lets requests end by the old",
  async () => {
    await using folder = await tempFolder();
    await makeCertificate(folder.path, "one");
    const two = await makeCertificate(folder.path, "two");
    const slow = `${folder.path}/slow`;
    const script = "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\nbe'; sleep 0.5; printf gun\n";
    await Deno.writeTextFile(slow, script, { mode: 0o755 });
    const table = tableOf("  listen: 127.0.0.1:0\n  tls: {cert: one.pem, key: one.key}")
      .replace("routes:\n", `routes:\n  - {path: /slow, cgi: ${slow}}\n`);
    await withServer(folder.path, table, async ({ server, reload, log }) => {
      const [url = ""] = server.addresses;
      const subject = async () => /subject: CN=(\S+)/.exec((await curl("-v", url)).error)?.[1];
      assert.equal(await subject(), "one.test");
      await reload(table);
      assert.doesNotMatch(await log(), /new certificate/);
      const running = curl(`${url}/slow`);
      await new Promise((resolve) => setTimeout(resolve, 150));
      await Deno.copyFile(two.cert, `${folder.path}/one.pem`);
      // A pair that does not fit changes nothing.
      await assert.rejects(
        reload(table),
        /^Error: Cannot use the key .*one\.key: it is not that of/,
      );
      assert.equal(await subject(), "one.test");
      await Deno.copyFile(two.key, `${folder.path}/one.key`);
      await reload(table);
      assert.equal(await subject(), "two.test");
      assert.deepEqual(server.addresses, [url]);
      assert.equal((await running).body, "begun");
      assert.match(await log(), /A new certificate on https:/);
    });
  },
);

testWith(NEEDS, "a reload opens and closes listeners as the table has them", async () => {
  await using folder = await tempFolder();
  await makeCertificate(folder.path, "one");
  const plain = (listen: string) =>
    `server: {listen: ${listen}}\nroutes: [{path: /*, respond: hi}]`;
  await withServer(folder.path, plain("[127.0.0.1:0, unix:a.sock]"), async (listening) => {
    const { server, reload, log } = listening;
    const [first = "", a = ""] = server.addresses;
    await reload(plain("[unix:b.sock, 127.0.0.1:0]"));
    assert.deepEqual(server.addresses, [a.replace("a.sock", "b.sock"), first]);
    const at = (name: string) => curl("--unix-socket", `${folder.path}/${name}`, "http://a.test/");
    assert.equal((await at("b.sock")).body, "hi");
    await eventually(async () => (await at("a.sock")).status === 0);
    assert.match(await log(), /Listening on unix:.*b\.sock/);
    await eventually(async () => /No longer listening on unix:.*a\.sock/.test(await log()));
    // What cannot be opened leaves all as it is.
    const before = server.addresses;
    await Deno.writeTextFile(`${folder.path}/file`, "");
    await assert.rejects(reload(plain("[unix:c.sock, unix:file]")), /a file of that name exists/);
    assert.deepEqual(server.addresses, before);
    assert.equal((await at("c.sock")).status, 0);
    assert.equal((await curl(first)).body, "hi");
    const secure = `server: {listen: "127.0.0.1:0", tls: {cert: one.pem, key: one.key}}
routes: [{path: /*, respond: secure}]`;
    await reload(secure);
    assert.equal((await curl(server.addresses[0] ?? "")).body, "secure");
  });
});

testWith(
  ["curl"],
  "a reload that cannot open an address gives back what made room for it",
  async () => {
    await using folder = await tempFolder();
    const port = freePort();
    const table = (listen: string) =>
      `server: {listen: ${listen}}\nroutes: [{path: /*, respond: hi}]`;
    await withServer(folder.path, table(`127.0.0.1:${port}`), async ({ server, reload }) => {
      const before = server.addresses;
      using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const wider = `["0.0.0.0:${port}", "127.0.0.1:${taken.addr.port}"]`;
      await assert.rejects(reload(table(wider)), /Cannot listen on .*another process does/);
      assert.deepEqual(server.addresses, before);
      assert.equal((await curl(before[0] ?? "")).body, "hi");
      await reload(table(`"0.0.0.0:${port}"`));
      assert.deepEqual(server.addresses, [`http://0.0.0.0:${port}`]);
      assert.equal((await curl(before[0] ?? "")).body, "hi");
    });
  },
);

testWith(NEEDS, "a reload changes what one address speaks", async () => {
  await using folder = await tempFolder();
  await makeCertificate(folder.path, "one");
  const address = `127.0.0.1:${freePort()}`;
  const table = (more: string) =>
    `server: {listen: "${address}"${more}}\nroutes: [{path: /*, respond: hi}]`;
  await withServer(folder.path, table(""), async ({ server, reload }) => {
    await reload(table(", tls: {cert: one.pem, key: one.key}"));
    assert.deepEqual(server.addresses, [`https://${address}`]);
    assert.equal((await curl(`https://${address}/`)).body, "hi");
    await reload(table(""));
    assert.equal((await curl(`http://${address}/`)).body, "hi");
  });
});

testWith(["openssl"], "readTlsFiles() says what is wrong with a certificate or a key", async () => {
  await using folder = await tempFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  const one = await makeCertificate(folder.path, "one");
  const two = await makeCertificate(folder.path, "two");
  await Deno.writeTextFile(at("empty"), "");
  await encryptKey(one.key, at("locked"));
  assert.equal((await readTlsFiles(one)).cert, await Deno.readTextFile(one.cert));
  const cases: readonly (readonly [cert: string, key: string, message: string])[] = [
    [at("none"), one.key, `Cannot read the certificate ${at("none")}: there is no such file`],
    [one.cert, at("none"), `Cannot read the key ${at("none")}: there is no such file`],
    [folder.path, one.key, `Cannot read the certificate ${folder.path}: `],
    [at("empty"), one.key, `Cannot use the certificate ${at("empty")}: it holds none in PEM`],
    [one.key, one.key, `Cannot use the certificate ${one.key}: it holds none in PEM`],
    [one.cert, at("empty"), `Cannot use the key ${at("empty")}: it holds no private key in PEM`],
    [
      one.cert,
      at("locked"),
      `Cannot use the key ${at("locked")}: it is encrypted; write it decrypted`,
    ],
    [
      one.cert,
      two.key,
      `Cannot use the key ${two.key}: it is not that of the certificate ${one.cert}`,
    ],
  ];
  for (const [cert, key, message] of cases) {
    await assert.rejects(readTlsFiles({ cert, key }), (error: Error) => {
      assert.ok(error.message.startsWith(message), error.message);
      return true;
    });
  }
});
