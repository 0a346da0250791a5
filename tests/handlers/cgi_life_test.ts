/** The life of CGI programs: their groups, limits and figures, and what they inherit. */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { processesWith } from "../support/processes.ts";
import { linesOf } from "./contract.ts";

const OK = "printf 'Content-Type: text/plain\\n\\n'; ";
/** How soon a program is stopped whose client has left. */
const SOON_MS = 300;

interface Life extends TestGateway {
  /** Processes of the route, whoever started them. */
  running(): number;
}

/** Serves `/` by a shell script with these fields; at the end nothing of it may be left. */
async function withShell(
  script: string,
  fields: Readonly<Record<string, unknown>>,
  body: (life: Life) => Promise<void>,
  route: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const cgi = { script: "/bin/sh", args: ["-c", script], ...fields };
  const routes = [{ path: "/", name: "shell", cgi, ...route }];
  let running = () => 0;
  await withGateway(
    `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`,
    async (gateway) => {
      running = () => processesWith(`SERVER_PORT=${gateway.port}`).length;
      await body({ ...gateway, running });
    },
  );
  assert.equal(running(), 0, "the server's stop left programs behind");
}

/** Hangs up once as many processes run; milliseconds until none does. */
async function timeToStop(life: Life, processes: number): Promise<number> {
  using client = await Client.send(life.port, { target: "/" });
  await eventually(() => life.running() >= processes);
  const left = performance.now();
  client.close();
  await eventually(() => life.running() === 0);
  return Math.round(performance.now() - left);
}

/** What a script prints, by the route's own means. */
async function printed(script: string, fields: Readonly<Record<string, unknown>>): Promise<string> {
  let text = "";
  await withShell(OK + script, fields, async ({ port }) => {
    text = (await ask(port, { target: "/" })).text;
  });
  return text;
}

/** The shell lists its own descriptors; ls would have its folder open too. */
const LIST = "ls /proc/$$/fd; :";
/** What whoever started these tests left open for all that they start: it is not the gateway's. */
const STRAYS = await (async () => {
  const { stdout } = await new Deno.Command("/bin/sh", { args: ["-c", LIST] }).output();
  const listed = new TextDecoder().decode(stdout).trim().split("\n");
  return listed.filter((descriptor) => Number(descriptor) > 2);
})();

/** Ways to start a program. */
const WAYS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "by itself": {},
  "with killGroup": { killGroup: true },
  "with nice and limits": { nice: 1, limits: { openFiles: 64 } },
  "with everything": { killGroup: true, nice: 1, limits: { cpu: "9s" }, usage: true },
};
const TOOLS = ["setsid", "nice", "prlimit", "time"];

for (const [how, fields] of Object.entries(WAYS)) {
  testWith(TOOLS, `cgi: a program started ${how} inherits three descriptors`, async () => {
    const listed = await printed(LIST, fields);
    assert.deepEqual(listed.trim().split("\n").sort(), ["0", "1", "2", ...STRAYS].sort());
  });

  testWith(TOOLS, `cgi: a program started ${how} has the same environ`, async () => {
    const names = async (more: Readonly<Record<string, unknown>>) =>
      (await printed("cat /proc/$$/environ", more)).split("\0")
        .map((pair) => pair.slice(0, pair.indexOf("="))).sort();
    assert.deepEqual(await names(fields), await names({}));
  });

  testWith(TOOLS, `cgi: a program started ${how} that exits or dies says so`, async () => {
    const script = `case $QUERY_STRING in
      exit) exit 7 ;;
      die) kill -KILL $$ ;;
      cut) ${OK} printf half; kill -KILL $$ ;;
      137) ${OK} printf whole; exit 137 ;;
    esac`;
    await withShell(script, fields, async ({ port, log }) => {
      const rows: [query: string, status: number, whole: boolean, message: RegExp][] = [
        ["exit", 502, true, /exited with code 7/],
        ["die", 502, true, /died of SIGKILL/],
        ["cut", 200, false, /died of SIGKILL/],
        ["137", 200, true, /exited with code 137/],
      ];
      for (const [query, status, whole, message] of rows) {
        const answer = await ask(port, { target: `/?${query}` });
        assert.deepEqual([answer.status, answer.whole], [status, whole], query);
        await eventually(async () => message.test((await linesOf(log())).at(-1)?.message ?? ""));
      }
      assert.doesNotMatch(await log(), /portico-usage/);
    });
  });

  testWith(TOOLS, `cgi: a program to be started ${how} that is missing is told`, async () => {
    const rows: [script: string, failure: string][] = [
      ["/nowhere/program", "script-missing"],
      ["no-such-program-anywhere", "script-missing"],
      [`${TESTS}/handlers/cgi_life_test.ts`, "script-not-executable"],
    ];
    for (const [script, failure] of rows) {
      const missing = { ...fields, script, args: [], cwd: "/" };
      await withShell("", missing, async ({ port, log }) => {
        assert.equal((await ask(port, { target: "/" })).status, 502);
        const [line] = (await linesOf(log())).filter((line) => line.failure !== undefined);
        assert.equal(line?.failure, failure);
        assert.ok(line?.message?.includes(script), line?.message);
      });
    }
  });
}

