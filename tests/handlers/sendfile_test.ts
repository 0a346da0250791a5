/**
 * The route-wide option `sendfile`, with programs that ask for files: a shell script, PHP and a WSGI
 * application; and what nginx makes of the same replies.
 */
import assert from "node:assert/strict";
import { Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith, which } from "../support/needs.ts";
import { accepts } from "../support/nginx.ts";
import { freePort, tempFolder, writeScript } from "../support/peers.ts";

const LONG = "0123456789abcdef".repeat(20_000);

/** Answers with the fields of X-Say, one after each `|`, and a body of its own. */
const SCRIPT = `#!/bin/sh
printf '%s\\n\\n' "$HTTP_X_SAY" | tr '|' '\\n'
printf 'own body'
`;

/** Fills a folder: `files` to send from, what lies around it, and a program. */
async function fillSite(path: string): Promise<void> {
  const files = `${path}/files`;
  await Deno.mkdir(`${files}/sub/.git`, { recursive: true });
  await Deno.mkdir(`${path}/files-not`);
  await Promise.all([
    Deno.writeTextFile(`${files}/a.txt`, "hello"),
    Deno.writeTextFile(`${files}/a b%20é.txt`, "odd name"),
    Deno.writeTextFile(`${files}/sub/c.txt`, "below"),
    Deno.writeTextFile(`${files}/long.bin`, LONG),
    Deno.writeTextFile(`${files}/.secret`, "secret"),
    Deno.writeTextFile(`${files}/sub/.git/config`, "secret"),
    Deno.writeTextFile(`${path}/passwd`, "secret"),
    Deno.writeTextFile(`${path}/files-not/a.txt`, "secret"),
    Deno.symlink("a.txt", `${files}/inner`),
    Deno.symlink("../passwd", `${files}/leak`),
    Deno.symlink(".secret", `${files}/shown`),
    Deno.symlink("nowhere", `${files}/broken`),
    Deno.symlink("files", `${path}/current`),
    writeScript(`${path}/say.sh`, SCRIPT),
  ]);
}

interface Answer {
  readonly status: number;
  /** The head as it came. */
  readonly head: string;
  readonly body: string;
  readonly whole: boolean;
  get(name: string): string | undefined;
}

