import assert from "node:assert/strict";
import { Guard } from "../../lib/io/guard.ts";
import { eventually } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { MemoryLog } from "../support/service_log.ts";

/** By which the guard of one test is found. */
function guardPath(): string {
  return `/usr/bin:/bin:/${crypto.randomUUID()}`;
}

/** A process that ends when it is told to; `deaf` to SIGTERM. */
function sleeper(deaf = false): Deno.ChildProcess {
  const script = `${deaf ? "trap '' TERM; " : ""}sleep 30 & wait; wait`;
  return new Deno.Command("sh", {
    args: ["-c", script],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

async function endOf(child: Deno.ChildProcess): Promise<string> {
  const { signal, code } = await child.status;
  return signal ?? String(code);
}

Deno.test("Guard ends what it watches when nobody holds its pipe any more", async () => {
  const path = guardPath();
  await using guard = await Guard.start({ path, graceMs: 500, log: new MemoryLog() });
  const [polite, deaf, forgotten] = [sleeper(), sleeper(true), sleeper()];
  for (const { pid } of [polite, deaf, forgotten]) await guard.watch(pid);
  await guard.forget(forgotten.pid);
  // The shells set their traps meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = performance.now();
  // Its end of the pipe is all that it sees of us.
  await guard[Symbol.asyncDispose]();
  assert.equal(await endOf(polite), "SIGTERM");
  assert.equal(await endOf(deaf), "SIGKILL");
  assert.ok(performance.now() - before >= 400, "the grace");
  forgotten.kill("SIGKILL");
  assert.equal(await endOf(forgotten), "SIGKILL");
});

Deno.test("Guard is deaf to what a terminal and a service manager send to all", async () => {
  const path = guardPath();
  await using guard = await Guard.start({ path, graceMs: 500, log: new MemoryLog() });
  const child = sleeper();
  await guard.watch(child.pid);
  const running = () => processesWith(`PATH=${path}`);
  const [pid = 0] = running();
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) Deno.kill(pid, name);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(running(), [pid]);
  await guard[Symbol.asyncDispose]();
  assert.equal(await endOf(child), "SIGTERM");
});

Deno.test("Guard is replaced when it is killed, and the next one knows all", async () => {
  const log = new MemoryLog();
  const path = guardPath();
  await using guard = await Guard.start({ path, graceMs: 500, log });
  const child = sleeper();
  await guard.watch(child.pid);
  const running = () => processesWith(`PATH=${path}`);
  await eventually(() => running().length === 1);
  const [first] = running();
  assert.ok(first !== undefined);
  Deno.kill(first, "SIGKILL");
  await eventually(() => log.notices.length > 0);
  await eventually(() => running().length === 1 && running()[0] !== first);
  assert.deepEqual(log.notices, ["The guard over started programs has ended: starting another"]);
  await guard[Symbol.asyncDispose]();
  assert.equal(await endOf(child), "SIGTERM");
});
