/**
 * php-fpm in real life: restarted under load, its children killed, all of them busy, shared with another
 * server. What the pool promises is proved against it, not against a script of ours.
 */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith, which } from "../support/needs.ts";
import { freePort, phpFpm, tempFolder } from "../support/peers.ts";
import { Fpm } from "../support/php_fpm.ts";

/** Answers with its process; what `do` says it does before. */
const PHP = `<?php
if (isset($_GET["id"])) file_put_contents($_SERVER["COUNT"], $_GET["id"] . "\\n", FILE_APPEND);
switch ($_GET["do"] ?? "") {
  case "nap": usleep(1000 * (int) $_GET["ms"]); break;
  case "half": echo str_repeat("x", 65536); flush(); echo "half\\n"; flush();
    file_put_contents($_GET["mark"], getmypid()); sleep(20); break;
  case "events": header("Content-Type: text/event-stream");
    for ($i = 0; $i < 3; $i++) { echo "data: $i\\n\\n"; flush(); usleep(200000); } exit;
  case "endless": ignore_user_abort(true); $since = microtime(true);
    while (!connection_aborted() && microtime(true) - $since < 10) { echo "tick\\n"; flush(); usleep(20000); }
    file_put_contents($_GET["mark"], connection_aborted() ? "aborted" : "not aborted"); exit;
}
echo getmypid();
`;

interface Site {
  readonly gateway: TestGateway;
  readonly fpm: Fpm;
  readonly folder: string;
  /** Status and body of a GET, with the query. */
  get(query?: string): Promise<readonly [number, string]>;
  /** The ids of the requests that PHP has begun with, in order. */
  begun(): Promise<string[]>;
}