interface Asking {
  readonly method?: string;
  readonly to?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Lets a program say some fields. */
type Say = (fields: readonly string[], asking?: Asking) => Promise<Answer>;

function sayAt(port: number): Say {
  return async (fields, { method = "GET", to = "/on/", headers = {} } = {}) => {
    const spoken = { "X-Say": ["Content-Type: text/plain", ...fields].join("|"), ...headers };
    using client = await Client.send(port, { method, target: to, headers: spoken });
    const { status, text, get } = await client.head();
    const body = method === "HEAD" ? { text: "", whole: true } : await client.body();
    return { status, head: text, get, body: body.text, whole: body.whole };
  };
}

async function withSite(
  body: (say: Say, gateway: TestGateway, path: string) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  const { path } = folder;
  await fillSite(path);
  const table = `
routes:
  - path: /on/*
    cgi: ${path}/say.sh
    sendfile: {/protected/: ${path}/files, /protected/deep/: ${path}/files/sub}
  - path: /off/*
    cgi: ${path}/say.sh
`;
  await withGateway(table, (gateway) => body(sayAt(gateway.port), gateway, path));
}

function assertNoTrace({ head, body }: Answer, path: string): void {
  assert.doesNotMatch(head, /x-(accel|sendfile|lighttpd)/i);
  assert.ok(!(head + body).includes(path), `the client learns a name: ${head}`);
}

testWith(["sh", "tr"], "sendfile sends the file that a program names", async () => {
  await withSite(async (say, _gateway, path) => {
    const rows: [field: string, body: string][] = [
      ["X-Accel-Redirect: /protected/a.txt", "hello"],
      ["x-accel-redirect: /protected/a.txt?query=/../x", "hello"],
      ["X-Accel-Redirect: /protected/./sub/../a.txt", "hello"],
      ["X-Accel-Redirect: /protected//sub/c.txt", "below"],
      ["X-Accel-Redirect: /protected/sub%2Fc.txt", "below"],
      ["X-Accel-Redirect: /protected/a%20b%2520%C3%A9.txt", "odd name"],
      ["X-Accel-Redirect: /protected/a b%2520\u00c3\u00a9.txt", "odd name"],
      ["X-Accel-Redirect: /protected/inner", "hello"],
      // The longest prefix counts.
      ["X-Accel-Redirect: /protected/deep/c.txt", "below"],
      [`X-Sendfile: ${path}/files/a.txt`, "hello"],
      [`X-LIGHTTPD-send-file: ${path}/files/a.txt`, "hello"],
      [`X-Sendfile: ${path}/files/sub/../a.txt`, "hello"],
      [`X-Sendfile: ${path}/current/inner`, "hello"],
      // As it is, or percent-encoded, as libraries for lighttpd and Apache write it.
      [`X-Sendfile: ${path}/files/a b%20\u00c3\u00a9.txt`, "odd name"],
      [`X-Sendfile: ${path}/files/a%20b%2520%C3%A9.txt`, "odd name"],
    ];
    for (const [field, body] of rows) {
      const answer = await say([field, "Content-Length: 999"]);
      assert.deepEqual([answer.status, answer.body, answer.whole], [200, body, true], field);
      assert.equal(answer.get("content-length"), String(body.length), field);
      assertNoTrace(answer, path);
    }
  });
});

testWith(["sh", "tr"], "sendfile answers 404 to a file that may not be sent", async () => {
  await withSite(async (say, gateway, path) => {
    const rows: [field: string, failure: string][] = [
      ["X-Accel-Redirect: /elsewhere/a.txt", "outside"],
      ["X-Accel-Redirect: /protected", "outside"],
      ["X-Accel-Redirect: /protected/../passwd", "outside"],
      ["X-Accel-Redirect: @named", "outside"],
      ["X-Accel-Redirect: http://127.0.0.1/protected/a.txt", "outside"],
      ["X-Accel-Redirect: /protected/leak", "outside"],
      ["X-Accel-Redirect: /protected/%2e%2e%2Fpasswd", "hidden"],
      ["X-Accel-Redirect: /protected/sub%2F..%2F..%2Fpasswd", "hidden"],
      ["X-Accel-Redirect: /protected/.secret", "hidden"],
      ["X-Accel-Redirect: /protected/sub/.git/config", "hidden"],
      ["X-Accel-Redirect: /protected/shown", "hidden"],
      ["X-Accel-Redirect: /protected/", "no-file"],
      ["X-Accel-Redirect: /protected/sub", "no-file"],
      ["X-Accel-Redirect: /protected/sub/", "no-file"],
      ["X-Accel-Redirect: /protected/a.txt/", "no-file"],
      ["X-Accel-Redirect: /protected/a%0a", "no-file"],
      ["X-Accel-Redirect: /protected/none", "missing"],
      ["X-Accel-Redirect: /protected/broken", "missing"],
      ["X-Accel-Redirect: /protected/a.txt/b", "missing"],
      ["X-Accel-Redirect: /protected/%ff", "missing"],
      [`X-Accel-Redirect: /protected/${"x".repeat(5000)}`, "missing"],
      [`X-Sendfile: ${path}/passwd`, "outside"],
      [`X-Sendfile: ${path}/files/../passwd`, "outside"],
      [`X-Sendfile: ${path}/files/%2e%2e/passwd`, "outside"],
      [`X-Sendfile: ${path}/files-not/a.txt`, "outside"],
      [`X-Sendfile: ${path}/files/leak`, "outside"],
      ["X-Sendfile: files/a.txt", "outside"],
      [`X-Sendfile: ${path}/files/.secret`, "hidden"],
      [`X-Sendfile: ${path}/files/shown`, "hidden"],
      [`X-Sendfile: ${path}/files`, "no-file"],
      [`X-Sendfile: ${path}/files/none`, "missing"],
    ];
    for (const [field, failure] of rows) {
      const answer = await say([field, "Set-Cookie: a=b"]);
      assert.equal(answer.status, 404, field);
      assert.match(answer.body, /^404 Not Found\nRequest id: \S+\n$/);
      assertNoTrace(answer, path);
      const id = /Request id: (\S+)/.exec(answer.body)?.[1] ?? "none";
      const lines = (await gateway.log()).split("\n").filter((line) => line.includes(id));
      assert.ok(lines.some((line) => line.includes(`sendfile-${failure}: `)), `${field}: ${lines}`);
    }
  });
});

testWith(["sh", "tr"], "sendfile answers 502 to what is no path", async () => {
  await withSite(async (say, gateway) => {
    for (const path of ["/protected/%zz", "/protected/100%", "/protected/%00"]) {
      assert.equal((await say([`X-Accel-Redirect: ${path}`])).status, 502, path);
    }
    assert.equal((await gateway.log()).match(/bad-sendfile/g)?.length, 3);
  });
});

testWith(["sh", "tr"], "sendfile answers conditions, ranges and HEAD from the file", async () => {
  await withSite(async (say) => {
    const long = ["X-Accel-Redirect: /protected/long.bin"];
    const ask = (headers: Record<string, string>, method = "GET") => say(long, { method, headers });
    const whole = await ask({});
    const [etag = "", modified = ""] = [whole.get("etag"), whole.get("last-modified")];
    assert.match(etag, /^"[0-9a-f]+-[0-9a-f]+"$/);
    assert.deepEqual([whole.status, whole.body === LONG, whole.whole], [200, true, true]);
    assert.equal(whole.get("accept-ranges"), "bytes");

    const head = await ask({}, "HEAD");
    assert.deepEqual([head.status, head.get("content-length")], [200, String(LONG.length)]);
    const post = await ask({ "Range": "bytes=0-4" }, "POST");
    assert.deepEqual([post.status, post.body === LONG], [200, true]);

    assert.equal((await ask({ "If-None-Match": etag })).status, 304);
    assert.equal((await ask({ "If-Modified-Since": modified })).status, 304);
    assert.equal((await ask({ "If-Match": '"other"' })).status, 412);

    const part = await ask({ "Range": "bytes=100000-199999", "If-Range": etag });
    assert.deepEqual([part.status, part.body], [206, LONG.slice(100_000, 200_000)]);
    assert.equal(part.get("content-range"), `bytes 100000-199999/${LONG.length}`);
    const parts = await ask({ "Range": "bytes=0-9, -10" });
    assert.deepEqual([parts.status, parts.whole], [206, true]);
    assert.match(parts.get("content-type") ?? "", /^multipart\/byteranges; boundary=/);
    assert.match(parts.body, /Content-Type: text\/plain\r\n/, "the program's type");
    assert.equal(parts.get("content-length"), String(parts.body.length));
    const beyond = await ask({ "Range": "bytes=9999999-" });
    assert.deepEqual([beyond.status, beyond.get("content-range")], [416, `bytes */${LONG.length}`]);
    assert.equal((await ask({ "Range": "bytes=0-4", "If-Range": '"other"' })).status, 200);
  });
});

testWith(["sh", "tr"], "sendfile keeps the program's fields, but none about its body", async () => {
  await withSite(async (say, _gateway, path) => {
    const answer = await say([
      "Content-Length: 3",
      "Content-Encoding: gzip",
      "Content-Disposition: attachment; filename=x",
      "Cache-Control: private",
      "Expires: Thu, 01 Jan 2026 00:00:00 GMT",
      "Set-Cookie: a=1",
      "Set-Cookie: b=2",
      "X-Frame-Options: DENY",
      'ETag: "mine"',
      "X-Accel-Buffering: no",
      "X-Accel-Expires: 3",
      "X-Accel-Redirect: /protected/a.txt",
    ]);
    assert.deepEqual([answer.status, answer.body], [200, "hello"]);
    assert.equal(answer.get("content-disposition"), "attachment; filename=x");
    assert.equal(answer.get("cache-control"), "private");
    assert.equal(answer.get("expires"), "Thu, 01 Jan 2026 00:00:00 GMT");
    assert.equal(answer.get("x-frame-options"), "DENY");
    assert.equal(answer.get("etag"), '"mine"');
    assert.equal(answer.get("content-encoding"), undefined);
    assert.equal(answer.head.match(/^set-cookie:/gim)?.length, 2);
    assertNoTrace(answer, path);
    const fields = ['ETag: "mine"', "X-Accel-Redirect: /protected/a.txt"];
    assert.equal((await say(fields, { headers: { "If-None-Match": '"mine"' } })).status, 304);
  });
});

testWith(["sh", "tr"], "sendfile tells the type by the name if the program does not", async () => {
  await withSite(async (say) => {
    const headers = { "X-Say": "X-Accel-Redirect: /protected/a.txt" };
    const answer = await say([], { headers });
    assert.equal(answer.get("content-type"), "text/plain; charset=utf-8");
    const empty = { "X-Say": "Content-Type: |X-Accel-Redirect: /protected/a.txt" };
    assert.equal(
      (await say([], { headers: empty })).get("content-type"),
      "text/plain; charset=utf-8",
    );
  });
});

testWith(["sh", "tr"], "sendfile keeps any other status, with the whole file", async () => {
  await withSite(async (say) => {
    const file = "X-Accel-Redirect: /protected/a.txt";
    const headers = { "Range": "bytes=0-0", "If-None-Match": "*" };
    for (const status of [201, 403, 503]) {
      const answer = await say([`Status: ${status}`, file], { headers });
      assert.deepEqual([answer.status, answer.body], [status, "hello"]);
    }
    const known = await say(["Status: 304", 'ETag: "x"', file]);
    assert.deepEqual([known.status, known.get("etag"), known.body], [304, '"x"', ""]);
  });
});

testWith(["sh", "tr"], "without sendfile the body is sent, and no name of a file", async () => {
  await withSite(async (say, gateway, path) => {
    const to = "/off/";
    for (
      const field of [
        "X-Accel-Redirect: /protected/a.txt",
        `X-Sendfile: ${path}/files/a.txt`,
        `X-LIGHTTPD-send-file: ${path}/files/a.txt`,
      ]
    ) {
      const answer = await say([field], { to });
      assert.deepEqual([answer.status, answer.body], [200, "own body"]);
      assertNoTrace(answer, path);
    }
    const log = await gateway.log();
    assert.equal(log.match(/asks for a file and its route has no sendfile/g)?.length, 3);
    assertNoTrace(await say(["X-Accel-Buffering: no", "X-Accel-Expires: 3"], { to }), path);
    assert.equal(await gateway.log(), log, "nginx's other fields are no news");
  });
});

testWith(
  ["sh"],
  "sendfile ends a program that talks on, and lets one finish its work",
  async () => {
    await using folder = await tempFolder();
    const { path } = folder;
    await fillSite(path);
    const head = "printf 'X-Accel-Redirect: /f/a.txt\\n\\n'";
    const endless = `#!/bin/sh\n${head}\nwhile :; do echo talk; done\n`;
    await writeScript(`${path}/endless.sh`, endless);
    const closing = `#!/bin/sh\n${head}\nsleep 1\necho done >${path}/done\n`;
    await writeScript(`${path}/closing.sh`, closing);
    const table = `
routes:
  - {path: /endless, cgi: ${path}/endless.sh, sendfile: {/f/: ${path}/files}}
  - {path: /closing, cgi: ${path}/closing.sh, sendfile: {/f/: ${path}/files}}
`;
    await withGateway(table, async ({ base }) => {
      for (const name of ["endless", "closing"]) {
        assert.equal(await (await fetch(`${base}/${name}`)).text(), "hello");
      }
      await assert.rejects(Deno.stat(`${path}/done`), "the answer does not wait for the program");
    });
    // The gateway has ended, and both programs before it.
    assert.equal(await Deno.readTextFile(`${path}/done`), "done\n");
  },
);

Deno.test("sendfile serves WSGI applications", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await fillSite(path);
  const table = `
routes:
  - {path: /on/*, wsgi: ./apps/wsgi_sendfile.ts, sendfile: {/protected/: ${path}/files}}
  - {path: /off/*, wsgi: ./apps/wsgi_sendfile.ts}
`;
  await withGateway(table, async ({ base, log }) => {
    const on = await fetch(`${base}/on/a.txt`, { headers: { range: "bytes=1-2" } });
    assert.deepEqual([on.status, await on.text()], [206, "el"]);
    assert.equal(on.headers.get("content-type"), "text/x-mine");
    const none = await fetch(`${base}/on/none`);
    assert.deepEqual([none.status, (await none.text()).split("\n")[0]], [404, "404 Not Found"]);
    const off = await fetch(`${base}/off/a.txt`);
    assert.deepEqual([off.status, await off.text()], [200, "own body"]);
    const names = [...on.headers.keys(), ...off.headers.keys()];
    assert.deepEqual(names.filter((name) => name.startsWith("x-")), []);
    assert.match(await log(), /sendfile-missing: .*none/);
  });
});

