import assert from "node:assert/strict";
import * as v from "valibot";
import { cgi } from "../../lib/handlers/cgi.ts";
import { ask, type RequestText } from "../support/client.ts";
import { exchangeOf } from "../support/exchange.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { ENVIRON, exit, formatPlay, HANG, OK, type Play, say, wait } from "../upstreams/play.ts";
import { handlerContract, linesOf, parseEnviron } from "./contract.ts";
import { CGI } from "./contract_subjects.ts";

const PROBE = `${TESTS}/upstreams/cgi_probe.sh`;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

handlerContract(CGI);

/** Serves `/p/*` by the probe with these fields. */
async function withCgi(
  fields: Readonly<Record<string, unknown>>,
  body: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const routes = [{ path: "/p/*", name: "probe", cgi: { script: PROBE, ...fields } }];
  const table = `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
  await withGateway(table, async (gateway) => {
    await body(gateway);
    await eventually(() => processesWith(`SERVER_PORT=${gateway.port}`).length === 0);
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

/** A folder of programs that tell who they are, and of much else; gone at the end. */
async function scriptFolder() {
  const path = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-cgi-" });
  const root = `${path}/root`;
  for (const folder of ["sub", "empty", "odd name", ".git"]) {
    await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  }
  const tell = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s|%s|%s|%s' " +
    '"${SCRIPT_FILENAME##*/}" "$SCRIPT_NAME" "$PATH_INFO" "$PATH_TRANSLATED"\n';
  const programs = ["a.cgi", "sub/index.cgi", "sub/start.sh", "a.cgi~", "#a.cgi#", ".a.cgi"];
  for (const name of [...programs, ".git/hook", "odd name/index.cgi", "lib.py.bak"]) {
    await Deno.writeTextFile(`${root}/${name}`, tell, { mode: 0o755 });
  }
  for (const name of ["plain.txt", "tell.sh"]) {
    await Deno.writeTextFile(`${root}/${name}`, tell, { mode: 0o644 });
  }
  await Deno.writeTextFile(`${root}/wrong.cgi`, "#!/nowhere/interpreter\n", { mode: 0o755 });
  await Deno.writeTextFile(`${path}/outside.cgi`, tell, { mode: 0o755 });
  await Deno.symlink("../outside.cgi", `${root}/leak.cgi`);
  await Deno.symlink("a.cgi", `${root}/alias`);
  await Deno.symlink("nowhere", `${root}/dangling`);
  await new Deno.Command("mkfifo", { args: ["-m", "755", `${root}/fifo`] }).output();
  return { root, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

Deno.test("cgi: root finds the program that a path names, and runs nothing else", async () => {
  await using folder = await scriptFolder();
  const { root } = folder;
  const fields = { script: undefined, root, interpreters: { ".sh": ["/bin/sh"] } };
  await withCgi(fields, async ({ port, log }) => {
    const rows: [target: string, expected: string | number][] = [
      ["/p/a.cgi", "a.cgi|/p/a.cgi||"],
      ["/p/a.cgi/", `a.cgi|/p/a.cgi|/|${root}/`],
      ["/p/a.cgi/x/.y~?q", `a.cgi|/p/a.cgi|/x/.y~|${root}/x/.y~`],
      ["/p/a.cgi/../alias/x", `a.cgi|/p/alias|/x|${root}/x`],
      ["/p/tell.sh/x", `tell.sh|/p/tell.sh|/x|${root}/x`],
      ["/p/sub/", "index.cgi|/p/sub/index.cgi||"],
      ["/p/odd%20name/", "index.cgi|/p/odd name/index.cgi||"],
      ["/p/", 403],
      ["/p/empty/", 403],
      ["/p/plain.txt", 403],
      ["/p/plain.txt/x", 403],
      ["/p/.a.cgi", 403],
      ["/p/%2ea.cgi", 403],
      ["/p/.git/hook", 403],
      ["/p/.missing", 403],
      ["/p/a.cgi~", 403],
      ["/p/%23a.cgi%23", 403],
      ["/p/lib.py.bak", 403],
      ["/p/leak.cgi", 403],
      ["/p/dangling", 403],
      ["/p/fifo", 403],
      ["/p/missing", 404],
      ["/p/sub/missing", 404],
      ["/p/a.cgi%2Fx", 404],
      ["/p/%ff", 404],
      [`/p/${"x".repeat(300)}`, 404],
      [`/p${"/x".repeat(3000)}`, 404],
      ["/p/wrong.cgi", 502],
    ];
    for (const [target, expected] of rows) {
      const answer = await ask(port, { target });
      const told = typeof expected === "number" ? answer.status : answer.text;
      assert.equal(told, expected, target.slice(0, 40));
    }
    const [line, ...more] = await linesOf(log());
    assert.deepEqual([line?.failure, more.length], ["script-missing", 0]);
  });
});

Deno.test("cgi: a folder without its slash is a redirect to it, on this site", async () => {
  await using folder = await scriptFolder();
  await withCgi({ script: undefined, root: folder.root }, async ({ port }) => {
    const rows: [target: string, location: string][] = [
      ["/p", "/p/"],
      ["/p?a=b", "/p/?a=b"],
      ["/p/sub", "/p/sub/"],
      ["/p/sub?a=b%20c&d=/e", "/p/sub/?a=b%20c&d=/e"],
      ["/p/odd%20name", "/p/odd%20name/"],
      ["//p//sub", "/p/sub/"],
      ["//example.org/../p/sub", "/p/sub/"],
    ];
    for (const [target, location] of rows) {
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(port, { method, target });
        assert.deepEqual([answer.status, answer.get("location")], [308, location], target);
      }
    }
    const answer = await ask(port, { method: "POST", target: "/p/sub", body: "a=b" });
    assert.equal(answer.status, 308, "308 keeps the method and the body");
  });
});

Deno.test("cgi: index names the programs of a folder", async () => {
  await using folder = await scriptFolder();
  const { root } = folder;
  const rows: [index: string[], expected: string | number][] = [
    [["start.sh", "index.cgi"], "start.sh|/p/sub/start.sh||"],
    [["missing", "index.cgi"], "index.cgi|/p/sub/index.cgi||"],
    [["missing"], 403],
    [[], 403],
  ];
  for (const [index, expected] of rows) {
    await withCgi({ script: undefined, root, index }, async ({ port }) => {
      const answer = await ask(port, { target: "/p/sub/" });
      assert.equal(typeof expected === "number" ? answer.status : answer.text, expected);
    });
  }
});

Deno.test("cgi: index is a fault beside script, and with a folder in its name", () => {
  const faults = (fields: Readonly<Record<string, unknown>>) => {
    const { issues = [] } = v.safeParse(cgi.schema, fields);
    return issues.map(({ message }) => message).join();
  };
  assert.equal(faults({ root: "/r", index: ["a.cgi", ".start"] }), "");
  assert.match(faults({ script: "/s", index: ["a.cgi"] }), /index needs root/);
  assert.match(faults({ root: "/r", index: ["../a.cgi"] }), /"\.\.\/a\.cgi".*without any folder/);
});

Deno.test({
  name: "cgi: a program is judged by the bits of the user that it runs as",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using folder = await scriptFolder();
    const { root } = folder;
    await Deno.chmod(root.slice(0, root.lastIndexOf("/")), 0o755);
    const rows: [owner: number, mode: number, status: number][] = [
      [65534, 0o700, 200],
      [65534, 0o077, 403],
      [65534, 0o555, 200],
      [0, 0o755, 200],
      [0, 0o744, 403],
    ];
    await withCgi({ script: undefined, root, user: 65534, group: 65534 }, async ({ port }) => {
      for (const [owner, mode, status] of rows) {
        await Deno.chown(`${root}/a.cgi`, owner, owner);
        await Deno.chmod(`${root}/a.cgi`, mode);
        const answer = await ask(port, { target: "/p/a.cgi" });
        assert.equal(answer.status, status, `${owner} ${mode.toString(8)}`);
      }
    });
  },
});

Deno.test("cgi: explain tells the same verdicts", async () => {
  await using folder = await scriptFolder();
  const { root } = folder;
  const place = { folder: TESTS, runDir: "/nowhere", spoolDir: "/nowhere" };
  const route = {
    path: "/p/*",
    maxRequestBody: 0,
    timeoutMs: undefined,
    firstByteTimeoutMs: undefined,
    onAbort: "kill",
    maxReplyHead: 0,
    requestBody: undefined,
  } as const;
  const rows: [path: string, note: RegExp, scriptName: string][] = [
    ["/sub/", /^$/, "/p/sub/index.cgi"],
    ["/a.cgi/x", /^$/, "/p/a.cgi"],
    ["/sub", /^would answer 308: .* \/p\/sub\/\?q$/, "/p"],
    ["/empty/", /^would answer 403: .* without an index$/, "/p"],
    ["/.a.cgi", /^would answer 403: "\/\.a\.cgi" is a dot-file or a backup$/, "/p"],
    ["/plain.txt", /^would answer 403: .* not executable$/, "/p"],
    ["/leak.cgi", /^would answer 403: .* leads outside/, "/p"],
    ["/missing", /^would answer 404: /, "/p"],
  ];
  const explained = async (user: string | undefined, pathInfo: string) => {
    const exchange = exchangeOf({ path: `/p${pathInfo}`, query: "q" });
    const mount = { scriptName: "/p", pathInfo, params: {} };
    return await cgi.explain({ root, user }, { place, route, exchange, mount });
  };
  for (const [path, note, scriptName] of rows) {
    const told = await explained(undefined, path);
    assert.match(told.notes.join(), note, path);
    assert.equal(told.scriptName, scriptName, path);
  }
  const { notes } = await explained("no-such-user", "/a.cgi");
  assert.match(notes.join(), /Cannot find "no-such-user".*serve will not start/);
});
