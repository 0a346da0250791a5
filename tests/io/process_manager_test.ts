import assert from "node:assert/strict";
import { ProcessManager, type ProcessOptions, socketPath } from "../../lib/io/process_manager.ts";
import { eventually, TESTS } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { MemoryLog } from "../support/service_log.ts";

const WORKER = [
  Deno.execPath(),
  "run",
  "-A",
  "--no-lock",
  `${TESTS}/upstreams/worker.ts`,
  "{socket}",
];

interface Scene {
  readonly log: MemoryLog;
  readonly folder: string;
  readonly options: ProcessOptions;
  /** Processes of this scene that run. */
  running(): number;
}

async function inScene(
  changes: Partial<ProcessOptions>,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-pm-" });
  const log = new MemoryLog();
  const mark = `PORTICO_TEST=${folder}`;
  const options: ProcessOptions = {
    command: WORKER,
    processes: 1,
    env: { PORTICO_TEST: folder, PATH: Deno.env.get("PATH") ?? "", HOME: folder },
    cwd: folder,
    runDir: folder,
    prefix: "w",
    startTimeoutMs: 10_000,
    graceMs: 1000,
    log,
    ...changes,
  };
  try {
    await body({ log, folder, options, running: () => processesWith(mark).length });
    assert.equal(processesWith(mark).length, 0, "processes were left behind");
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assert.deepEqual(names.filter((name) => name.endsWith(".sock")), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes to a worker and reads what it answers. */
async function tell(path: string, words: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(words));
  const buffer = new Uint8Array(100);
  const count = await connection.read(buffer).catch(() => null);
  return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
}

Deno.test("ProcessManager starts as many processes as asked, each ready on its own socket", async () => {
  await inScene({ processes: 3 }, async ({ options, folder, running }) => {
    await using manager = await ProcessManager.start(options);
    assert.deepEqual(manager.sockets, [0, 1, 2].map((index) => socketPath(folder, "w", index)));
    const pids = await Promise.all(manager.sockets.map((socket) => tell(socket, "pid")));
    assert.equal(new Set(pids).size, 3);
    assert.equal(running(), 3);
  });
});

Deno.test("ProcessManager starts a process again when it exits, and says so", async () => {
  await inScene({}, async ({ options, log }) => {
    await using manager = await ProcessManager.start(options);
    const [socket = ""] = manager.sockets;
    const first = await tell(socket, "pid");
    await tell(socket, "exit 3");
    let second = "";
    await eventually(async () => {
      second = await tell(socket, "pid").catch(() => "");
      return second !== "" && second !== first;
    }, 10_000);
    assert.equal(log.notices.length, 1);
    assert.match(
      log.notices[0] ?? "",
      new RegExp(`${Deno.execPath()} \\(pid ${first}\\) exited with code 3: starting it again`),
    );
    assert.deepEqual(log.lines, [`pid ${first}: ending with 3`]);
  });
});

Deno.test("ProcessManager starts again ever later what does not last", async () => {
  // Accepts once, for the look whether it is ready, and ends.
  const program = `for await (const c of Deno.listen({transport: "unix", path: "{socket}"})) {
    c.close(); Deno.exit(7);
  }`;
  await inScene({ command: [Deno.execPath(), "eval", program] }, async ({ options, log }) => {
    await using manager = await ProcessManager.start(options);
    const [path = ""] = manager.sockets;
    await eventually(async () => {
      await tell(path, "hello").catch(() => {});
      return log.notices.length >= 3;
    }, 10_000);
    const waits = log.notices.map((notice) => /again in (\d+) ms/.exec(notice)?.[1]);
    assert.deepEqual(waits.slice(0, 3), ["100", "200", "400"]);
  });
});

Deno.test("ProcessManager names a program that is missing", async () => {
  await inScene({ command: ["/nowhere/app", "{socket}"] }, async ({ options }) => {
    await assert.rejects(ProcessManager.start(options), /\/nowhere\/app/);
  });
});

Deno.test("ProcessManager tells what a program said that ended before it was ready", async () => {
  const script = "echo 'cannot read app.conf' >&2; exit 3";
  await inScene({ command: ["/bin/sh", "-c", script] }, async ({ options, log }) => {
    await assert.rejects(ProcessManager.start(options), (error) => {
      assert.ok(error instanceof Error);
      assert.match(error.message, /^\/bin\/sh exited with code 3 before it was ready: cannot read/);
      return true;
    });
    assert.match(log.lines[0] ?? "", /^pid \d+: cannot read app\.conf$/);
  });
});

Deno.test("ProcessManager does not wait for a child that its dead program left behind", async () => {
  const script = "sleep 3 & exit 3";
  await inScene({ command: ["/bin/sh", "-c", script] }, async ({ options, running }) => {
    const before = performance.now();
    await assert.rejects(ProcessManager.start(options), /exited with code 3/);
    assert.ok(performance.now() - before < 2500);
    await eventually(() => running() === 0);
  });
});

Deno.test("ProcessManager gives up on a program that never listens, and stops it", async () => {
  const changes = { command: ["/bin/sleep", "60"], startTimeoutMs: 200 };
  await inScene(changes, async ({ options }) => {
    await assert.rejects(ProcessManager.start(options), /sleep did not listen on .* within 200 ms/);
  });
});

Deno.test("ProcessManager stops the others when one cannot be started", async () => {
  // The first to come makes the folder; the second ends.
  const script = `mkdir taken 2>/dev/null && exec "$@"; echo taken; exit 1`;
  const command = ["/bin/sh", "-c", script, "sh", ...WORKER];
  await inScene({ command, processes: 2 }, async ({ options }) => {
    await assert.rejects(ProcessManager.start(options), /before it was ready: taken/);
  });
});

Deno.test("ProcessManager kills what is deaf to SIGTERM", async () => {
  const changes = { command: [...WORKER, "stubborn"], graceMs: 200 };
  await inScene(changes, async ({ options, log }) => {
    const manager = await ProcessManager.start(options);
    await manager[Symbol.asyncDispose]();
    assert.match(log.lines[0] ?? "", /not now$/);
    assert.deepEqual(log.notices, []);
  });
});

Deno.test("ProcessManager takes the place of a socket that was left behind", async () => {
  await inScene({}, async ({ options, folder }) => {
    Deno.listen({ transport: "unix", path: socketPath(folder, "w", 0) }).close();
    await Deno.writeTextFile(socketPath(folder, "w", 0), "in the way").catch(() => {});
    await using manager = await ProcessManager.start(options);
    assert.match(await tell(manager.sockets[0] ?? "", "pid"), /^\d+$/);
  });
});