testWith(
  ["php-cgi"],
  "sendfile serves PHP, whose process goes on with the next request",
  async () => {
    await using folder = await tempFolder();
    const { path } = folder;
    await fillSite(path);
    const table = `
routes:
  - path: /*
    fastcgi:
      spawn: {command: [${which("php-cgi")}, -n], processes: 1}
      root: apps/php
    sendfile: {/protected/: ${path}/files}
`;
    await withGateway(table, async ({ base }) => {
      for (let round = 0; round < 3; round++) {
        const name = encodeURIComponent("a b%20é.txt");
        const answer = await fetch(`${base}/sendfile.php?name=${name}`);
        assert.deepEqual([answer.status, await answer.text()], [200, "odd name"]);
        assert.equal(answer.headers.get("content-type"), "text/plain; charset=utf-8");
        assert.equal(answer.headers.get("content-disposition"), "attachment");
        const long = await fetch(`${base}/sendfile.php?name=long.bin`);
        assert.equal(await long.text(), LONG);
      }
    });
  },
);

/** What has to be the same. Pages of errors are each server's own; nginx has no Accept-Ranges in a 206. */
function told({ status, body, get }: Answer) {
  const names = ["content-type", "content-length", "content-disposition", "cache-control"];
  const fields = [...names, "set-cookie", "last-modified", "content-range"].map(get);
  const content = body.length < 100 ? body : body.length;
  return status < 300 ? { status, content, fields } : { status, range: get("content-range") };
}

