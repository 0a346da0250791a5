import assert from "node:assert/strict";
import { ProcessManager, type ProcessOptions } from "../../lib/io/process_manager.ts";
import type { Endpoint, EndpointSink } from "../../lib/io/endpoint.ts";
import { eventually, TESTS } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
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
    listen: "self",
    concurrency: 1,
    min: 1,
    max: 1,
    idleTimeoutMs: 60_000,
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
  await inScene({ min: 3, max: 3 }, async ({ options, folder, running }) => {
    await using manager = await ProcessManager.start(options);
    assert.deepEqual(manager.sockets, [0, 1, 2].map((index) => `${folder}/w-${index}.sock`));
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
      new RegExp(
        `${Deno.execPath()} \\(pid ${first}\\) exited with code 3 after \\d\\.\\d s: starting it again in 100 ms`,
      ),
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
  await inScene({ command, min: 2, max: 2 }, async ({ options }) => {
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
    Deno.listen({ transport: "unix", path: `${folder}/w-0.sock` }).close();
    await Deno.writeTextFile(`${folder}/w-0.sock`, "in the way").catch(() => {});
    await using manager = await ProcessManager.start(options);
    assert.match(await tell(manager.sockets[0] ?? "", "pid"), /^\d+$/);
  });
});

/** Accepts on descriptor 0 without end, and tells each client its process id. */
const ACCEPT =
  `while (accept(my $c, STDIN)) { sysread($c, my $b, 9); syswrite($c, $$); close($c) }`;
const INHERITS = { command: ["perl", "-e", ACCEPT], listen: "inherit" } as const;

testWith(
  ["perl"],
  "ProcessManager hands a program its listening socket as descriptor 0",
  async () => {
    await inScene({ ...INHERITS, min: 2, max: 2 }, async ({ options, log }) => {
      await using manager = await ProcessManager.start(options);
      const pids = () => Promise.all(manager.sockets.map((socket) => tell(socket, "pid")));
      const [first = "", other] = await pids();
      assert.notEqual(first, other);
      Deno.kill(Number(first), "SIGKILL");
      await eventually(() => log.notices.length === 1);
      assert.match(
        log.notices[0] ?? "",
        /^perl \(pid \d+\) died of SIGKILL after \d\.\d s: starting it again in 100 ms$/,
      );
      await eventually(async () => {
        const again = await pids().catch(() => [first]);
        return again[0] !== first && again[1] === other;
      });
    });
  },
);

Deno.test("ProcessManager gives up on a program that takes no connection from descriptor 0", async () => {
  const changes = {
    command: ["/bin/sleep", "60"],
    listen: "inherit",
    startTimeoutMs: 200,
  } as const;
  await inScene(changes, async ({ options }) => {
    await assert.rejects(
      ProcessManager.start(options),
      /sleep took no connection from its descriptor 0 within 200 ms/,
    );
  });
});

Deno.test("ProcessManager tells of a program that ends with descriptor 0 still in its hand", async () => {
  const command = ["/bin/sh", "-c", "echo no table >&2; exit 4"];
  await inScene({ command, listen: "inherit" }, async ({ options }) => {
    await assert.rejects(
      ProcessManager.start(options),
      /sh exited with code 4 before it was ready: no table/,
    );
  });
});

/** A pool of which the test is the traffic. */
class Traffic implements EndpointSink {
  waiting = 0;
  readonly present = new Set<Endpoint>();
  readonly events: string[] = [];
  /** Those that were removed and still have a request. */
  readonly #held = new Map<Endpoint, () => void>();

  add(endpoint: Endpoint): void {
    this.present.add(endpoint);
    this.events.push(`+${nameOf(endpoint)}`);
  }