/** Scripts that are silent and start others; how many processes each is. */
const FAMILIES: Readonly<Record<string, readonly [script: string, processes: number]>> = {
  "a child beside it": ["sleep 60 & sleep 60; :", 3],
  "grandchildren": ["(sleep 60 & sleep 60; :) & sleep 60; :", 5],
  "a pipe of children": ["sleep 60 | cat | cat; :", 4],
};

for (const [what, [script, processes]] of Object.entries(FAMILIES)) {
  for (const [how, fields] of Object.entries({ killGroup: {}, usage: { usage: true } })) {
    testWith(TOOLS, `cgi: ${how}: a client that leaves takes along ${what}`, async () => {
      await withShell(script, { killGroup: true, ...fields }, async (life) => {
        const times = [];
        for (let round = 0; round < 3; round++) times.push(await timeToStop(life, processes));
        assert.ok(Math.min(...times) <= SOON_MS, `stopped after ${times} ms`);
        assert.deepEqual(await linesOf(life.log()), []);
      });
    });
  }
}

testWith(["setsid"], "cgi: killGroup: what ignores SIGTERM is killed, after its time", async () => {
  const stubborn = {
    "the program": "trap '' TERM; sleep 60 & sleep 60; :",
    "what it started": "(trap '' TERM; sleep 60; :) & sleep 60; :",
  };
  for (const [who, script] of Object.entries(stubborn)) {
    await withShell(script, { killGroup: true }, async (life) => {
      const took = await timeToStop(life, 3);
      assert.ok(took >= 1500 && took < 4000, `${who}: ${took} ms`);
    });
  }
});

testWith(["setsid"], "cgi: killGroup: a time that runs out ends all", async () => {
  const script = "(trap '' TERM; sleep 60; :) & sleep 60; :";
  await withShell(script, { killGroup: true, timeout: "300ms" }, async (life) => {
    assert.equal((await ask(life.port, { target: "/" })).status, 504);
    await eventually(() => life.running() === 0);
  });
});

testWith(["setsid"], "cgi: killGroup: the server's stop waits for all, and ends them", async () => {
  let client: Client | undefined;
  // The end of withShell looks for what is left.
  await withShell(
    "(trap '' TERM; sleep 60; :) & sleep 60; :",
    { killGroup: true },
    async (life) => {
      client = await Client.send(life.port, { target: "/" });
      await eventually(() => life.running() >= 3);
      client.close();
    },
  );
  assert.ok(client !== undefined);
});

testWith(["setsid"], "cgi: killGroup: what a program left behind in peace goes on", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pt-life-" });
  const script = `(sleep 0.7; echo done >${folder}/done) >/dev/null 2>&1 & ${OK} printf fine`;
  await withShell(script, { killGroup: true }, async (life) => {
    assert.equal((await ask(life.port, { target: "/" })).text, "fine");
    await eventually(() => [...Deno.readDirSync(folder)].length === 1);
    await eventually(() => life.running() === 0);
  });
  await Deno.remove(folder, { recursive: true });
});

testWith(["nice", "prlimit"], "cgi: nice and limits are what the program runs under", async () => {
  const fields = {
    nice: 7,
    limits: { cpu: "10s", memory: "256MiB", fileSize: "1GiB", openFiles: 64, processes: 5000 },
  };
  const text = await printed("nice; cat /proc/self/limits", fields);
  assert.match(text, /^7\n/);
  const limitOf = (name: string) => {
    return new RegExp(`^${name} +(\\w+) +(\\w+) `, "m").exec(text)?.slice(1).join(" ");
  };
  assert.equal(limitOf("Max cpu time"), "10 11");
  assert.equal(limitOf("Max address space"), `${2 ** 28} ${2 ** 28}`);
  assert.equal(limitOf("Max file size"), `${2 ** 30} ${2 ** 30}`);
  assert.equal(limitOf("Max open files"), "64 64");
  assert.equal(limitOf("Max processes"), "5000 5000");
});

