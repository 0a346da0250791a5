/** Workers that end as nobody wants: killed, in a loop, without memory; and a main process that is killed. */
import assert from "node:assert/strict";
import { eventually } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { answers, ask, LISTEN, ROUTES, type Site, withWorkers } from "../support/workers.ts";

/** The pids of the workers. */
async function workersOf({ running }: Site): Promise<Set<string>> {
  return await answers(`${running.base}/w?pid`);
}

Deno.test("workers: SIGKILL of one loses its own requests alone, and it is replaced", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async (site) => {
    const { running } = site;
    const before = await workersOf(site);
    const ids = await answers(`${running.base}/w`);
    const [victim] = before;
    const slow = Promise.allSettled(
      Array.from({ length: 20 }, () => ask(`${running.base}/w?slow`)),
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    Deno.kill(Number(victim), "SIGKILL");
    const finished = (await slow).flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    assert.equal(new Set(finished).size, 1, "those of the other finish");
    assert.ok([...finished].every((id) => ids.has(id)));
    assert.ok(finished.length < 20);
    await eventually(() => running.err().includes("serves again"));
    assert.match(
      running.err(),
      /Worker \d \(pid \d+\) died of SIGKILL: starting another in 100 ms/,
    );
    const after = await workersOf(site);
    assert.deepEqual([after.size, after.has(String(victim))], [2, false]);
  });
});

Deno.test("workers: one in a loop without end is ended, and another takes its place", async () => {
  await withWorkers(`${LISTEN}, workers: 2, stallTimeout: 3s`, ROUTES, async (site) => {
    const { running } = site;
    const before = await workersOf(site);
    await assert.rejects(ask(`${running.base}/w?spin`));
    await eventually(() => running.err().includes("serves again"));
    assert.match(running.err(), /showed no sign of life for 3000 ms: it blocks: starting another/);
    const after = await workersOf(site);
    assert.deepEqual([after.size, after.intersection(before).size], [2, 1]);
    for (const pid of before.difference(after)) {
      await assert.rejects(Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
    }
  });
});

Deno.test("workers: SIGKILL of the gateway leaves nobody, be it in a loop or waiting", async () => {
  const routes = `${ROUTES}\n  - {path: /busy, cgi: ./long.sh}`;
  await withWorkers(`${LISTEN}, workers: 2`, routes, async (site) => {
    const { running, folder } = site;
    const left = () => processesWith(`PORTICO_TEST=${folder}`);
    await Deno.writeTextFile(`${folder}/long.sh`, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const lost = [ask(`${running.base}/w?spin`)];
    await new Promise((resolve) => setTimeout(resolve, 300));
    // Some of them come by the other worker.
    lost.push(...Array.from({ length: 8 }, () => ask(`${running.base}/busy`)));
    const all = Promise.allSettled(lost);
    const programs = () =>
      [...Deno.readDirSync("/proc")].filter(({ name }) =>
        /^\d+$/.test(name) && commandOf(name) === "sleep\x0060\0" && isIn(name, folder)
      ).length;
    await eventually(() => programs() > 0);
    assert.equal(left().length, 3);
    running.signal("SIGKILL");
    await running.ended;
    await all;
    await eventually(() => left().length === 0, 15_000, "the workers end");
    await eventually(() => programs() === 0, 15_000, "their programs end");
  });
});

function commandOf(pid: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}

function isIn(pid: string, folder: string): boolean {
  try {
    return Deno.readLinkSync(`/proc/${pid}/cwd`) === folder;
  } catch {
    return false;
  }
}

Deno.test("workers: a full heap ends one, and no other", async () => {
  await withWorkers(`${LISTEN}, workers: 2`, ROUTES, async (site) => {
    const { running } = site;
    const before = await workersOf(site);
    await assert.rejects(ask(`${running.base}/w?full`));
    await eventually(() => running.err().includes("serves again"), 60_000);
    assert.equal((await workersOf(site)).intersection(before).size, 1);
  }, { DENO_V8_FLAGS: "--max-old-space-size=128" });
});

Deno.test("workers: what an application writes to standard output is no order to anybody", async () => {
  await withWorkers(`${LISTEN}, workers: 2, accessLog: off`, ROUTES, async ({ running }) => {
    await ask(`${running.base}/w?print`);
    await eventually(() => running.out().includes("a line of mine"));
    assert.equal(await ask(`${running.base}/v`), "one");
  });
});
