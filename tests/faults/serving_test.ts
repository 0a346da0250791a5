/**
 * What befalls the process itself: variables that turn the runtime into something else, errors that nobody
 * catches, a log that nobody reads, a table that is half-written, a clock that jumps.
 */
import assert from "node:assert/strict";
import { residentOf } from "../soak/meter.ts";
import { ask } from "../support/client.ts";
import { runPortico, startPortico } from "../support/command.ts";
import { logged } from "../support/faulty.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";
import { ConfigError } from "../../lib/errors.ts";
import { LineWriter } from "../../lib/observe/line_writer.ts";

for (const name of ["DENO_SERVE_ADDRESS", "DENO_TRUST_PROXY_HEADERS"]) {
  Deno.test(`serve refuses to start while ${name} is set, and says why`, async () => {
    await using folder = await tempFolder();
    const file = `${folder.path}/routes.yaml`;
    await Deno.writeTextFile(
      file,
      "server: {listen: '127.0.0.1:0'}\nroutes: [{path: /, respond: a}]\n",
    );
    const flags = (await runPortico(["flags", "-c", file])).out.trim().split(" ");
    for (const value of ["1", "tcp:127.0.0.1:1"]) {
      const { code, out, err } = await runPortico(["serve", "-c", file], {
        flags,
        env: { [name]: value },
      });
      assert.deepEqual([code, out], [1, ""]);
      assert.match(
        err,
        new RegExp(`^portico: ${name} is set: by it the runtime .*\\. Unset it\n$`),
      );
    }
  });
}

Deno.test("errors that nobody catches are told and counted, and end nothing", async () => {
  const prepare = (folder: string) =>
    Deno.writeTextFile(
      `${folder}/app.ts`,
      `export default (environ, startResponse) => {
  Promise.reject(new Error("nobody waits for this"));
  setTimeout(() => { throw new Error("nor for this"); }, 0);
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  return [new TextEncoder().encode("served")];
};
`,
    );
  await using folder = await tempFolder();
  await prepare(folder.path);
  const file = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `server: {listen: "127.0.0.1:0", accessLog: off}
admin: {listen: "127.0.0.1:0"}
routes: [{path: /, wsgi: ./app.ts}]
`,
  );
  await using gateway = await startPortico(["serve", "-c", file]);
  for (let i = 0; i < 3; i++) assert.equal(await (await fetch(gateway.base)).text(), "served");
  await logged(gateway, /Unhandled rejection: Error: nobody waits for this/);
  await logged(gateway, /Uncaught error: Error: nor for this/);
  await eventually(() => /status on (.*)/.test(gateway.out()));
  const admin = /status on (.*)/.exec(gateway.out())?.[1] ?? "";
  await eventually(async () => {
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    return /^portico_uncaught_errors_total 6$/m.test(metrics);
  });
});

Deno.test("a log that nobody reads takes no memory and keeps no gateway from ending", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  const fifo = `${folder.path}/log`;
  const text = `server: {listen: "unix:${folder.path}/s", accessLog: json}
routes: [{path: /*, respond: a}]
`;
  await Deno.writeTextFile(file, text);
  // Somebody holds the other end of its output, and never reads: a terminal that was stopped.
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `mkfifo "$1" && exec 3<>"$1" && exec "$2" run -A "$3" serve -c "$4" >&3 2>&3`,
      ...["sh", fifo, Deno.execPath(), main, file],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const socket = `${folder.path}/s`;
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
    const get = async (target: string) =>
      await (await fetch(`http://localhost${target}`, { client })).text();
    await eventually(() => get("/").then((body) => body === "a", () => false));
    const pid = child.pid;
    const before = residentOf(pid);
    const long = "x".repeat(20_000);
    for (let i = 0; i < 200; i++) {
      await Promise.all(Array.from({ length: 20 }, (_, at) => get(`/${i}-${at}?${long}`)));
    }
    // 80 MB of lines, of which it keeps eight.
    assert.ok(residentOf(pid) - before < 72e6, `${(residentOf(pid) - before) / 1e6} MB`);
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 0);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended, as it should.
    }
    await child.status;
  }
});

