/**
 * `server.workers`: several gateways as one. All serve, one that ends takes down its own requests alone,
 * and limits are for all together.
 */
import assert from "node:assert/strict";
import { eventually } from "../support/gateway.ts";
import { answers, ask, LISTEN, reload, ROUTES, withWorkers } from "../support/workers.ts";

Deno.test("workers: requests are spread over them, which say once where they listen", async () => {
  await withWorkers(`${LISTEN}, workers: 3`, ROUTES, async ({ running }) => {
    assert.equal((await answers(`${running.base}/w`, 120)).size, 3);
    assert.equal(running.addresses.length, 1);
    assert.equal(running.err(), "");
  });
});

Deno.test("workers: log lines of all are whole, and each request has an id of its own", async () => {
  await withWorkers(`${LISTEN}, workers: 2, accessLog: json`, ROUTES, async ({ running }) => {
    for (let round = 0; round < 10; round++) await answers(`${running.base}/w?${"x".repeat(2000)}`);
    running.signal("SIGTERM");
    const { code, out } = await running.ended;
    assert.equal(code, 0);
    const lines = out.trimEnd().split("\n").slice(1).map((line) => JSON.parse(line));
    assert.equal(lines.length, 400);
    const ids = lines.map(({ id }) => String(id));
    assert.equal(new Set(ids).size, 400);
    assert.equal(new Set(ids.map((id) => id.replace(/-[^-]*$/, ""))).size, 2, "both have written");
  });
});

Deno.test("workers: one that ends is replaced, and takes down its own requests alone", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async ({ running }) => {
    const before = await answers(`${running.base}/w`);
    assert.equal(before.size, 2);
    const slow = Promise.allSettled(
      Array.from({ length: 20 }, () => ask(`${running.base}/w?slow`)),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    await assert.rejects(ask(`${running.base}/w?exit`));
    const results = await slow;
    const finished = results.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    const [survivor, ...others] = new Set(finished);
    assert.deepEqual(others, [], "all of the other worker's requests finish");
    assert.ok(survivor !== undefined && before.has(survivor));
    assert.ok(finished.length < 20, "those of the one are lost");
    await eventually(() => /Worker \d serves again/.test(running.err()));
    assert.match(
      running.err(),
      /Worker \d \(pid \d+\) ended with status 7: starting another in 100 ms/,
    );
    const after = await answers(`${running.base}/w`);
    assert.equal(after.size, 2);
    assert.equal(after.union(before).size, 3);
  });
});

Deno.test("workers: what an application does not catch ends none", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async ({ running }) => {
    const before = await answers(`${running.base}/w`);
    await ask(`${running.base}/w?throw`);
    await eventually(() => running.err().includes("Uncaught error: Error: nobody catches"));
    assert.deepEqual(await answers(`${running.base}/w`), before);
  });
});

Deno.test("workers: a table that one of them cannot open changes none", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async (site) => {
    const { running, folder, write } = site;
    // Whoever comes first can open it, and the other cannot.
    await Deno.writeTextFile(
      `${folder}/once.ts`,
      `Deno.mkdirSync("${folder}/taken");\nexport default { fetch: () => new Response("") };\n`,
    );
    const routes = `${ROUTES.replace("one", "two")}\n  - {path: /o, wsgi: ./once.ts}`;
    await write(`${LISTEN}, workers: 2`, routes);
    await reload(site, "the table stays as it was");
    assert.ok((await Deno.stat(`${folder}/taken`)).isDirectory, "one could");
    assert.deepEqual(await answers(`${running.base}/v`), new Set(["one"]));
    // Nothing of it is left that would be in the way of the next.
    await write(`${LISTEN}, workers: 2`, ROUTES.replace("one", "three"));
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(`${running.base}/v`), new Set(["three"]));
  });
});

Deno.test("workers: a Unix socket is the first one's, and needs a TCP address beside it", async () => {
  const nothing = () => Promise.resolve();
  await assert.rejects(
    withWorkers('listen: "unix:g.sock", workers: 2', ROUTES, nothing),
    /Cannot share out a Unix socket among workers/,
  );
  const server = 'listen: ["127.0.0.1:0", "unix:g.sock"], workers: 2';
  await withWorkers(server, ROUTES, async ({ running, folder }) => {
    const proxy = { transport: "unix", path: `${folder}/g.sock` } as const;
    using client = Deno.createHttpClient({ proxy });
    const get = async () => await (await fetch("http://localhost/w", { client })).text();
    const [id] = [await get()];
    assert.ok((await answers(`${running.base}/w`)).has(id));
    await assert.rejects(fetch("http://localhost/w?exit", { client }));
    await eventually(() => running.err().includes("serves again"));
    assert.notEqual(await get(), id);
  });
});

Deno.test("workers: SIGTERM lets the requests of all end", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async ({ running }) => {
    const slow = Array.from({ length: 20 }, () => ask(`${running.base}/w?slow`));
    await new Promise((resolve) => setTimeout(resolve, 200));
    running.signal("SIGTERM");
    assert.equal(new Set(await Promise.all(slow)).size, 2);
    const { code, out, err } = await running.ended;
    assert.deepEqual([code, err], [0, ""]);
    assert.equal(out.match(/GET \/w\?slow/g)?.length, 20);
  });
});

Deno.test("workers: limits are for all of them together", async () => {
  const routes = "  - {path: /busy, cgi: {script: ./busy.sh, maxProcesses: 2, queue: 2}}";
  await withWorkers(`${LISTEN}, workers: 2`, routes, async ({ running }) => {
    const all = await Promise.all(
      Array.from({ length: 40 }, () => ask(`${running.base}/busy`)),
    );
    const done = all.filter((answer) => answer === "done");
    assert.equal(done.length, 4, "two run and two wait, one of each in each worker");
    assert.ok(all.every((answer) => answer === "done" || answer.startsWith("503 ")));
  });
});