/** nginx before a program that says what the script says. */
async function withNginx(path: string, body: (port: number) => Promise<void>): Promise<void> {
  const upstream = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const fields = (request.headers.get("x-say") ?? "").split("|")
      .map((line): [string, string] => [line.replace(/:.*/, ""), line.replace(/^[^:]*: */, "")]);
    return new Response("own body", { headers: fields });
  });
  const port = freePort();
  const config = `${path}/nginx.conf`;
  await Deno.writeTextFile(
    config,
    `daemon off; master_process off; pid ${path}/nginx.pid; error_log ${path}/nginx.log;
events {}
http {
  access_log off; types { text/plain txt; } default_type application/octet-stream;
  client_body_temp_path ${path}/t; proxy_temp_path ${path}/t; fastcgi_temp_path ${path}/t;
  uwsgi_temp_path ${path}/t; scgi_temp_path ${path}/t;
  server {
    listen 127.0.0.1:${port};
    location /on/ { proxy_pass http://127.0.0.1:${upstream.addr.port}; }
    location /protected/ { internal; alias ${path}/files/; }
  }
}
`,
  );
  const child = new Deno.Command(which("nginx") ?? "nginx", {
    args: ["-p", path, "-e", `${path}/nginx.log`, "-c", config],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await eventually(() => accepts(port), 5000, `nginx, see ${path}/nginx.log`);
    await body(port);
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await upstream.shutdown();
  }
}