Deno.test("LineWriter loses lines rather than memory, and tells how many when it can", async () => {
  let take = () => {};
  let written = 0;
  const target = {
    async write(bytes: Uint8Array) {
      await new Promise<void>((resolve) => take = resolve);
      written += bytes.length;
      return bytes.length;
    },
  };
  const lost: number[] = [];
  const writer = new LineWriter(target, (lines) => lost.push(lines));
  const line = "x".repeat(99_999);
  for (let i = 0; i < 200; i++) writer.write(line);
  const flushed = writer.flush();
  let done = false;
  flushed.then(() => done = true);
  await eventually(() => (take(), done));
  assert.deepEqual(lost, [200 - written / 100_000]);
  assert.ok(written > 8e6 && written < 9e6, String(written));
});

Deno.test("a table is read when it is whole, however slowly it is written", async () => {
  const whole = `server: {listen: "127.0.0.1:0", accessLog: off}
routes:
  - {path: /first, respond: first}
  - {path: /second, respond: second}
`;
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(file, whole);
  await using gateway = await startPortico(["serve", "-c", file]);
  const port = Number(new URL(gateway.base).port);
  // Without its last line it is a table, too.
  const half = whole.indexOf("  - {path: /second");
  using writing = await Deno.open(file, { write: true, truncate: true });
  const bytes = new TextEncoder().encode(whole.replaceAll("respond: ", "respond: new-"));
  await writing.write(bytes.subarray(0, half));
  gateway.signal("SIGHUP");
  let [wroteAt, isSlow] = [performance.now(), false];
  for (let at = half; at < bytes.length; at++) {
    await writing.write(bytes.subarray(at, at + 1));
    // On a machine that pauses this long, what was written looks as if it were all.
    isSlow ||= performance.now() - wroteAt > 70;
    wroteAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
    const { text } = await ask(port, { target: "/second" });
    assert.ok(isSlow || performance.now() - wroteAt > 70 || text.endsWith("second"), text);
  }
  if (isSlow) gateway.signal("SIGHUP");
  await logged(gateway, /Reloaded .*: 2 routes/);
  assert.equal((await ask(port, { target: "/second" })).text, "new-second");
});

Deno.test("a table cut behind any byte is refused or is a table, and never ends the gateway", async () => {
  const whole = `server: {accessLog: off}
routes:
  - {path: "/\\u0061", respond: {status: 201, headers: {X-A: "b\\"c"}, body: first}}
  - path: /b/*
    headers: {set: {X-B: |-
      two
      }}
    respond: second # why
`;
  await withGateway("routes: [{path: /a, respond: old}]\n", async ({ reload, base }) => {
    for (let cut = 0; cut < whole.length; cut++) {
      try {
        await reload(whole.slice(0, cut));
      } catch (error) {
        assert.ok(error instanceof ConfigError, `behind ${cut}: ${error}`);
      }
    }
    await reload("routes: [{path: /a, respond: new}]\n");
    assert.equal(await (await fetch(`${base}/a`)).text(), "new");
  });
});

Deno.test("a clock that jumps changes neither time limits nor how long a copy is kept", async () => {
  const { now } = Date;
  let made = 0;
  await using origin = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(String(++made), { headers: { "cache-control": "max-age=1" } }),
  );
  const DAY = 86_400_000;
  try {
    for (const jump of [DAY, -DAY]) {
      await withGateway(
        `server:
  accessLog: json
  slowRequest: 10s
admin: {listen: "127.0.0.1:0"}
routes:
  - {path: /kept, proxy: "http://127.0.0.1:${origin.addr.port}", cache: true}
  - {path: /slow, cgi: {script: /bin/sh, args: ["-c", "sleep 20"]}, firstByteTimeout: 500ms}
`,
        async ({ base, admin, log, access }) => {
          const get = async (path: string) => await (await fetch(base + path)).text();
          Date.now = now;
          const first = await get("/kept");
          Date.now = () => now() + jump;
          assert.equal(await get("/kept"), first);
          const began = performance.now();
          assert.match(await get("/slow"), /^504 /);
          assert.ok(performance.now() - began > 450);
          await eventually(async () => await get("/kept") !== first, 10_000, "a fresh copy");
          const status = await (await fetch(`${admin}/status.json`)).json();
          assert.ok(status.uptimeSeconds === undefined || status.uptimeSeconds < 1e6);
          assert.doesNotMatch(await log(), /level":"slow"|slow:/);
          for (const line of (await access()).trim().split("\n")) {
            const { durationMs } = JSON.parse(line);
            assert.ok(durationMs >= 0 && durationMs < 60_000, line);
          }
        },
      );
    }
  } finally {
    Date.now = now;
  }
});
