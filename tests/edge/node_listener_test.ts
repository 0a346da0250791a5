/** server.listener: node, by clients that are slow, many, hostile, or gone: what only this listener can do. */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { makeCertificate } from "../support/certificate.ts";
import { eventually, rawExchange, withGateway } from "../support/gateway.ts";
import { withServer } from "../support/listening.ts";
import { testWith } from "../support/needs.ts";
import { processesWith } from "../support/processes.ts";

const LIMITS = "  listener: node\n  headerTimeout: 400ms\n  keepAliveTimeout: 300ms\n" +
  "  maxRequestHead: 4KiB\n  accessLog: json\n";
const HI = "GET /hi HTTP/1.1\r\nHost: h\r\n";

function table(more = ""): string {
  const idle = "printf 'Content-Type: text/plain\\r\\n'; exec sleep 60";
  const late = "sleep 0.6; printf 'Content-Type: text/plain\\r\\n\\r\\nlate'";
  const cgi = (commands: string) => ({ script: "/bin/sh", args: ["-c", commands] });
  const routes = [
    { path: "/hi", respond: "hi" },
    { path: "/idle", requestBody: "stream", cgi: cgi(idle) },
    { path: "/late", cgi: cgi(late) },
    { path: "/files/*", static: "./apps" },
  ];
  return `server:\n${LIMITS}${more}routes: ${JSON.stringify(routes)}\n`;
}

/** Sends a byte every 50 ms, until the server has closed the connection; gives what it said. */
async function drip(port: number, start: string): Promise<string> {
  using socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const isOver = { now: false };
  const sending = (async () => {
    await socket.write(new TextEncoder().encode(start));
    while (!isOver.now) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (await socket.write(new Uint8Array([97])).then(() => false, () => true)) return;
    }
  })();
  const text = await readAll(socket);
  isOver.now = true;
  await sending;
  return text;
}

