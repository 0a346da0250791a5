/** Applications in Python, by PEP 3333: what the bridge between gateway and application does and refuses. */
import assert from "node:assert/strict";
import { ask, Client, type RequestText } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { linesOf } from "./contract.ts";

interface Stage {
  readonly gateway: TestGateway;
  readonly folder: string;
  get(path: string, request?: Partial<RequestText>): ReturnType<typeof ask>;
  /** What the application has noted. */
  notes(): Promise<string>;
}

interface Fields {
  readonly env?: Readonly<Record<string, string>>;
  readonly [name: string]: unknown;
}

/** Adds a test with `pep.py` at `/app/*`. */
function testPep(name: string, body: (stage: Stage) => Promise<void>, fields: Fields = {}): void {
  testWith(["python3"], `wsgi (Python): ${name}`, async () => {
    await using folder = await tempFolder();
    const progress = `${folder.path}/progress`;
    await Deno.writeTextFile(progress, "");
    const { env, ...others } = fields;
    const wsgi = {
      app: "./apps/python/pep.py",
      env: { PROGRESS: progress, ...env },
      ...others,
    };
    const table = `server:\n  accessLog: json\nroutes: ${
      JSON.stringify([{ path: "/app/*", wsgi }])
    }\n`;
    await withGateway(table, async (gateway) => {
      await body({
        gateway,
        folder: folder.path,
        get: (path, request = {}) => ask(gateway.port, { target: `/app/${path}`, ...request }),
        notes: () => Deno.readTextFile(progress),
      });
    });
  });
}

/** The failures in the log. */
async function failuresOf({ gateway }: Stage): Promise<string[]> {
  const lines = await linesOf(gateway.log());
  return lines.flatMap(({ failure, message = "" }) => failure ? [`${failure}: ${message}`] : []);
}

/** All that was said of the request that the access log tells of last. */
async function saidOf({ gateway }: Stage): Promise<string> {
  const [access] = (await linesOf(gateway.access())).slice(-1);
  const lines = (await linesOf(gateway.log())).filter(({ id }) => id === access?.id);
  return lines.map(({ message }) => message).join("\n");
}

testPep("the environ has the server's own keys, and the processes have env", async (stage) => {
  const { environ, process, argv } = JSON.parse((await stage.get("environ?a=%20b")).text);
  assert.deepEqual(environ["wsgi.version"], [1, 0]);
  assert.equal(environ["wsgi.url_scheme"], "http");
  assert.deepEqual([environ["SCRIPT_NAME"], environ["PATH_INFO"]], ["/app", "/environ"]);
  assert.deepEqual([environ["QUERY_STRING"], environ["EXTRA"]], ["a=%20b", "\u00c3\u00bc"]);
  assert.equal(environ["portico.request_id"], environ["REQUEST_ID"]);
  const { PATH, PROGRESS, PWD: _pwd, ...rest } = process;
  assert.ok(PATH.includes("/usr/bin") && PROGRESS);
  assert.deepEqual([rest, argv], [{ EXTRA: "\u00fc" }, ["-c", "./apps/python/pep.py"]]);
}, { env: { EXTRA: "\u00fc" }, validate: true });

const CONCURRENCY: readonly (readonly [Fields, boolean, boolean])[] = [
  [{}, false, false],
  [{ processes: 2 }, false, true],
  [{ threads: 3 }, true, false],
  // While one takes over from another, there are two.
  [{ maxRequests: 100, threads: 2 }, true, true],
  [{ processes: { min: 1, max: 2 } }, false, true],
];
for (const [fields, multithread, multiprocess] of CONCURRENCY) {
  testPep(
    `multithread and multiprocess are told truly: ${JSON.stringify(fields)}`,
    async (stage) => {
      const { environ } = JSON.parse((await stage.get("environ")).text);
      assert.deepEqual(
        [environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]],
        [multithread, multiprocess, false],
      );
    },
    fields,
  );
}

testPep("write() comes before what is returned", async ({ get }) => {
  const answer = await get("write");
  assert.deepEqual([answer.status, answer.text], [201, "written, twice, then returned"]);
}, { validate: true });

testPep("exc_info replaces a head that was not sent, and is raised after it", async (stage) => {
  const early = await stage.get("exc-info");
  assert.deepEqual([early.status, early.get("x-error"), early.text], [503, "y", "replaced"]);
  const late = await stage.get("exc-late");
  assert.deepEqual([late.status, late.whole, late.text], [200, false, "first"]);
  assert.match(await saidOf(stage), /File ".*pep.py", line \d+, in exc_late[^]*KeyError: 'late'/);
}, { validate: true });

