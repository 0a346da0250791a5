/** Hosts and targets as they come off the wire (RFC 9112 §3.2, RFC 9113 §8.3.1), by raw connections. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import { rawExchange, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";

const TABLE = `server:
  accessLog: json
routes:
  - {path: /traced, methods: [TRACE], respond: traced}
  - {path: /*, host: secret.test, respond: secret}
  - {path: /*, host: a.test, respond: a}
  - {path: /*, respond: any}
`;

/** What is sent, and the status; with a 200 the route that answered. */
type Row = readonly [what: string, head: string, status: number, body?: string];

const ROWS: readonly Row[] = [
  ["a host", "GET / HTTP/1.1\r\nHost: a.test", 200, "a"],
  ["a host in capitals, with a port", "GET / HTTP/1.1\r\nHost: A.TEST:8080", 200, "a"],
  ["an IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080", 200, "any"],
  ["no Host", "GET / HTTP/1.1", 400],
  ["no Host in HTTP/1.0", "GET / HTTP/1.0", 400],
  ["a Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.test", 200, "a"],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:", 400],
  ["a blank Host", "GET / HTTP/1.1\r\nHost:  ", 400],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test", 400],
  ["two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.test\r\nHost: secret.test", 400],
  ["twice the same in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test", 400],
  ["a list of hosts", "GET / HTTP/1.1\r\nHost: a.test, secret.test", 400],
  ["a path in the Host", "GET / HTTP/1.1\r\nHost: a.test/x", 400],
  ["a query in the Host", "GET / HTTP/1.1\r\nHost: secret.test?", 400],
  ["a fragment in the Host", "GET / HTTP/1.1\r\nHost: secret.test#", 400],
  ["userinfo in the Host", "GET / HTTP/1.1\r\nHost: a.test@secret.test", 400],
  ["a backslash in the Host", "GET / HTTP/1.1\r\nHost: secret.test\\x", 400],
  ["a blank in the Host", "GET / HTTP/1.1\r\nHost: a.test secret.test", 400],
  ["an escape in the Host", "GET / HTTP/1.1\r\nHost: secret%2etest", 400],
  ["bytes beyond ASCII in the Host", "GET / HTTP/1.1\r\nHost: secret.test\xe9", 400],
  ["a port out of range", "GET / HTTP/1.1\r\nHost: secret.test:99999", 400],
  ["a port that is none", "GET / HTTP/1.1\r\nHost: secret.test:x", 400],
  ["absolute form, the same host", "GET http://a.test/x HTTP/1.1\r\nHost: a.test", 200, "a"],
  ["absolute form in capitals", "GET http://A.test/ HTTP/1.1\r\nHost: a.test", 200, "a"],
  ["absolute form, another host", "GET http://secret.test/ HTTP/1.1\r\nHost: a.test", 400],
  ["absolute form, another port", "GET http://a.test:81/ HTTP/1.1\r\nHost: a.test", 400],
  ["absolute form with userinfo", "GET http://x@a.test/ HTTP/1.1\r\nHost: a.test", 400],
  ["absolute form of https", "GET https://a.test/ HTTP/1.1\r\nHost: a.test", 400],
  ["absolute form of ftp", "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test", 400],
  ["absolute form of a socket", "GET http+unix://a.test/ HTTP/1.1\r\nHost: a.test", 400],
  ["absolute form without a Host", "GET ftp://a.test/ HTTP/1.1", 400],
  ["an HTTP/1 field and no Host", "GET http://a.test/ HTTP/1.1\r\nConnection: close", 400],
  ["a query and no path", "GET http://a.test?x=/y HTTP/1.1\r\nHost: a.test", 200],
  ["a query for a path, elsewhere", "GET http://b.test?x=/y HTTP/1.1\r\nHost: a.test", 400],
  ["a target without a slash", "GET x HTTP/1.1\r\nHost: a.test", 400],
  ["CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443", 400],
  ["CONNECT to elsewhere", "CONNECT evil.test:22 HTTP/1.1\r\nHost: a.test", 400],
  ["TRACE", "TRACE / HTTP/1.1\r\nHost: a.test", 405],
  ["TRACE where a route names it", "TRACE /traced HTTP/1.1\r\nHost: b.test", 200, "traced"],
  ["GET *", "GET * HTTP/1.1\r\nHost: a.test", 400],
  ["OPTIONS * without a Host", "OPTIONS * HTTP/1.1", 400],
  ["OPTIONS * of a bad Host", "OPTIONS * HTTP/1.1\r\nHost: a/b", 400],
  ["OPTIONS of a path", "OPTIONS /x HTTP/1.1\r\nHost: a.test", 200, "a"],
];

