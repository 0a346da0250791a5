import assert from "node:assert/strict";
import { ask, type RequestText } from "../support/client.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { ENVIRON, exit, formatPlay, HANG, OK, type Play, say, wait } from "../upstreams/play.ts";
import { handlerContract, linesOf, parseEnviron, type Stage } from "./contract.ts";

const PROBE = `${TESTS}/upstreams/cgi_probe.sh`;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const stage: Stage = {
  fields: (env) => ({ script: PROBE, env }),
  // Every process of a run, and each that it started, has the port in its environ.
  running: (port) => processesWith(`SERVER_PORT=${port}`).length,
  async [Symbol.asyncDispose]() {},
};

handlerContract({
  kind: "cgi",
  speaksBytes: true,
  exactBytes: false,
  ownVariables: ["PATH", "DOCUMENT_ROOT", "PATH_TRANSLATED", "SCRIPT_FILENAME"],
  stage: () => Promise.resolve(stage),
});

/** Serves `/p/*` by the probe with these fields. */
async function withCgi(
  fields: Readonly<Record<string, unknown>>,
  body: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const routes = [{ path: "/p/*", name: "probe", cgi: { script: PROBE, ...fields } }];
  const table = `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
  await withGateway(table, async (gateway) => {
    await body(gateway);
    await eventually(() => stage.running(gateway.port) === 0);
  });
}

async function play({ port }: TestGateway, steps: Play, request: Partial<RequestText> = {}) {
  return await ask(port, { target: "/p/", headers: { "X-Play": formatPlay(steps) }, ...request });
}

async function environOf(gateway: TestGateway, target = "/p/"): Promise<Record<string, string>> {
  return parseEnviron((await play(gateway, [OK, ENVIRON], { target })).text);
}

Deno.test("cgi: a program finds its own name and the table's folder", async () => {
  await withCgi({}, async (gateway) => {
    const environ = await environOf(gateway, "/p/a/b");
    assert.equal(environ["SCRIPT_FILENAME"], PROBE);
    assert.equal(environ["DOCUMENT_ROOT"], TESTS);
    assert.equal(environ["PATH_TRANSLATED"], `${TESTS}/a/b`);
    assert.equal(environ["PATH"], PATH);
  });
});

Deno.test("cgi: passEnv passes on what it names, and nothing else of ours", async () => {
  Deno.env.set("PORTICO_TEST_PASSED", "yes");
  Deno.env.set("PORTICO_TEST_SECRET", "no");
  const passEnv = ["PORTICO_TEST_PASSED", "PORTICO_TEST_UNSET"];
  await withCgi({ passEnv, env: { PATH: "/bin:/usr/bin" } }, async (gateway) => {
    const environ = await environOf(gateway);
    assert.equal(environ["PORTICO_TEST_PASSED"], "yes");
    assert.equal(environ["PATH"], "/bin:/usr/bin");
    for (const name of ["PORTICO_TEST_SECRET", "PORTICO_TEST_UNSET", "HOME", "PWD"]) {
      assert.equal(name in environ, false, name);
    }
  });
  Deno.env.delete("PORTICO_TEST_PASSED");
  Deno.env.delete("PORTICO_TEST_SECRET");
});

Deno.test("cgi: maxProcesses lets others wait for their turn", async () => {
  await withCgi({ maxProcesses: 2 }, async (gateway) => {
    const { port } = gateway;
    const answers = Array.from({ length: 6 }, () => play(gateway, [wait(0.1), OK, say("done")]));
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, processesWith(`SERVER_PORT=${port}`).length);
    }, 5);
    for (const { text } of await Promise.all(answers)) assert.equal(text, "done");
    clearInterval(watch);
    // A run is the shell and its sleep.
    assert.ok(most <= 4, `${most} processes at once`);
  });
});

Deno.test("cgi: a run that failed makes room for the next", async () => {
  await withCgi({ maxProcesses: 1 }, async (gateway) => {
    for (const steps of [[exit(1)], [say("no head\n")], [OK, say("fine")]]) {
      await play(gateway, steps);
    }
    assert.equal((await play(gateway, [OK, say("fine")])).text, "fine");
  });
});

Deno.test("cgi: timeout is the kind's own limit", async () => {
  await withCgi({ timeout: "200ms" }, async (gateway) => {
    assert.equal((await play(gateway, [HANG])).status, 504);
  });
});

Deno.test("cgi: a program that is missing is a 502 that names it in the log alone", async () => {
  await withCgi({ script: "/nowhere/program" }, async (gateway) => {
    for (const body of ["", "x".repeat(2 ** 20 + 1)]) {
      const answer = await play(gateway, [], { method: "POST", body });
      assert.equal(answer.status, 502);
      assert.doesNotMatch(answer.text, /nowhere/);
    }
    const [line] = await linesOf(gateway.log());
    assert.equal(line?.failure, "script-missing");
    assert.match(line?.message ?? "", /\/nowhere\/program/);
  });
});

Deno.test("cgi: the server's stop waits for programs that are still ending", async () => {
  let port = 0;
  await withCgi({}, async (gateway) => {
    port = gateway.port;
    await play(gateway, [say("no head\n"), HANG]);
  });
  assert.equal(processesWith(`SERVER_PORT=${port}`).length, 0);
});
