/**
 * CGI under a crowd, in a gateway of its own so that its descriptors can be counted: clients that leave
 * in a row, and more requests at once than there are places. Nothing may be lost, nothing may be left.
 */
import assert from "node:assert/strict";
import { Client } from "../support/client.ts";
import { type Running, startPortico } from "../support/command.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { processesWith } from "../support/processes.ts";

const DEPARTURES = 1000;
const DEPARTURES_AT_ONCE = 50;
const CROWD = 5000;
const PLACES = 32;

const OK = "printf 'Content-Type: text/plain\\n\\nfine'";

async function withPortico(
  routes: readonly unknown[],
  body: (portico: Running, port: number) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pt-crowd-" });
  const table = `${folder}/routes.yaml`;
  const server = { listen: "127.0.0.1:0", accessLog: "off", runDir: `${folder}/run` };
  await Deno.writeTextFile(table, JSON.stringify({ server, routes }));
  try {
    await using portico = await startPortico(["serve", "--config", table]);
    await body(portico, Number(new URL(portico.base).port));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function shell(path: string, script: string, fields: Readonly<Record<string, unknown>>) {
  return { path, cgi: { script: "/bin/sh", args: ["-c", script], ...fields } };
}

function descriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Runs `work` so many times, some at once. */
async function repeat(times: number, atOnce: number, work: () => Promise<void>): Promise<void> {
  let left = times;
  const one = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

/** The status of an answer and whether it was whole; a refusal has to say when to come again. */
async function outcome(port: number, target: string): Promise<string> {
  using client = await Client.send(port, { target });
  const { status, text, whole, get } = await client.answer();
  if (status === 200) return whole && text === "fine" ? "200" : `200 with ${text}`;
  return `${status} ${get("retry-after")}`;
}

for (const [how, fields] of Object.entries({ plain: {}, killGroup: { killGroup: true } })) {
  testWith(["setsid"], `cgi: ${DEPARTURES} clients that leave leave nothing (${how})`, async () => {
    const routes = [shell("/silent", "exec sleep 60", fields), shell("/fine", OK, fields)];
    await withPortico(routes, async ({ pid, err }, port) => {
      assert.equal(await outcome(port, "/fine"), "200");
      const before = descriptors(pid);
      let left = 0;
      await repeat(DEPARTURES, DEPARTURES_AT_ONCE, async () => {
        using _client = await Client.send(port, { target: "/silent" });
        // Some leave before the program is there, most after.
        await new Promise((resolve) => setTimeout(resolve, (left++ % 10) * 10));
      });
      const running = () => processesWith(`SERVER_PORT=${port}`).length;
      await eventually(() => running() === 0, 3000, "silent programs to end");
      await eventually(() => descriptors(pid) <= before, 3000, "descriptors to be closed");
      assert.equal(await outcome(port, "/fine"), "200");
      assert.equal(err(), "");
    });
  });
}

/** How many clients this process may be, with room for all else that it does. */
function crowd(): number {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  const most = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return Math.min(CROWD, most - 500);
}

Deno.test(`cgi: ${CROWD} requests at once for ${PLACES} processes are all answered`, async () => {
  const routes = [shell("/fine", OK, { maxProcesses: PLACES }), shell("/other", OK, {})];
  await withPortico(routes, async ({ pid, err }, port) => {
    assert.equal(await outcome(port, "/other"), "200");
    const before = descriptors(pid);
    const outcomes = new Map<string, number>();
    await repeat(crowd(), crowd(), async () => {
      const told = await outcome(port, "/fine");
      outcomes.set(told, (outcomes.get(told) ?? 0) + 1);
    });
    const [served = 0, refused = 0] = ["200", "503 1"].map((told) => outcomes.get(told));
    const others = err().split("\n").filter((line) => !line.includes("queue-full")).join("\n");
    assert.equal(served + refused, crowd(), `${JSON.stringify([...outcomes])}\n${others}`);
    assert.ok(served >= 1024, `${served} served`);
    const running = () => processesWith(`SERVER_PORT=${port}`).length;
    await eventually(() => running() === 0, 3000, "programs to end");
    await eventually(() => descriptors(pid) <= before, 3000, "descriptors to be closed");
    assert.equal(await outcome(port, "/fine"), "200");
  });
});