const FAULTS: Readonly<Record<string, RegExp>> = {
  "twice": /called again without exc_info/,
  "twice-refused": /called again without exc_info/,
  "silent": /start_response\(\) was not called/,
  "text": /must yield bytes, not str/,
  "bare": /must return an iterable of bytes/,
  "nothing": /TypeError/,
  "leave": /SystemExit: The application leaves/,
  "header?Bad%20Name=x": /is no name of a header/,
  "header?Status=200": /is the server's own/,
  "header?Connection=close": /is the server's own/,
  "header?Transfer-Encoding=chunked": /is the server's own/,
  "header?X-Split=a~Set-Cookie:%20b": /a control character is in the header X-Split/,
  "header?Content-Length=-1": /cannot promise the Content-Length '-1'/,
  "status?OK": /is no status/,
  "status?200OK": /is no status/,
  "status?101+Switching": /is no status/,
  "status?999+Odd": /is no status/,
};
testPep("what the contract forbids is a 500 with a traceback in the log", async (stage) => {
  for (const [path, told] of Object.entries(FAULTS)) {
    const answer = await stage.get(path);
    assert.equal(answer.status, 500, path);
    assert.match(answer.text, /^500 Internal Server Error\nRequest id: \S+\n$/);
    const said = await saidOf(stage);
    assert.match(said, told, path);
    assert.match(said, /^(?:Traceback|[A-Z]\w+: )/, path);
    assert.doesNotMatch(said, /portico_/, "frames of the bridge itself");
  }
  assert.equal((await stage.get("pid")).status, 200);
  assert.ok((await failuresOf(stage)).every((line) => line.startsWith("application-error: ")));
});

testPep("HEAD fails as GET does", async (stage) => {
  assert.equal((await stage.get("silent", { method: "HEAD" })).status, 500);
  assert.match(await saidOf(stage), /start_response\(\) was not called/);
});

testPep("empty blocks send nothing, not even the head", async ({ get }) => {
  const answer = await get("late-head");
  assert.deepEqual([answer.status, answer.text], [200, "after empty blocks"]);
});

testPep("HEAD ends a body without an end, at its first block", async ({ get }) => {
  assert.deepEqual((await get("endless", { method: "HEAD" })).status, 200);
});

testPep("close() is called once, at the end and after a failure", async (stage) => {
  assert.equal((await stage.get("closes")).text, "ab");
  assert.equal(await stage.notes(), "closed\n");
  const failing = await stage.get("closes-failing");
  assert.deepEqual([failing.text, failing.whole], ["a", false]);
  assert.equal(await stage.notes(), "closed\nclosed\n");
});

for (const [path, threads] of [["ticks", 1], ["silent-stream", 1], ["ticks", 4]] as const) {
  testPep(
    `a client that leaves: close() runs within 0.3 s (${path}, threads ${threads})`,
    async (stage) => {
      const times = [];
      for (let round = 1; round <= 3; round++) {
        const client = await Client.send(stage.gateway.port, { target: `/app/${path}` });
        await client.head();
        await client.some();
        const left = performance.now();
        client.close();
        const count = async () => (await stage.notes()).split("closed").length - 1;
        await eventually(async () => await count() === round);
        times.push(performance.now() - left);
      }
      assert.ok(Math.min(...times) <= 300, `closed after ${times} ms`);
      await eventually(async () => (await linesOf(stage.gateway.access())).length === 3);
      assert.deepEqual(await linesOf(stage.gateway.log()), []);
    },
    { threads },
  );
}

testPep(
  "no request waits for a process whose client has left while others are free",
  async (stage) => {
    const client = await Client.send(stage.gateway.port, { target: "/app/sleeper" });
    await eventually(async () => await stage.notes() === "begun\n");
    client.close();
    await eventually(async () => (await linesOf(stage.gateway.access())).length === 1);
    for (let round = 0; round < 5; round++) {
      const began = performance.now();
      assert.equal((await stage.get("pid")).status, 200);
      assert.ok(performance.now() - began < 500);
    }
    await eventually(async () => await stage.notes() === "begun\nclosed\n");
    const pids = await Promise.all(Array.from({ length: 6 }, () => stage.get("slow")));
    assert.equal(new Set(pids.map(({ text }) => text)).size, 2, "both serve again");
  },
  { processes: 2 },
);

testPep("a block that completes the promised length waits for no close()", async ({ get }) => {
  const began = performance.now();
  const answer = await get("slow-close");
  assert.deepEqual([answer.text, answer.whole], ["fast", true]);
  assert.ok(performance.now() - began < 700);
});

testPep("wsgi.input reads by size, line and all, and ends at the body's end", async ({ get }) => {
  const body = "one\ntwo\nthree\nfour";
  const found = "[b'one', b'\\n', b'tw', [b'o\\n', b'three\\n', b'four'], b'', b'', []]";
  assert.equal((await get("inputs", { method: "POST", body })).text, found);
  const empty = "[b'', b'', b'', [], b'', b'', []]";
  assert.equal((await get("inputs")).text, empty);
});

