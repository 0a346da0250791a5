/** One admin listener for all workers: what it counts is what all have counted, and its orders are for all. */
import assert from "node:assert/strict";
import { readExposition, valueOf } from "../support/exposition.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { answers, ask, LISTEN, type Site, withWorkers } from "../support/workers.ts";

const SERVER = `${LISTEN}, workers: 2, accessLog: off`;
const ROUTES = `  - {path: /w, wsgi: ./app.ts}
  - {path: /v, respond: one}
  - {path: /c, cache: {defaultTtl: 1h}, wsgi: ./app.ts}
admin: {listen: "127.0.0.1:0"}`;

async function adminOf({ running }: Site): Promise<string> {
  await eventually(() => running.out().includes("status on"));
  return /^portico: status on (\S+)$/m.exec(running.out())?.[1] ?? "";
}

async function metrics(admin: string) {
  return readExposition(await (await fetch(`${admin}/metrics`)).text(), "plain");
}

// deno-lint-ignore no-explicit-any
async function status(admin: string): Promise<any> {
  return await (await fetch(`${admin}/status.json`)).json();
}

async function readiness(admin: string): Promise<number> {
  const response = await fetch(`${admin}/readyz`);
  await response.body?.cancel();
  return response.status;
}

async function countOf(admin: string, route: string): Promise<number> {
  const all = await metrics(admin);
  const labels = { http_route: route, http_request_method: "GET" };
  return valueOf(all, "http_server_request_duration_seconds_count", labels) ?? 0;
}

Deno.test("workers: figures are those of all, and do not fall when one is killed", async () => {
  await withWorkers(SERVER, ROUTES, async (site) => {
    const { base } = site.running;
    const admin = await adminOf(site);
    await answers(`${base}/v`, 60);
    const pids = await answers(`${base}/w?pid`, 40);
    assert.equal(await countOf(admin, "/v"), 60);
    const before = await status(admin);
    assert.equal(before.requests, 100);
    assert.deepEqual(
      new Set(before.workers.map(({ pid }: { pid: number }) => String(pid))),
      pids,
    );
    assert.ok(
      before.workers.every(({ memoryBytes }: { memoryBytes: number }) => memoryBytes > 1e6),
    );
    const [victim] = pids;
    Deno.kill(Number(victim), "SIGKILL");
    await eventually(async () => await readiness(admin) === 503);
    await eventually(() => site.running.err().includes("serves again"));
    assert.equal(await readiness(admin), 200);
    assert.equal(await countOf(admin, "/v"), 60);
    await answers(`${base}/v`, 10);
    assert.equal(await countOf(admin, "/v"), 70);
    const all = await metrics(admin);
    assert.equal(valueOf(all, "portico_workers", { state: "ready" }), 2);
    const restarts = [1, 2].map((worker) =>
      valueOf(all, "portico_worker_restarts_total", { worker: String(worker) })
    );
    assert.deepEqual(restarts.toSorted(), [0, 1]);
    const after = await status(admin);
    const exits = after.workers.map(({ lastExit }: { lastExit?: string }) => lastExit);
    assert.ok(exits.includes("died of SIGKILL"));
    assert.equal(valueOf(all, "http_server_active_requests", { http_route: "/v" }), 0);
  });
});

Deno.test("workers: what is under way is counted over all of them", async () => {
  await withWorkers(SERVER, ROUTES, async (site) => {
    const admin = await adminOf(site);
    const { base } = site.running;
    const slow = Array.from({ length: 12 }, () => ask(`${base}/w?slow`));
    const active = async () =>
      valueOf(await metrics(admin), "http_server_active_requests", { http_route: "/w" });
    await eventually(async () => await active() === 12);
    assert.equal((await status(admin)).active, 12);
    await Promise.all(slow);
    assert.equal(await active(), 0);
  });
});

Deno.test("workers: POST /purge and /reload are for all of them", async () => {
  await withWorkers(SERVER, ROUTES, async (site) => {
    const admin = await adminOf(site);
    const { base } = site.running;
    const post = async (path: string) => {
      const response = await fetch(`${admin}${path}`, { method: "POST" });
      return [response.status, await response.text()];
    };
    // Each worker has a copy of its own.
    assert.equal((await answers(`${base}/c`)).size, 2);
    assert.equal((await status(admin)).caches[0].entries, 2);
    assert.deepEqual(await post("/purge?all"), [200, '{"purged":2}\n']);
    assert.equal((await status(admin)).caches[0].entries, 0);
    await site.write(SERVER, ROUTES.replace("one", "two"));
    assert.deepEqual(await post("/reload"), [200, '{"reloaded":true}\n']);
    assert.deepEqual(await answers(`${base}/v`), new Set(["two"]));
    await site.write(SERVER, ROUTES.replace("respond", "respnd"));
    assert.equal((await post("/reload"))[0], 422);
    assert.deepEqual(await answers(`${base}/v`), new Set(["two"]));
  });
});

testWith(["php-cgi"], "workers: programs are listed once, with pools over all", async () => {
  const routes = `  - {path: /*.php, fastcgi: {spawn: {command: php-cgi, processes: 3}, root: .}}
admin: {listen: "127.0.0.1:0"}`;
  await withWorkers(SERVER, routes, async (site) => {
    const admin = await adminOf(site);
    await Deno.writeTextFile(`${site.folder}/p.php`, "<?php echo getmypid();");
    const pids = await answers(`${site.running.base}/p.php`, 60);
    await eventually(async () => {
      const { processes } = await status(admin);
      const served = processes.map(({ served }: { served: number }) => served);
      return served.reduce((a: number, b: number) => a + b, 0) === 60;
    });
    const { processes, pools } = await status(admin);
    assert.deepEqual(
      new Set(processes.map(({ pid }: { pid: number }) => String(pid))).isSupersetOf(pids),
      true,
    );
    assert.equal(processes.length, 3);
    assert.equal(pools.length, 1);
    assert.equal(pools[0].max, 3);
    const all = await metrics(admin);
    const labels = { http_route: "/*.php", state: "ready" };
    assert.equal(valueOf(all, "portico_processes", labels), 3);
  });
});

Deno.test("workers: SIGUSR1 opens the access log of all anew", async () => {
  const server = `${LISTEN}, workers: 2, accessLogFile: access.log`;
  await withWorkers(server, ROUTES, async ({ running, folder }) => {
    const log = `${folder}/access.log`;
    const lines = async (file: string) =>
      (await Deno.readTextFile(file).catch(() => "")).split("\n").length - 1;
    await answers(`${running.base}/v?first`);
    await eventually(async () => await lines(log) === 40);
    await Deno.rename(log, `${log}.1`);
    running.signal("SIGUSR1");
    await eventually(() => Deno.stat(log).then(() => true, () => false));
    // The others follow at once, but nothing tells when.
    await eventually(async () => {
      await answers(`${running.base}/v?more`, 20);
      await new Promise((resolve) => setTimeout(resolve, 150));
      const before = await lines(`${log}.1`);
      await answers(`${running.base}/v?last`, 20);
      await new Promise((resolve) => setTimeout(resolve, 150));
      return await lines(`${log}.1`) === before;
    });
    assert.ok(await lines(log) > 0);
  });
});
