import assert from "node:assert/strict";
import { ask, Client, type RequestText } from "../support/client.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { type FastcgiProbe, serveFastcgiProbe } from "../upstreams/fastcgi_probe.ts";
import { ENVIRON, formatPlay, HANG, OK, type Play, say } from "../upstreams/play.ts";
import { handlerContract, linesOf, parseEnviron } from "./contract.ts";
import { FASTCGI } from "./contract_subjects.ts";

handlerContract(FASTCGI);

type Routes = readonly Readonly<Record<string, unknown>>[];

function tableOf(routes: Routes): string {
  return `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
}

/** Serves routes whose `fastcgi` fields are completed by the probe's address. */
async function withFastcgi(
  routes: Routes,
  body: (gateway: TestGateway, probe: FastcgiProbe) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-fcgi-" });
  try {
    await using probe = serveFastcgiProbe(`${folder}/s`);
    const completed = routes.map(({ fastcgi, ...route }) => {
      return { ...route, fastcgi: { connect: `unix:${folder}/s`, ...fastcgi as object } };
    });
    await withGateway(tableOf(completed), (gateway) => body(gateway, probe));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function play({ port }: TestGateway, steps: Play, request: Partial<RequestText> = {}) {
  return await ask(port, { target: "/p/", headers: { "X-Play": formatPlay(steps) }, ...request });
}

/** Target, and what comes of it: SCRIPT_NAME, PATH_INFO and SCRIPT_FILENAME, or a status. */
type Place = readonly [target: string, expected: readonly [string, string, string] | number];

async function checkPlaces(gateway: TestGateway, places: readonly Place[]): Promise<void> {
  for (const [target, expected] of places) {
    const answer = await play(gateway, [OK, ENVIRON], { target });
    if (typeof expected === "number") {
      assert.equal(answer.status, expected, target);
      continue;
    }
    const { SCRIPT_NAME, PATH_INFO, SCRIPT_FILENAME } = parseEnviron(answer.text);
    assert.deepEqual([SCRIPT_NAME, PATH_INFO, SCRIPT_FILENAME], expected, target);
  }
}

Deno.test("fastcgi: root finds the script along the path by its suffix", async () => {
  await withFastcgi([{ path: "/*", fastcgi: { root: "/srv/www" } }], async (gateway) => {
    await checkPlaces(gateway, [
      ["/a.php", ["/a.php", "", "/srv/www/a.php"]],
      ["/a.php/b/c", ["/a.php", "/b/c", "/srv/www/a.php"]],
      ["/d/a.php/b.php", ["/d/a.php", "/b.php", "/srv/www/d/a.php"]],
      ["/", ["/index.php", "", "/srv/www/index.php"]],
      ["/d/", ["/d/index.php", "", "/srv/www/d/index.php"]],
      ["/../a.php", ["/a.php", "", "/srv/www/a.php"]],
      ["/d%20e/a.php", ["/d e/a.php", "", "/srv/www/d e/a.php"]],
      ["/%E9.php", ["/\xe9.php", "", "/srv/www/\xe9.php"]],
      // CVE-2019-11043 had an encoded line break in PATH_INFO.
      ["/a.php/%0Ab", ["/a.php", "/\nb", "/srv/www/a.php"]],
      ["/photo.jpg", 404],
      ["/a.PHP", 404],
      ["/a.php%2Fb", 404],
      ["/a.php%00", 400],
    ]);
    const { text } = await play(gateway, [OK, ENVIRON], { target: "/a.php/b" });
    const { DOCUMENT_ROOT, PATH_TRANSLATED } = parseEnviron(text);
    assert.deepEqual([DOCUMENT_ROOT, PATH_TRANSLATED], ["/srv/www", "/srv/www/b"]);
  });
});

Deno.test("fastcgi: root below a prefix, index and split are what the table says", async () => {
  const fastcgi = { root: "/srv/app", index: "start.cgi", split: [".cgi", ".fcgi"] };
  await withFastcgi([{ path: "/app/*", fastcgi }], async (gateway) => {
    await checkPlaces(gateway, [
      ["/app/a.cgi/x", ["/app/a.cgi", "/x", "/srv/app/a.cgi"]],
      ["/app/a.fcgi", ["/app/a.fcgi", "", "/srv/app/a.fcgi"]],
      ["/app/", ["/app/start.cgi", "", "/srv/app/start.cgi"]],
      ["/app/a.php", 404],
    ]);
  });
});

Deno.test("fastcgi: script is the one script for all", async () => {
  const fastcgi = { script: "apps/one.php" };
  await withFastcgi([{ path: "/app/*", fastcgi }], async (gateway) => {
    const file = `${TESTS}/apps/one.php`;
    await checkPlaces(gateway, [
      ["/app/x/y", ["/app", "/x/y", file]],
      ["/app", ["/app", "", file]],
      ["/app/a%2Fb", ["/app", "/a/b", file]],
    ]);
  });
});

Deno.test("fastcgi: timeout is the kind's own limit", async () => {
  await withFastcgi([{ path: "/*", fastcgi: { timeout: "200ms" } }], async (gateway, probe) => {
    assert.equal((await play(gateway, [HANG])).status, 504);
    await eventually(() => probe.running === 0);
  });
});

Deno.test("fastcgi: a full pool is a 503 with Retry-After", async () => {
  const fastcgi = { pool: { max: 1, queue: 0 } };
  await withFastcgi([{ path: "/*", fastcgi }], async (gateway, probe) => {
    using busy = await Client.send(gateway.port, {
      target: "/",
      headers: { "X-Play": formatPlay([HANG]) },
    });
    await eventually(() => probe.running === 1);
    const answer = await play(gateway, [OK]);
    assert.equal(answer.status, 503);
    assert.equal(answer.get("retry-after"), "1");
    assert.equal((await linesOf(gateway.log()))[0]?.failure, "queue-full");
    busy.close();
    await eventually(() => probe.running === 0);
    assert.equal((await play(gateway, [OK, say("room")])).text, "room");
  });
});

Deno.test("fastcgi: who waits for a connection is let go in time, or when the client leaves", async () => {
  const fastcgi = { pool: { max: 1 } };
  const routes = [{ path: "/p/*", fastcgi }, { path: "/q/*", timeout: "200ms", fastcgi }];
  await withFastcgi(routes, async (gateway, probe) => {
    const headers = { "X-Play": formatPlay([HANG]) };
    using busy = await Client.send(gateway.port, { target: "/p/", headers });
    await eventually(() => probe.running === 1);
    assert.equal((await play(gateway, [OK], { target: "/q/" })).status, 504);
    const left = await Client.send(gateway.port, { target: "/p/", headers });
    await eventually(() => gateway.ground.sweeper.size === 2);
    left.close();
    await eventually(() => gateway.ground.sweeper.size === 1);
    busy.close();
    await eventually(() => probe.running === 0);
    assert.equal((await play(gateway, [OK, say("room")])).text, "room");
  });
});

const COMMAND = [
  "deno",
  "run",
  "-A",
  "--no-lock",
  `${TESTS}/upstreams/fastcgi_worker.ts`,
  "{socket}",
];
const PID: Play = [OK, ENVIRON];

/** A route by processes of our own; their environ holds the mark. */
function spawned(mark: string, processes = 1): Routes {
  const env = { PORTICO_TEST: mark, HOME: "/tmp" };
  return [{ path: "/*", fastcgi: { spawn: { command: COMMAND, processes, env } } }];
}

Deno.test("fastcgi: spawn serves by processes of its own, and leaves none", async () => {
  const mark = crypto.randomUUID();
  const running = () => processesWith(`PORTICO_TEST=${mark}`);
  await withGateway(tableOf(spawned(mark, 2)), async (gateway) => {
    assert.equal(running().length, 2);
    // Two at once, each with a process of its own.
    const answers = await Promise.all([play(gateway, PID), play(gateway, PID)]);
    assert.ok(answers.every(({ status }) => status === 200));
    const before = running();
    for (const pid of before) Deno.kill(pid, "SIGKILL");
    await eventually(() => !running().some((pid) => before.includes(pid)));
    // Nobody listens until the next ones do: the request waits for them.
    assert.equal((await play(gateway, [OK, say("again")])).text, "again");
    await eventually(() => running().length === 2);
    const notices = (await linesOf(gateway.log())).map(({ message }) => message ?? "");
    assert.equal(notices.filter((notice) => /died of SIGKILL/.test(notice)).length, 2);
  });
  assert.deepEqual(running(), []);
});

Deno.test("fastcgi: a reload keeps the processes of an upstream that stays", async () => {
  const mark = crypto.randomUUID();
  const running = () => processesWith(`PORTICO_TEST=${mark}`);
  await withGateway(tableOf(spawned(mark)), async (gateway) => {
    const before = running();
    await gateway.reload(tableOf([...spawned(mark), { path: "/new", respond: "new" }]));
    assert.equal((await play(gateway, [OK, say("on")])).text, "on");
    assert.deepEqual(running(), before);
    await gateway.reload(tableOf([{ path: "/*", respond: "without" }]));
    await eventually(() => running().length === 0);
  });
});

Deno.test("fastcgi: a program that cannot be started keeps the server from starting, with its words", async () => {
  const command = ["sh", "-c", "echo 'no such database' >&2; exit 4", "{socket}"];
  const table = tableOf([{ path: "/*", name: "app", fastcgi: { spawn: { command } } }]);
  await assert.rejects(withGateway(table, () => Promise.resolve()), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /"app".*sh exited with code 4.*no such database/s);
    return true;
  });
});
