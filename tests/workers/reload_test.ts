/** A reload with `server.workers`: all change at once, or none does. */
import assert from "node:assert/strict";
import { curl, makeCertificate } from "../support/certificate.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { freePort, tempFolder } from "../support/peers.ts";
import { answers, ask, LISTEN, reload, ROUTES, withWorkers } from "../support/workers.ts";

Deno.test("workers: one that blocks makes a reload fail, and the next one works", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async (site) => {
    const blocked = ask(`${site.running.base}/w?block`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await site.write(`${LISTEN}, workers: 2`, ROUTES.replace("one", "two"));
    site.running.signal("SIGHUP");
    const words = "the table stays as it was: A worker shows no sign of life";
    await eventually(() => site.running.err().includes(words), 10_000, words);
    await blocked;
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(`${site.running.base}/v`), new Set(["two"]));
  });
});

Deno.test("workers: a reload reaches all, and those that come later", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async (site) => {
    const { running, write } = site;
    await write(`${LISTEN}, workers: 2`, ROUTES.replace("one", "two"));
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(`${running.base}/v`), new Set(["two"]));
    await assert.rejects(ask(`${running.base}/w?exit`));
    await eventually(() => running.err().includes("serves again"));
    assert.deepEqual(await answers(`${running.base}/v`), new Set(["two"]));
  });
});

Deno.test("workers: no request fails while tables are reloaded", async () => {
  await withWorkers(`${LISTEN}, workers: 2, accessLog: off`, ROUTES, async (site) => {
    const { running, write } = site;
    let over = false;
    const load = Array.from({ length: 8 }, async () => {
      const seen = new Set<string>();
      while (!over) seen.add(await ask(`${running.base}/v`));
      return seen;
    });
    for (const word of ["two", "three", "four"]) {
      await write(`${LISTEN}, workers: 2, accessLog: off`, ROUTES.replace("one", word));
      await reload(site, "Reloaded");
    }
    over = true;
    const seen = new Set((await Promise.all(load)).flatMap((words) => [...words]));
    assert.ok(seen.isSubsetOf(new Set(["one", "two", "three", "four"])), [...seen].join());
  });
});

Deno.test("workers: addresses come and go with a reload, for all of them", async () => {
  const [first, second] = [freePort(), freePort()];
  const url = (port: number) => `http://127.0.0.1:${port}/v`;
  const listenOn = (...ports: number[]) =>
    `listen: [${ports.map((port) => `127.0.0.1:${port}`)}], workers: 2`;
  await withWorkers(listenOn(first), ROUTES, async (site) => {
    await site.write(listenOn(first, second), ROUTES);
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(url(second)), new Set(["one"]));
    await site.write(listenOn(second), ROUTES);
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(url(second)), new Set(["one"]));
    await eventually(() => ask(url(first)).then(() => false, () => true));
  });
});

Deno.test("workers: an address that somebody else has is refused, at a start and at a reload", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
  const where = `127.0.0.1:${taken.addr.port}`;
  const words = `Cannot listen on ${where}: another process does`;
  const nothing = () => Promise.resolve();
  await assert.rejects(
    withWorkers(`listen: "${where}", workers: 2`, ROUTES, nothing),
    { message: `exit 1: portico: ${words}\n` },
  );
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async (site) => {
    await site.write(`listen: ["127.0.0.1:0", "${where}"], workers: 2`, ROUTES);
    await reload(site, words);
    await site.write(`${LISTEN}, workers: 2`, ROUTES.replace("one", "two"));
    await reload(site, "Reloaded");
    assert.deepEqual(await answers(`${site.running.base}/v`), new Set(["two"]));
  });
});

testWith(["openssl", "curl"], "workers: a new certificate is taken by all", async () => {
  await using keys = await tempFolder();
  await makeCertificate(keys.path, "one");
  const tls = `tls: {cert: ${keys.path}/one.pem, key: ${keys.path}/one.key}`;
  await withWorkers(`${LISTEN}, workers: 2, ${tls}`, ROUTES, async (site) => {
    const { base } = site.running;
    assert.match(base, /^https:/);
    const seen = async () => {
      const all = await Promise.all(
        Array.from({ length: 20 }, () => curl("-v", `${base}/v`)),
      );
      return new Set(all.map(({ error }) => /subject: CN=(\w+)\.test/.exec(error)?.[1]));
    };
    assert.deepEqual(await seen(), new Set(["one"]));
    await makeCertificate(keys.path, "two");
    for (const suffix of ["pem", "key"]) {
      await Deno.rename(`${keys.path}/two.${suffix}`, `${keys.path}/one.${suffix}`);
    }
    await reload(site, "Reloaded");
    assert.deepEqual(await seen(), new Set(["two"]));
  });
});
