import assert from "node:assert/strict";
import { endGroup, signalGroup } from "../../lib/io/process_group.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { processesWith } from "../support/processes.ts";

const GRACE_MS = 300;

/** Starts a shell script as the leader of a group; `marks` are its processes. */
function lead(script: string) {
  const mark = `PT_GROUP=${crypto.randomUUID()}`;
  const child = new Deno.Command("setsid", {
    args: ["sh", "-c", script],
    env: { PT_GROUP: mark.slice(mark.indexOf("=") + 1) },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return { child, running: () => processesWith(mark).length };
}

async function timed(work: Promise<void>): Promise<number> {
  const before = performance.now();
  await work;
  return performance.now() - before;
}

testWith(["setsid"], "endGroup() ends a leader and all that it has started", async () => {
  const { child, running } = lead("(sleep 60 & sleep 60) & sleep 60");
  await eventually(() => running() >= 4);
  await endGroup(child.pid, 10_000);
  assert.equal(running(), 0);
  assert.equal((await child.status).signal, "SIGTERM");
});

testWith(["setsid"], "endGroup() kills what ignores SIGTERM, after its time", async () => {
  const rows = [
    // The leader goes, the grandchild stays.
    "(trap '' TERM; sleep 60; sleep 60) & sleep 60",
    "trap '' TERM; sleep 60 & sleep 60",
  ];
  for (const script of rows) {
    const { child, running } = lead(script);
    await eventually(() => running() >= 3);
    const took = await timed(endGroup(child.pid, GRACE_MS));
    assert.equal(running(), 0, script);
    assert.ok(took >= GRACE_MS, `${took} ms`);
    await child.status;
  }
});

testWith(["setsid"], "endGroup() ends a leader that has just been started", async () => {
  for (let round = 0; round < 20; round++) {
    const { child, running } = lead("sleep 60 & sleep 60");
    await endGroup(child.pid, 10_000);
    await child.status;
    assert.equal(running(), 0);
  }
});

testWith(["setsid"], "endGroup() ends what was stopped", async () => {
  const { child, running } = lead("kill -STOP $$; sleep 60");
  await eventually(async () => (await stateOf(child.pid)) === "T");
  await endGroup(child.pid, 10_000);
  await child.status;
  assert.equal(running(), 0);
});

Deno.test("signalGroup() tells that there is no such group", () => {
  assert.equal(signalGroup(2 ** 30, "SIGCONT"), false);
});

async function stateOf(pid: number): Promise<string | undefined> {
  return /^State:\t(.)/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1];
}