testPep("wsgi.input iterates lines of a body longer than any buffer", async ({ get }) => {
  const lines = Array.from({ length: 30_000 }, (_, index) => `line ${index}`);
  const answer = await get("lines", { method: "POST", body: lines.join("\n") });
  assert.equal(answer.text, lines.map((line) => `<${line}>`).join(""));
}, { validate: true });

testPep("a body that nobody reads is in nobody's way", async ({ get }) => {
  const body = "x".repeat(2_000_000);
  for (let round = 0; round < 5; round++) {
    const answer = await get("unread", { method: "POST", body });
    assert.deepEqual([answer.status, answer.text], [413, "not read"]);
    assert.equal((await get("pid")).status, 200);
  }
});

testPep("wsgi.file_wrapper sends a file from where it stands", async (stage) => {
  const noise = fillRandom(new Uint8Array(3_000_000));
  const name = `${stage.folder}/noise`;
  await Deno.writeFile(name, noise);
  for (const skip of [0, 1_234_567, 2_999_000, 3_000_000, 4_000_000]) {
    const answer = await fetch(`${stage.gateway.base}/app/file?${name}@${skip}`);
    const rest = noise.subarray(skip);
    assert.equal(answer.headers.get("content-length"), String(rest.length));
    const bytes = new Uint8Array(await answer.arrayBuffer());
    assert.equal(await sha256(bytes), await sha256(rest.slice()), String(skip));
  }
  const head = await stage.get(`file?${name}`, { method: "HEAD" });
  assert.deepEqual([head.status, head.get("content-length")], [200, "3000000"]);
});

testPep("wsgi.file_wrapper is an iterable like any other to the validator", async (stage) => {
  const name = `${stage.folder}/text`;
  await Deno.writeTextFile(name, "0123456789".repeat(5000));
  const answer = await stage.get(`file?${name}@10`);
  assert.equal(answer.text, "0123456789".repeat(4999));
}, { validate: true });

testPep("wsgi.errors goes to the log under the request's id, print to the log", async (stage) => {
  await stage.get("errors");
  assert.equal(
    await saidOf(stage),
    "a snowman \u2603 and half a pair \\ud800\ntwo pieces\nno end",
  );
  await eventually(async () => (await stage.gateway.log()).includes('"message":"printed"'));
});

testPep("validate: wsgiref's own validator stands around the application", async (stage) => {
  assert.equal((await stage.get("header?X=y")).status, 500);
  assert.match(await saidOf(stage), /AssertionError: No Content-Type header/);
}, { validate: true });

testPep("threads: as many requests at once as there are threads", async ({ get }) => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => get("together")));
  assert.deepEqual([...new Set(answers.map(({ text }) => text))], ["together"]);
}, { threads: 4 });

testPep("processes: requests go to whichever is free", async ({ get }) => {
  const began = performance.now();
  const answers = await Promise.all(Array.from({ length: 4 }, () => get("slow")));
  const took = performance.now() - began;
  assert.equal(new Set(answers.map(({ text }) => text)).size, 2);
  assert.ok(took >= 400 && took < 780, `${took} ms`);
}, { processes: 2 });

testPep("a killed process costs its own request alone and is started again", async (stage) => {
  const [killed, ...others] = await Promise.all([
    stage.get("kill"),
    ...Array.from({ length: 6 }, () => stage.get("slow")),
  ]);
  assert.equal(killed.status, 502);
  assert.deepEqual(others.map(({ status }) => status), [200, 200, 200, 200, 200, 200]);
  const late = await stage.get("kill?late");
  assert.deepEqual([late.status, late.whole, late.text], [200, false, "beginning"]);
  assert.equal((await stage.get("pid")).status, 200);
  const deaths = async () => (await stage.gateway.log()).split("died of SIGKILL").length - 1;
  await eventually(async () => await deaths() === 2);
}, { processes: 2 });

testPep("recycling: processes are replaced under load without a failed request", async (stage) => {
  const pids = new Set<string>();
  const statuses = new Set<number>();
  const client = async () => {
    for (let index = 0; index < 60; index++) {
      const { status, text } = await stage.get("pid");
      statuses.add(status);
      pids.add(text);
    }
  };
  await Promise.all(Array.from({ length: 6 }, client));
  assert.deepEqual([...statuses], [200]);
  assert.ok(pids.size >= 8, `${pids.size} processes`);
  assert.deepEqual(await failuresOf(stage), []);
}, { processes: 2, maxRequests: 40 });

