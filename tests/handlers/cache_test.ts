/**
 * The route-wide option `cache`: a shell script behind it that counts how often it runs and says what the
 * request tells it to, so that every answer shows whether it came from the program or from a copy.
 */
import assert from "node:assert/strict";
import { Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

/** Answers with the fields of X-Say, one after each `|`; a file `fail` makes it fail. */
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")"
echo "$REQUEST_METHOD $HTTP_IF_NONE_MATCH" >> runs
run=$(wc -l < runs)
[ -z "$HTTP_X_SLEEP" ] || sleep "$HTTP_X_SLEEP"
[ ! -e fail ] || { printf 'Status: 503\\n\\nbroken'; exit; }
if [ -n "$HTTP_IF_NONE_MATCH" ] && [ -e same ]; then
  printf 'Status: 304\\nETag: %s\\nCache-Control: max-age=60\\n\\n' "$HTTP_IF_NONE_MATCH"; exit
fi
printf '%s\\n\\n' "$HTTP_X_SAY" | tr '|' '\\n'
printf 'run %04d for %s' "$run" "$HTTP_ACCEPT_LANGUAGE"
[ -z "$HTTP_X_PAUSE" ] || { sleep "$HTTP_X_PAUSE"; printf ' and more'; }
`;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

interface Site {
  readonly gateway: TestGateway;
  readonly folder: string;
  ask(path: string, say: string, init?: RequestInit): Promise<Answer>;
  /** How often the script has run so far. */
  runs(): Promise<number>;
  lastRun(): Promise<string>;
}

async function withSite(
  options: string,
  body: (site: Site) => Promise<void>,
  more = "",
): Promise<void> {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeScript(`${path}/say.sh`, SCRIPT);
  const table = `routes: [{path: /*, cgi: ${path}/say.sh, cache: ${options}${more}}]`;
  const lines = async () => {
    const text = await Deno.readTextFile(`${path}/runs`).catch(() => "");
    return text.split("\n").slice(0, -1);
  };
  await withGateway(table, (gateway) =>
    body({
      gateway,
      folder: path,
      async ask(target, say, init = {}) {
        const headers = new Headers(init.headers);
        headers.set(
          "x-say",
          ["Content-Type: text/plain", ...say.split("|")].filter(Boolean).join("|"),
        );
        const response = await fetch(gateway.base + target, {
          ...init,
          headers,
          redirect: "manual",
        });
        const { status } = response;
        return { status, headers: response.headers, body: await response.text() };
      },
      runs: async () => (await lines()).length,
      lastRun: async () => (await lines()).at(-1) ?? "",
    }));
}

function statusOf({ headers }: Answer): string {
  return headers.get("cache-status") ?? "";
}

testWith(["sh"], "cache keeps what may be kept, and answers with it", async () => {
  await withSite("true", async ({ ask, runs }) => {
    const first = await ask("/a?x=1", "Cache-Control: max-age=60");
    assert.match(statusOf(first), /^portico; fwd=uri-miss; stored; ttl=60$/);
    const second = await ask("/a?x=1", "");
    assert.match(statusOf(second), /^portico; hit; ttl=(60|59)$/);
    assert.equal(second.body, first.body);
    assert.match(second.headers.get("age") ?? "", /^[01]$/);
    assert.ok(second.headers.has("date"));
    assert.equal(second.headers.get("content-type"), "text/plain");
    assert.equal(await runs(), 1);
    assert.match(statusOf(await ask("/a?x=2", "Cache-Control: max-age=60")), /uri-miss/);
    const head = await ask("/a?x=1", "", { method: "HEAD" });
    assert.equal(head.headers.get("content-length"), String(first.body.length));
    assert.match(statusOf(head), /hit/);
    assert.equal(await runs(), 2);
  });
});

testWith(["sh"], "cache never keeps what it must not", async () => {
  await withSite("{defaultTtl: 60s}", async ({ ask, runs }) => {
    const rows: [say: string, init?: RequestInit][] = [
      ["Cache-Control: no-store"],
      ["Cache-Control: private, max-age=60"],
      ["Cache-Control: max-age=60|CDN-Cache-Control: no-store"],
      ["Cache-Control: max-age=60|Set-Cookie: a=1"],
      ["Cache-Control: max-age=60|Vary: *"],
      ["Cache-Control: max-age=0"],
      ["Expires: 0"],
      ["Status: 500"],
      ["Cache-Control: max-age=60", { headers: { authorization: "Basic eDp5" } }],
      ["Cache-Control: max-age=60", { headers: { "cache-control": "no-store" } }],
      ["X-Nothing: said", { headers: { cookie: "session=1" } }],
      ["Cache-Control: max-age=60", { method: "POST", body: "x" }],
      ["Cache-Control: max-age=60", { method: "HEAD" }],
      ["Cache-Control: max-age=60", { headers: { range: "bytes=0-1" } }],
    ];
    for (const [at, [say, init]] of rows.entries()) {
      const before = await runs();
      await ask(`/${at}`, say, init);
      const again = await ask(`/${at}`, say, init);
      assert.equal(await runs() - before, 2, `${say} ${JSON.stringify(init)}`);
      assert.doesNotMatch(statusOf(again), /hit/, say);
    }
  });
});

testWith(
  ["sh"],
  "cache keeps for all what credentials were shown for, with leave alone",
  async () => {
    await withSite("true", async ({ ask, runs }) => {
      const headers = { authorization: "Basic eDp5" };
      await ask("/a", "Cache-Control: s-maxage=60", { headers });
      assert.match(statusOf(await ask("/a", "", { headers })), /hit/);
      assert.match(statusOf(await ask("/a", "")), /hit/);
      await ask("/b", "Cache-Control: max-age=60");
      assert.match(statusOf(await ask("/b", "", { headers })), /fwd=bypass/);
      assert.equal(await runs(), 3);
    });
  },
);

testWith(
  ["sh"],
  "cache goes by CDN-Cache-Control where it stands, and by defaultTtl where nothing does",
  async () => {
    await withSite("{defaultTtl: 60s}", async ({ ask }) => {
      const cdn = "Cache-Control: no-cache|CDN-Cache-Control: max-age=60";
      assert.match(statusOf(await ask("/cdn", cdn)), /stored; ttl=60/);
      const hit = await ask("/cdn", "");
      assert.match(statusOf(hit), /hit/);
      assert.equal(hit.headers.get("cache-control"), "no-cache");
      assert.match(statusOf(await ask("/bare", "X-Nothing: said")), /stored; ttl=60/);
      assert.match(statusOf(await ask("/bare", "")), /hit/);
    });
  },
);

testWith(["sh"], "cache tells requests apart by what the reply varies by", async () => {
  await withSite("true", async ({ ask, runs }) => {
    const say = "Cache-Control: max-age=60|Vary: Accept-Language";
    const of = (language: string) => ask("/v", say, { headers: { "accept-language": language } });
    const german = await of("de");
    assert.match(statusOf(await of("en")), /vary-miss/);
    const again = await of("de");
    assert.match(statusOf(again), /hit/);
    assert.equal(again.body, german.body);
    assert.equal(await runs(), 2);
  });
});

testWith(["sh"], "cache meets conditions and ranges from a copy", async () => {
  await withSite("true", async ({ ask, runs }) => {
    // A condition does not keep the whole from being fetched and kept.
    const headers = { "if-none-match": '"v1"' };
    const say = 'Cache-Control: max-age=60|ETag: "v1"';
    assert.equal((await ask("/c", say, { headers })).status, 304);
    const whole = await ask("/c", say);
    assert.match(statusOf(whole), /hit|collapsed/);
    assert.equal((await ask("/c", say, { headers })).status, 304);
    const part = await ask("/c", say, { headers: { range: "bytes=4-7" } });
    assert.equal(part.status, 206);
    assert.equal(part.body, whole.body.slice(4, 8));
    assert.equal(part.headers.get("content-range"), `bytes 4-7/${whole.body.length}`);
    const failed = await ask("/c", say, { headers: { "if-match": '"v2"' } });
    assert.equal(failed.status, 412);
    assert.equal((await ask("/c", say, { headers: { range: "bytes=999-" } })).status, 416);
    assert.equal(await runs(), 1);
  });
});

testWith(["sh"], "cache asks the program whether a stale copy holds", async () => {
  await withSite("true", async ({ ask, folder, lastRun }) => {
    await Deno.writeTextFile(`${folder}/same`, "");
    const first = await ask("/r", 'Cache-Control: no-cache|ETag: "v1"|X-Mine: kept');
    const second = await ask("/r", "");
    assert.equal(await lastRun(), 'GET "v1"');
    assert.match(statusOf(second), /fwd=stale; fwd-status=304/);
    assert.equal(second.status, 200);
    assert.equal(second.body, first.body);
    assert.equal(second.headers.get("x-mine"), "kept");
    assert.equal(second.headers.get("cache-control"), "max-age=60");
    assert.match(statusOf(await ask("/r", "")), /hit/);
  });
});

testWith(["sh"], "cache sends a stale copy while it fetches a new one", async () => {
  await withSite("true", async ({ ask, runs }) => {
    const say = "Cache-Control: max-age=1, stale-while-revalidate=60";
    const first = await ask("/s", say);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const stale = await ask("/s", say);
    assert.equal(stale.body, first.body);
    assert.match(statusOf(stale), /hit; ttl=-\d/);
    await eventually(async () => await runs() === 2);
    await eventually(async () => (await ask("/s", say)).body !== first.body);
    assert.equal(await runs(), 2);
  });
});

testWith(["sh"], "cache sends a stale copy while the program fails, and not for ever", async () => {
  await withSite("true", async ({ ask, folder, runs }) => {
    const first = await ask("/e", "Cache-Control: max-age=1, stale-if-error=60");
    await ask("/f", "Cache-Control: max-age=1");
    await Deno.writeTextFile(`${folder}/fail`, "");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const stale = await ask("/e", "");
    assert.equal(stale.body, first.body);
    assert.match(statusOf(stale), /fwd=stale; fwd-status=503; detail=stale-if-error/);
    assert.equal((await ask("/e", "")).body, first.body);
    assert.equal(await runs(), 3, "a program that fails is left in peace for a second");
    assert.equal((await ask("/f", "")).status, 503);
  });
});

testWith(["sh"], "cache asks once for what 100 ask for at once", async () => {
  await withSite("true", async ({ ask, runs }) => {
    const rows: [path: string, say: string][] = [
      ["/length-unknown", "Cache-Control: max-age=60"],
      ["/length-known", "Cache-Control: max-age=60|Content-Length: 13"],
    ];
    for (const [path, say] of rows) {
      const before = await runs();
      const init = { headers: { "x-sleep": "0.3" } };
      const answers = await Promise.all(Array.from({ length: 100 }, () => ask(path, say, init)));
      assert.equal(await runs() - before, 1, path);
      const [first] = answers;
      assert.ok(answers.every(({ body, status }) => status === 200 && body === first?.body));
      const collapsed = answers.filter((answer) => /collapsed/.test(statusOf(answer)));
      assert.equal(collapsed.length, 99, path);
    }
  });
});

testWith(
  ["sh"],
  "cache lets those who wait go on their own when the answer is for one alone",
  async () => {
    await withSite("true", async ({ ask, runs }) => {
      const init = { headers: { "x-sleep": "0.6" } };
      const asking = () => ask("/p", "Cache-Control: private", init);
      const answers = await Promise.all(Array.from({ length: 4 }, asking));
      assert.ok(answers.every(({ status }) => status === 200));
      assert.equal(await runs(), 4);
      // Known by now: nobody waits for anybody.
      const started = performance.now();
      await Promise.all(Array.from({ length: 2 }, asking));
      assert.ok(performance.now() - started < 1150);
    });
  },
);

testWith(
  ["sh"],
  "cache goes on fetching for those who wait when the first one leaves",
  async () => {
    await withSite("true", async ({ ask, gateway, runs }) => {
      const first = await Client.send(gateway.port, {
        target: "/l",
        host: `127.0.0.1:${gateway.port}`,
        headers: {
          "X-Say": "Cache-Control: max-age=60",
          "X-Sleep": "0.6",
        },
      });
      await eventually(async () => await runs() === 1);
      const second = ask("/l", "");
      await new Promise((resolve) => setTimeout(resolve, 100));
      first.close();
      assert.equal((await second).body, "run 0001 for ");
      assert.equal(await runs(), 1);
    });
  },
);

testWith(
  ["sh"],
  "cache streams what it keeps, and follows a body that is still coming",
  async () => {
    await withSite("true", async ({ gateway, runs }) => {
      const say = "Content-Type: text/plain|Cache-Control: max-age=60|Content-Length: 22";
      const headers = { "X-Say": say, "X-Pause": "0.5", "Accept-Language": "x" };
      using first = await Client.send(gateway.port, { target: "/t", headers });
      assert.equal((await first.head()).status, 200);
      const started = performance.now();
      using second = await Client.send(gateway.port, { target: "/t", headers });
      const head = await second.head();
      assert.match(head.get("cache-status") ?? "", /collapsed/);
      assert.ok((await second.some())?.startsWith("run 0001"));
      assert.ok(performance.now() - started < 400, "the second has to wait for the end");
      assert.equal(await runs(), 1);
    });
  },
);

testWith(["sh"], "cache does not keep what is too long, nor what breaks off", async () => {
  await withSite("{maxSize: 4KiB, maxEntry: 16}", async ({ ask, runs }) => {
    const init = { headers: { "x-pause": "0.1" } };
    const long = await ask("/long", "Cache-Control: max-age=60", init);
    assert.match(long.body, / and more$/);
    assert.match(statusOf(await ask("/long", "Cache-Control: max-age=60", init)), /fwd=uri-miss/);
    const short = "Cache-Control: max-age=60|Content-Length: 16";
    await ask("/short", short).catch(() => {});
    await ask("/short", short).catch(() => {});
    const broken = "Cache-Control: max-age=60|Content-Length: 15";
    await assert.rejects(async () => (await ask("/b", `${broken}0`)).body.length);
    assert.ok(await runs() >= 5);
  });
});

testWith(["sh"], "cache forgets what an unsafe method may have changed", async () => {
  await withSite("true", async ({ ask, runs }) => {
    const say = "Cache-Control: max-age=60";
    for (const path of ["/x", "/y", "/z"]) await ask(path, say);
    await ask("/x", "Location: /y", { method: "POST", body: "x" });
    await ask("/z", "Status: 404", { method: "DELETE" });
    assert.match(statusOf(await ask("/x", say)), /uri-miss/);
    assert.match(statusOf(await ask("/y", say)), /uri-miss/);
    assert.match(statusOf(await ask("/z", say)), /hit/);
    assert.equal(await runs(), 7);
  });
});

testWith(
  ["sh"],
  "cache outlives a reload, and clientDirectives lets clients ask for something newer",
  async () => {
    await withSite("{clientDirectives: true}", async ({ ask, gateway, folder, runs }) => {
      const say = "Cache-Control: max-age=60";
      await ask("/x", say);
      await gateway.reload(
        `routes: [{path: /*, cgi: ${folder}/say.sh, timeout: 9s, cache: {clientDirectives: true}}]`,
      );
      assert.match(statusOf(await ask("/x", say)), /hit/);
      const headers = { "cache-control": "no-cache" };
      assert.match(statusOf(await ask("/x", say, { headers })), /fwd=request/);
      const only = { headers: { "cache-control": "only-if-cached" } };
      assert.match(statusOf(await ask("/x", say, only)), /hit/);
      assert.equal((await ask("/none", say, only)).status, 504);
      assert.equal(await runs(), 2);
    });
  },
);

testWith(["sh"], "cache by default lets no client make the program work", async () => {
  await withSite("true", async ({ ask, runs }) => {
    await ask("/x", "Cache-Control: max-age=60");
    for (const value of ["no-cache", "max-age=0", "no-store"]) {
      const answer = await ask("/x", "", {
        headers: { "cache-control": value, pragma: "no-cache" },
      });
      assert.match(statusOf(answer), /hit/, value);
    }
    assert.equal(await runs(), 1);
  });
});

testWith(["sh"], "cache keeps compressed replies as they are, one for each coding", async () => {
  const more = ", compress: [gzip]";
  await withSite("true", async ({ ask, gateway, runs }) => {
    const say = 'Cache-Control: max-age=60|ETag: "v1"';
    const headers = {
      "x-say": `Content-Type: text/plain|${say}`,
      "accept-language": "x".repeat(3000),
    };
    const gzipped = await fetch(`${gateway.base}/z`, {
      headers: { ...headers, "accept-encoding": "gzip" },
    });
    assert.equal(gzipped.headers.get("vary"), "Accept-Encoding");
    const text = await gzipped.text();
    const other = { ...headers, "accept-encoding": "br;q=0.1,  gzip;q=0.9" };
    const hit = await fetch(`${gateway.base}/z`, { headers: other });
    assert.match(hit.headers.get("cache-status") ?? "", /hit/);
    assert.equal(hit.headers.get("etag"), 'W/"v1"');
    assert.equal(await hit.text(), text);
    assert.equal(await runs(), 1);
    const plain = await ask("/z", say, { headers: { ...headers, "accept-encoding": "identity" } });
    assert.match(statusOf(plain), /vary-miss/);
    assert.equal(plain.headers.get("etag"), '"v1"');
    assert.equal(await runs(), 2);
  }, more);
});
