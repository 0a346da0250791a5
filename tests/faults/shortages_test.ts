/**
 * The machine runs out of something: descriptors, processes, room on the disk. The answer is a 503 that
 * names it in the log, nobody behind the gateway is blamed, and all is well when there is some again.
 */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { childrenOf } from "../soak/meter.ts";
import { logged, settlesAt, takes, withFaulty } from "../support/faulty.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";
import { serveClosing } from "../upstreams/closing_responder.ts";

const HELLO = { path: "/hello", respond: "hello" };
const CGI = { path: "/cgi", cgi: "FOLDER/hello" };
const prepare = async (folder: string) => {
  await writeScript(
    `${folder}/hello`,
    "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: text/plain\\n\\nhello'\n",
  );
  await Deno.writeTextFile(`${folder}/file.txt`, "hello");
};

/** Connections that do nothing, until one is refused. */
async function fill(port: number): Promise<Deno.Conn[]> {
  const idle: Deno.Conn[] = [];
  for (;;) {
    try {
      idle.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    } catch {
      return idle;
    }
  }
}

testWith(
  ["prlimit"],
  "descriptors run out: requests under way have a reserve, and the listener returns",
  async () => {
    const under = ["prlimit", "--nofile=100"];
    await withFaulty([HELLO, CGI], { under, prepare }, async ({ gateway, port }) => {
      using client = await Client.connect(port);
      const askOn = async (target: string) => {
        await client.write(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
        return await client.answer();
      };
      assert.equal((await askOn("/cgi")).text, "hello");
      const before = takes(gateway);
      const idle = await fill(port);
      await logged(
        gateway,
        /The listener on .* ended \(.*os error 24\)\): it listens again as soon/,
      );
      // Whoever was there goes on, with programs, too.
      assert.equal((await askOn("/hello")).text, "hello");
      for (let i = 0; i < 5; i++) assert.equal((await askOn("/cgi")).text, "hello");
      // It does not come back for the next to be refused.
      assert.doesNotMatch(gateway.err(), /Listening again/);
      for (const connection of idle) connection.close();
      await logged(gateway, /Listening again on/);
      assert.equal((await ask(port, { target: "/cgi" })).text, "hello");
      assert.equal(gateway.err().split("\n").length, 3, gateway.err());
      await settlesAt(gateway, before);
    });
  },
);

testWith(
  ["prlimit"],
  "descriptors run out under requests: 503, and no upstream counts as failed",
  async () => {
    await using responder = await serveClosing("scgi", async ({ write }) => {
      await write("Content-Type: text/plain\r\n\r\nhello");
    });
    await using origin = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => new Response("hello"),
    );
    const routes = [
      HELLO,
      CGI,
      { path: "/scgi", scgi: responder.address },
      { path: "/proxy", proxy: `http://127.0.0.1:${origin.addr.port}` },
      { path: "/file/*", static: "FOLDER" },
    ];
    await withFaulty(routes, { prepare }, async ({ gateway, port }) => {
      using client = await Client.connect(port);
      const askOn = async (target: string) => {
        await client.write(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
        return await client.answer();
      };
      await askOn("/hello");
      await limit(gateway.pid, 3);
      for (const target of ["/cgi", "/scgi", "/proxy", "/proxy", "/proxy", "/file/file.txt"]) {
        const answer = await askOn(target);
        assert.equal(answer.status, 503, target);
        assert.equal(answer.get("retry-after"), "5");
        const route = target.startsWith("/file") ? "/file/\\*" : target;
        await logged(gateway, new RegExp(`route=${route} .*status=503 failure=no-descriptors`));
      }
      await limit(gateway.pid, 1000);
      for (const target of ["/cgi", "/scgi", "/proxy", "/file/file.txt"]) {
        assert.equal((await askOn(target)).text, "hello", target);
      }
      assert.doesNotMatch(gateway.err(), /is down/);
    });
  },
);

/** Lets a process that runs open no descriptors beyond this number, or any below it. */
async function limit(pid: number, descriptors: number): Promise<void> {
  const args = ["--pid", String(pid), `--nofile=${descriptors}:`];
  const { success } = await new Deno.Command("prlimit", { args }).output();
  assert.ok(success);
}

const ROOT = Deno.uid() === 0;

function mayMount(): boolean {
  return new Deno.Command("unshare", { args: ["--mount", "true"], stderr: "null" }).outputSync()
    .success;
}

