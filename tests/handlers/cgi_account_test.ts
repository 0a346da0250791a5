/** What the access line tells of a run, and what a developer's error page tells of a failed one. */
import assert from "node:assert/strict";
import { ask, type RequestText } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

interface Line {
  readonly status: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly ttfbMs: number;
  readonly bytesIn?: number;
  readonly queueMs?: number;
  readonly exit?: number | string;
  readonly cpuMs?: number;
  readonly peakBytes?: number;
}

async function withScript(
  script: string,
  fields: Readonly<Record<string, unknown>>,
  body: (gateway: TestGateway, lines: (count: number) => Promise<Line[]>) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  await writeScript(`${folder.path}/t`, `#!/bin/sh\n${script}`);
  const routes = [{ path: "/t", cgi: { script: `${folder.path}/t`, ...fields } }];
  const table = `server:\n  accessLog: json\n  dev: true\nroutes: ${JSON.stringify(routes)}\n`;
  await withGateway(table, async (gateway) => {
    const read = async () => (await gateway.access()).split("\n").filter(Boolean);
    await body(gateway, async (count) => {
      await eventually(async () => (await read()).length >= count);
      return (await read()).map((line) => JSON.parse(line));
    });
  });
}

const OK = "printf 'Content-Type: text/plain\\n\\n'; ";

function call({ port }: TestGateway, request: Partial<RequestText> = {}) {
  return ask(port, { target: "/t", ...request });
}

Deno.test("cgi: the access line has the exit code, the bytes both ways and the times", async () => {
  await withScript(
    `sleep 0.2; ${OK}sleep 0.2; printf 12345; exit 7`,
    {},
    async (gateway, lines) => {
      const body = "x".repeat(100);
      assert.equal((await call(gateway, { method: "POST", body })).text, "12345");
      const [line] = await lines(1);
      assert.ok(line);
      const { status, bytes, bytesIn, exit, queueMs } = line;
      assert.deepEqual({ status, bytes, bytesIn, exit, queueMs }, {
        status: 200,
        bytes: 5,
        bytesIn: 100,
        exit: 7,
        queueMs: undefined,
      });
      assert.ok(line.ttfbMs >= 190, `${line.ttfbMs}`);
      assert.ok(line.durationMs >= line.ttfbMs + 190, `${line.durationMs}`);
    },
  );
});

Deno.test("cgi: the access line has the signal that ended the program", async () => {
  await withScript("kill -9 $$", {}, async (gateway, lines) => {
    assert.equal((await call(gateway)).status, 502);
    const [line] = await lines(1);
    assert.equal(line?.exit, "SIGKILL");
    assert.equal(line?.status, 502);
  });
});

Deno.test("cgi: the access line of a client that left says how its program ended", async () => {
  await withScript("exec sleep 60", {}, async (gateway, lines) => {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
    await socket.write(new TextEncoder().encode("GET /t HTTP/1.1\r\nHost: a\r\n\r\n"));
    await new Promise((resolve) => setTimeout(resolve, 150));
    socket.close();
    const [line] = await lines(1);
    assert.deepEqual([line?.status, line?.exit], [499, "SIGTERM"]);
  });
});

Deno.test("cgi: the access line waits for no program that runs on without its output", async () => {
  const script = `${OK}exec >&- 2>&-; sleep 3`;
  await withScript(script, {}, async (gateway, lines) => {
    const began = performance.now();
    assert.equal((await call(gateway)).status, 200);
    assert.equal((await lines(1))[0]?.exit, "running");
    assert.ok(performance.now() - began < 2500);
  });
});

Deno.test("cgi: the access line tells how long a request waited for a process", async () => {
  await withScript(`sleep 0.3; ${OK}`, { maxProcesses: 1 }, async (gateway, lines) => {
    await Promise.all([call(gateway), call(gateway)]);
    const waits = (await lines(2)).map(({ queueMs }) => queueMs ?? 0).sort((a, b) => a - b);
    assert.equal(waits[0], 0);
    assert.ok((waits[1] ?? 0) >= 200, `${waits}`);
  });
});

Deno.test("cgi: each run of a local redirect has one access line, with the last program's end", async () => {
  const script = 'test -n "$QUERY_STRING" && { ' + OK + "exit 4; }\nprintf 'Location: /t?x\\n\\n'";
  await withScript(script, {}, async (gateway, lines) => {
    assert.equal((await call(gateway)).status, 200);
    const all = await lines(1);
    assert.deepEqual(all.map(({ status, exit }) => [status, exit]), [[200, 4]]);
  });
});

testWith(["time"], "cgi: usage tells CPU time and peak memory in the access line", async () => {
  const script = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; ${OK}echo said >&2`;
  await withScript(script, { usage: true }, async (gateway, lines) => {
    assert.equal((await call(gateway)).status, 200);
    const [line] = await lines(1);
    assert.ok(line);
    assert.ok((line.cpuMs ?? 0) >= 20, `${line.cpuMs}`);
    assert.ok((line.peakBytes ?? 0) > 2 ** 19, `${line.peakBytes}`);
    assert.equal(line.exit, 0);
    const log = await gateway.log();
    assert.match(log, /said/);
    assert.doesNotMatch(log, /portico-usage/);
  });
});

testWith(["time"], "cgi: a program that dies behind time is told as what it is", async () => {
  await withScript(`${OK}printf a; kill -9 $$`, { usage: true }, async (gateway, lines) => {
    const answer = await call(gateway).catch(() => undefined);
    assert.notEqual(answer?.whole, true);
    assert.equal((await lines(1))[0]?.exit, "SIGKILL");
  });
});

Deno.test("cgi: server.dev shows the head as it was understood, and the error stream", async () => {
  const script = "printf 'X-One: 1\\nX-Two: 2\\nno colon here\\n\\n'; echo oops >&2; sleep 0.1";
  await withScript(script, {}, async (gateway) => {
    const { status, text } = await call(gateway);
    assert.equal(status, 502);
    assert.match(text, /bad-field: .*line 3, "no colon here", has no colon/);
    assert.match(text, /The head as it was understood:\nX-One: 1\nX-Two: 2\n/);
  });
  await withScript("echo Traceback >&2; exit 1", {}, async (gateway) => {
    const { text } = await call(gateway);
    assert.match(text, /no-output: .*exited with code 1/);
    assert.match(text, /The program's error stream:\nTraceback\n/);
  });
});