async function readAll(socket: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(4096);
  try {
    for (let n = await socket.read(buffer); n !== null; n = await socket.read(buffer)) {
      text += new TextDecoder().decode(buffer.subarray(0, n));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return text;
}

Deno.test("listener node: a head that comes drop by drop is cut off with a 408", async () => {
  await withGateway(table(), async ({ port }) => {
    assert.match(await drip(port, `${HI}X-Slow: `), /^HTTP\/1\.1 408 /);
  });
});

Deno.test("listener node: a connection that says nothing is closed, before a request and after", async () => {
  await withGateway(table(), async ({ port }) => {
    assert.equal((await rawExchange(port, "", 10_000)).closed, true);
    const { status, closed } = await rawExchange(port, `${HI}\r\n`, 10_000);
    assert.deepEqual({ status, closed }, { status: 200, closed: true });
  });
});

Deno.test("listener node: a request under way outlives the limits of its head", async () => {
  await withGateway(table(), async ({ port }) => {
    assert.equal((await ask(port, { target: "/late" })).text, "late");
  });
});

Deno.test("listener node: a head that is too long is a 431", async () => {
  await withGateway(table(), async ({ port }) => {
    const head = `${HI}X-Long: ${"x".repeat(5000)}\r\n\r\n`;
    assert.equal((await rawExchange(port, head)).status, 431);
  });
});

Deno.test("listener node: no field of a long head is left out", async () => {
  await withGateway(table().replace("4KiB", "1MiB"), async ({ port }) => {
    const fields = Array.from({ length: 3000 }, (_, i) => `X-${i}: y\r\n`).join("");
    const answer = await rawExchange(port, `${HI}${fields}Host: second\r\n\r\n`);
    assert.equal(answer.status, 400, "the second Host, far down, was seen");
  });
});

Deno.test("listener node: maxConnections holds, and lets others in when some have left", async () => {
  await withGateway(table("  maxConnections: 3\n"), async ({ port }) => {
    const held = await Promise.all([1, 2, 3].map(() => Client.send(port, { target: "/idle" })));
    await eventually(() => processesWith(`SERVER_PORT=${port}`).length === 3);
    using more = await Client.send(port, { target: "/hi" });
    assert.equal(await more.closed(), true);
    for (const client of held) client.close();
    await eventually(async () => (await rawExchange(port, `${HI}\r\n`, 500)).status === 200);
  });
});

Deno.test("listener node: a client that leaves its upload ends the program, read or not", async () => {
  await withGateway(table(), async (gateway) => {
    const running = () => processesWith(`SERVER_PORT=${gateway.port}`).length;
    using client = await Client.connect(gateway.port);
    await client.write("POST /idle HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\nab");
    await eventually(() => running() > 0);
    client.close();
    await eventually(() => running() === 0);
    await eventually(async () => (await gateway.access()).includes('"status":499'));
  });
});

Deno.test("listener node: what nobody reads is not taken off the socket", async () => {
  // With bytes unread before it, the client's end is not seen: the stop has to cut the program off.
  await withGateway(table("  drainTimeout: 500ms\n"), async ({ port }) => {
    using socket = await Deno.connect({ hostname: "127.0.0.1", port });
    const head = "POST /idle HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n";
    await socket.write(new TextEncoder().encode(head));
    const counts = { sent: 0 };
    const piece = new Uint8Array(2 ** 20);
    const flood = (async () => {
      for (;;) counts.sent += await socket.write(piece);
    })().catch(() => {});
    let before = -1;
    await eventually(async () => {
      before = counts.sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return counts.sent === before && before > 0;
    });
    assert.ok(counts.sent < 30 * 2 ** 20, `${counts.sent} bytes`);
    socket.close();
    await flood;
  });
});

Deno.test("listener node: a body that is refused is not asked for", async () => {
  await withGateway(table("  maxRequestBody: 10\n"), async ({ port }) => {
    const head = "POST /late HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: ";
    const refused = await rawExchange(port, `${head}99\r\n\r\n`, 10_000);
    assert.equal(refused.status, 413);
    using client = await Client.connect(port);
    await client.write(`${head}2\r\nConnection: close\r\n\r\n`);
    assert.match(await client.some() ?? "", /^HTTP\/1\.1 100 Continue/);
    await client.write("ab");
    assert.equal((await client.answer()).text, "late");
  });
});

Deno.test("listener node: what its parser lets through and HTTP/1.1 does not is refused", async () => {
  const rows: readonly (readonly [string, number])[] = [
    ["GET /hi HTTP/2.0\r\nHost: h\r\n\r\n", 505],
    ["GET /hi\r\n\r\n", 505],
    ["POST /hi HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
    ["GET /hi HTTP/1.1\r\n\r\n", 400],
    ["GET /hi HTTP/1.0\r\n\r\n", 400],
    ["GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400],
    ["GET mailto:a HTTP/1.1\r\nHost: h\r\n\r\n", 400],
    ["CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400],
    ["GET http://other/hi HTTP/1.1\r\nHost: h\r\n\r\n", 400],
    ["OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204],
    ["GET /hi HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 200],
    [`${HI}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n`, 200],
  ];
  await withGateway(table(), async ({ port }) => {
    for (const [request, status] of rows) {
      assert.equal((await rawExchange(port, request, 5000)).status, status, request);
    }
  });
});

Deno.test("listener node: what is sent ahead has its turn, and none behind the last", async () => {
  const late = "GET /late HTTP/1.1\r\nHost: h\r\n\r\n";
  const hi = `${HI}\r\n`;
  const last = `${HI}Connection: close\r\n\r\n`;
  const rows: readonly (readonly [string, number[]])[] = [
    [late + hi + last, [200, 200, 200]],
    [`${late}GET /hi HTTP/1.1\r\nHo st: h\r\n\r\n`, [200, 400]],
    [`${late}no request\r\n\r\n`, [200, 400]],
    [last + hi, [200]],
    [`POST /hi HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n${hi}`, [400]],
    [
      `POST /hi HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n` +
      `Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hi}`,
      [400],
    ],
    [`${HI}Connection: upgrade\r\nUpgrade: wonders\r\n\r\n${hi}`, [200]],
  ];
  await withGateway(table(), async ({ port, access }) => {
    for (const [sends, statuses] of rows) {
      using socket = await Deno.connect({ hostname: "127.0.0.1", port });
      await socket.write(new TextEncoder().encode(sends));
      const text = await readAll(socket);
      const all = [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
      assert.deepEqual(all, statuses, sends);
    }
    // Nothing was carried out that was not answered.
    assert.equal((await access()).trim().split("\n").length, 7);
  });
});

Deno.test("listener node: files go out whole, in part, not at all", async () => {
  await withGateway(table(), async ({ port }) => {
    const file = await Deno.readTextFile(new URL("../apps/wsgi_basic.ts", import.meta.url));
    const target = "/files/wsgi_basic.ts";
    const whole = await ask(port, { target });
    assert.equal(whole.text, file);
    assert.equal(whole.get("content-length"), String(file.length));
    const part = await ask(port, { target, headers: { Range: "bytes=0-4" } });
    assert.deepEqual([part.status, part.text], [206, file.slice(0, 5)]);
    const etag = whole.get("etag") ?? "";
    const same = await ask(port, { target, headers: { "If-None-Match": etag } });
    assert.deepEqual([same.status, same.text], [304, ""]);
    const head = await rawExchange(port, `HEAD ${target} HTTP/1.1\r\nHost: h\r\n\r\n`, 5000);
    assert.equal(head.body, "");
    assert.match(head.head, new RegExp(`content-length: ${file.length}`, "i"));
  });
});

Deno.test("listener node: a stop lets requests end, and closes connections at rest", async () => {
  await withGateway(table().replace("300ms", "1h"), async (gateway) => {
    using resting = await Client.connect(gateway.port);
    await resting.write(`${HI}\r\n`);
    await resting.head();
    await resting.body();
    using silent = await Client.connect(gateway.port);
    using late = await Client.connect(gateway.port);
    await late.write("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    await eventually(() => processesWith(`SERVER_PORT=${gateway.port}`).length > 0);
    await gateway.reload("server:\n  listener: deno\nroutes: [{path: /hi, respond: new}]\n");
    const answer = await late.answer();
    assert.deepEqual([answer.text, answer.get("connection")], ["late", "close"]);
    assert.equal(await resting.closed(), true);
    assert.equal(await silent.closed(), true);
  });
});

testWith(
  ["openssl"],
  "listener node: a new certificate closes nothing, and a silent handshake is cut",
  async () => {
    const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-" });
    try {
      await makeCertificate(folder, "one");
      await makeCertificate(folder, "two");
      const yaml = (name: string) =>
        `server:\n  listen: "127.0.0.1:0"\n  tls: {cert: ${name}.pem, key: ${name}.key}\n` +
        `  runDir: ${folder}/run\n${LIMITS}routes: [{path: /hi, respond: hi}]\n`;
      await withServer(folder, yaml("one"), async ({ server, reload }) => {
        const port = Number(new URL(server.addresses[0] ?? "").port);
        assert.equal((await rawExchange(port, "", 10_000)).closed, true);
        assert.match(await subjectAt(port), /one\.test/);
        await reload(yaml("two"));
        assert.equal(new URL(server.addresses[0] ?? "").port, String(port));
        assert.match(await subjectAt(port), /two\.test/);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

async function subjectAt(port: number): Promise<string> {
  const args = ["s_client", "-connect", `127.0.0.1:${port}`];
  const { stdout } = await new Deno.Command("openssl", { args, stdin: "null" }).output();
  return /subject=.*/.exec(new TextDecoder().decode(stdout))?.[0] ?? "";
}

Deno.test("listener node: a reload changes limits and listener on the same address", async () => {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-" });
  const yaml = (server: string) =>
    `server:\n  listen: ["127.0.0.1:${port}", "unix:${folder}/s"]\n  runDir: ${folder}/run\n` +
    `  accessLog: json\n${server}routes: [{path: /hi, respond: hi}]\n`;
  try {
    await withServer(folder, yaml("  listener: node\n"), async ({ reload, access }) => {
      const long = `${HI}Connection: close\r\nX-Long: ${"x".repeat(5000)}\r\n\r\n`;
      assert.equal((await rawExchange(port, long)).status, 200);
      await reload(yaml("  listener: node\n  maxRequestHead: 4KiB\n"));
      assert.equal((await rawExchange(port, long)).status, 431);
      await reload(yaml("  listener: deno\n"));
      assert.equal((await rawExchange(port, long, 500)).status, 200);
      await reload(yaml("  listener: node\n"));
      using socket = await Deno.connect({ transport: "unix", path: `${folder}/s` });
      await socket.write(new TextEncoder().encode(`${HI}Connection: close\r\n\r\n`));
      assert.match(await readAll(socket), /^HTTP\/1\.1 200 OK[^]*hi$/);
      assert.match(await access(), /"client":"unix:"/);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("listener node: it hears again when descriptors have run out and come back", async () => {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-" });
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  const config = `${folder}/routes.yaml`;
  const server = `{listen: "127.0.0.1:${port}", listener: node, accessLog: "off"}`;
  await Deno.writeTextFile(config, `server: ${server}\nroutes: [{path: /hi, respond: hi}]\n`);
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const run = `ulimit -n 140; exec "$0" run -A --no-check "$1" serve --config "$2"`;
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", run, Deno.execPath(), main, config],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const answers = async () => (await tryExchange(port)) === 200;
    await eventually(answers, 60_000, "the server to start");
    const crowd: Deno.Conn[] = [];
    for (let i = 0; i < 200; i++) crowd.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    assert.equal(await tryExchange(port), 0, "there is no descriptor for another");
    for (const connection of crowd) connection.close();
    await eventually(answers, 60_000, "the server to hear again");
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
});

/** The status, or 0. */
async function tryExchange(port: number): Promise<number> {
  try {
    return (await rawExchange(port, `${HI}\r\n`, 1000)).status;
  } catch {
    return 0;
  }
}
