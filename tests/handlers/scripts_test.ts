/**
 * CGI scripts as people write them, in the languages that they are written in: sh, Perl and Python, from a
 * folder of programs. The contract suite proves the rules; this proves that real interpreters agree.
 */
import assert from "node:assert/strict";
import {
  eventually,
  rawExchange,
  type TestGateway,
  TESTS,
  withGateway,
} from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

const ROOT = `${TESTS}/apps/cgi`;
const MIB = 2 ** 20;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

async function sha1(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The id under which the access log has the last request whose line holds `mark`. */
async function idOf({ access }: TestGateway, mark: string): Promise<string> {
  const lines = (await access()).split("\n").filter((line) => line.includes(mark));
  return lines.at(-1)?.match(/ ([0-9a-f]{8}-\w+) /)?.[1] ?? assert.fail(`no line with ${mark}`);
}

function table(folder: string): string {
  return `server:
  spoolDir: ${folder}/spool
routes:
  - path: /cgi/*
    cgi: {root: apps/cgi, env: {GATE: "${folder}/gate", PIDFILE: "${folder}/pid"}}
  - path: /py/*
    cgi: {root: apps/cgi/sub, interpreters: {".py": [python3, -X, utf8]}}
  - path: /one
    cgi: {script: apps/cgi/environ.sh, args: [first, "second one"], cwd: apps}
`;
}

/** Runs steps against one gateway over the folder of scripts. */
function scriptTest(
  programs: readonly string[],
  name: string,
  steps: Readonly<Record<string, (gateway: TestGateway, folder: string) => Promise<void>>>,
): void {
  testWith(programs, name, async (t) => {
    await using folder = await tempFolder();
    await withGateway(table(folder.path), async (gateway) => {
      for (const [step, body] of Object.entries(steps)) {
        await t.step(step, () => body(gateway, folder.path));
      }
    });
  });
}

scriptTest(["sh"], "cgi runs shell scripts", {
  "the environ holds what RFC 3875 §4.1 names, PATH, and nothing of ours": async (
    { base, port },
    folder,
  ) => {
    const response = await fetch(`${base}/cgi/environ.sh/a%20b/c?x=%20`, {
      method: "POST",
      headers: { "content-type": "text/x", "x-Mixed-case": "1", proxy: "evil", "x_y": "2" },
      body: "a body",
    });
    assert.equal(response.headers.get("x-shell"), "yes");
    const lines = (await response.text()).split("\n");
    const environ = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    const { REQUEST_ID, REMOTE_PORT, SHLVL: _level, OLDPWD: _old, _: _last, ...rest } = environ;
    assert.ok(REQUEST_ID !== undefined && Number(REMOTE_PORT) > 0);
    assert.deepEqual(rest, {
      PATH,
      GATE: `${folder}/gate`,
      PIDFILE: `${folder}/pid`,
      GATEWAY_INTERFACE: "CGI/1.1",
      SERVER_SOFTWARE: "Portico/0.1.0",
      REDIRECT_STATUS: "200",
      REQUEST_METHOD: "POST",
      REQUEST_URI: "/cgi/environ.sh/a%20b/c?x=%20",
      QUERY_STRING: "x=%20",
      SCRIPT_NAME: "/cgi/environ.sh",
      SCRIPT_FILENAME: `${ROOT}/environ.sh`,
      PATH_INFO: "/a b/c",
      PATH_TRANSLATED: `${ROOT}/a b/c`,
      DOCUMENT_ROOT: ROOT,
      DOCUMENT_URI: "/cgi/environ.sh/a b/c",
      CONTENT_LENGTH: "6",
      CONTENT_TYPE: "text/x",
      SERVER_PROTOCOL: "HTTP/1.1",
      SERVER_NAME: "127.0.0.1",
      SERVER_PORT: String(port),
      SERVER_ADDR: "127.0.0.1",
      REMOTE_ADDR: "127.0.0.1",
      REMOTE_HOST: "127.0.0.1",
      REQUEST_SCHEME: "http",
      HTTP_HOST: `127.0.0.1:${port}`,
      HTTP_ACCEPT: "*/*",
      HTTP_ACCEPT_ENCODING: "gzip,br",
      HTTP_ACCEPT_LANGUAGE: "*",
      HTTP_USER_AGENT: `Deno/${Deno.version.deno}`,
      HTTP_X_MIXED_CASE: "1",
      PWD: ROOT,
      pwd: ROOT,
      args: "",
      body: "a body",
    });
  },
  "one script for the route, with arguments and a folder (RFC 3875 §7.2)": async ({ base }) => {
    const text = await (await fetch(`${base}/one`)).text();
    assert.match(text, /^args=first second one$/m);
    assert.match(text, new RegExp(`^pwd=${TESTS}/apps$`, "m"));
    assert.match(text, /^SCRIPT_NAME=\/one$/m);
    assert.match(text, /^PATH_INFO=$/m);
    assert.doesNotMatch(text, /^(PATH_TRANSLATED|CONTENT_LENGTH|CONTENT_TYPE|HTTPS)=/m);
  },
  "Location alone is a 302, with a document what the script says (RFC 3875 §6.2.3, §6.2.4)": async (
    { base },
  ) => {
    const found = await fetch(`${base}/cgi/answers.sh/found`, { redirect: "manual" });
    assert.equal(found.status, 302);
    assert.equal(found.headers.get("location"), "http://example.org/new");
    await found.body?.cancel();
    const moved = await fetch(`${base}/cgi/answers.sh/document`, { redirect: "manual" });
    assert.deepEqual([moved.status, await moved.text()], [301, "moved"]);
  },
  "a local redirect is served here (RFC 3875 §6.2.2)": async ({ base }) => {
    const response = await fetch(`${base}/cgi/answers.sh/local`, { method: "POST", body: "gone" });
    const text = await response.text();
    assert.equal(response.status, 200);
    assert.match(text, /^REQUEST_METHOD=GET$/m);
    assert.match(text, /^PATH_INFO=\/from\/local$/m);
    assert.match(text, /^QUERY_STRING=a=b$/m);
    assert.match(text, /^body=$/m);
  },
  "Status is passed on, known or not (RFC 3875 §6.3.3)": async ({ base }) => {
    const response = await fetch(`${base}/cgi/answers.sh/status`);
    assert.deepEqual([response.status, await response.text()], [418, "teapot"]);
  },
  "standard error goes to the log with the request's id": async (gateway) => {
    const response = await fetch(`${gateway.base}/cgi/answers.sh/stderr`);
    assert.equal(await response.text(), "answered");
    const id = await idOf(gateway, "/cgi/answers.sh/stderr");
    await eventually(async () =>
      (await gateway.log()).includes(`program id=${id}: told to standard error`)
    );
  },
  "an exit code after a whole answer is noted, no more": async (gateway) => {
    const response = await fetch(`${gateway.base}/cgi/answers.sh/fails`);
    assert.deepEqual([response.status, await response.text()], [200, "whole all the same"]);
    await eventually(async () => /answers\.sh exited with code 3/.test(await gateway.log()));
  },
  "no answer and a broken one are a 502 that names the cause in the log": async (gateway) => {
    const nothing = await fetch(`${gateway.base}/cgi/answers.sh/nothing`);
    assert.equal(nothing.status, 502);
    assert.doesNotMatch(await nothing.text(), /answers\.sh|gave up/, "causes are for the log");
    const garbage = await fetch(`${gateway.base}/cgi/answers.sh/garbage`);
    await garbage.body?.cancel();
    assert.equal(garbage.status, 502);
    const log = await gateway.log();
    assert.match(log, /status=502 failure=[\w-]+: .*exited with code 7/);
    assert.match(log, /: gave up early/);
    assert.match(log, /this is no header/);
  },
  "a script may leave its input unread (RFC 3875 §4.2)": async ({ base }) => {
    const body = new Uint8Array(5 * MIB);
    const response = await fetch(`${base}/cgi/answers.sh/ignores`, { method: "POST", body });
    assert.equal(await response.text(), "what body?");
  },
  "output reaches the client while the script runs (RFC 3875 §6.4)": async ({ base }, folder) => {
    const response = await fetch(`${base}/cgi/answers.sh/ticks`);
    const reader = (response.body ?? assert.fail("no body"))
      .pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "first\n");
    await Deno.writeTextFile(`${folder}/gate`, "");
    assert.equal((await reader.read()).value, "second\n");
    assert.equal((await reader.read()).done, true);
  },
  "the process ends when its client leaves (RFC 3875 §3.4)": async (gateway, folder) => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const gone = assert.rejects(fetch(`${gateway.base}/cgi/answers.sh/sleeps`, { signal }));
    const pid = () => Deno.readTextFile(`${folder}/pid`).then(Number, () => 0);
    await eventually(async () => await pid() > 0, 5000, "the script to start");
    const running = `/proc/${await pid()}/stat`;
    assert.ok((await Deno.stat(running)).isFile);
    leaving.abort();
    await gone;
    const ended = () => Deno.stat(running).then(() => false, () => true);
    await eventually(ended, 5000, "the script to end");
    assert.match(await gateway.access(), /\/cgi\/answers\.sh\/sleeps HTTP\/1\.1" 499 /);
  },
});

