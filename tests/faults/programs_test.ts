/**
 * Programs that are stopped, killed, slow, deaf to SIGTERM, or that never read what they are sent. Each
 * has its answer in time, and the next request finds all well.
 */
import assert from "node:assert/strict";
import { childrenOf } from "../soak/meter.ts";
import { ask, Client } from "../support/client.ts";
import { logged, settlesAt, takes, withFaulty } from "../support/faulty.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";
import { serveClosing } from "../upstreams/closing_responder.ts";
import {
  end as endRequest,
  out,
  OUT_END,
  serveRaw as serveFastcgi,
} from "../upstreams/raw_fastcgi.ts";
import { serveRaw as serveOrigin } from "../upstreams/raw_origin.ts";

const SLEEPER_PHP =
  '<?php if (isset($_GET["s"])) { touch($_GET["s"]); sleep(60); } echo "hello ", getmypid();';
const SLEEPER_PY = `import os, time
def application(environ, start_response):
    if environ["QUERY_STRING"]:
        open(environ["QUERY_STRING"][2:], "w").close()
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello %d" % os.getpid()]
`;
const prepare = async (folder: string) => {
  await Deno.writeTextFile(`${folder}/t.php`, SLEEPER_PHP);
  await Deno.writeTextFile(`${folder}/t.py`, SLEEPER_PY);
};
const spawn = { command: ["php-cgi", "-n"], processes: 1 };
const python = { app: "FOLDER/t.py", python: "/usr/bin/python3" };
const KINDS: Readonly<Record<string, readonly [needs: string[], route: Record<string, unknown>]>> =
  {
    fastcgi: [["php-cgi"], { fastcgi: { spawn, script: "FOLDER/t.php" } }],
    wsgi: [["python3"], { wsgi: python }],
  };

for (const [kind, [needs, route]] of Object.entries(KINDS)) {
  testWith(
    needs,
    `a program that is stopped is a 504, and serves when it goes on: ${kind}`,
    async () => {
      const routes = [{ path: "/t", firstByteTimeout: "700ms", ...route }];
      await withFaulty(routes, { prepare }, async ({ gateway, port }) => {
        const { text } = await ask(port, { target: "/t" });
        const pid = Number(text.split(" ")[1]);
        const before = takes(gateway);
        Deno.kill(pid, "SIGSTOP");
        assert.equal((await ask(port, { target: "/t" })).status, 504);
        await logged(gateway, /route=\/t .*status=504 failure=first-byte-timeout/);
        // A supervisor may have put another in its place by then.
        try {
          Deno.kill(pid, "SIGCONT");
        } catch {
          // As above.
        }
        await eventually(async () => (await ask(port, { target: "/t" })).status === 200);
        await settlesAt(gateway, { ...before, descriptors: before.descriptors + 4 });
      });
    },
  );

  testWith(
    needs,
    `a program that is killed is a 502, and another takes its place: ${kind}`,
    async () => {
      await withFaulty(
        [{ path: "/t", ...route }],
        { prepare },
        async ({ gateway, port, folder }) => {
          const before = takes(gateway);
          for (let round = 0; round < 3; round++) {
            let pid = 0;
            await eventually(async () => {
              const answer = await ask(port, { target: "/t" });
              pid = Number(answer.text.split(" ")[1]);
              return answer.status === 200;
            });
            // A GET that gets no answer on a connection that was used before is sent again.
            const mark = `${folder}/begun${round}`;
            const request = { method: "POST", target: `/t?s=${mark}`, body: "x" };
            using client = await Client.send(port, request);
            await eventually(() => exists(mark));
            Deno.kill(pid, "SIGKILL");
            assert.equal((await client.answer()).status, 502);
            await logged(gateway, /route=\/t .*status=502 failure=(no-output|reply-cut|head-cut)/);
          }
          assert.equal((await ask(port, { target: "/t" })).text.split(" ")[0], "hello");
          await settlesAt(gateway, { ...before, descriptors: before.descriptors + 4 });
        },
      );
    },
  );
}

interface DeafRoute extends Record<string, unknown> {
  readonly path: string;
}

/** Upstreams that read nothing of a body that fills their sockets; `answers`: they answer all the same. */
async function withDeaf(
  answers: boolean,
  body: (routes: readonly DeafRoute[]) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const reply = "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
  // Who reads nothing does not see the other leave either.
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const closing = async (protocol: "scgi" | "uwsgi") =>
    stack.use(await serveClosing(protocol, ({ write }) => answers ? write(reply) : over));
  const origin = stack.use(serveOrigin(async (_, { write }) => {
    if (answers) await write(`HTTP/1.1 200 OK\r\nConnection: close\r\n${reply}`);
    await over;
  }));
  const { path: folder } = stack.use(await tempFolder());
  stack.use(serveFastcgi(`${folder}/s`, async (wire) => {
    if (answers) await wire.write(out(reply), OUT_END, endRequest());
    await over;
  }, { early: true }));
  stack.defer(() => end());
  await body([
    { path: "/scgi", scgi: (await closing("scgi")).address },
    { path: "/uwsgi", uwsgi: (await closing("uwsgi")).address },
    { path: "/proxy", proxy: origin.url },
    { path: "/fastcgi", fastcgi: `unix:${folder}/s` },
  ]);
  end();
}

