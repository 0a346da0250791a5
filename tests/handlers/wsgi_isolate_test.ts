import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { wsgi } from "../../lib/handlers/wsgi.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { linesOf } from "./contract.ts";

const APP = `${TESTS}/apps/wsgi_isolated.ts`;

/** The application in workers at /a/*, and beside it a route that has nothing to do with it at /ok. */
function tableOf(
  fields: Record<string, unknown> = {},
  route: Record<string, unknown> = {},
): string {
  const routes = [
    { path: "/a/*", wsgi: { app: APP, isolate: "worker", ...fields }, ...route },
    { path: "/ok", respond: "fine" },
  ];
  return `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
}

interface Answered {
  readonly status: number;
  readonly text: string;
}

async function ask(gateway: TestGateway, path: string, init?: RequestInit): Promise<Answered> {
  const response = await fetch(gateway.base + path, init);
  return { status: response.status, text: await response.text() };
}

/** Who answers, once somebody does so in time: on a busy machine the first answer may take too long. */
async function whoAnswers(gateway: TestGateway): Promise<string> {
  let answered: Answered | undefined;
  await eventually(async () => {
    answered = await ask(gateway, "/a/");
    return answered.status === 200;
  });
  return answered?.text ?? "";
}

/** Failures and notices that the log has so far. */
async function logged(gateway: TestGateway): Promise<string> {
  const lines = await linesOf(gateway.log());
  return lines.map(({ failure = "", message = "" }) => `${failure} ${message}`.trim()).join("\n");
}

/** Milliseconds that the slowest of many requests to another route took while `busy` was not over. */
async function slowestBeside(gateway: TestGateway, busy: Promise<unknown>): Promise<number> {
  let over = false;
  busy.finally(() => over = true);
  let slowest = 0;
  while (!over) {
    const from = performance.now();
    assert.equal((await ask(gateway, "/ok")).text, "fine");
    slowest = Math.max(slowest, performance.now() - from);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return slowest;
}

Deno.test("isolate: a handler that spins delays no other route", async () => {
  await withGateway(tableOf(), async (gateway) => {
    await ask(gateway, "/a/");
    const slowest = [];
    // A busy machine may be late at times; a gateway that is held up is late every time.
    do slowest.push(await slowestBeside(gateway, ask(gateway, "/a/spin/500"))); while (
      Math.min(...slowest) > 50 && slowest.length < 10
    );
    assert.ok(Math.min(...slowest) <= 50, `took up to ${slowest} ms`);
  });
});

Deno.test("isolate: a worker that spins past the route's timeout is replaced", async () => {
  await withGateway(tableOf({}, { timeout: "200ms" }), async (gateway) => {
    const before = await whoAnswers(gateway);
    const spinning = ask(gateway, "/a/spin/60000");
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await spinning).status, 504);
    assert.notEqual(await whoAnswers(gateway), before);
    assert.match(
      await logged(gateway),
      /^Starting the worker of .* again in 100 ms: it did not let go of a request/m,
    );
  });
});

Deno.test("isolate: a worker that lets go of a request in time is kept", async () => {
  await withGateway(tableOf({}, { timeout: "100ms" }), async (gateway) => {
    const before = await whoAnswers(gateway);
    assert.equal((await ask(gateway, "/a/wait/300")).status, 504);
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.equal(await whoAnswers(gateway), before);
  });
});

Deno.test("isolate: a worker without a sign of life is replaced when its client has left", async () => {
  await withGateway(tableOf({ stallTimeout: "300ms" }), async (gateway) => {
    const before = (await ask(gateway, "/a/")).text;
    await assert.rejects(ask(gateway, "/a/spin/60000", { signal: AbortSignal.timeout(100) }));
    assert.notEqual((await ask(gateway, "/a/")).text, before);
    assert.match(await logged(gateway), /showed no sign of life for 300 ms/);
  });
});

Deno.test("isolate: a worker that computes for less than the stall timeout is kept", async () => {
  await withGateway(tableOf({ stallTimeout: "2s" }), async (gateway) => {
    const before = (await ask(gateway, "/a/")).text;
    assert.equal((await ask(gateway, "/a/spin/800")).text, before);
  });
});

const CRASHES: readonly [what: string, path: string, said: RegExp][] = [
  ["an uncaught error", "uncaught", /RangeError: nobody catches this\n.*wsgi_isolated\.ts:\d+/],
  ["an unhandled rejection", "rejection", /RangeError: nobody handles this\n.*wsgi_isolated\.ts/],
  ["Deno.exit", "exit/3", /ended by itself with code 3/],
];

for (const [what, path, said] of CRASHES) {
  Deno.test(`isolate: ${what} ends the worker alone; its requests are 502s`, async () => {
    await withGateway(tableOf(), async (gateway) => {
      const before = (await ask(gateway, "/a/")).text;
      const beside = ask(gateway, "/a/wait/60000");
      assert.equal((await ask(gateway, `/a/${path}`)).status, 502);
      assert.equal((await beside).status, 502);
      assert.equal((await ask(gateway, "/ok")).text, "fine");
      assert.notEqual((await ask(gateway, "/a/")).text, before);
      const log = await logged(gateway);
      assert.match(log, said);
      assert.match(log, /^worker-died The worker ended[^\n]*$/m);
      assert.match(log, /^Starting the worker of .* again in 100 ms: it ended/m);
    });
  });
}

Deno.test("isolate: a worker that fills its memory is replaced", async () => {
  await withGateway(tableOf({ memory: "48MiB", stallTimeout: "500ms" }), async (gateway) => {
    const before = (await ask(gateway, "/a/")).text;
    assert.equal((await ask(gateway, "/a/memory")).status, 502);
    assert.notEqual((await ask(gateway, "/a/")).text, before);
  });
});

Deno.test("isolate: a worker that scribbles over the memory that it shares is replaced", async () => {
  await withGateway(tableOf(), async (gateway) => {
    const before = (await ask(gateway, "/a/")).text;
    assert.equal((await ask(gateway, "/a/scribble")).status, 502);
    assert.notEqual((await ask(gateway, "/a/")).text, before);
    assert.match(await logged(gateway), /^worker-died The worker wrote into the memory/m);
  });
});

Deno.test("isolate: bodies of any size go and come whole, side by side", async () => {
  await withGateway(tableOf(), async (gateway) => {
    // On both sides of what is sent in another way, and more at once than the short way has room for.
    const sizes = [0, 1, 16_383, 16_384, 16_385, 65_536, 65_537, 200_000];
    await Promise.all([...sizes, ...sizes, ...sizes].map(async (size) => {
      const body = "y".repeat(size);
      const length = ask(gateway, "/a/length", { method: "POST", body });
      assert.equal((await length).text, String(size));
      assert.equal((await ask(gateway, `/a/size/${size}`)).text, "x".repeat(size));
    }));
  });
});

Deno.test("isolate: what is not ASCII goes and comes as it is", async () => {
  await withGateway(tableOf(), async (gateway) => {
    const asked = await ask(gateway, "/a/path/%E4%F6%2f?%E4", {
      headers: { "x-name": "\u00e4\u00ff" },
    });
    assert.equal(asked.text, "/path/\u00e4\u00f6/ %E4 \u00e4\u00ff");
  });
});

Deno.test("isolate: an answer whose worker dies under it is cut off, never ended", async () => {
  await withGateway(tableOf(), async (gateway) => {
    await assert.rejects(ask(gateway, "/a/burst/1000"));
    assert.match(await logged(gateway), /^worker-died answer cut short: /m);
  });
});

Deno.test("isolate: a worker that dies again and again is started later and later", async () => {
  await withGateway(tableOf(), async (gateway) => {
    for (let round = 0; round < 3; round++) await ask(gateway, "/a/exit/1");
    const waits = Array.from(
      (await logged(gateway)).matchAll(/again in (\d+) ms/g),
      ([, ms]) => ms,
    );
    assert.deepEqual(waits, ["100", "200", "400"]);
  });
});

Deno.test("isolate: an error is a 500, with its stack in the log by the request's id", async () => {
  await withGateway(tableOf(), async (gateway) => {
    const response = await fetch(`${gateway.base}/a/throw`);
    assert.equal(response.status, 500);
    await response.body?.cancel();
    const [line] = await linesOf(gateway.log());
    assert.equal(line?.id, response.headers.get("x-request-id"));
    assert.equal(line?.failure, "application-error");
    assert.match(line?.message ?? "", /^RangeError: as asked\n.*wsgi_isolated\.ts:\d+:\d+/);
    assert.doesNotMatch(line?.message ?? "", /wsgi_worker/);
  });
});

Deno.test("isolate: wsgi.errors goes to the log, by the request's id", async () => {
  await withGateway(tableOf(), async (gateway) => {
    await ask(gateway, "/a/grumble");
    const [access] = await linesOf(gateway.access());
    const lines = await linesOf(gateway.log());
    assert.deepEqual(lines.map(({ id, message }) => [id, message]), [
      [access?.id, "one"],
      [access?.id, "two"],
    ]);
  });
});

Deno.test("isolate: a client that leaves a stream closes it within 0.3 s", async () => {
  await withGateway(tableOf(), async (gateway) => {
    for (const path of ["/a/stream/20", "/a/stream/5"]) {
      const response = await fetch(gateway.base + path);
      const reader = response.body?.getReader();
      await reader?.read();
      const left = performance.now();
      await reader?.cancel();
      await eventually(async () => (await ask(gateway, "/a/events")).text === "closed");
      const took = performance.now() - left;
      assert.ok(took <= 300, `closed after ${took} ms`);
    }
  });
});

Deno.test("isolate: requests go to the worker with the fewest, and wait when all have enough", async () => {
  const fields = { workers: 2, concurrency: 1, queue: 1, queueTimeout: "5s" };
  await withGateway(tableOf(fields), async (gateway) => {
    const first = ask(gateway, "/a/wait/300");
    const second = ask(gateway, "/a/wait/300");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const third = ask(gateway, "/a/wait/0");
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal((await ask(gateway, "/a/")).status, 503);
    const [one, other] = [(await first).text, (await second).text];
    assert.notEqual(one, other);
    assert.ok([one, other].includes((await third).text));
    assert.match(await logged(gateway), /^queue-full /m);
  });
});

Deno.test("isolate: a worker takes many requests at once", async () => {
  await withGateway(tableOf(), async (gateway) => {
    const from = performance.now();
    const asked = Array.from({ length: 20 }, () => ask(gateway, "/a/wait/200"));
    assert.equal(new Set((await Promise.all(asked)).map(({ text }) => text)).size, 1);
    assert.ok(performance.now() - from < 1500);
  });
});

Deno.test("isolate: the environ tells of other workers, and has the routes frozen", async () => {
  for (const workers of [1, 2]) {
    await withGateway(tableOf({ workers }), async (gateway) => {
      assert.equal((await ask(gateway, "/a/shared")).text, `false ${workers > 1}`);
      assert.equal((await ask(gateway, "/a/frozen")).text, "true");
    });
  }
});

Deno.test("isolate: what an application posts by itself is nobody's business", async () => {
  await withGateway(tableOf(), async (gateway) => {
    const before = (await ask(gateway, "/a/post")).text;
    assert.equal((await ask(gateway, "/a/")).text, before);
    assert.equal(await logged(gateway), "");
  });
});

Deno.test("isolate: middleware and the validator run in the worker", async () => {
  const fields = { middleware: ["portico:timing"], validate: true };
  await withGateway(tableOf(fields), async (gateway) => {
    const response = await fetch(`${gateway.base}/a/`);
    await response.body?.cancel();
    assert.equal(response.status, 200);
    assert.ok(response.headers.has("server-timing"));
  });
});

Deno.test("isolate: a fetch handler streams both ways, hears of a client that leaves, and may fail", async () => {
  await withGateway(tableOf({ app: `${APP}:fetching` }), async (gateway) => {
    const body = "x".repeat(1_000_000) + "y";
    const echoed = await ask(gateway, "/a/echo", { method: "POST", body });
    assert.ok(echoed.text === body);
    assert.equal((await ask(gateway, "/a/throw")).status, 500);
    await assert.rejects(ask(gateway, "/a/signal", { signal: AbortSignal.timeout(100) }));
    await eventually(async () => (await ask(gateway, "/a/events")).text === "aborted", 300);
  });
});

/** What is wrong with an application's fields. */
function faultsOf(fields: string): string[] {
  try {
    const text = `routes:\n  - {path: /*, wsgi: {app: ./a.ts, ${fields}}}\n`;
    parseTable(text, { file: "t.yaml", folder: "/srv" }, { wsgi });
    return [];
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.faults.map(({ message }) => message);
  }
}

Deno.test("isolate: takes workers, what each may have, and how long it may take", () => {
  assert.deepEqual(faultsOf("isolate: worker"), []);
  const all = "workers: 2, concurrency: 8, queue: 0, queueTimeout: 1s, memory: 32MiB, " +
    "stallTimeout: 5s, startTimeout: 3s";
  assert.deepEqual(faultsOf(`isolate: worker, ${all}`), []);
});

Deno.test("isolate: refuses workers that cannot be, and fields of workers without any", () => {
  const cases: Readonly<Record<string, string>> = {
    "isolate: thread": 'Cannot read "thread" as a choice: write worker',
    "isolate: worker, workers: 0": "Cannot read 0 as a count: write a whole number, 1 or more",
    "isolate: worker, memory: 1MiB": "Cannot run a worker in so little memory: write 32MiB or more",
    "isolate: worker, stallTimeout: soon":
      'Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  };
  for (const [fields, fault] of Object.entries(cases)) {
    assert.deepEqual(faultsOf(fields), [fault], fields);
  }
  for (const field of ["workers: 2", "concurrency: 2", "queue: 2", "memory: 64MiB"]) {
    assert.match(
      faultsOf(field).join(),
      /^Cannot set workers where there are none: write `isolate/,
    );
  }
});

Deno.test("isolate: what cannot be loaded is told when the table is opened", async () => {
  const cases: [app: string, said: RegExp][] = [
    ["apps/wsgi_none.ts", /Cannot import .*wsgi_none\.ts: Module not found/],
    ["apps/wsgi_failing.ts", /Cannot import .*wsgi_failing\.ts: TypeError: .*'rows'/],
    ["apps/wsgi_isolated.ts:nope", /exports no application as nope: it exports default, fetching/],
  ];
  for (const [app, said] of cases) {
    const opened = withGateway(tableOf({ app: `${TESTS}/${app}`, workers: 2 }), async () => {});
    await assert.rejects(opened, said);
  }
});

Deno.test("isolate: a module that never finishes loading is given up", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, "for (;;);\n");
    const opened = withGateway(tableOf({ app: file, startTimeout: "300ms" }), async () => {});
    await assert.rejects(opened, /The worker did not load its module within 300 ms/);
  } finally {
    await Deno.remove(file);
  }
});