scriptTest(["perl"], "cgi runs Perl scripts", {
  "a form is read by its length, and there is nothing behind it (RFC 3875 §4.2)": async (
    { base },
  ) => {
    const body = new URLSearchParams({ name: "Zoë & co", empty: "" });
    const response = await fetch(`${base}/cgi/report.pl/x`, { method: "POST", body });
    assert.equal(response.headers.get("content-type"), "application/json");
    const { form, length, past, environ } = await response.json();
    // Perl made characters of the bytes; they are the same bytes.
    const bytes = Uint8Array.from(form.name, (char: string) => char.charCodeAt(0));
    assert.equal(new TextDecoder().decode(bytes), "Zoë & co");
    assert.deepEqual([form.empty, length, past], ["", String(body).length, 0]);
    assert.equal(environ.CONTENT_TYPE, "application/x-www-form-urlencoded;charset=UTF-8");
  },
  "5 MiB arrive, chunked or not": async ({ base }) => {
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const whole = new Uint8Array(5 * MIB);
    for (let at = 0; at < whole.length; at += bytes.length) whole.set(bytes, at);
    const pieces = Array.from({ length: 80 }, () => bytes);
    for (const body of [whole, ReadableStream.from(pieces)]) {
      const response = await fetch(`${base}/cgi/report.pl`, { method: "POST", body });
      const { length, past, sha1: sum, environ } = await response.json();
      assert.deepEqual([length, past, sum], [whole.length, 0, await sha1(whole)]);
      assert.equal(Number(environ.CONTENT_LENGTH), whole.length);
    }
  },
  "bytes that are no UTF-8 do no harm": async ({ port }) => {
    const request =
      "GET /cgi/report.pl/%ff%fe HTTP/1.1\r\nHost: x\r\nX-B: \xe9\r\nConnection: close\r\n\r\n";
    const { status, body } = await rawExchange(port, request);
    assert.equal(status, 200);
    assert.match(body, /"REQUEST_URI":"\/cgi\/report\.pl\/%ff%fe"/);
  },
  "a script that writes its own status line is understood (RFC 3875 §5.2)": async ({ base }) => {
    const response = await fetch(`${base}/cgi/nph-report.pl`);
    assert.deepEqual([response.status, await response.text()], [203, "nph"]);
    assert.equal(response.headers.get("connection"), null);
  },
});