testPep("SIGTERM from outside ends a process without a failed request", async (stage) => {
  const statuses = new Set<number>();
  let over = false;
  const client = async () => {
    while (!over) statuses.add((await stage.get("pid", { method: "POST", body: "x" })).status);
  };
  const clients = [client(), client(), client()];
  for (let round = 0; round < 8; round++) {
    Deno.kill(Number((await stage.get("pid")).text), "SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  over = true;
  await Promise.all(clients);
  assert.deepEqual([...statuses], [200]);
}, { processes: 2 });

testPep("a program that the application starts does not inherit its socket", async ({ get }) => {
  assert.equal((await get("child")).text, "/dev/null\n");
});

const FORMS: Readonly<Record<string, Fields>> = {
  "./apps/python/hello.py": {},
  "./apps/python/hello.py:application": {},
  "hello:application": { path: ["apps/python"] },
  "age.web:site.application": { path: ["apps/python/pack"] },
  "./apps/python/pack/age/web.py:site.application": {},
};
for (const [app, fields] of Object.entries(FORMS)) {
  testWith(["python3"], `wsgi (Python): ${app} is found`, async () => {
    const routes = [{ path: "/", wsgi: { app, ...fields } }];
    await withGateway(`routes: ${JSON.stringify(routes)}\n`, async ({ port }) => {
      assert.equal((await ask(port, { target: "/" })).status, 200);
    });
  });
}

const MISSING: Readonly<Record<string, RegExp>> = {
  "./apps/python/broken.py": /No module named 'not_a_module_of_anybody'[^]*broken.py", line 3/,
  "./apps/python/absent.py": /No such file or directory: .*absent\.py/,
  "./apps/python/hello.py:other": /hello\.py has no 'other' that can be called/,
  "./apps/python/pack/age/web.py": /has no 'application' nor 'app' that can be called/,
  "absent.module:app": /No module named 'absent'/,
};
for (const [app, told] of Object.entries(MISSING)) {
  testWith(["python3"], `wsgi (Python): ${app} keeps the gateway from opening`, async () => {
    const table = `routes: [{path: /, wsgi: "${app}"}]\n`;
    await assert.rejects(
      withGateway(table, () => Promise.resolve()),
      (error: Error) => {
        assert.match(
          error.message,
          /^Cannot open test.yaml:3: route ".*" \(wsgi\): python3 exited/,
        );
        assert.match(error.message, told);
        return true;
      },
    );
  });
}

testWith(["python3"], "wsgi (Python): a virtual environment's interpreter is used", async () => {
  await using folder = await tempFolder();
  const made = await new Deno.Command("python3", {
    args: ["-m", "venv", "--without-pip", `${folder.path}/.venv`],
  }).output();
  assert.ok(made.success);
  await Deno.writeTextFile(
    `${folder.path}/app.py`,
    `import sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [sys.prefix.encode()]
`,
  );
  const wsgi = { app: `${folder.path}/app.py:app`, python: `${folder.path}/.venv/bin/python` };
  await withGateway(`routes: ${JSON.stringify([{ path: "/", wsgi }])}\n`, async ({ port }) => {
    assert.equal((await ask(port, { target: "/" })).text, `${folder.path}/.venv`);
  });
});

testWith(
  ["python3"],
  "wsgi (Python): dev: a changed module is loaded anew, a faulty one is not",
  async () => {
    await using folder = await tempFolder();
    const write = (text: string) => Deno.writeTextFile(`${folder.path}/words.py`, text);
    await write('WORD = b"one"\n');
    await Deno.writeTextFile(
      `${folder.path}/app.py`,
      `import words
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [words.WORD]
`,
    );
    const routes = JSON.stringify([{ path: "/", wsgi: `${folder.path}/app.py:app` }]);
    await withGateway(`server:\n  dev: true\nroutes: ${routes}\n`, async ({ port, log }) => {
      const word = async () => (await ask(port, { target: "/" })).text;
      assert.equal(await word(), "one");
      await new Promise((resolve) => setTimeout(resolve, 400));
      await write("WORD = (\n");
      await eventually(async () => (await log()).includes("words.py goes on as it was"));
      assert.equal(await word(), "one");
      await write('WORD = b"two"\n');
      await eventually(async () => await word() === "two");
    });
  },
);

testPep("dev: the page of a failure shows the traceback", async (stage) => {
  await stage.gateway.reload(
    `server:\n  dev: true\nroutes: [{path: /app/*, wsgi: {app: ./apps/python/pep.py, validate: false}}]\n`,
  );
  const { status, text } = await stage.get("twice");
  assert.equal(status, 500);
  assert.match(text, /application-error: AssertionError: start_response\(\) was called again/);
  assert.match(text, /Traceback \(most recent call last\)/);
});
