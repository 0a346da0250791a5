/** Workers together with what else the server can do: spans, the other listener, copies on disk. */
import assert from "node:assert/strict";
import { startCollector } from "../support/collector.ts";
import { readExposition, valueOf } from "../support/exposition.ts";
import { eventually } from "../support/gateway.ts";
import { answers, ask, LISTEN, reload, type Site, withWorkers } from "../support/workers.ts";

const SERVER = `${LISTEN}, workers: 2, accessLog: off`;
const ADMIN = `admin: {listen: "127.0.0.1:0"}`;

async function adminOf({ running }: Site): Promise<string> {
  await eventually(() => running.out().includes("status on"));
  return /^portico: status on (\S+)$/m.exec(running.out())?.[1] ?? "";
}

async function metrics(admin: string) {
  return readExposition(await (await fetch(`${admin}/metrics`)).text(), "plain");
}

Deno.test("workers: each sends its own spans, which are counted together", async () => {
  await using collector = startCollector();
  const routes = `  - {path: /w, wsgi: ./app.ts}\n${ADMIN}`;
  await withWorkers(`${SERVER}, traces: "${collector.base}"`, routes, async (site) => {
    const admin = await adminOf(site);
    assert.equal((await answers(`${site.running.base}/w`)).size, 2);
    await eventually(async () => {
      const exported = valueOf(await metrics(admin), "portico_trace_spans_total", {
        outcome: "exported",
      });
      return exported !== undefined && exported >= 40 && exported === collector.spans.length;
    }, 15_000);
    const requests = collector.spans.filter(({ parentSpanId }) => parentSpanId === undefined);
    assert.equal(requests.length, 40);
    assert.equal(new Set(requests.map(({ traceId }) => traceId)).size, 40);
  });
});

Deno.test("workers: listener: node shares its address, and stays where few connections come", async () => {
  const routes = "  - {path: /w, wsgi: ./app.ts}\n  - {path: /v, respond: one}";
  await withWorkers(`${SERVER}, listener: node, maxConnections: 100`, routes, async (site) => {
    const { base } = site.running;
    assert.equal((await answers(`${base}/w`)).size, 2);
    // A listener that nobody comes to looks after itself, by connections that the other may get.
    await new Promise((resolve) => setTimeout(resolve, 9000));
    assert.doesNotMatch(site.running.err(), /accepts no connections/);
    await site.write(
      `${SERVER}, listener: node, maxConnections: 100`,
      routes.replace("one", "two"),
    );
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(`${base}/v`), new Set(["two"]));
  });
});

const CACHED = `  - {path: /w, wsgi: ./app.ts}
  - {path: /c/*, cache: {defaultTtl: 1h, store: {dir: ./store, maxSize: 1GiB}}, wsgi: ./app.ts}
${ADMIN}`;

async function storedIn(folder: string): Promise<number> {
  let count = 0;
  for await (const _ of Deno.readDir(`${folder}/copies`)) count++;
  return count;
}

Deno.test("workers: each keeps its copies on disk apart; one that starts anew has its own again", async () => {
  await withWorkers(SERVER, CACHED, async (site) => {
    const { base } = site.running;
    const store = `${site.folder}/store`;
    const admin = await adminOf(site);
    const before = await answers(`${base}/c/a`);
    assert.equal(before.size, 2);
    await eventually(async () =>
      await storedIn(store) === 1 && await storedIn(`${store}/worker-2`) === 1
    );
    const all = await metrics(admin);
    assert.equal(valueOf(all, "portico_cache_store_entries", { http_route: "/c/*" }), 2);
    assert.equal(valueOf(all, "portico_cache_store_max_bytes", { http_route: "/c/*" }), 2 ** 30);
    for (const pid of await answers(`${base}/w?pid`)) Deno.kill(Number(pid), "SIGKILL");
    await eventually(() => site.running.err().split("serves again").length === 3, 15_000);
    assert.deepEqual(await answers(`${base}/c/a`), before);
  });
});

Deno.test("workers: a purge reaches the copies of a worker that is missing at the time", async () => {
  await withWorkers(SERVER, CACHED, async (site) => {
    const { base } = site.running;
    const admin = await adminOf(site);
    const before = await answers(`${base}/c/a`);
    assert.equal(before.size, 2);
    const store = `${site.folder}/store`;
    await eventually(async () =>
      await storedIn(store) === 1 && await storedIn(`${store}/worker-2`) === 1
    );
    for (const pid of await answers(`${base}/w?pid`)) Deno.kill(Number(pid), "SIGKILL");
    await eventually(async () => {
      const response = await fetch(`${admin}/readyz`);
      return (await response.text()).startsWith("2 of 2");
    });
    const response = await fetch(`${admin}/purge?all`, { method: "POST" });
    assert.equal(response.status, 200);
    await response.body?.cancel();
    await eventually(() => site.running.err().split("serves again").length === 3, 15_000);
    const after = await answers(`${base}/c/a`);
    assert.equal(after.size, 2);
    assert.ok(after.isDisjointFrom(before));
  });
});

Deno.test("a table with fewer workers takes away the copies of those that are no more", async () => {
  const disk = CACHED;
  await withWorkers(`${LISTEN}, accessLog: off`, disk, async (site) => {
    const { base } = site.running;
    await ask(`${base}/c/a`);
    await Deno.mkdir(`${site.folder}/store/worker-2/copies`, { recursive: true });
    await Deno.mkdir(`${site.folder}/store/mine`);
    // A reload shares the store that is open; another folder's name opens it anew.
    await site.write(`${LISTEN}, accessLog: off`, disk.replace("./store", "./other"));
    await reload(site, "Reloaded");
    await site.write(`${LISTEN}, accessLog: off`, disk);
    await reload(site, "Reloaded");
    const left = await Array.fromAsync(Deno.readDir(`${site.folder}/store`), ({ name }) => name);
    assert.deepEqual(left.sort(), ["copies", "mine"]);
  });
});

Deno.test("workers: a switch of the runtime is refused before any worker starts", async () => {
  await assert.rejects(
    withWorkers(SERVER, "  - {path: /v, respond: one}", () => Promise.resolve(), {
      DENO_TRUST_PROXY_HEADERS: "1",
    }),
    /DENO_TRUST_PROXY_HEADERS is set/,
  );
});