scriptTest(["python3"], "cgi runs Python scripts", {
  "wsgiref's CGI gateway finds a valid environ": async (gateway) => {
    const body = "x".repeat(1000);
    const url = `${gateway.base}/cgi/wsgi.py/caf%C3%A9?q=1`;
    const response = await fetch(url, { method: "POST", body });
    const { environ, length } = await response.json();
    assert.equal(response.status, 200);
    assert.match(response.headers.get("x-version") ?? "", /^3\./);
    assert.equal(length, 1000);
    assert.equal(environ.SCRIPT_NAME, "/cgi/wsgi.py");
    // PEP 3333: native strings hold bytes as Latin-1.
    assert.equal(environ.PATH_INFO, "/caf\u00c3\u00a9");
    assert.equal(environ["wsgi.url_scheme"], "http");
    const id = await idOf(gateway, "/cgi/wsgi.py");
    await eventually(async () =>
      (await gateway.log()).includes(`program id=${id}: told by Python`)
    );
  },
  "5 MiB come out whole, and none to HEAD": async ({ base }) => {
    const response = await fetch(`${base}/cgi/wsgi.py/large`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    assert.equal(bytes.length, 5 * MIB);
    assert.equal(new TextDecoder().decode(bytes.subarray(-16)), "0123456789abcdef");
    const head = await fetch(`${base}/cgi/wsgi.py/large`, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    assert.equal(head.headers.get("content-type"), "application/octet-stream");
  },
  "an interpreter runs files that are not executable, spaces and all": async ({ base }) => {
    const response = await fetch(`${base}/py/plain%20file.py/more`);
    assert.deepEqual((await response.text()).trim().split("\n"), [
      `${ROOT}/sub/plain file.py`,
      `${ROOT}/sub`,
      "/py/plain file.py",
      "/more",
    ]);
  },
});

scriptTest(["sh"], "cgi finds no program where there is none", {
  "missing, hidden, a folder, above the root (RFC 3875 §9.8)": async ({ base, port }) => {
    const places = { "missing.sh": 404, ".hidden.sh": 403, "sub": 403, "": 403 };
    for (
      const [path, status] of Object.entries({ ...places, "environ.sh%2Fx": 404, "..%2F": 404 })
    ) {
      const response = await fetch(`${base}/cgi/${path}`);
      await response.body?.cancel();
      assert.equal(response.status, status, path);
    }
    const above =
      "GET /cgi/../../support/needs.ts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert.equal((await rawExchange(port, above)).status, 404);
  },
  "a file that is no program is neither run nor shown": async ({ base }) => {
    for (const path of ["/cgi/notes.txt", "/cgi/sub/plain%20file.py"]) {
      const response = await fetch(base + path);
      assert.equal(response.status, 403, path);
      assert.doesNotMatch(await response.text(), /only text|import/);
    }
  },
});

testWith(["sh"], "cgi runs no program that a link finds outside the folder", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await Deno.mkdir(`${path}/bin`);
  const script = (word: string) => `#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n${word}'\n`;
  await writeScript(`${path}/outside.sh`, script("outside"));
  await writeScript(`${path}/bin/real.sh`, script("inside"));
  await Deno.symlink(`${path}/outside.sh`, `${path}/bin/leak.sh`);
  await Deno.symlink("real.sh", `${path}/bin/alias.sh`);
  const table = `routes:
  - path: /*
    cgi: {root: "${path}/bin"}
`;
  await withGateway(table, async ({ base }) => {
    const leak = await fetch(`${base}/leak.sh`);
    assert.equal(leak.status, 403);
    assert.doesNotMatch(await leak.text(), /outside/);
    assert.equal(await (await fetch(`${base}/alias.sh`)).text(), "inside");
  });
});