async function withSite(
  { pm, pool = "{}" }: { readonly pm?: string; readonly pool?: string },
  body: (site: Site) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/app.php`, PHP);
  await Deno.writeTextFile(`${path}/count`, "");
  await using fpm = await Fpm.start(path, pm === undefined ? {} : { pm });
  const table = `routes:
  - path: /*
    fastcgi: {connect: "${fpm.address}", script: ${path}/app.php, env: {COUNT: ${path}/count}, pool: ${pool}}
`;
  await withGateway(table, async (gateway) => {
    await body({
      gateway,
      fpm,
      folder: path,
      async get(query = "") {
        const response = await fetch(`${gateway.base}/?${query}`);
        return [response.status, await response.text()];
      },
      async begun() {
        return (await Deno.readTextFile(`${path}/count`)).split("\n").slice(0, -1);
      },
    });
  });
}

/** Asks again and again, `clients` at once, until told to stop; gives how often each answer came. */
function load(one: () => Promise<string>, clients: number) {
  const answers = new Map<string, number>();
  const state = { on: true };
  const client = async () => {
    while (state.on) {
      const answer = await one();
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  const all = Array.from({ length: clients }, client);
  return {
    answers,
    count: () => [...answers.values()].reduce((sum, count) => sum + count, 0),
    async end(): Promise<Readonly<Record<string, number>>> {
      state.on = false;
      await Promise.all(all);
      return Object.fromEntries(answers);
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

testWith([phpFpm()], "php-fpm restarted 20 times under load fails not one GET", async () => {
  await withSite({}, async ({ fpm, get, gateway }) => {
    const running = load(async () => String((await get())[0]), 16);
    for (let round = 0; round < 14; round++) {
      const before = running.count();
      fpm.reload();
      await pause(250);
      await eventually(() => running.count() > before, 5000, "answers after a reload");
    }
    for (let round = 0; round < 6; round++) {
      const before = running.count();
      await fpm.stop();
      await pause(100);
      await fpm.start();
      await eventually(() => running.count() > before + 16, 5000, "answers after a restart");
      await pause(150);
    }
    const answers = await running.end();
    assert.deepEqual(
      Object.keys(answers),
      ["200"],
      `${JSON.stringify(answers)}${await gateway.log()}`,
    );
    assert.ok((answers["200"] ?? 0) > 500);
  });
});

testWith([phpFpm()], "php-fpm restarted under load runs no POST twice", async () => {
  await withSite({}, async ({ fpm, gateway, begun }) => {
    let sent = 0;
    const post = async () => {
      const url = `${gateway.base}/?id=${++sent}`;
      const response = await fetch(url, { method: "POST", body: "pay" });
      await response.body?.cancel();
      return String(response.status);
    };
    const running = load(post, 8);
    for (let round = 0; round < 5; round++) {
      await pause(150);
      fpm.reload();
    }
    await pause(100);
    await fpm.stop();
    await pause(100);
    await fpm.start();
    await pause(300);
    const { "200": fine = 0, ...others } = await running.end();
    const ran = await begun();
    assert.ok(fine > 100 && fine <= ran.length, `${fine} answered, ${ran.length} ran`);
    assert.equal(new Set(ran).size, ran.length);
    // What failed may have run: that is why it was not sent again.
    assert.deepEqual(Object.keys(others).filter((status) => status !== "502"), []);
  });
});

testWith([phpFpm()], "a php-fpm child killed mid-reply costs that reply alone", async () => {
  await withSite({}, async ({ get, folder, gateway }) => {
    const running = load(async () => String((await get())[0]), 4);
    const mark = `${folder}/mark`;
    const cut = ask(gateway.port, { target: `/?do=half&mark=${mark}` });
    await eventually(async () => await Deno.readTextFile(mark).catch(() => "") !== "");
    Deno.kill(Number(await Deno.readTextFile(mark)), "SIGKILL");
    const answer = await cut;
    assert.equal(answer.status, 200);
    assert.match(answer.text, /half\n$/);
    assert.equal(answer.whole, false);
    await pause(200);
    assert.deepEqual(Object.keys(await running.end()), ["200"]);
    assert.match(await gateway.log(), /failure=reply-cut/);
  });
});

const ONDEMAND = "pm = ondemand\npm.max_children = 3\npm.process_idle_timeout = 1s";

testWith(
  [phpFpm()],
  "php-fpm on demand starts children for us, and ends them when we rest",
  async () => {
    await withSite({ pm: ONDEMAND, pool: "{idleTimeout: 200ms}" }, async ({ get }) => {
      // It starts one child for each wave of connections.
      const first = await Promise.all(Array.from({ length: 6 }, async (_, index) => {
        await pause(index * 40);
        return await get("do=nap&ms=300");
      }));
      assert.ok(first.every(([status]) => status === 200));
      const pids = new Set(first.map(([, pid]) => Number(pid)));
      assert.ok(pids.size > 1);
      const alive = () => [...pids].filter((pid) => isAlive(pid)).length;
      await eventually(() => alive() === 0, 8000, "the children to end: no connection pins them");
      assert.equal((await get())[0], 200);
    });
  },
);

/**
 * Until it was buried: php-fpm counts on a child that has just ended, and starts none for whoever comes in
 * that moment.
 */
function isAlive(pid: number): boolean {
  try {
    return Deno.statSync(`/proc/${pid}`).isDirectory;
  } catch {
    return false;
  }
}

testWith(
  [phpFpm()],
  "php-fpm with all its children busy: who may wait is served, others get 503",
  async () => {
    const pool = "{max: 4, queue: 4, queueTimeout: 5s}";
    await withSite({ pool }, async ({ get, gateway }) => {
      const busy = Array.from({ length: 4 }, () => get("do=nap&ms=600"));
      await pause(200);
      const waiting = Array.from({ length: 4 }, () => get());
      await pause(50);
      const refused = await fetch(gateway.base);
      await refused.body?.cancel();
      assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
      const all = await Promise.all([...busy, ...waiting]);
      assert.deepEqual([...new Set(all.map(([status]) => status))], [200]);
      const queued = (await gateway.access()).split("\n").map((line) =>
        /queueMs=(\d+)/.exec(line)?.[1]
      );
      assert.ok(queued.some((ms) => Number(ms) >= 200), String(queued));
      assert.match(await gateway.access(), / connectMs=\d/);
    });
  },
);

testWith([phpFpm()], "php-fpm with a full backlog is a 503, not a fault", async () => {
  const pm = "pm = static\npm.max_children = 1\nlisten.backlog = 1";
  await withSite({ pm, pool: "{retryWindow: 100ms}" }, async ({ get }) => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => get("do=nap&ms=300")));
    const statuses = new Set(answers.map(([status]) => status));
    assert.deepEqual([...statuses].sort(), [200, 503]);
  });
});

testWith(
  [phpFpm(), "nginx"],
  "64 clients and another server share four php-fpm children, and both get on",
  async () => {
    await withSite({}, async ({ get, fpm, folder, gateway }) => {
      await using nginx = await startNginx(folder, fpm.socket);
      // As many of ours as there are children would hold them all, were connections kept for good.
      for (const clients of [4, 64]) {
        const ours = load(async () => String((await get())[0]), clients);
        const slowest = { ms: 0 };
        const theirs = load(async () => {
          const since = performance.now();
          const response = await fetch(`http://127.0.0.1:${nginx.port}/`);
          await response.body?.cancel();
          slowest.ms = Math.max(slowest.ms, performance.now() - since);
          return String(response.status);
        }, 4);
        await pause(4000);
        const [mine, other] = [await ours.end(), await theirs.end()];
        const told = `${clients}: ${JSON.stringify({ mine, other, slowest })}`;
        assert.deepEqual(Object.keys(other), ["200"], told);
        assert.ok(Object.keys(mine).every((status) => ["200", "503"].includes(status)), told);
        assert.ok((mine["200"] ?? 0) > 100 && (other["200"] ?? 0) > 10, told);
        assert.ok(slowest.ms < 3000, told);
      }
      assert.doesNotMatch(await gateway.log(), /status=50[24]/);
    });
  },
);

async function startNginx(folder: string, socket: string) {
  const port = freePort();
  await Deno.writeTextFile(
    `${folder}/nginx.conf`,
    `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
${Deno.uid() === 0 ? "user root;" : ""}
events {}
http { access_log off; client_body_temp_path ${folder}/b; fastcgi_temp_path ${folder}/f;
  proxy_temp_path ${folder}/p; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port}; location / { fastcgi_pass unix:${socket};
    fastcgi_param SCRIPT_FILENAME ${folder}/app.php; fastcgi_param REQUEST_METHOD $request_method;
    fastcgi_param COUNT ${folder}/other; fastcgi_param QUERY_STRING $query_string; } } }
`,
  );
  const child = new Deno.Command(which("nginx") ?? "nginx", {
    args: ["-c", `${folder}/nginx.conf`, "-p", folder, "-e", `${folder}/nginx.log`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const answers = async () => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/`);
      await response.body?.cancel();
      return response.status === 200;
    } catch {
      return false;
    }
  };
  await eventually(answers, 5000, "nginx to answer");
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

testWith([phpFpm()], "events from PHP come one by one, unbuffered", async () => {
  await withSite({}, async ({ gateway }) => {
    using client = await Client.send(gateway.port, { target: "/?do=events" });
    const head = await client.head();
    assert.equal(head.get("content-type"), "text/event-stream;charset=UTF-8");
    const times: number[] = [];
    for (let text = ""; !text.includes("data: 2");) {
      text += await client.some() ?? assert.fail("it ended early");
      times.push(performance.now());
    }
    assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 250, String(times));
  });
});

testWith([phpFpm()], "connection_aborted() is true in PHP once the client has left", async () => {
  await withSite({}, async ({ gateway, folder }) => {
    const mark = `${folder}/mark`;
    const client = await Client.send(gateway.port, { target: `/?do=endless&mark=${mark}` });
    await client.head();
    client.close();
    const marked = () => Deno.readTextFile(mark).catch(() => "");
    await eventually(async () => await marked() !== "", 3000, "PHP to notice");
    assert.equal(await marked(), "aborted");
  });
});
