/** `cache.store`: a gateway that is started again answers from what it had stored on disk. */
import assert from "node:assert/strict";
import { ask as askPort } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

/** Answers with so many bytes as the query says, in the way that the path says. */
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")"
echo "$REQUEST_METHOD $HTTP_IF_NONE_MATCH" >> runs
[ ! -e fail ] || { printf 'Status: 503\\n\\nbroken'; exit; }
if [ -n "$HTTP_IF_NONE_MATCH" ]; then
  printf 'Status: 304\\nETag: "a"\\nCache-Control: max-age=60\\n\\n'; exit
fi
printf 'Content-Type: text/plain\\nSurrogate-Key: key\\n'
case $PATH_INFO in
  /stale*) printf 'ETag: "a"\\nAge: 10\\nCache-Control: max-age=1, stale-if-error=60\\n' ;;
  *) printf 'Cache-Control: max-age=60\\n' ;;
esac
case $PATH_INFO in
  *short) printf 'Content-Length: %d\\n' "$((QUERY_STRING + 10))" ;;
  *chunked) ;;
  *) printf 'Content-Length: %d\\n' "$QUERY_STRING" ;;
esac
printf '\\n'
yes 0123456 | head -c "$QUERY_STRING"
`;

const STORE = "{dir: store, maxSize: 16MiB, maxEntry: 4MiB}";
const textOf = (length: number) => "0123456\n".repeat(length / 8);

/** Copies in a folder that are no longer being written. */
function wholeIn(folder: string): number {
  return [...Deno.readDirSync(folder)].filter(({ name }) => !name.endsWith(".part")).length;
}

interface Site {
  readonly folder: string;
  runs(): Promise<number>;
  /** A gateway from its start to its end. */
  serve(body: (gateway: TestGateway) => Promise<void>): Promise<void>;
  stored(): number;
}

async function withSite(
  body: (site: Site) => Promise<void>,
  cache = "maxEntry: 64KiB",
): Promise<void> {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeScript(`${path}/say.sh`, SCRIPT);
  const store = STORE.replace("store", `${path}/store`);
  const table = `admin: {listen: "127.0.0.1:0"}
