/**
 * PHP as it is: php-fpm over a Unix socket and over TCP, and php-cgi under the process manager. What a
 * scripted responder cannot prove is proved here: that PHP itself understands us.
 */
import assert from "node:assert/strict";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { phpFpm, startPhpFpm, tempFolder } from "../support/peers.ts";

const ROOT = `${TESTS}/apps/php`;
const MIB = 2 ** 20;

/** What report.php says. */
interface Report {
  readonly server: Readonly<Record<string, unknown>>;
  readonly get: Readonly<Record<string, string>>;
  readonly post: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, { name: string; size: number; sha1: string }>>;
  readonly input: { readonly length: number; readonly sha1: string };
  readonly pid: number;
  readonly sockets: readonly string[];
}

async function report(url: string, init?: RequestInit): Promise<Report> {
  const response = await fetch(url, init);
  assert.equal(response.status, 200, await response.clone().text());
  return await response.json();
}

async function sha1(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes that no compression and no repeated buffer would survive unseen. */
function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

for (const transport of ["unix", "tcp"] as const) {
  testWith([phpFpm()], `fastcgi serves php-fpm over ${transport}`, async (t) => {
    await using folder = await tempFolder();
    await using fpm = await startPhpFpm(folder.path, transport);
    const table = `server:
  spoolDir: ${folder.path}/spool
routes:
  - path: /php/*
    fastcgi: {connect: "${fpm.address}", root: apps/php}
  - path: /closing/*
    fastcgi: {connect: "${fpm.address}", root: apps/php, pool: {keepAlive: false}}
  - path: /*
    name: front
    fastcgi: {connect: "${fpm.address}", script: apps/php/report.php, env: {APP_MODE: "a b", SERVER_ADMIN: me}}
`;
    await withGateway(table, async (gateway) => {
      const step = (name: string, body: () => Promise<void>) => t.step(name, body);
      await step("$_SERVER is right in every field", () => checkServer(gateway));
      await step("one script takes all paths, and env wins", () => checkFront(gateway));
      await step("a folder is its index", () => checkIndex(gateway));
      await step("what is no script is not run", () => checkNoScript(gateway));
      await step("a form arrives in $_POST", () => checkForm(gateway));
      await step("5 MiB arrive in $_FILES and in php://input", () => checkUpload(gateway));
      await step("a chunked upload arrives with its length", () => checkChunked(gateway));
      await step("a session's cookie goes out and comes back", () => checkSession(gateway));
      await step("Location is a 302", () => checkLocation(gateway));
      await step("the error log joins the gateway's, with the id", () => checkErrorLog(gateway));
      await step("flush() reaches the client at once", () => checkFlush(gateway, folder.path));
      await step("PHP learns that the client left", () => checkAbort(gateway, folder.path));
      await step("connections are kept and shared", () => checkKeepAlive(gateway));
    });
  });
}

async function checkServer({ base, port }: TestGateway): Promise<void> {
  const target = "/php/report.php/extra/a%20b%C3%A9?x=1&y=%20&x=2";
  const { server, get } = await report(base + target, {
    method: "PUT",
    headers: {
      "content-type": "application/x-own; charset=utf-8",
      "accept-language": "de",
      "user-agent": "test/1",
      "x-forwarded-for": "10.1.1.1",
      "proxy": "http://evil.example/",
      "x_under": "score",
      "authorization": "Basic YTpi",
      "cookie": "a=1; b=2",
    },
    body: "12345",
  });
  const { REQUEST_ID, REMOTE_PORT, ...rest } = server;
  assert.match(String(REQUEST_ID), /^[0-9a-f]{8}-\w+$/);
  assert.ok(Number(REMOTE_PORT) > 0 && Number(REMOTE_PORT) !== port);
  const ofPhpItself = ["REQUEST_TIME", "REQUEST_TIME_FLOAT", "USER", "HOME"];
  const told = Object.entries(rest).filter(([name]) => !ofPhpItself.includes(name));
  assert.deepEqual(Object.fromEntries(told), {
    REQUEST_METHOD: "PUT",
    REQUEST_URI: target,
    QUERY_STRING: "x=1&y=%20&x=2",
    SCRIPT_NAME: "/php/report.php",
    SCRIPT_FILENAME: `${ROOT}/report.php`,
    PATH_INFO: "/extra/a bé",
    PATH_TRANSLATED: `${ROOT}/extra/a bé`,
    DOCUMENT_ROOT: ROOT,
    DOCUMENT_URI: "/php/report.php/extra/a bé",
    CONTENT_LENGTH: "5",
    CONTENT_TYPE: "application/x-own; charset=utf-8",
    GATEWAY_INTERFACE: "CGI/1.1",
    SERVER_PROTOCOL: "HTTP/1.1",
    SERVER_SOFTWARE: "Portico/0.1.0",
    SERVER_NAME: "127.0.0.1",
    SERVER_PORT: String(port),
    SERVER_ADDR: "127.0.0.1",
    REMOTE_ADDR: "127.0.0.1",
    REMOTE_HOST: "127.0.0.1",
    REQUEST_SCHEME: "http",
    REDIRECT_STATUS: "200",
    HTTP_HOST: `127.0.0.1:${port}`,
    HTTP_ACCEPT: "*/*",
    HTTP_ACCEPT_ENCODING: "gzip,br",
    HTTP_ACCEPT_LANGUAGE: "de",
    HTTP_USER_AGENT: "test/1",
    HTTP_AUTHORIZATION: "Basic YTpi",
    HTTP_COOKIE: "a=1; b=2",
    FCGI_ROLE: "RESPONDER",
    // PHP makes these itself.
    PHP_SELF: "/php/report.php/extra/a bé",
    PHP_AUTH_USER: "a",
    PHP_AUTH_PW: "b",
    argv: ["x=1&y=%20&x=2"],
    argc: 1,
  });
  assert.deepEqual(get, { x: "2", y: " " });
}

async function checkFront({ base }: TestGateway): Promise<void> {
  const { server } = await report(`${base}/any/where`);
  assert.equal(server.SCRIPT_FILENAME, `${ROOT}/report.php`);
  assert.equal(server.SCRIPT_NAME, "");
  assert.equal(server.PATH_INFO, "/any/where");
  assert.equal(server.APP_MODE, "a b");
  assert.equal(server.SERVER_ADMIN, "me");
  assert.equal(server.CONTENT_LENGTH, undefined);
  assert.equal(server.CONTENT_TYPE, undefined);
  assert.equal(server.HTTPS, undefined);
}

async function checkIndex({ base }: TestGateway): Promise<void> {
  for (const path of ["/php", "/php/"]) {
    const response = await fetch(base + path);
    assert.equal(await response.text(), "index of /php/index.php", path);
  }
}

async function checkNoScript({ base }: TestGateway): Promise<void> {
  for (const path of ["/php/notes.txt", "/php/report.phpx", "/php/report.PHP", "/php/a%2Fb.php"]) {
    const response = await fetch(base + path);
    await response.body?.cancel();
    assert.equal(response.status, 404, path);
  }
  // PHP's own answer, passed on.
  const missing = await fetch(`${base}/php/missing.php`);
  assert.deepEqual([missing.status, await missing.text()], [404, "File not found.\n"]);
}

async function checkForm({ base }: TestGateway): Promise<void> {
  const body = new URLSearchParams({ name: "Zoë & co", empty: "" });
  const { post, server, input } = await report(`${base}/php/report.php`, { method: "POST", body });
  assert.deepEqual(post, { name: "Zoë & co", empty: "" });
  assert.equal(server.CONTENT_LENGTH, String(String(body).length));
  assert.equal(input.length, String(body).length);
}

async function checkUpload({ base }: TestGateway): Promise<void> {
  const bytes = noise(5 * MIB);
  const form = new FormData();
  form.set("note", "with a file");
  form.set("photo", new File([bytes], "photo.bin"));
  const { files, post } = await report(`${base}/php/report.php`, { method: "POST", body: form });
  assert.deepEqual(files.photo, {
    name: "photo.bin",
    size: bytes.length,
    sha1: await sha1(bytes),
  });
  assert.deepEqual(post, { note: "with a file" });
  const raw = await report(`${base}/php/report.php`, { method: "POST", body: bytes });
  assert.deepEqual(raw.input, { length: bytes.length, sha1: await sha1(bytes) });
  assert.equal(raw.server.CONTENT_LENGTH, String(bytes.length));
}

async function checkChunked({ base }: TestGateway): Promise<void> {
  // In memory, and past what is kept there.
  for (const size of [1000, 3 * MIB]) {
    const bytes = noise(size);
    const pieces = [bytes.subarray(0, 100), bytes.subarray(100, 700), bytes.subarray(700)];
    const body = ReadableStream.from(pieces);
    const { input, server } = await report(`${base}/php/report.php`, { method: "POST", body });
    assert.deepEqual(input, { length: size, sha1: await sha1(bytes) });
    assert.equal(server.CONTENT_LENGTH, String(size));
    assert.equal(server.HTTP_TRANSFER_ENCODING, undefined);
  }
}

async function checkSession({ base }: TestGateway): Promise<void> {
  const first = await fetch(`${base}/php/session.php`);
  const [cookie = ""] = first.headers.getSetCookie();
  assert.match(cookie, /^PHPSESSID=\w+; path=\/$/);
  assert.match(first.headers.get("cache-control") ?? "", /no-store/);
  assert.equal(await first.text(), "1");
  const headers = { cookie: cookie.slice(0, cookie.indexOf(";")) };
  const second = await fetch(`${base}/php/session.php`, { headers });
  assert.deepEqual(second.headers.getSetCookie(), []);
  assert.equal(await second.text(), "2");
}

async function checkLocation({ base }: TestGateway): Promise<void> {
  const response = await fetch(`${base}/php/location.php`, { redirect: "manual" });
  await response.body?.cancel();
  assert.equal(response.status, 302);
  assert.equal(response.headers.get("location"), "/elsewhere?from=php");
}

async function checkErrorLog({ base, log, access }: TestGateway): Promise<void> {
  const response = await fetch(`${base}/php/error.php`);
  assert.equal(await response.text(), "answered");
  const line = (await access()).split("\n").find((line) => line.includes("/php/error.php")) ?? "";
  const [id = "none"] = line.match(/[0-9a-f]{8}-\w+/) ?? [];
  const said = (await log()).split("\n").filter((line) => line.includes(`program id=${id}:`));
  assert.match(said.join("\n"), /told to the error log/);
  assert.match(said.join("\n"), /Undefined variable \$undefined/);
}

async function checkFlush({ base }: TestGateway, folder: string): Promise<void> {
  const gate = `${folder}/gate`;
  const response = await fetch(`${base}/php/tick.php?gate=${gate}`);
  const reader = (response.body ?? assert.fail("no body")).pipeThrough(new TextDecoderStream())
    .getReader();
  assert.equal((await reader.read()).value, "first\n");
  await Deno.writeTextFile(gate, "");
  assert.equal((await reader.read()).value, "second\n");
  assert.equal((await reader.read()).done, true);
  await Deno.remove(gate);
}

async function checkAbort({ base }: TestGateway, folder: string): Promise<void> {
  const mark = `${folder}/mark`;
  const response = await fetch(`${base}/php/endless.php?mark=${mark}`);
  const reader = (response.body ?? assert.fail("no body")).getReader();
  assert.ok(((await reader.read()).value?.length ?? 0) > 0);
  await reader.cancel();
  const marked = () => Deno.readTextFile(mark).catch(() => "");
  await eventually(async () => await marked() !== "", 5000, "PHP to end");
  assert.equal(await marked(), "aborted");
  await Deno.remove(mark);
}

async function checkKeepAlive({ base }: TestGateway): Promise<void> {
  const sockets = async (path: string) => (await report(base + path)).sockets.join();
  const kept = [];
  for (let i = 0; i < 5; i++) kept.push(await sockets("/php/report.php"));
  assert.equal(new Set(kept).size, 1, "five requests, one connection");
  const closing = [await sockets("/closing/report.php"), await sockets("/closing/report.php")];
  assert.notEqual(closing[0], closing[1], "a connection each");
  // More at once than there are children: connections at rest must not starve those that wait.
  const start = performance.now();
  const many = await Promise.all(
    Array.from({ length: 24 }, () => report(`${base}/php/report.php`)),
  );
  assert.ok(new Set(many.map(({ pid }) => pid)).size > 1);
  assert.ok(performance.now() - start < 1500, "the idle time of a kept connection is 2 s");
}

const SPAWNED = `routes:
  - path: /php/*
    fastcgi: {spawn: {command: [php-cgi, -n], processes: 2}, root: apps/php}
`;

testWith(["php-cgi"], "fastcgi starts php-cgi and serves by it", async (t) => {
  await withGateway(SPAWNED, async (gateway) => {
    const { base } = gateway;
    const url = `${base}/php/report.php`;
    const pids = async () => {
      const reports = await Promise.all(Array.from({ length: 20 }, () => report(url)));
      return [...new Set(reports.map(({ pid }) => pid))];
    };

    await t.step("both processes serve, and know only their own environment", async () => {
      await eventually(async () => (await pids()).length === 2);
      const { server } = await report(`${url}/info`);
      assert.equal(server.PATH_INFO, "/info");
      assert.equal(server.SCRIPT_FILENAME, `${ROOT}/report.php`);
      assert.equal(server.PATH, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
      assert.equal(server.HOME, undefined);
    });

    await t.step("700 requests, past the 500 after which php-cgi would end", async () => {
      const before = await pids();
      for (let done = 0; done < 700; done += 10) {
        await Promise.all(Array.from({ length: 10 }, () => report(url)));
      }
      const after = await pids();
      assert.deepEqual(after.sort(), before.sort());
    });

    await t.step("a killed process is replaced, and no request fails meanwhile", async () => {
      const before = await pids();
      before.forEach((pid) => Deno.kill(pid, "SIGKILL"));
      const gone = () => before.every((pid) => !isAlive(pid));
      await eventually(gone, 5000, "the processes to end");
      const after = await pids();
      assert.ok(after.every((pid) => !before.includes(pid)), `${before} then ${after}`);
      const log = await gateway.log();
      for (const pid of before) assert.match(log, new RegExp(`pid ${pid}\\) died of SIGKILL`));
      assert.doesNotMatch(log, /status=502/);
    });
  });
});

testWith(
  ["php-cgi"],
  "a reload keeps programs whose options stay, and replaces the others",
  async () => {
    await withGateway(SPAWNED, async ({ base, reload }) => {
      const pidsAt = async (path: string) => {
        const reports = await Promise.all(Array.from({ length: 20 }, () => report(base + path)));
        return [...new Set(reports.map(({ pid }) => pid))].sort();
      };
      const first = await pidsAt("/php/report.php");
      await reload(SPAWNED.replace("/php/*", "/moved/*"));
      assert.deepEqual(await pidsAt("/moved/report.php"), first);
      await reload(SPAWNED.replace("[php-cgi, -n]", "[php-cgi, -n, -d, precision=3]"));
      const second = await pidsAt("/php/report.php");
      assert.ok(second.every((pid) => !first.includes(pid)), `${first} then ${second}`);
      await eventually(() => first.every((pid) => !isAlive(pid)), 5000, "the old ones to end");
    });
  },
);

/** A killed process may stay for a moment as a zombie. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

testWith(
  ["php-cgi"],
  "fastcgi spawn outlives a program that ends after some requests",
  async () => {
    const table = SPAWNED.replace("processes: 2", "processes: 1, env: {PHP_FCGI_MAX_REQUESTS: 5}");
    await withGateway(table, async ({ base }) => {
      const pids = new Set<number>();
      for (let i = 0; i < 20; i++) {
        // The request that ends the process is answered; whoever comes next waits for the new one.
        pids.add((await report(`${base}/php/report.php`)).pid);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.equal(pids.size, 4);
    });
  },
);

testWith(
  [phpFpm()],
  "fastcgi answers 502 once php-fpm is gone, and again 200 once it is back",
  async () => {
    await using folder = await tempFolder();
    const first = await startPhpFpm(folder.path, "unix");
    const table = `routes:
  - path: /php/*
    fastcgi: {connect: "${first.address}", root: apps/php}
`;
    await withGateway(table, async ({ base, log }) => {
      const status = async () => {
        const response = await fetch(`${base}/php/`);
        await response.body?.cancel();
        return response.status;
      };
      try {
        assert.equal(await status(), 200);
      } finally {
        await first[Symbol.asyncDispose]();
      }
      assert.equal(await status(), 502);
      assert.match(await log(), /failure=connect-refused: Cannot connect to "unix:\/tmp\/pp-/);
      await using _second = await startPhpFpm(folder.path, "unix");
      assert.equal(await status(), 200);
    });
  },
);