  remove(endpoint: Endpoint): Promise<void> {
    this.present.delete(endpoint);
    this.events.push(`-${nameOf(endpoint)}`);
    return new Promise((resolve) => this.#held.set(endpoint, resolve));
  }

  /** The last request at a removed endpoint has ended. */
  letGo(): void {
    for (const resolve of this.#held.values()) resolve();
    this.#held.clear();
  }

  get only(): Endpoint {
    const [endpoint] = this.present;
    assert.ok(endpoint !== undefined && this.present.size === 1);
    return endpoint;
  }
}

/** The number in the name of its socket. */
function nameOf({ address }: Endpoint): string {
  return address.transport === "unix" ? /-(\d+)\.sock$/.exec(address.path)?.[1] ?? "" : "";
}

function request({ usage }: Endpoint): void {
  usage?.begin();
  usage?.end();
}

testWith(
  ["perl"],
  "ProcessManager starts the next process before the old one is full",
  async () => {
    await inScene({ ...INHERITS, maxRequests: 10 }, async ({ options, running }) => {
      await using manager = await ProcessManager.start(options);
      const traffic = new Traffic();
      manager.attach(traffic);
      const first = traffic.only;
      for (let i = 0; i < 8; i++) request(first);
      assert.equal(running(), 1);
      request(first);
      await eventually(() => running() === 2);
      // It waits aside until it is needed.
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(traffic.only, first);
      first.usage?.begin();
      // At once: not one request more, and nobody without a process meanwhile.
      assert.deepEqual(traffic.events, ["+0", "-0", "+1"]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(running(), 2, "the old one has a request still");
      first.usage?.end();
      traffic.letGo();
      await eventually(() => running() === 1);
    });
  },
);

testWith(["perl"], "ProcessManager replaces all its processes, with one more at most", async () => {
  const changes = { ...INHERITS, min: 3, max: 3, maxRequests: 5 };
  await inScene(changes, async ({ options, running, log }) => {
    await using manager = await ProcessManager.start(options);
    const traffic = new Traffic();
    manager.attach(traffic);
    const seen = new Set<Endpoint>();
    let most = 0;
    for (let i = 0; i < 60; i++) {
      await eventually(() => traffic.present.size > 0);
      for (const endpoint of [...traffic.present]) {
        seen.add(endpoint);
        request(endpoint);
      }
      traffic.letGo();
      await new Promise((resolve) => setTimeout(resolve, 5));
      most = Math.max(most, running());
    }
    assert.ok(seen.size > 12, `${seen.size} processes`);
    assert.ok(most <= 4, `${most} at once`);
    assert.deepEqual(log.notices, []);
  });
});

testWith(["perl"], "ProcessManager grows while requests wait and shrinks what idles", async () => {
  const changes = { ...INHERITS, min: 1, max: 5, idleTimeoutMs: 200 };
  await inScene(changes, async ({ options, running }) => {
    await using manager = await ProcessManager.start(options);
    const traffic = new Traffic();
    manager.attach(traffic);
    // A queue that is gone in a moment brings nothing.
    traffic.waiting = 1;
    manager.grow();
    traffic.waiting = 0;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(running(), 1);
    traffic.waiting = 100;
    manager.grow();
    await eventually(() => traffic.present.size === 5);
    manager.grow();
    assert.equal(running(), 5);
    traffic.waiting = 0;
    // A process with a request does not idle, however long it takes.
    const busy = [...traffic.present][2];
    busy?.usage?.begin();
    await eventually(() => {
      traffic.letGo();
      return running() === 1;
    });
    assert.deepEqual([...traffic.present], [busy]);
    busy?.usage?.end();
  });
});

testWith(["perl"], "ProcessManager starts no more of what does not come up", async () => {
  await inScene(
    { ...INHERITS, command: ["/bin/sh", "-c", `[ -e gone ] && exit 9; exec perl -e '${ACCEPT}'`] },
    async ({ options, folder, log, running }) => {
      await using manager = await ProcessManager.start({ ...options, min: 0, max: 8 });
      const traffic = new Traffic();
      manager.attach(traffic);
      await Deno.writeTextFile(`${folder}/gone`, "");
      traffic.waiting = 50;
      manager.grow();
      await eventually(() => log.notices.length >= 2);
      manager.grow();
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(traffic.present.size, 2);
      assert.equal(running(), 1);
      assert.match(log.notices[0] ?? "", /sh exited with code 9 before it was ready: starting/);
      await Deno.remove(`${folder}/gone`);
      await eventually(() => running() === 2);
    },
  );
});