routes: [{path: /*, cgi: ${path}/say.sh, cache: {${cache}, store: ${store}}}]`;
  await body({
    folder: path,
    runs: async () =>
      (await Deno.readTextFile(`${path}/runs`).catch(() => "")).split("\n").length - 1,
    serve: (body) => withGateway(table, body),
    stored: () => wholeIn(`${path}/store/copies`),
  });
}

/** Asks by a name that stays the same after a restart. */
async function ask(gateway: TestGateway, target: string, method = "GET", range?: string) {
  const headers: Record<string, string> = range ? { Range: `bytes=${range}` } : {};
  const { status, text, get } = await askPort(gateway.port, {
    method,
    target,
    host: "a.test",
    headers,
  });
  return { status, body: text, said: get("cache-status") ?? "", length: get("content-length") };
}

Deno.test("a cache with a store has its copies after a restart, short and long", () =>
  withSite(async ({ serve, runs, stored }) => {
    const targets = ["/short?800", "/a?8000", "/b?800000", "/chunked?800000", "/c?2400000"];
    const lengths = [undefined, 8000, 800_000, 800_000, 2_400_000];
    await serve(async (gateway) => {
      for (const [at, target] of targets.entries()) {
        await ask(gateway, target).catch(() => {});
        await eventually(() => stored() === at);
      }
    });
    assert.equal(await runs(), 5);
    assert.equal(stored(), 4, "one was shorter than it promised to be");
    await serve(async (gateway) => {
      for (const [at, length] of lengths.entries()) {
        if (length === undefined) continue;
        for (let round = 0; round < 2; round++) {
          const { status, body, said, length: told } = await ask(gateway, targets[at] ?? "");
          assert.deepEqual([status, body === textOf(length)], [200, true]);
          assert.match(said, /^portico; hit; ttl=\d+$/);
          assert.equal(told, String(length));
        }
      }
    });
    assert.equal(await runs(), 5);
  }));

Deno.test("a cache answers HEAD, conditions and ranges from what lies on disk", () =>
  withSite(async ({ serve, runs, stored }) => {
    await serve(async (gateway) => {
      await ask(gateway, "/a?800000");
      await eventually(() => stored() === 1);
      const head = await ask(gateway, "/a?800000", "HEAD");
      assert.deepEqual([head.length, head.body], ["800000", ""]);
      const part = await ask(gateway, "/a?800000", "GET", "700000-700009");
      assert.deepEqual([part.status, part.body], [206, "0123456\n01"]);
      const parts = await ask(gateway, "/a?800000", "GET", "700000-700003,8-11");
      assert.equal(parts.status, 206);
      assert.match(parts.body, /\r\n\r\n0123\r\n--[^]*\r\n\r\n0123\r\n--/);
      const beyond = await ask(gateway, "/a?800000", "GET", "800000-");
      assert.equal(beyond.status, 416);
    });
    assert.equal(await runs(), 1);
  }));

Deno.test("a stored copy is validated, and its body stays where it is", () =>
  withSite(async ({ serve, runs, stored }) => {
    await serve(async (gateway) => {
      for (const target of ["/stale?800000", "/stale/b?8000"]) {
        await ask(gateway, target);
        const before = stored();
        await eventually(() => stored() > 0 && stored() >= before);
      }
      await eventually(() => stored() === 2);
    });
    await serve(async (gateway) => {
      for (const length of [800_000, 8000]) {
        const target = length === 8000 ? "/stale/b?8000" : "/stale?800000";
        const renewed = await ask(gateway, target);
        assert.match(renewed.said, /fwd=stale; fwd-status=304/);
        assert.ok(renewed.body === textOf(length));
        const again = await ask(gateway, target);
        assert.match(again.said, /hit/);
        assert.ok(again.body === textOf(length));
      }
      await eventually(() => stored() === 2);
    });
    assert.equal(await runs(), 4);
  }));

Deno.test("a stored copy is sent while the program fails, unless the disk has lost it", () =>
  withSite(async ({ serve, folder, stored }) => {
    await serve(async (gateway) => {
      await ask(gateway, "/stale?800000");
      await eventually(() => stored() === 1);
      await Deno.writeTextFile(`${folder}/fail`, "");
      const used = await ask(gateway, "/stale?800000");
      assert.match(used.said, /fwd=stale; fwd-status=503; detail=stale-if-error/);
      assert.ok(used.status === 200 && used.body === textOf(800_000));
      for (const { name } of Deno.readDirSync(`${folder}/store/copies`)) {
        await Deno.remove(`${folder}/store/copies/${name}`);
      }
      assert.equal((await ask(gateway, "/stale?800000")).status, 503);
      await Deno.remove(`${folder}/fail`);
      assert.equal((await ask(gateway, "/stale?800000")).status, 200);
    });
  }));

Deno.test("a purge reaches what lies on disk, and lasts", () =>
  withSite(async ({ serve, runs, stored }) => {
    const purge = async ({ admin }: TestGateway, query: string) => {
      const response = await fetch(`${admin}/purge?${query}`, { method: "POST" });
      return (await response.json()).purged;
    };
    await serve(async (gateway) => {
      for (const target of ["/a?800", "/b?800000", "/c?800", "/d?800"]) await ask(gateway, target);
      await eventually(() => stored() === 4);
      const metrics = await (await fetch(`${gateway.admin}/metrics`)).text();
      assert.match(metrics, /^portico_cache_store_entries\{http_route="\/\*"\} 4$/m);
      assert.equal(await purge(gateway, `url=http://a.test/a?800`), 1);
      assert.equal(await purge(gateway, `url=http://a.test/b?800000`), 1);
      assert.equal(stored(), 2);
      assert.equal(await purge(gateway, "key=key"), 2);
      assert.equal(stored(), 0);
      await ask(gateway, "/a?800");
      await eventually(() => stored() === 1);
      await ask(gateway, "/a?800", "DELETE");
      await eventually(() => stored() === 0);
    });
    assert.equal(await runs(), 6);
    await serve(async (gateway) => {
      assert.match((await ask(gateway, "/a?800")).said, /uri-miss/);
    });
  }));

Deno.test("a client that leaves leaves nothing on the disk", () =>
  withSite(async ({ serve, folder }) => {
    await writeScript(
      `${folder}/say.sh`,
      "#!/bin/sh\nprintf 'Cache-Control: max-age=60\\n" +
        "Content-Length: 800000\\n\\n'; yes | head -c 400000; sleep 30\n",
    );
    await serve(async (gateway) => {
      const leaving = new AbortController();
      const response = await fetch(`${gateway.base}/a`, { signal: leaving.signal });
      await response.body?.getReader().read();
      const files = () => [...Deno.readDirSync(`${folder}/store/copies`)].length;
      await eventually(() => files() === 1);
      leaving.abort();
      await eventually(() => files() === 0);
    });
  }));

Deno.test("routes that name one folder share it, and another size takes effect with a reload", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeScript(`${path}/say.sh`, SCRIPT);
  const route = (at: string, size: string, more = "") =>
    `  - {path: ${at}, cgi: ${path}/say.sh, cache: {${more}store: {dir: ${path}/store, ` +
    `maxEntry: 1MiB, maxSize: ${size}}}}\n`;
  const both = `routes:\n${route("/a/*", "1MiB")}${route("/b/*", "1MiB", "storeCookies: true, ")}`;
  const stored = () => wholeIn(`${path}/store/copies`);
  await withGateway(both, async (gateway) => {
    await ask(gateway, "/a/a?600000");
    await eventually(() => stored() === 1);
    await ask(gateway, "/b/b?600000");
    await eventually(async () => /hit/.test((await ask(gateway, "/b/b?600000")).said));
    await eventually(() => stored() === 1);
    await gateway.reload(`routes:\n${route("/b/*", "4MiB", "storeCookies: true, ")}`);
    for (let at = 0; at < 3; at++) await ask(gateway, `/b/${at}?600000`);
    await eventually(() => stored() === 4);
  });
});