/** What goes past a limit; what the log says of it. */
const EXCESSES: readonly [limits: Record<string, unknown>, script: string, said: RegExp][] = [
  [{ cpu: "1s" }, "while :; do :; done", /died of SIGXCPU/],
  [{ cpu: "1s" }, "trap '' XCPU; while :; do :; done", /died of SIGKILL/],
  [{ memory: "64MiB" }, "dd if=/dev/zero of=/dev/null bs=200M count=1", /exited with code 1/],
  [{ fileSize: "64KiB" }, "exec dd if=/dev/zero of=$TARGET bs=100k count=2", /died of SIGXFSZ/],
  [{ openFiles: 5 }, "exec 3</dev/null 4</dev/null 5</dev/null", /exited with code 2/],
];

for (const [limits, script, said] of EXCESSES) {
  testWith(["prlimit"], `cgi: limits ${JSON.stringify(limits)}: ${script}`, async () => {
    const file = await Deno.makeTempFile({ prefix: "pt-life-" });
    const both = `case $QUERY_STRING in late) ${OK} printf half ;; esac; ${script}`;
    await withShell(both, { limits, env: { TARGET: file } }, async ({ port, log }) => {
      const [early, late] = await Promise.all(["", "late"].map((query) => {
        return ask(port, { target: `/?${query}` });
      }));
      assert.equal(early?.status, 502);
      const [line] = (await linesOf(log())).filter((line) => line.failure === "no-output");
      assert.match(line?.message ?? "", said);
      // A program that exits by itself has said all it had to say.
      assert.deepEqual([late?.status, late?.whole], [200, !said.source.includes("died")]);
      assert.match(await log(), said);
    });
    await Deno.remove(file);
  });
}

testWith(["prlimit"], "cgi: limits: processes bounds those of a user", async () => {
  // The superuser is not bound; anybody else has a process already: the program itself.
  const account = Deno.uid() === 0 ? { user: 64_999, group: 64_999 } : {};
  const fields = { limits: { processes: 1 }, ...account, cwd: "/" };
  await withShell("sleep 1; :", fields, async ({ port, log }) => {
    assert.equal((await ask(port, { target: "/" })).status, 502);
    assert.match(await log(), /fork/);
  });
});

testWith(TOOLS, "cgi: usage: the access line tells CPU time and peak memory", async () => {
  const work = `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; ${OK}
    head -c 30000000 /dev/zero | tail -c 30000000 | wc -c; printf 'no end' >&2`;
  await withShell(work, { usage: true }, async (life) => {
    assert.equal((await ask(life.port, { target: "/" })).text.trim(), "30000000");
    await eventually(async () => (await life.access()) !== "");
    const [line] = (await life.access()).trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(line.cpuMs > 20 && line.cpuMs < 20_000, `${line.cpuMs}`);
    assert.ok(line.peakBytes > 25e6 && line.peakBytes < 500e6, `${line.peakBytes}`);
    const said = (await linesOf(life.log())).map((line) => line.message);
    assert.equal(said.length, 1);
    assert.match(said[0] ?? "", /no end$/);
  });
});

testWith(TOOLS, "cgi: usage: a run that was ended early has no figures", async () => {
  await withShell("sleep 60; :", { usage: true, timeout: "200ms" }, async (life) => {
    assert.equal((await ask(life.port, { target: "/" })).status, 504);
    await eventually(async () => (await life.access()) !== "");
    assert.doesNotMatch(await life.access(), /cpuMs|peakBytes/);
  });
});

Deno.test("cgi: queue and queueTimeout bound the line for a process", async () => {
  const fields = { maxProcesses: 1, queue: 1, queueTimeout: "200ms" };
  await withShell(`sleep 1; ${OK} printf done`, fields, async (life) => {
    const answers = await Promise.all([1, 2, 3].map(() => ask(life.port, { target: "/" })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503, 503]);
    for (const answer of answers.filter(({ status }) => status === 503)) {
      assert.equal(answer.get("retry-after"), "1");
    }
    const failures = (await linesOf(life.log())).map(({ failure }) => failure);
    assert.deepEqual(failures.sort(), ["queue-full", "queue-timeout"]);
  });
});

Deno.test("cgi: queue 0 lets nobody wait", async () => {
  await withShell(`sleep 0.5; ${OK}`, { maxProcesses: 1, queue: 0 }, async (life) => {
    const answers = await Promise.all([1, 2].map(() => ask(life.port, { target: "/" })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503]);
  });
});
