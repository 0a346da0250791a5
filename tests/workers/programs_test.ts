/** Programs that stay, with `server.workers`: started once, lent to all, outliving any of them. */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { processesWith } from "../support/processes.ts";
import { answers, APP, ask, LISTEN, reload, type Site, withWorkers } from "../support/workers.ts";

const PHP = `<?php usleep(2000); echo getmypid(), " ", getenv("MARK");`;

const routesWith = (mark: string, processes: string) =>
  `  - path: /*.php
    fastcgi:
      spawn: {command: php-cgi, processes: ${processes}, env: {MARK: "${mark}"}}
      root: .
  - {path: /w, wsgi: ./app.ts}`;

async function php(
  body: (site: Site, mark: string) => Promise<void>,
  processes: string,
): Promise<void> {
  const mark = crypto.randomUUID();
  await withWorkers(`${LISTEN}, workers: 2`, routesWith(mark, processes), async (site) => {
    await Deno.writeTextFile(`${site.folder}/p.php`, PHP);
    await body(site, mark);
    site.running.signal("SIGKILL");
    await site.running.ended;
    await eventually(() => processesWith(`MARK=${mark}`).length === 0, 10_000, "no child is left");
    assert.deepEqual(processesWith(`PORTICO_TEST=${site.folder}`), []);
  });
}

const pidsOf = async ({ running }: Site, count = 40) =>
  new Set([...await answers(`${running.base}/p.php`, count)].map((text) => text.split(" ")[0]));

testWith(
  ["php-cgi"],
  "workers: so many processes in all, and none is left by a SIGKILL",
  () =>
    php(async (site, mark) => {
      assert.equal(processesWith(`MARK=${mark}`).length, 4);
      assert.equal((await pidsOf(site)).size, 4);
      const sockets = [...Deno.readDirSync(`${site.folder}/r/0`)].map(({ name }) => name)
        .filter((name) => name.endsWith(".sock"));
      assert.equal(sockets.length, 4);
    }, "4"),
);

testWith(
  ["php-cgi"],
  "workers: programs outlive a worker, and serve the next one",
  () =>
    php(async (site) => {
      const before = await pidsOf(site);
      await assert.rejects(ask(`${site.running.base}/w?exit`));
      await eventually(() => site.running.err().includes("serves again"));
      assert.deepEqual(await pidsOf(site), before);
    }, "4"),
);

testWith(
  ["php-cgi"],
  "workers: one process alone serves all of them, in turns",
  () =>
    php(async (site) => {
      const { base } = site.running;
      assert.equal((await answers(`${base}/w`)).size, 2);
      for (let round = 0; round < 5; round++) assert.equal((await pidsOf(site, 30)).size, 1);
      const load = Array.from({ length: 16 }, async () => {
        const seen: string[] = [];
        for (let i = 0; i < 10; i++) seen.push(await ask(`${base}/p.php`));
        return seen;
      });
      const seen = (await Promise.all(load)).flat();
      assert.equal(seen.length, 160);
      assert.equal(new Set(seen).size, 1);
    }, "1"),
);

testWith(
  ["php-cgi"],
  "workers: what one does not need another takes",
  () =>
    php(async ({ running, folder }) => {
      await Deno.writeTextFile(`${folder}/s.php`, `<?php usleep(300000); echo getmypid();`);
      // One connection, so one worker: all four processes serve it in the end.
      using client = Deno.createHttpClient({ poolMaxIdlePerHost: 1 });
      const fetched = async () => await (await fetch(`${running.base}/s.php`, { client })).text();
      await fetched();
      const started = performance.now();
      const pids = new Set(await Promise.all(Array.from({ length: 40 }, fetched)));
      assert.equal(pids.size, 4);
      assert.ok(performance.now() - started < 30_000);
    }, "4"),
);

testWith(
  ["php-cgi"],
  "workers: more processes are started while requests wait, for all of them",
  () =>
    php(async (site, mark) => {
      assert.equal(processesWith(`MARK=${mark}`).length, 1);
      const load = Array.from({ length: 24 }, async () => {
        for (let i = 0; i < 10; i++) assert.match(await ask(`${site.running.base}/p.php`), /^\d+ /);
      });
      await Promise.all(load);
      await eventually(() => processesWith(`MARK=${mark}`).length === 3);
    }, "{min: 1, max: 3}"),
);