const FASTCGI = new URL("../../lib/welcome/fastcgi.ts", import.meta.url).pathname;

const LARGE = "x".repeat(6_000_000);

for (const requestBody of ["spool", "stream"]) {
  Deno.test(`an upstream that reads no body and never answers is a 504: ${requestBody}`, async () => {
    await withDeaf(false, async (all) => {
      const routes = all.map((route) => ({ ...route, requestBody, timeout: "1s" }));
      await withFaulty(routes, {}, async ({ gateway, port }) => {
        const before = takes(gateway);
        for (const { path } of all) {
          const answer = await ask(port, { method: "POST", target: path, body: LARGE });
          assert.equal(answer.status, 504, path);
          await logged(gateway, new RegExp(`route=${path} .*status=504 failure=timeout`));
        }
        await settlesAt(gateway, before);
      });
    });
  });
}

Deno.test("an upstream that answers without reading the body is believed", async () => {
  await withDeaf(true, async (routes) => {
    await withFaulty(routes, {}, async ({ gateway, port }) => {
      const before = takes(gateway);
      for (const { path } of routes) {
        const answer = await ask(port, { method: "POST", target: path, body: LARGE });
        assert.deepEqual([answer.status, answer.text], [200, "hello"], path);
      }
      await settlesAt(gateway, { ...before, descriptors: before.descriptors + 4 });
    });
  });
});

Deno.test("an upload that breaks off never looks whole to a program, even one deaf to SIGTERM", async () => {
  const prepare = async (folder: string) => {
    await writeScript(
      `${folder}/t`,
      `#!/bin/sh\ntrap : TERM\n: >${folder}/begun\ncat >/dev/null\n: >${folder}/whole\n`,
    );
  };
  const routes = [{ path: "/t", requestBody: "stream", cgi: "FOLDER/t" }];
  await withFaulty(routes, { prepare }, async ({ gateway, port, folder }) => {
    const before = takes(gateway);
    using client = await Client.connect(port);
    await client.write("POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nsome");
    await eventually(() => exists(`${folder}/begun`));
    client.close();
    // SIGTERM at once, SIGKILL after two seconds.
    await settlesAt(gateway, before);
    assert.equal(exists(`${folder}/whole`), false);
  });
});

Deno.test("a reply that comes byte by byte is whole, and cut off by the route's timeout", async () => {
  await using responder = await serveClosing("scgi", async ({ write }) => {
    for (const byte of "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello") {
      await write(byte);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  const scgi = responder.address;
  const routes = [{ path: "/slow", scgi }, { path: "/late", scgi, timeout: "200ms" }];
  await withFaulty(routes, {}, async ({ gateway, port }) => {
    const before = takes(gateway);
    assert.equal((await ask(port, { target: "/slow" })).text, "hello");
    assert.equal((await ask(port, { target: "/late" })).status, 504);
    await logged(gateway, /route=\/late .*status=504 failure=timeout/);
    await settlesAt(gateway, before);
  });
});

testWith(
  ["python3"],
  "programs that are deaf to SIGTERM keep no gateway from ending",
  async () => {
    const deaf = async (folder: string) => {
      await prepare(folder);
      await writeScript(
        `${folder}/cgi`,
        "#!/bin/sh\ntrap '' TERM INT HUP\n: >${0%/*}/running\nwhile :; do sleep 1; done\n",
      );
      await writeScript(
        `${folder}/fcgi`,
        `#!/bin/sh
trap '' TERM
exec ${Deno.execPath()} run --no-prompt -A ${FASTCGI} "$1"
`,
      );
      await Deno.writeTextFile(
        `${folder}/t.py`,
        `import signal, threading\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n${SLEEPER_PY}`,
      );
    };
    const stopping = { processes: 1, stopTimeout: "500ms" };
    const routes = [
      { path: "/cgi", cgi: "FOLDER/cgi" },
      {
        path: "/fcgi",
        fastcgi: {
          spawn: { command: ["FOLDER/fcgi", "{socket}"], ...stopping },
          script: "FOLDER/t.php",
        },
      },
      { path: "/py", wsgi: { ...python, stopTimeout: "500ms" } },
    ];
    const server = "  drainTimeout: 300ms\n";
    await withFaulty(routes, { prepare: deaf, server }, async ({ gateway, port, folder }) => {
      using running = await Client.send(port, { target: "/cgi" });
      using sleeping = await Client.send(port, { target: `/py?s=${folder}/begun` });
      await eventually(() => exists(`${folder}/begun`) && exists(`${folder}/running`));
      const programs = childrenOf(gateway.pid);
      gateway.signal("SIGTERM");
      assert.equal((await running.answer()).status, 503);
      assert.equal((await sleeping.answer()).status, 503);
      assert.equal((await gateway.ended).code, 0);
      await eventually(
        () => programs.every((pid) => !isRunning(pid)),
        10_000,
        `none of ${programs}`,
      );
    });
  },
);

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Its children may outlive a program: those that sleep end by themselves. */
function isRunning(pid: number): boolean {
  try {
    const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
    return command !== "" && !command.startsWith("sleep");
  } catch {
    return false;
  }
}