Deno.test({
  name: "processes run out: 503, and programs run again when there may be more",
  // Only root can start programs as somebody who has no other processes, and is exempt itself.
  ignore: !ROOT,
  fn: async () => {
    const under = ["prlimit", "--nproc=1"];
    const reply = "printf 'Content-Type: text/plain\\n\\n%s' $word";
    const prepare = async (folder: string) => {
      await writeScript(`${folder}/slow`, `#!/bin/sh\nread word <${folder}/fifo\n${reply}\n`);
      await run("mkfifo", "-m", "666", `${folder}/fifo`);
    };
    const cgi = { script: "FOLDER/slow", user: 54_321, group: 54_321 };
    await withFaulty([{ path: "/cgi", cgi }], { under, prepare }, async (faulty) => {
      const { gateway, port, folder } = faulty;
      const before = takes(gateway);
      // How many it takes is the kernel's affair: whether one counts itself is not settled.
      const asked: ReturnType<typeof ask>[] = [];
      const isRefused = () => /failure=no-processes/.test(gateway.err());
      while (!isRefused() && asked.length < 5) {
        asked.push(ask(port, { target: "/cgi" }));
        const running = before.children + asked.length;
        await eventually(() => isRefused() || takes(gateway).children >= running);
      }
      await logged(gateway, /route=\/cgi kind=cgi .*status=503 failure=no-processes/);
      for (const pid of childrenOf(gateway.pid)) Deno.kill(pid, "SIGKILL");
      const answers = await Promise.all(asked);
      assert.deepEqual(answers.map(({ status }) => status), [
        ...answers.slice(1).map(() => 502),
        503,
      ]);
      assert.equal(answers.at(-1)?.get("retry-after"), "5");
      await settlesAt(gateway, before);
      const third = ask(port, { target: "/cgi" });
      await Deno.writeTextFile(`${folder}/fifo`, "again\n");
      assert.equal((await third).text, "again");
      await settlesAt(gateway, before);
    });
  },
});

Deno.test({
  name: "the disk is full, or not to be written to: the request fails",
  // Root in a container may not mount anything either.
  ignore: !ROOT || !mayMount(),
  fn: async (t) => {
    await using temp = await tempFolder();
    const disk = `${temp.path}/disk`;
    await Deno.mkdir(disk);
    await run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk);
    try {
      const server = `  spoolDir: ${disk}\n`;
      await withFaulty([HELLO, CGI], { prepare, server }, async ({ gateway, port }) => {
        const send = (bytes: number) =>
          ask(port, { method: "POST", target: "/cgi", body: "x".repeat(bytes) });
        assert.equal((await send(1_500_000)).text, "hello");
        const before = takes(gateway);
        await t.step("full", async () => {
          const answer = await send(4_000_000);
          assert.deepEqual([answer.status, answer.get("retry-after")], [503, "5"]);
          await logged(gateway, /route=\/cgi kind=cgi .*status=503 failure=spool-full: .*no room/);
          await settlesAt(gateway, before);
          assert.equal((await send(1_500_000)).text, "hello");
        });
        await t.step("read-only", async () => {
          await eventually(async () => {
            return (await new Deno.Command("mount", { args: ["-o", "remount,ro", disk] }).output())
              .success;
          });
          assert.equal((await send(1_500_000)).status, 500);
          await logged(gateway, /route=\/cgi .*failure=spool-failed: .*Read-only/);
          assert.equal((await send(1000)).text, "hello");
          await run("mount", "-o", "remount,rw", disk);
          assert.equal((await send(1_500_000)).text, "hello");
          await settlesAt(gateway, before);
        });
      });
    } finally {
      await run("umount", disk);
    }
  },
});

testWith(
  ["prlimit"],
  "a file may grow no further: the request fails, not the gateway",
  async () => {
    const under = ["prlimit", "--fsize=2000000"];
    const server = "  spoolDir: FOLDER/spool\n";
    await withFaulty([HELLO, CGI], { prepare, server, under }, async ({ gateway, port }) => {
      const send = (bytes: number) =>
        ask(port, { method: "POST", target: "/cgi", body: "x".repeat(bytes) });
      const before = takes(gateway);
      assert.equal((await send(4_000_000)).status, 503);
      await logged(gateway, /failure=spool-full/);
      assert.equal((await send(1_500_000)).text, "hello");
      await settlesAt(gateway, before);
    });
  },
);

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
}
