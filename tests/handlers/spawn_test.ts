/**
 * Upstreams that the gateway starts itself, with real programs: php-cgi, libfcgi in C, FCGI.pm. They take
 * their socket either way, come and go with the load, are replaced without a failed request, and never
 * outlive the gateway.
 */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { processesWith } from "../support/processes.ts";

const PERL = `${TESTS}/upstreams/fcgi_worker.pl`;

/** Compiles the C worker into a folder. */
async function compileWorker(folder: string): Promise<string> {
  const program = `${folder}/worker`;
  const { success, stderr } = await new Deno.Command("cc", {
    args: ["-o", program, `${TESTS}/upstreams/fcgi_worker.c`, "-lfcgi"],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return program;
}

interface Scene {
  readonly gateway: TestGateway;
  /** Processes of this scene that run. */
  running(): number[];
  /** What a worker answers. */
  get(query?: string): Promise<string>;
}

/** A gateway whose one route spawns a program, marked by its environment. */
async function withSpawn(
  spawn: Readonly<Record<string, unknown>>,
  body: (scene: Scene) => Promise<void>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const mark = crypto.randomUUID();
  const env = { PORTICO_TEST: mark, ...(spawn.env as Record<string, string> | undefined) };
  const running = () => processesWith(`PORTICO_TEST=${mark}`);
  const route = { path: "/*", fastcgi: { spawn: { ...spawn, env }, ...more } };
  await withGateway(`routes: ${JSON.stringify([route])}\n`, async (gateway) => {
    const get = async (query = "") => {
      const response = await fetch(`${gateway.base}/x?${query}`);
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status} ${text}`);
      return text;
    };
    await body({ gateway, running, get });
  });
  assert.deepEqual(running(), [], "processes were left behind");
}

/** The process that answered. */
function pidOf(answer: string): number {
  return Number(answer.split(" ")[0]);
}

/** Sends `count` requests, `lanes` at a time; the processes that answered, with how many each. */
async function load(
  get: () => Promise<string>,
  count: number,
  lanes: number,
): Promise<Map<number, number>> {
  const answers = new Map<number, number>();
  let left = count;
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (left-- > 0) {
      const pid = pidOf(await get());
      answers.set(pid, (answers.get(pid) ?? 0) + 1);
    }
  }));
  return answers;
}

testWith(["cc"], "spawn: a C program over libfcgi finds its socket as descriptor 0", async () => {
  await using folder = await tempFolder();
  const command = [await compileWorker(folder.path)];
  await withSpawn({ command, processes: 2 }, async ({ get, running }) => {
    assert.equal(running().length, 2);
    const answers = await Promise.all([get("sleep=50"), get("sleep=50")]);
    assert.deepEqual(answers.map(pidOf).sort(), running().sort());
  });
});

testWith(
  ["perl"],
  "spawn: a Perl program serves with a clean environment and its words logged",
  async () => {
    await withSpawn({ command: ["perl", PERL] }, async ({ gateway, get, running }) => {
      const [first = "", ...env] = (await get("env")).split("\n");
      assert.deepEqual([pidOf(first)], running());
      assert.deepEqual(env.map((line) => line.split("=")[0]), ["PATH", "PORTICO_TEST"]);
      await eventually(async () => (await gateway.log()).includes("a word"));
    });
  },
);

testWith(["php-cgi"], "spawn: php-cgi serves on a socket that it inherits", async () => {
  const spawn = { command: ["php-cgi", "-n"], listen: "inherit", processes: 2 };
  await withSpawn(spawn, async ({ gateway, running }) => {
    const response = await fetch(`${gateway.base}/report.php`);
    assert.ok(running().includes((await response.json()).pid));
  }, { root: "apps/php" });
});

testWith(["perl"], "spawn: user brings its group, and nothing of the gateway's", async () => {
  if (Deno.uid() !== 0) return;
  await using folder = await tempFolder();
  await Deno.chmod(folder.path, 0o755);
  // The sources may lie where others may not go.
  await Deno.copyFile(PERL, `${folder.path}/worker.pl`);
  const command = ["perl", `${folder.path}/worker.pl`];
  for (const account of [{ user: "nobody" }, { user: 65534, group: "nogroup" }]) {
    await withSpawn({ command, cwd: folder.path, ...account }, async ({ get }) => {
      assert.match(await get(), /^\d+ 65534 65534$/);
    });
  }
});

testWith(
  ["cc"],
  "spawn: 2,000 requests over processes that are replaced, not one fails",
  async () => {
    await using folder = await tempFolder();
    const command = [await compileWorker(folder.path)];
    const spawn = { command, processes: 2, maxRequests: 50 };
    await withSpawn(spawn, async ({ gateway, get, running }) => {
      const answers = await load(get, 2000, 16);
      assert.equal([...answers.values()].reduce((sum, count) => sum + count), 2000);
      const most = Math.max(...answers.values());
      assert.ok(most <= 50, `one answered ${most}`);
      assert.ok(answers.size >= 40, `only ${answers.size} processes`);
      await eventually(() => running().length <= 3);
      assert.doesNotMatch(await gateway.log(), /starting it again|status=5/);
    });
  },
);

testWith(["php-cgi"], "spawn: php-cgi is replaced under load, uploads too", async () => {
  const spawn = { command: ["php-cgi", "-n"], processes: 2, maxRequests: 20 };
  await withSpawn(spawn, async ({ gateway }) => {
    const report = async () => {
      const init = { method: "POST", body: "a=1" };
      const response = await fetch(`${gateway.base}/report.php`, init);
      assert.equal(response.status, 200);
      return String((await response.json()).pid);
    };
    const answers = await load(report, 400, 8);
    assert.ok(Math.max(...answers.values()) <= 20);
    assert.ok(answers.size >= 20);
  }, { root: "apps/php" });
});

testWith(["cc"], "spawn: processes come while requests wait, and go when they idle", async () => {
  await using folder = await tempFolder();
  const command = [await compileWorker(folder.path)];
  const spawn = { command, processes: { min: 1, max: 6 }, idleTimeout: "300ms" };
  await withSpawn(spawn, async ({ get, running }) => {
    assert.equal(running().length, 1);
    const before = performance.now();
    const slow = Array.from({ length: 6 }, () => get("sleep=400"));
    const answers = await Promise.all(slow);
    assert.ok(performance.now() - before < 1100, "they waited for one another");
    assert.ok(new Set(answers.map(pidOf)).size >= 4);
    assert.ok(running().length <= 6);
    await eventually(() => running().length === 1, 5000, "idle processes to end");
    assert.match(await get(), /^\d+/);
    // One that is busy enough for a single process brings no other.
    for (let i = 0; i < 50; i++) await get();
    assert.equal(running().length, 1);
  });
});

testWith(["cc"], "spawn: min 0 keeps nothing while nobody asks, and serves who does", async () => {
  await using folder = await tempFolder();
  const command = [await compileWorker(folder.path)];
  const spawn = { command, processes: { min: 0, max: 2 }, idleTimeout: "100ms" };
  await withSpawn(spawn, async ({ get, running }) => {
    for (let round = 0; round < 3; round++) {
      await eventually(() => running().length === 0);
      assert.ok(pidOf(await get()) > 0);
    }
  });
});

testWith(["cc"], "spawn: on demand and replaced at once, not one request fails", async () => {
  await using folder = await tempFolder();
  const command = [await compileWorker(folder.path)];
  const spawn = {
    command,
    processes: { min: 0, max: 4 },
    idleTimeout: "50ms",
    maxRequests: 7,
  };
  await withSpawn(spawn, async ({ gateway, get }) => {
    for (let round = 0; round < 5; round++) {
      const answers = await load(get, 100, 1 + 4 * round);
      assert.ok(Math.max(...answers.values()) <= 7);
      await new Promise((resolve) => setTimeout(resolve, 40 * round));
    }
    assert.doesNotMatch(await gateway.log(), /starting it again|status=5/);
  });
});

testWith(
  ["cc"],
  "spawn: a process that ends is told of with its code, signal and life",
  async () => {
    await using folder = await tempFolder();
    const command = [await compileWorker(folder.path)];
    await withSpawn({ command }, async ({ gateway, get }) => {
      const first = pidOf(await get("exit=3"));
      await eventually(async () =>
        (await gateway.log()).includes(`pid ${first}) exited with code 3`)
      );
      const second = pidOf(await get());
      assert.notEqual(second, first);
      // It may serve a moment before that is certain.
      await new Promise((resolve) => setTimeout(resolve, 200));
      Deno.kill(second, "SIGSEGV");
      await eventually(async () => {
        return (await gateway.log()).includes(`pid ${second}) died of SIGSEGV after `);
      });
      assert.match(await get(), /^\d+/);
    });
  },
);

testWith(["cc"], "spawn: the programs go with a gateway that was killed", async () => {
  await using folder = await tempFolder();
  const worker = await compileWorker(folder.path);
  const mark = crypto.randomUUID();
  const running = () => processesWith(`PORTICO_TEST=${mark}`);
  const spawn = (more: Record<string, unknown>) => {
    return { ...more, env: { PORTICO_TEST: mark, ...(more.env as Record<string, string>) } };
  };
  const table = {
    server: { listen: "127.0.0.1:0", accessLog: "off", runDir: "./run" },
    routes: [
      { path: "/c", fastcgi: { spawn: spawn({ command: [worker], processes: 2 }) } },
      { path: "/deaf", fastcgi: { spawn: spawn({ command: [worker], env: { DEAF: "1" } }) } },
      { path: "/perl", fastcgi: { spawn: spawn({ command: ["perl", PERL] }) } },
    ],
  };
  const file = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(file, JSON.stringify(table));
  {
    await using gateway = await startPortico(["-c", file]);
    assert.equal(running().length, 4);
    assert.match(await (await fetch(`${gateway.base}/c`)).text(), /^\d+ /);
    gateway.signal("SIGKILL");
    await gateway.ended;
    // The polite ones at once; the deaf one after the grace, while the next gateway serves already.
    await eventually(() => running().length === 1, 3000, "the programs to end");
  }
  await using again = await startPortico(["-c", file]);
  assert.match(await (await fetch(`${again.base}/deaf`)).text(), /^\d+ /);
  await eventually(() => running().length === 4, 8000, "those of the killed gateway to end");
});

testWith(
  ["cc"],
  "spawn: what flags grants is enough, for the guard and replacements too",
  async () => {
    await using folder = await tempFolder();
    const worker = await compileWorker(folder.path);
    const mark = crypto.randomUUID();
    const running = () => processesWith(`PORTICO_TEST=${mark}`);
    const spawn = {
      command: [worker],
      env: { PORTICO_TEST: mark },
      processes: { min: 1, max: 3 },
      maxRequests: 4,
      ...(Deno.uid() === 0 ? { user: "root" } : {}),
    };
    const file = `${folder.path}/routes.yaml`;
    const write = (more: Readonly<Record<string, unknown>>) => {
      const table = {
        server: { listen: "127.0.0.1:0", accessLog: "off", runDir: "./run" },
        routes: [{ path: "/*", fastcgi: { spawn: { ...spawn, ...more } } }],
      };
      return Deno.writeTextFile(file, JSON.stringify(table));
    };
    const flagsOf = async () => (await runPortico(["flags", "-c", file])).out.trim().split(" ");
    const serve = async (flags: readonly string[], name: Deno.Signal) => {
      await using gateway = await startPortico(["-c", file], { flags });
      const get = async () => {
        const response = await fetch(gateway.base);
        assert.equal(response.status, 200);
        return await response.text();
      };
      const answers = await load(get, 60, 6);
      assert.ok(answers.size >= 15 && Math.max(...answers.values()) <= 4);
      gateway.signal(name);
      const { err } = await gateway.ended;
      assert.equal(err, "");
      await eventually(() => running().length === 0);
    };

    await write({});
    const flags = await flagsOf();
    const run = flags.find((flag) => flag.startsWith("--allow-run="));
    assert.equal(run, `--allow-run=${worker},sh`);
    await serve(flags, "SIGKILL");

    await write({ guard: false });
    const fewer = await flagsOf();
    assert.ok(fewer.includes(`--allow-run=${worker}`), String(fewer));
    await serve(fewer, "SIGTERM");
  },
);

testWith(
  ["cc"],
  "spawn: a process that another one killed costs no answer that can be had again",
  async () => {
    await using folder = await tempFolder();
    const command = [await compileWorker(folder.path)];
    await withSpawn({ command, processes: 3 }, async ({ gateway, get, running }) => {
      const slow = Array.from({ length: 3 }, () => get("sleep=600").then(pidOf, () => 0));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const [victim = 0] = running();
      Deno.kill(victim, "SIGKILL");
      const survivors = (await Promise.all(slow)).filter((pid) => pid !== 0);
      assert.equal(survivors.length, 3);
      assert.ok(!survivors.includes(victim));
      await eventually(() => running().length === 3);
      assert.match(await gateway.log(), new RegExp(`pid ${victim}\\) died of SIGKILL`));
      await load(get, 30, 3);
    });
  },
);
