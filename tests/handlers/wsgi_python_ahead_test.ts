/**
 * Requests that Python processes are given before their turn: nobody waits for a slow neighbour, and no
 * request is lost, doubled or blamed for another. How many were given so depends on the machine; what is
 * promised holds however many there were.
 */
import assert from "node:assert/strict";
import { Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { linesOf, type LogLine } from "./contract.ts";

interface Asked {
  readonly id: string;
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

interface Crowd {
  readonly gateway: TestGateway;
  /** Asks `path`, whose query gets the id. */
  ask(path: string, id: string, method?: string): Promise<Asked>;
  /** Asks `path` from 16 clients at once, `count` times in all, with ids that begin with `name`. */
  load(path: string, name: string, count: number, method?: string): Promise<Asked[]>;
  /** The ids of all calls, in their order. */
  calls(): Promise<string[]>;
}

const CLIENTS = 16;

/** Adds a test with `crowd.py` at `/*`, whose processes have shown that they are quick. */
function testCrowd(
  name: string,
  fields: Readonly<Record<string, unknown>>,
  body: (crowd: Crowd) => Promise<void>,
): void {
  testWith(["python3"], `wsgi (Python), ahead: ${name}`, async () => {
    await using folder = await tempFolder();
    const progress = `${folder.path}/progress`;
    await Deno.writeTextFile(progress, "");
    const wsgi = { app: "./apps/python/crowd.py", env: { PROGRESS: progress }, ...fields };
    const routes = JSON.stringify([{ path: "/*", wsgi }]);
    const table = `server:\n  accessLog: json\nadmin: {listen: "127.0.0.1:0"}\nroutes: ${routes}\n`;
    await withGateway(table, async (gateway) => {
      const crowd = crowdOf(gateway, progress);
      await crowd.load("quick", "warm", 200);
      await body(crowd);
    });
  });
}

function crowdOf(gateway: TestGateway, progress: string): Crowd {
  const ask = async (path: string, id: string, method = "GET"): Promise<Asked> => {
    const url = `${gateway.base}/${path}${path.includes("?") ? "&" : "?"}id=${id}`;
    const began = performance.now();
    const response = await fetch(url, { method, body: method === "POST" ? "x" : null });
    const text = await response.text();
    return { id, status: response.status, text, ms: performance.now() - began };
  };
  const load = async (path: string, name: string, count: number, method?: string) => {
    const all: Asked[] = [];
    let next = 0;
    const client = async () => {
      while (next < count) all.push(await ask(path, `${name}-${next++}`, method));
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    return all;
  };
  const calls = async () => (await Deno.readTextFile(progress)).split("\n");
  return { gateway, ask, load, calls };
}

/** How often each id was called. */
function countsOf(ids: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** What monitors are told of the processes. */
async function poolOf({ admin }: TestGateway): Promise<string> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  const valueOf = (name: string) =>
    new RegExp(`^portico_pool_${name}[^ ]* (\\d+)$`, "m").exec(text)?.[1];
  const busy = valueOf('connections\\{[^}]*state="busy"');
  const idle = valueOf('connections\\{[^}]*state="idle"');
  return `${busy} busy, ${idle} idle, ${valueOf("waiting")} waiting, ${valueOf("max")} at most`;
}

/** Every request was answered with 200. */
function assertAll(asked: readonly Asked[], count: number): void {
  assert.deepEqual(
    [asked.length, asked.filter(({ status }) => status !== 200)],
    [count, []],
  );
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

testCrowd("nobody waits for a slow neighbour", { processes: 2 }, async ({ ask, load }) => {
  for (let round = 0; round < 2; round++) {
    const fast = load("quick", `fast${round}`, 400);
    await wait(20);
    const slow = ask("nap?seconds=3", `slow${round}`);
    const more = await load("quick", `more${round}`, 200);
    assertAll([...await fast, ...more], 600);
    const longest = Math.max(...(await fast).concat(more).map(({ ms }) => ms));
    assert.ok(longest < 2000, `${longest} ms`);
    assert.equal((await slow).status, 200);
  }
});

testCrowd("no POST is called twice, whatever is taken back", { processes: 2 }, async (crowd) => {
  const { ask, load, calls } = crowd;
  const naps = async () => {
    const all: Asked[] = [];
    for (let index = 0; index < 12; index++) {
      all.push(await ask("nap?seconds=0.05", `nap-${index}`, index % 2 === 0 ? "GET" : "POST"));
    }
    return all;
  };
  const [posts, gets, slow] = await Promise.all([
    load("quick", "post", 300, "POST"),
    load("quick", "get", 900),
    naps(),
  ]);
  assertAll([...posts, ...gets, ...slow], 1212);
  const counts = countsOf(await calls());
  for (const { id } of posts) assert.equal(counts.get(id), 1, id);
  for (const { id } of [...gets, ...slow]) assert.ok((counts.get(id) ?? 0) >= 1, id);
});

testCrowd("who is taken back or leaves is not called for it", { processes: 1 }, async (crowd) => {
  const { gateway, ask, load, calls } = crowd;
  for (let round = 0; round < 4; round++) {
    await load("quick", `quick${round}`, 100);
    const nap = ask("nap?seconds=0.6", `nap${round}`);
    const waiting = ask("quick", `waits${round}`);
    const target = `/quick?id=leaves${round}`;
    const leaving = await Client.send(gateway.port, { target });
    await wait(round * 5);
    leaving.close();
    assertAll([await nap, await waiting], 2);
  }
  const called = await calls();
  const counts = countsOf(called);
  for (let round = 0; round < 4; round++) {
    assert.equal(counts.get(`nap${round}`), 1);
    assert.equal(counts.get(`waits${round}`), 1);
    // It may have come first.
    assert.ok(called.indexOf(`leaves${round}`) < called.indexOf(`nap${round}`));
  }
});

testCrowd(
  "a request that takes its process down is alone in that",
  { processes: 2 },
  async (crowd) => {
    const { gateway, ask, load, calls } = crowd;
    for (let round = 0; round < 4; round++) {
      const fast = load("quick", `fast${round}`, 400);
      await wait(5 + round * 5);
      assert.equal((await ask("kill", `kill${round}`)).status, 502);
      assertAll(await fast, 400);
    }
    const counts = countsOf(await calls());
    for (let round = 0; round < 4; round++) assert.equal(counts.get(`kill${round}`), 1);
    const lines = await linesOf(gateway.log());
    const failures = lines.filter(({ failure }) => failure !== undefined);
    assert.equal(failures.length, 4);
  },
);

testCrowd(
  "recycling under load loses nothing",
  { processes: 2, maxRequests: 50 },
  async ({ gateway, load }) => {
    const [gets, posts] = await Promise.all([
      load("quick", "get", 600),
      load("quick", "post", 200, "POST"),
    ]);
    assertAll([...gets, ...posts], 800);
    const pids = new Set([...gets, ...posts].map(({ text }) => text));
    assert.ok(pids.size >= 8, `${pids.size} processes`);
    const failures = (await linesOf(gateway.log())).filter(({ failure }) => failure !== undefined);
    assert.deepEqual(failures, []);
  },
);

testCrowd("SIGTERM under load loses nothing", { processes: 2 }, async ({ gateway, load, ask }) => {
  const fast = load("quick", "fast", 1500);
  for (let round = 0; round < 4; round++) {
    Deno.kill(Number((await ask("quick", `pid${round}`)).text), "SIGTERM");
    await wait(100);
  }
  assertAll(await fast, 1500);
  const failures = (await linesOf(gateway.log())).filter(({ failure }) => failure !== undefined);
  assert.deepEqual(failures, []);
});

testCrowd("what is taken back has waited all the time", { processes: 1 }, async (crowd) => {
  const { gateway, ask, load } = crowd;
  await load("quick", "quick", 100);
  const nap = ask("nap?seconds=0.4", "nap");
  const behind = Array.from({ length: 6 }, (_, index) => ask("quick", `behind${index}`));
  await eventually(async () => await poolOf(gateway) === "1 busy, 0 idle, 6 waiting, 1 at most");
  assertAll(await Promise.all([nap, ...behind]), 7);
  await eventually(async () => await poolOf(gateway) === "0 busy, 1 idle, 0 waiting, 1 at most");
  const isBehind = ({ target = "" }: LogLine) => target.includes("behind");
  const lines = async () => (await linesOf(gateway.access())).filter(isBehind);
  await eventually(async () => (await lines()).length === behind.length);
  for (const { durationMs = 0, queueMs = 0 } of await lines()) {
    assert.ok(durationMs < 300 || queueMs > 300, `${durationMs} ms, in line ${queueMs}`);
  }
});