testWith(
  ["php-cgi"],
  "workers: a process that has served its number is replaced without a failure",
  () =>
    php(async (site, mark) => {
      const more = routesWith(mark, "2, maxRequests: 20");
      await site.write(`${LISTEN}, workers: 2`, more);
      await reload(site, "Reloaded");
      const load = Array.from({ length: 8 }, async () => {
        const seen: string[] = [];
        for (let i = 0; i < 40; i++) seen.push(await ask(`${site.running.base}/p.php`));
        return seen;
      });
      const seen = (await Promise.all(load)).flat();
      assert.ok(
        seen.every((text) => text.endsWith(mark)),
        seen.find((text) => !text.endsWith(mark)),
      );
      const counts = Map.groupBy(seen, (text) => text);
      assert.ok(counts.size >= 6, `${counts.size} processes`);
    }, "2"),
);

testWith(
  ["python3"],
  "workers: an application in Python runs once, with places for all",
  async () => {
    const routes = "  - {path: /*, wsgi: {app: ./app.py, threads: 4}}";
    await withWorkers(`${LISTEN}, workers: 2`, "  - {path: /v, respond: one}", async (site) => {
      await Deno.writeTextFile(
        `${site.folder}/app.py`,
        `import os, time
def application(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
`,
      );
      await site.write(`${LISTEN}, workers: 2`, routes);
      await reload(site, "Reloaded");
      const seen = await answers(`${site.running.base}/`, 40);
      assert.equal(seen.size, 1);
      assert.match([...seen].join(), /^\d+$/);
    });
  },
);

/** What `flags` prints, as words: nothing in it is quoted here. */
async function flagsOf(file: string): Promise<readonly string[]> {
  const { code, out } = await runPortico(["flags", "-c", file]);
  assert.equal(code, 0);
  return out.trimEnd().split(" ");
}

testWith(
  ["php-cgi"],
  "workers: the printed flags are enough, and what workers get is less",
  async () => {
    await using temp = await tempFolder();
    const folder = temp.path;
    const file = `${folder}/routes.yaml`;
    const spawns = `export default { fetch: async () => {
  const { state } = await Deno.permissions.query({ name: "run", command: Deno.execPath() });
  const php = await Deno.permissions.query({ name: "run", command: "php-cgi" });
  return new Response(state + " " + php.state);
} };
`;
    await Deno.writeTextFile(`${folder}/app.ts`, APP);
    await Deno.writeTextFile(`${folder}/spawns.ts`, spawns);
    await Deno.writeTextFile(`${folder}/p.php`, "<?php echo getmypid();");
    await Deno.writeTextFile(
      file,
      `server: {${LISTEN}, workers: 2, runDir: ./r, spoolDir: ./s, accessLog: off}
admin: {listen: "127.0.0.1:0"}
routes:
  - {path: /w, wsgi: ./app.ts}
  - {path: /s, wsgi: ./spawns.ts}
  - path: /*.php
    fastcgi:
      spawn: {command: php-cgi, processes: 2, maxRequests: 5}
      root: .
`,
    );
    const flags = await flagsOf(file);
    const runtime = Deno.execPath();
    assert.ok(flags.some((flag) => flag.startsWith("--allow-run=") && flag.includes(runtime)));
    {
      await using running = await startPortico(["-c", file], { flags });
      assert.equal((await answers(`${running.base}/w`)).size, 2);
      assert.equal(await ask(`${running.base}/s`), "prompt prompt", "no worker may start anything");
      const pids = new Set<string>();
      await eventually(async () => {
        for (const pid of await answers(`${running.base}/p.php`, 10)) pids.add(pid);
        return pids.size > 4;
      });
      assert.ok([...pids].every((pid) => /^\d+$/.test(pid)), [...pids].join());
      running.signal("SIGTERM");
      const { code, err } = await running.ended;
      assert.deepEqual([code, err], [0, ""]);
    }
    for (const program of [runtime, "sh"]) {
      const less = flags.map((flag) => {
        const [name = "", list] = flag.split("=");
        if (name !== "--allow-run" || list === undefined) return flag;
        return `${name}=${list.split(",").filter((one) => one !== program)}`;
      });
      assert.notDeepEqual(less, flags);
      const { code, err } = await runPortico(["-c", file], { flags: less });
      assert.equal(code, 1);
      assert.ok(err.includes(`--allow-run=${program}  server.workers needs it`), err);
    }
  },
);
