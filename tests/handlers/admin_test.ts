/**
 * The admin listener of a real gateway: what is counted of requests of several kinds, read strictly; who
 * may ask; reload and purge; and health while the server is told to stop.
 */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "../support/command.ts";
import { type Family, readExposition, valueOf } from "../support/exposition.ts";
import { eventually, rawExchange, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

const ADMIN = 'admin: {listen: "127.0.0.1:0"}';
const RESPOND = `${ADMIN}\nroutes: [{path: /, respond: hello}]`;
/** The head of a script's reply, for printf. */
const TEXT = "Content-Type: text/plain\\n\\n";
const OPENMETRICS = { accept: "application/openmetrics-text; version=1.0.0,text/plain;q=0.5" };

async function scrape({ admin }: TestGateway): Promise<Family[]> {
  const response = await fetch(`${admin}/metrics`, { headers: OPENMETRICS });
  assert.match(response.headers.get("content-type") ?? "", /^application\/openmetrics-text;/);
  return readExposition(await response.text(), "openmetrics");
}

// deno-lint-ignore no-explicit-any
async function status({ admin }: TestGateway): Promise<any> {
  return await (await fetch(`${admin}/status.json`)).json();
}

/** Asks and reads all of the answer; gives its status. */
async function ask(
  url: string,
  init?: RequestInit & { client?: Deno.HttpClient },
): Promise<number> {
  const response = await fetch(url, init);
  await response.body?.pipeTo(new WritableStream()).catch(() => {});
  return response.status;
}

/** Sends a request line and fields as they are, with a Host and in one go. */
function raw(url: string, line: string, fields: readonly string[]) {
  const head = [line, ...fields, "connection: close", "", ""].join("\r\n");
  return rawExchange(Number(new URL(url).port), head);
}

Deno.test("metrics count requests of several kinds by route, method, status and cause", async () => {
  await using temp = await tempFolder();
  await writeScript(`${temp.path}/ok.sh`, `#!/bin/sh\ncat >/dev/null\nprintf '${TEXT}12345'\n`);
  await writeScript(`${temp.path}/die.sh`, "#!/bin/sh\nexit 3\n");
  await writeScript(`${temp.path}/slow.sh`, `#!/bin/sh\nsleep 0.3\nprintf '${TEXT}slow'\n`);
  const table = `${ADMIN}
routes:
  - {path: /fixed, respond: hello}
  - {path: /ok, cgi: ${temp.path}/ok.sh}
  - {path: /die, cgi: ${temp.path}/die.sh, name: 'my "dying" route'}
  - {path: /slow, cgi: {script: ${temp.path}/slow.sh, maxProcesses: 1}}
  - {path: /gone, fastcgi: {connect: "unix:${temp.path}/nobody.sock", pool: {retryWindow: 10ms}}}`;
  await withGateway(table, async (gateway) => {
    const { base } = gateway;
    assert.equal(await ask(`${base}/fixed`), 200);
    assert.equal(await ask(`${base}/fixed`, { method: "HEAD" }), 200);
    assert.equal(await ask(`${base}/ok`, { method: "POST", body: "abc" }), 200);
    assert.equal(await ask(`${base}/die`), 502);
    assert.equal(await ask(`${base}/gone`), 502);
    assert.equal(await ask(`${base}/nothing?secret=x`), 404);
    const slow = [ask(`${base}/slow`), ask(`${base}/slow`)];
    const active = async () => valueOf(await scrape(gateway), "http_server_active_requests", SLOW);
    await eventually(async () => await active() === 2, 2000, "two requests under way");
    const waiting = await scrape(gateway);
    assert.equal(valueOf(waiting, "portico_pool_waiting_requests", SLOW), 1);
    assert.equal(valueOf(waiting, "portico_pool_connections", { ...SLOW, state: "busy" }), 1);
    assert.deepEqual(await Promise.all(slow), [200, 200]);
    await eventually(async () => await active() === 0, 2000, "the end of both");
    assertCounted(await scrape(gateway));
    const plain = await fetch(`${gateway.admin}/metrics`);
    assert.equal(plain.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    readExposition(await plain.text(), "plain");
    await assertReported(gateway);
  });
});

const SLOW = { http_route: "/slow" };
const DYING = { http_route: 'my "dying" route' };
const COUNT = "http_server_request_duration_seconds_count";

function assertCounted(all: readonly Family[]): void {
  const counted = (route: string, method: string, code: number) =>
    valueOf(all, COUNT, {
      http_route: route,
      http_request_method: method,
      http_response_status_code: String(code),
    });
  assert.equal(counted("/fixed", "GET", 200), 1);
  assert.equal(counted("/fixed", "HEAD", 200), 1);
  assert.equal(counted("/ok", "POST", 200), 1);
  assert.equal(counted(DYING.http_route, "GET", 502), 1);
  assert.equal(counted("/slow", "GET", 200), 2);
  assert.equal(valueOf(all, "portico_request_failures_total", { error_type: "no-route" }), 1);
  assert.equal(valueOf(all, "portico_request_failures_total", DYING), 1);
  assert.equal(valueOf(all, "portico_program_exits_total", { ...DYING, exit: "3" }), 1);
  assert.equal(valueOf(all, "portico_program_exits_total", { ...SLOW, exit: "0" }), 2);
  const ok = { http_route: "/ok" };
  assert.equal(valueOf(all, "http_server_response_body_size_bytes_sum", ok), 5);
  assert.equal(valueOf(all, "http_server_request_body_size_bytes_sum", ok), 3);
  const queued = valueOf(all, "portico_queue_seconds_sum", SLOW) ?? 0;
  assert.ok(queued > 0.1 && queued < 2, `queued for ${queued} s`);
  assert.equal(valueOf(all, "portico_spawn_seconds_count", SLOW), 2);
  const slow = valueOf(all, "http_server_request_duration_seconds_bucket", { ...SLOW, le: "0.25" });
  assert.equal(slow, 0);
  const info = valueOf(all, "portico_route_info", { http_route: "/gone", kind: "fastcgi" });
  assert.equal(info, 1);
}

async function assertReported(gateway: TestGateway): Promise<void> {
  const report = await status(gateway);
  assert.equal(report.requests, 8);
  assert.equal(report.failed, 2);
  assert.deepEqual(
    report.failures.map(({ path, status }: { path: string; status: number }) => [path, status]),
    [["/gone", 502], ["/die", 502]],
  );
  assert.equal(report.slowest[0].path, "/slow");
  assert.doesNotMatch(JSON.stringify(report), /secret/);
  assert.equal(report.minutes.length, 60);
  const sum = (of: "requests" | "failed") =>
    report.minutes.reduce((all: number, one: Record<string, number>) => all + (one[of] ?? 0), 0);
  assert.deepEqual([sum("requests"), sum("failed")], [8, 2]);
  assert.ok(report.latency.p99 >= 250);
}

testWith(["php-cgi"], "status tells of processes, and of one that was started again", async () => {
  await using temp = await tempFolder();
  await Deno.writeTextFile(`${temp.path}/index.php`, "<?php echo getmypid();");
  const table = `${ADMIN}
routes:
  - {path: /a/*, php: {root: ${temp.path}, spawn: {command: [php-cgi, -n], processes: 2}}}
  - {path: /b/*, php: {root: ${temp.path}, spawn: {command: [php-cgi, -n], processes: 2}}}`;
  await withGateway(table, async (gateway) => {
    assert.equal(await ask(`${gateway.base}/a/`), 200);
    const [first, second, ...none] = (await status(gateway)).processes;
    assert.deepEqual(none, [], "two routes share two processes");
    assert.deepEqual([first.state, second.state, first.restarts], ["ready", "ready", 0]);
    assert.equal(first.name.endsWith("php-cgi"), true);
    const families = await scrape(gateway);
    assert.equal(valueOf(families, "portico_processes", { state: "ready" }), 2);
    Deno.kill(first.pid, "SIGKILL");
    await eventually(async () => {
      const [again] = (await status(gateway)).processes;
      return again.state === "ready" && again.pid !== first.pid;
    });
    const [again] = (await status(gateway)).processes;
    assert.equal(again.restarts, 1);
    assert.match(again.lastExit, new RegExp(`pid ${first.pid}\\) died of SIGKILL`));
    assert.equal(valueOf(await scrape(gateway), "portico_process_restarts_total", {}), 1);
  });
});

Deno.test("counters outlive a reload; its routes come and go", async () => {
  await withGateway(RESPOND, async (gateway) => {
    await ask(gateway.base);
    await gateway.reload(
      RESPOND.replace("hello", "again").replace("path: /,", "path: /*, name: /,"),
    );
    await ask(`${gateway.base}/more`);
    assert.equal(valueOf(await scrape(gateway), COUNT, { http_route: "/" }), 2);
    await gateway.reload("routes: [{path: /, respond: bare}]");
    await assert.rejects(fetch(`${gateway.admin}/healthz`), TypeError);
    assert.equal(await ask(gateway.base), 200);
  });
});

Deno.test("the cache is counted, and purged by URL, by key, or as a whole", async () => {
  await using temp = await tempFolder();
  const fields = "Content-Type: text/plain\\nCache-Control: max-age=60\\nSurrogate-Key: news\\n";
  await writeScript(`${temp.path}/page.sh`, `#!/bin/sh\nprintf '${fields}\\npage'\n`);
  const cache = "cache: {defaultTtl: 60s}";
  const table = `${ADMIN}\nroutes: [{path: /*, cgi: ${temp.path}/page.sh, ${cache}}]`;
  await withGateway(table, async (gateway) => {
    const { base, admin } = gateway;
    const fill = async () => {
      for (const name of ["a", "b", "a"]) await ask(`${base}/${name}`);
    };
    const purge = async (query: string) =>
      await (await fetch(`${admin}/purge?${query}`, { method: "POST" })).text();
    await fill();
    await ask(`${base}/c`, { method: "OPTIONS" });
    const [report] = (await status(gateway)).caches;
    assert.deepEqual([report.entries, report.lookUps, report.hits], [2, 3, 1]);
    const families = await scrape(gateway);
    assert.equal(valueOf(families, "portico_cache_hits_total", { http_route: "/*" }), 1);
    const forwarded = (why: string) => valueOf(families, "portico_cache_forwarded_total", { why });
    assert.deepEqual([forwarded("uri-miss"), forwarded("method")], [2, 1]);
    assert.deepEqual(report.forwarded, { "uri-miss": 2, method: 1 });
    assert.equal(await purge(`url=${encodeURIComponent(`${base}/a`)}`), '{"purged":1}\n');
    assert.equal(await purge("key=other"), '{"purged":0}\n');
    assert.equal(await purge("key=news"), '{"purged":1}\n');
    await fill();
    assert.equal(await purge("all"), '{"purged":2}\n');
    for (const query of ["", "url=a", "key=", "all=1", "what=1"]) {
      assert.match(await purge(query), /^Write POST/, query);
    }
  });
});

Deno.test("the admin listener answers what it knows, and nothing else", async () => {
  await withGateway(RESPOND, async ({ admin }) => {
    const told = async (path: string, init?: RequestInit) => {
      const response = await fetch(admin + path, init);
      return [response.status, await response.text(), response.headers.get("allow")];
    };
    assert.deepEqual(await told("/healthz"), [200, "ok\n", null]);
    assert.deepEqual(await told("/readyz"), [200, "ready\n", null]);
    assert.deepEqual(await told("/healthz", { method: "HEAD" }), [200, "", null]);
    assert.deepEqual((await told("/metrics", { method: "POST" }))[2], "GET, HEAD");
    assert.deepEqual((await told("/reload"))[2], "POST");
    assert.deepEqual((await told("/purge"))[0], 405);
    assert.deepEqual((await told("/toString"))[0], 404);
    assert.deepEqual((await told("//"))[0], 404);
  });
});

for (
  const [what, line, fields, code] of [
    ["another site's form", "POST /reload HTTP/1.1", ["origin: https://evil.example"], 403],
    ["a sandboxed frame", "POST /reload HTTP/1.1", ["origin: null"], 403],
    ["another site's image", "GET /status.json HTTP/1.1", ["sec-fetch-site: cross-site"], 403],
    ["a page on another port", "GET /metrics HTTP/1.1", ["sec-fetch-site: same-site"], 403],
    ["the page itself", "GET /status.json HTTP/1.1", ["sec-fetch-site: same-origin"], 200],
    ["the address bar", "GET / HTTP/1.1", ["sec-fetch-site: none"], 200],
  ] as const
) {
  Deno.test(`the admin listener answers ${what} with ${code}`, async () => {
    await withGateway(RESPOND, async ({ admin }) => {
      const { host } = new URL(admin);
      assert.equal((await raw(admin, line, [`host: ${host}`, ...fields])).status, code);
    });
  });
}

Deno.test("the admin listener refuses a name that was bent to this machine (DNS rebinding)", async () => {
  await withGateway(RESPOND, async ({ admin }) => {
    const asked = async (host: string) =>
      (await raw(admin, "GET /status.json HTTP/1.1", [`host: ${host}`])).status;
    assert.equal(await asked("evil.example:9180"), 403);
    assert.equal(await asked("127.0.0.1.evil.example"), 403);
    assert.equal(await asked("localhost:9180"), 200);
    assert.equal(await asked("[::1]:9180"), 200);
  });
});

Deno.test("a token is asked for by all but health and the page", async () => {
  const [old, next] = ["the-old-token-0123456789", "the-new-token-0123456789"];
  Deno.env.set("PORTICO_TEST_TOKEN", `${old} ${next}`);
  const table = `admin: {listen: "127.0.0.1:0", token: {env: PORTICO_TEST_TOKEN}}
routes: [{path: /, respond: hello}]`;
  try {
    await withGateway(table, async ({ admin }) => {
      const asked = async (path: string, authorization?: string) => {
        const method = path === "/reload" ? "POST" : "GET";
        const headers = authorization === undefined ? undefined : { authorization };
        return await ask(admin + path, { method, ...(headers && { headers }) });
      };
      for (const path of ["/", "/healthz", "/readyz"]) assert.equal(await asked(path), 200, path);
      for (const path of ["/metrics", "/status.json", "/reload"]) {
        assert.equal(await asked(path), 401, path);
        for (
          const wrong of ["Bearer ", `Basic ${old}`, `Bearer ${old}x`, `Bearer ${old} ${next}`]
        ) {
          assert.equal(await asked(path, wrong), 401, wrong);
        }
        assert.equal(await asked(path, `Bearer ${old}`), 200, path);
        assert.equal(await asked(path, `bearer ${next}`), 200, path);
      }
    });
    Deno.env.set("PORTICO_TEST_TOKEN", "short");
    await assert.rejects(withGateway(table, () => Promise.resolve()), /fewer than 16 characters/);
    Deno.env.delete("PORTICO_TEST_TOKEN");
    await assert.rejects(
      withGateway(table, () => Promise.resolve()),
      /set the variable PORTICO_TEST/,
    );
  } finally {
    Deno.env.delete("PORTICO_TEST_TOKEN");
  }
});

Deno.test("POST /reload puts the file in place, and answers with its faults", async () => {
  await using temp = await tempFolder();
  const file = `${temp.path}/routes.yaml`;
  const write = (word: string) =>
    Deno.writeTextFile(
      file,
      `server: {listen: "127.0.0.1:0"}\nadmin: {listen: "127.0.0.1:0"}\nroutes: [{path: /, ${word}}]\n`,
    );
  await write("respond: one");
  await using running = await startPortico(["-c", file]);
  await eventually(() => running.out().includes("status on"));
  const admin = /^portico: status on (\S+)$/m.exec(running.out())?.[1] ?? "";
  const reload = async () => {
    const response = await fetch(`${admin}/reload`, { method: "POST" });
    return [response.status, await response.text()];
  };
  const served = async () => await (await fetch(running.base)).text();
  await write("respond: two");
  assert.equal(await served(), "one");
  assert.deepEqual(await reload(), [200, '{"reloaded":true}\n']);
  assert.equal(await served(), "two");
  await write("respnd: three");
  const [code, why] = await reload();
  assert.equal(code, 422);
  assert.match(String(why), /routes\.yaml:3:\d+: .*respnd/);
  assert.equal(await served(), "two");
  const several = await Promise.all([reload(), reload()]);
  assert.deepEqual(several.map(([code]) => code), [422, 422]);
});

Deno.test("readiness falls first at SIGTERM; health stays, and so do requests", async () => {
  await using temp = await tempFolder();
  await writeScript(`${temp.path}/slow.sh`, `#!/bin/sh\nsleep 1.5\nprintf '${TEXT}whole'\n`);
  const file = `${temp.path}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `server: {listen: "127.0.0.1:0", drainDelay: 700ms}
admin: {listen: "unix:${temp.path}/a.sock"}
routes: [{path: /, respond: hi}, {path: /slow, cgi: ${temp.path}/slow.sh}]
`,
  );
  await using running = await startPortico(["-c", file]);
  await eventually(() => running.out().includes("status on"));
  assert.match(running.out(), /^portico: status on unix:.*a\.sock$/m);
  using client = Deno.createHttpClient({
    proxy: { transport: "unix", path: `${temp.path}/a.sock` },
    poolMaxIdlePerHost: 0,
  });
  const asked = (path: string) => ask(`http://any.example${path}`, { client });
  assert.deepEqual([await asked("/readyz"), await asked("/healthz")], [200, 200]);
  const slow = fetch(`${running.base}/slow`).then((response) => response.text());
  await new Promise((resolve) => setTimeout(resolve, 200));
  running.signal("SIGTERM");
  await eventually(async () => await asked("/readyz") === 503, 600);
  assert.equal(await ask(running.base), 200, "requests are still welcome");
  await new Promise((resolve) => setTimeout(resolve, 800));
  await assert.rejects(ask(running.base), TypeError, "they are not any more");
  assert.deepEqual([await asked("/healthz"), await asked("/readyz")], [200, 503]);
  assert.equal(await slow, "whole");
  assert.equal((await running.ended).code, 0);
});

Deno.test("slow requests have a line of their own, with their phases and without their query", async () => {
  await using temp = await tempFolder();
  await writeScript(`${temp.path}/slow.sh`, `#!/bin/sh\nsleep 0.2\nprintf '${TEXT}a'; sleep 0.1\n`);
  const table = `server:
  slowRequest: 150ms
  accessLog: json
routes: [{path: /quick, respond: hi}, {path: /slow, cgi: {script: ${temp.path}/slow.sh, maxProcesses: 1}}]`;
  await withGateway(table, async ({ base, log }) => {
    const asked = ["/quick", "/slow", "/slow?secret=1"].map((path) => ask(base + path));
    assert.deepEqual(await Promise.all(asked), [200, 200, 200]);
    const slow = async () =>
      (await log()).trim().split("\n").map((line) => JSON.parse(line))
        .filter(({ level }) => level === "slow");
    await eventually(async () => (await slow()).length === 2);
    const lines = await slow();
    for (const line of lines) {
      assert.deepEqual([line.route, line.kind, line.status, line.path], [
        "/slow",
        "cgi",
        200,
        "/slow",
      ]);
      assert.ok(line.ttfbMs >= 190 && line.bodyMs >= 0, JSON.stringify(line));
      assert.doesNotMatch(JSON.stringify(line), /secret/);
    }
    assert.equal(lines.filter(({ queueMs }) => queueMs > 150).length, 1, "one had to wait");
  });
});

Deno.test("unit k8s asks the admin listener for health, and waits for the delay too", async () => {
  await using temp = await tempFolder();
  const file = `${temp.path}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `server: {listen: ":8080", drainDelay: 5s, drainTimeout: 30s}
admin: {listen: ":9180", token: {env: PORTICO_TOKEN}}
routes: [{path: /, respond: hi}]
`,
  );
  const { code, out, err } = await runPortico(["unit", "k8s", "-c", file]);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /httpGet: \{ path: \/readyz, port: 9180 \}/);
  assert.match(out, /httpGet: \{ path: \/healthz, port: 9180 \}/);
  const grace = Number(/terminationGracePeriodSeconds: (\d+)/.exec(out)?.[1]);
  assert.ok(grace >= 45, `a grace of ${grace} s`);
});