testWith(["nginx", "sh", "tr"], "sendfile does with X-Accel-Redirect what nginx does", async () => {
  await withSite(async (say, _gateway, path) => {
    const rows: [path: string, headers?: Record<string, string>][] = [
      ["/protected/a.txt"],
      ["/protected/a.txt?x=y"],
      ["/protected/a%20b%2520%C3%A9.txt"],
      ["/protected/a b%2520\u00c3\u00a9.txt"],
      ["/protected/sub%2Fc.txt"],
      ["/protected/none"],
      ["/elsewhere/a.txt"],
      ["/protected/%2e%2e/passwd"],
      ["/protected/a.txt", { "Range": "bytes=1-2" }],
      ["/protected/long.bin", { "Range": "bytes=-5" }],
      ["/protected/long.bin", { "Range": "bytes=5-" }],
      ["/protected/long.bin", { "Range": "bytes=9999999-" }],
      // bytes=4-3 is no range: RFC 9110 §14.2 has it ignored, nginx answers 416.
      ["/protected/long.bin", { "Range": "bytes=0-0", "If-Range": '"other"' }],
      ["/protected/long.bin", { "If-Match": '"other"' }],
      ["/protected/long.bin", { "If-None-Match": "*" }],
      ["/protected/long.bin", { "If-Unmodified-Since": "Thu, 01 Jan 2004 00:00:00 GMT" }],
    ];
    await withNginx(path, async (port) => {
      const nginx = sayAt(port);
      const own = ["Content-Disposition: attachment", "Cache-Control: private", "Set-Cookie: a=b"];
      for (const [target, headers = {}] of rows) {
        const fields = [`X-Accel-Redirect: ${target}`, ...own];
        const ours = await say(fields, { headers });
        const theirs = await nginx(fields, { headers });
        assert.deepEqual(told(ours), told(theirs), `${target} ${JSON.stringify(headers)}`);
      }
    });
  });
});
