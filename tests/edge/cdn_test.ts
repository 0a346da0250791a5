/**
 * Behind a CDN, which a real nginx plays: it caches, tells the client's address in its own field, adds the
 * origin's secret, and speaks of https to its clients. Clients come from 127.0.0.2, the CDN from 127.0.0.1.
 */
import assert from "node:assert/strict";
import { curl } from "../support/certificate.ts";
import { ask } from "../support/client.ts";
import { type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { startNginx } from "../support/nginx.ts";
import { tempFolder } from "../support/peers.ts";

const ENV = "PORTICO_TEST_CDN_SECRET";
const SECRET = "only-the-cdn-knows-this";
const TEXT = "0123456789".repeat(100);

interface Site {
  readonly gateway: TestGateway;
  /** Asks the CDN, as a client. */
  ask(target: string, ...args: string[]): ReturnType<typeof curl>;
  /** What Portico was asked so far: target and status. */
  asked(): Promise<string[]>;
}

function tableOf(folder: string): string {
  return `admin: {listen: "127.0.0.1:0"}
server:
  accessLog: json
  trustedProxies: [127.0.0.1]
  clientIpHeader: CF-Connecting-IP
  originSecret: {header: X-Origin-Secret, env: ${ENV}}
routes:
  - {path: /env/*, cgi: ${TESTS}/apps/cgi/environ.sh}
  - {path: /cookie, cgi: ${folder}/cookie}
  - {path: /news/*, cgi: ${folder}/news, cache: {store: ${folder}/copies}}
  - {path: /fresh/*, static: {root: ${folder}/files, cacheControl: "public, max-age=60"}}
  - {path: /stale/*, static: {root: ${folder}/files, cacheControl: "public, max-age=1"}}
`;
}

/** Under /passed/ nothing is kept: the CDN passes on what the client asks for, to the part. */
function nginxOf(port: number): string {
  return `
    location /passed/ {
      proxy_pass http://127.0.0.1:${port}/;
      proxy_set_header Host www.example.test;
      proxy_set_header CF-Connecting-IP $remote_addr;
      proxy_set_header X-Origin-Secret ${SECRET};
    }
    location / {
      proxy_pass http://127.0.0.1:${port};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host www.example.test;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header CF-Connecting-IP $remote_addr;
      proxy_set_header X-Origin-Secret ${SECRET};
      proxy_cache edge;
      # As a CDN is told to fetch anew; nginx itself knows no purge.
      proxy_cache_bypass $http_x_fetch_anew;
      proxy_cache_revalidate on;
      add_header X-Cache $upstream_cache_status always;
    }`;
}

async function withCdn(body: (site: Site) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/files`);
  await Deno.writeTextFile(`${folder.path}/files/a.txt`, TEXT);
  const cookie = `#!/bin/sh\nprintf 'Content-Type: a/b\\nSet-Cookie: a=1\\n` +
    `Cache-Control: max-age=60\\n\\n'; date +%N\n`;
  await Deno.writeTextFile(`${folder.path}/cookie`, cookie, { mode: 0o755 });
  const news = `#!/bin/sh\ncd ${folder.path}; echo >> runs\n` +
    `printf 'Content-Type: text/plain\\nCache-Control: max-age=60\\nETag: "%s"\\n' "$PATH_INFO"\n` +
    `printf 'Surrogate-Key: news all\\n\\n%s' "run $(wc -l < runs)"\n`;
  await Deno.writeTextFile(`${folder.path}/news`, news, { mode: 0o755 });
  Deno.env.set(ENV, SECRET);
  try {
    await withGateway(tableOf(folder.path), async (gateway) => {
      const cache = `proxy_cache_path ${folder.path}/cache keys_zone=edge:1m;`;
      await using cdn = await startNginx(folder.path, nginxOf(gateway.port), cache);
      await body({
        gateway,
        ask: (target, ...args) =>
          curl("--interface", "127.0.0.2", ...args, `http://127.0.0.1:${cdn.port}${target}`),
        asked: async () =>
          (await gateway.access()).trim().split("\n").filter((line) => line !== "")
            .map((line) => JSON.parse(line))
            .map(({ target, status }) => `${target} ${status}`),
      });
    });
  } finally {
    Deno.env.delete(ENV);
  }
}

const NEEDS = ["nginx", "curl"];
const fieldOf = (head: string, name: string) =>
  new RegExp(`^${name}: (.*?)\\r?$`, "im").exec(head)?.[1];

testWith(
  NEEDS,
  "behind a CDN programs see the client, its scheme and its host",
  () =>
    withCdn(async ({ ask }) => {
      const forged = [
        ...["-H", "X-Forwarded-For: 1.1.1.1", "-H", "CF-Connecting-IP: 2.2.2.2"],
        ...["-H", "Forwarded: for=3.3.3.3;host=evil.test", "-H", "X-Origin-Secret: mine"],
      ];
      for (const args of [[], forged]) {
        const { body } = await ask("/env/x", ...args);
        const told = [
          ...["REMOTE_ADDR=127.0.0.2", "REMOTE_HOST=127.0.0.2", "REQUEST_SCHEME=https"],
          ...["HTTPS=on", "SERVER_NAME=www.example.test", "SERVER_PORT=443"],
          ...["HTTP_HOST=www.example.test", "HTTP_CF_CONNECTING_IP=127.0.0.2"],
        ];
        const lines = body.split("\n");
        assert.deepEqual(told.filter((line) => !lines.includes(line)), []);
        // nginx opened the connection; its port is nobody's.
        assert.doesNotMatch(body, /^REMOTE_PORT=|3\.3\.3\.3|evil\.test|X_ORIGIN_SECRET|knows/m);
      }
    }),
);

testWith(
  NEEDS,
  "behind a CDN nobody else reaches the origin",
  () =>
    withCdn(async ({ gateway: { port }, ask: through }) => {
      for (
        const headers of [{}, { "X-Origin-Secret": "guess" }, { "CF-Connecting-IP": "1.1.1.1" }]
      ) {
        assert.equal((await ask(port, { target: "/fresh/a.txt", headers })).status, 403);
      }
      assert.equal((await through("/fresh/a.txt")).status, 200);
    }),
);

testWith(
  NEEDS,
  "behind a CDN files are asked for once, and then served by it",
  () =>
    withCdn(async ({ ask, asked }) => {
      const first = await ask("/fresh/a.txt");
      assert.deepEqual([first.status, first.body, fieldOf(first.head, "x-cache")], [
        ...[200, TEXT, "MISS"],
      ]);
      const etag = fieldOf(first.head, "etag") ?? "";
      assert.notEqual(etag, "");
      const again = await ask("/fresh/a.txt");
      assert.deepEqual([again.body, fieldOf(again.head, "x-cache")], [TEXT, "HIT"]);
      assert.equal((await ask("/fresh/a.txt", "-H", `If-None-Match: ${etag}`)).status, 304);
      const modified = fieldOf(first.head, "last-modified") ?? "";
      assert.equal((await ask("/fresh/a.txt", "-H", `If-Modified-Since: ${modified}`)).status, 304);
      const part = await ask("/fresh/a.txt", "-H", "Range: bytes=10-19");
      assert.deepEqual([part.status, part.body], [206, "0123456789"]);
      assert.equal(fieldOf(part.head, "content-range"), "bytes 10-19/1000");
      assert.deepEqual(await asked(), ["/fresh/a.txt 200"]);
    }),
);

testWith(
  NEEDS,
  "behind a CDN what has gone stale is asked about, and not sent again",
  () =>
    withCdn(async ({ ask, asked }) => {
      await ask("/stale/a.txt");
      await new Promise((resolve) => setTimeout(resolve, 2100));
      const later = await ask("/stale/a.txt");
      assert.deepEqual([later.status, later.body], [200, TEXT]);
      assert.equal(fieldOf(later.head, "x-cache"), "REVALIDATED");
      assert.deepEqual(await asked(), ["/stale/a.txt 200", "/stale/a.txt 304"]);
    }),
);

testWith(
  NEEDS,
  "behind a CDN neither cookies nor faults are kept",
  () =>
    withCdn(async ({ ask, asked }) => {
      const [one, two] = [await ask("/cookie"), await ask("/cookie")];
      assert.equal(fieldOf(one.head, "set-cookie"), "a=1");
      assert.notEqual(one.body, two.body);
      const missing = [await ask("/fresh/none"), await ask("/nowhere")];
      for (const { status, head } of missing) {
        assert.deepEqual([status, fieldOf(head, "cache-control")], [404, "no-store"]);
      }
      await ask("/nowhere");
      assert.deepEqual(await asked(), [
        ...["/cookie 200", "/cookie 200", "/fresh/none 404", "/nowhere 404", "/nowhere 404"],
      ]);
    }),
);

testWith(
  NEEDS,
  "behind a CDN a purge by the page's own address, or by key, makes the CDN's next fetch a new one",
  () =>
    withCdn(async ({ ask, gateway }) => {
      const purge = async (query: string) =>
        await (await fetch(`${gateway.admin}/purge?${query}`, { method: "POST" })).json();
      const anew = (target: string) => ask(target, "-H", "X-Fetch-Anew: 1");
      const first = await ask("/news/a");
      assert.deepEqual([first.body, fieldOf(first.head, "x-cache")], ["run 1", "MISS"]);
      // The CDN needs the keys for its own copies.
      assert.equal(fieldOf(first.head, "surrogate-key"), "news all");
      // A CDN has many places, and each fetches for itself: the program is not asked again.
      const again = await anew("/news/a");
      assert.deepEqual([again.body, fieldOf(again.head, "x-cache")], ["run 1", "BYPASS"]);
      assert.match(fieldOf(again.head, "cache-status") ?? "", /^portico; hit; ttl=\d+$/);

      assert.deepEqual(await purge("url=https://www.example.test/news/a"), { purged: 1 });
      assert.equal((await ask("/news/a")).body, "run 1", "the CDN has its own copy still");
      assert.equal((await anew("/news/a")).body, "run 2");
      const kept = await ask("/news/a");
      assert.deepEqual([kept.body, fieldOf(kept.head, "x-cache")], ["run 2", "HIT"]);

      await ask("/news/b");
      assert.deepEqual(await purge("key=news"), { purged: 2 });
      assert.equal((await anew("/news/a")).body, "run 4");
      assert.equal((await ask("/purge?all", "-X", "POST")).status, 404);
    }),
);

testWith(
  NEEDS,
  "behind a CDN parts and conditions that it passes on are answered by the origin",
  () =>
    withCdn(async ({ ask, asked }) => {
      const { head } = await ask("/passed/fresh/a.txt", "-I");
      const etag = fieldOf(head, "etag") ?? "";
      assert.deepEqual([fieldOf(head, "content-length"), etag === ""], ["1000", false]);
      const target = "/passed/fresh/a.txt";
      const part = await ask(target, "-H", "Range: bytes=995-", "-H", `If-Range: ${etag}`);
      assert.deepEqual([part.status, part.body], [206, "56789"]);
      const other = await ask(target, "-H", "Range: bytes=995-", "-H", 'If-Range: "other"');
      assert.deepEqual([other.status, other.body], [200, TEXT]);
      assert.equal((await ask(target, "-H", "Range: bytes=1000-")).status, 416);
      assert.equal((await ask(target, "-H", `If-None-Match: ${etag}`)).status, 304);
      assert.equal((await ask(target, "-H", 'If-Match: "other"')).status, 412);
      // And so are those of a program, once there is a copy of what it said.
      await ask("/passed/news/a");
      const own = await ask("/passed/news/a", "-H", 'If-None-Match: "/a"');
      assert.equal(own.status, 304);
      const end = await ask("/passed/news/a", "-H", "Range: bytes=-1");
      assert.deepEqual([end.status, end.body], [206, "1"]);
      assert.equal((await asked()).at(-1), "/news/a 206");
    }),
);