Deno.test("a server judges hosts and targets of HTTP/1.1 and HTTP/1.0", async (t) => {
  await withGateway(TABLE, async ({ port }) => {
    for (const [what, head, status, body] of ROWS) {
      await t.step(`${what}: ${status}`, async () => {
        const end = head.includes("onnection:") ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
        // Whether the runtime or the gateway refuses, nothing may be served.
        const reply = await rawExchange(port, head + end, 500);
        assert.equal(reply.status, status, reply.head);
        if (body !== undefined) assert.equal(reply.body, body);
        assert.doesNotMatch(reply.body, /secret$/);
      });
    }
  });
});

Deno.test("a server answers OPTIONS * with the methods of all routes, and logs it", async () => {
  await withGateway(TABLE, async ({ port, access }) => {
    for (const version of ["1.1", "1.0"]) {
      const request = `OPTIONS * HTTP/${version}\r\nHost: a.test\r\nConnection: close\r\n\r\n`;
      const { status, head, body } = await rawExchange(port, request);
      assert.equal(status, 204);
      assert.match(head, /^allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE$/m);
      assert.equal(body, "");
    }
    const lines = (await access()).trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ method, target, status }) => [method, target, status]), [
      ["OPTIONS", "/*", 204],
      ["OPTIONS", "/*", 204],
    ]);
  });
});

testWith(["curl"], "a server judges hosts of HTTP/2 alike", async () => {
  await withGateway(TABLE, async ({ port, base }) => {
    const ask = async (...args: string[]) => {
      const { stdout } = await new Deno.Command("curl", {
        args: ["-s", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", ...args],
      }).output();
      return new TextDecoder().decode(stdout).split("\n");
    };
    const at = (host: string) => ["--connect-to", `::127.0.0.1:${port}`, `http://${host}/`];
    assert.deepEqual(await ask(...at("a.test")), ["a", "2 200"]);
    assert.deepEqual(await ask(...at("A.test:81")), ["a", "2 200"]);
    assert.deepEqual(await ask(`${base}/x`), ["any", "2 200"]);
    assert.deepEqual((await ask("-X", "TRACE", `${base}/`)).at(-1), "2 405");
    const asterisk = await ask("-X", "OPTIONS", "--request-target", "*", `${base}/`);
    assert.deepEqual(asterisk, ["", "2 204"]);
    // What the runtime would put in place of a missing Host.
    const invented = await ask("--connect-to", `::127.0.0.1:${port}`, `http://localhost:${port}/`);
    assert.equal(invented.at(-1), "2 400");
  });
});

Deno.test("a server refuses a Host that is not HTTP/2's :authority", async () => {
  await withGateway(TABLE, async ({ base }) => {
    const session = http2.connect(base);
    const ask = (fields: Record<string, string>) =>
      new Promise<[number, string]>((resolve, reject) => {
        const stream = session.request({ ":path": "/", ...fields });
        let status = 0;
        let body = "";
        stream.setEncoding("utf8");
        stream.on("response", (head) => status = Number(head[":status"]));
        stream.on("data", (piece) => body += piece);
        stream.on("end", () => resolve([status, body]));
        stream.on("error", reject);
        stream.end();
      });
    assert.deepEqual(await ask({ ":authority": "a.test" }), [200, "a"]);
    assert.deepEqual(await ask({ ":authority": "a.test", host: "A.test" }), [200, "a"]);
    assert.deepEqual(await ask({ ":authority": "a.test", ":scheme": "https" }), [200, "a"]);
    for (
      const fields of [
        { ":authority": "a.test", host: "secret.test" },
        { ":authority": "secret.test", host: "a.test" },
        { ":authority": "a.test", host: "a.test/x" },
        { ":authority": "x@secret.test" },
      ]
    ) {
      const [status, body] = await ask(fields);
      assert.equal(status, 400, JSON.stringify(fields));
      assert.doesNotMatch(body, /secret$/);
    }
    await new Promise<void>((resolve) => session.close(resolve));
  });
});

Deno.test("a missing Host is told as such, with its own name in the log", async () => {
  await withGateway(TABLE, async ({ port, log }) => {
    await rawExchange(port, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert.match(await log(), /"failure":"no-host"/);
  });
});
