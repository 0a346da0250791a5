/**
 * `flags` keeps its promise: a gateway started with exactly what it prints serves every route of its file,
 * and with any one of the grants taken away it refuses to start and names what is missing. Names of files
 * hold what the shell or the runtime would split at: spaces, quotes, commas.
 */
import assert from "node:assert/strict";
import { kinds } from "./support/kinds.ts";
import { serveFastcgi } from "../lib/welcome/responder.ts";
import { startCollector } from "./support/collector.ts";
import { type Ended, runPortico, startPortico } from "./support/command.ts";
import { eventually } from "./support/gateway.ts";
import { tempFolder, writeScript } from "./support/peers.ts";

const REPOSITORY = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const HAS_WSGI = "wsgi" in kinds;
/** Every gateway looks whether these are set. */
const SWITCHES = "--allow-env=DENO_SERVE_ADDRESS,DENO_TRUST_PROXY_HEADERS";

/** Splits a line into words as a shell does. */
async function shellWords(line: string): Promise<string[]> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `eval "set -- $1"; printf '%s\\0' "$@"`, "sh", line.trimEnd()],
  }).output();
  return new TextDecoder().decode(stdout).split("\0").slice(0, -1);
}

/** The flags that `flags` prints for a file. */
async function flagsOf(file: string, ...options: string[]): Promise<string[]> {
  const { code, out, err } = await runPortico(["flags", "-c", file, ...options]);
  // The runtime has no word for a comma in a name: then more is granted, and that is said.
  assert.deepEqual([code, err.includes("cannot hold a comma")], [0, file.includes(",")]);
  assert.match(out, /^\S.*\n$/, "one line");
  return await shellWords(out);
}

interface Less {
  readonly flags: readonly string[];
  /** What is missing from them. */
  readonly missing: string;
}

/** The flags less one flag, and less one value of a flag, for each. */
function lessOne(flags: readonly string[]): Less[] {
  return flags.flatMap((flag, index): Less[] => {
    const without = (...instead: string[]) => flags.toSpliced(index, 1, ...instead);
    const [name = "", list] = /^(--allow-\w+)(?:=(.*))?$/s.exec(flag)?.slice(1) ?? [];
    if (name === "") return [];
    if (list === undefined) return [{ flags: without(), missing: name }];
    const values = list.split(",");
    const rest = (value: string) => values.filter((other) => other !== value).join(",");
    return [
      { flags: without(), missing: name },
      ...values.map((value) => ({
        flags: values.length === 1 ? without() : without(`${name}=${rest(value)}`),
        missing: `${name}=${value}`,
      })),
    ];
  });
}

/** Runs `serve`, which is expected to end by itself; if it serves instead, that is the failure. */
async function refusal(file: string, less: Less): Promise<Ended> {
  const running = await startPortico(["-c", file], { flags: less.flags }).catch((error) => error);
  if (running instanceof Error) return await runPortico(["-c", file], { flags: less.flags });
  await running[Symbol.asyncDispose]();
  throw new Error(`It serves without ${less.missing}`);
}

/** Asserts that nothing can be taken away. */
async function assertLeast(file: string, flags: readonly string[]): Promise<void> {
  const all = lessOne(flags);
  for (let at = 0; at < all.length; at += 4) {
    await Promise.all(
      all.slice(at, at + 4).map(async (less) => {
        const { code, out, err } = await refusal(file, less);
        assert.deepEqual([code, out], [1, ""], less.missing);
        // Without its table it can say no more than that.
        const what = err.includes("permissions are missing") ? less.missing : `"${file}"`;
        assert.ok(err.includes(what), `${what} is not named in:\n${err}`);
        assert.doesNotMatch(err, /^ +at /m, "no stack trace");
      }),
    );
  }
}

async function writeApplications(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/tree one`, { recursive: true });
  const script = (word: string) => `printf "Content-Type: text/plain\\n\\n${word}"\n`;
  await writeScript(`${folder}/one two.sh`, `#!/bin/sh\n${script("one $PORTICO_SHOWN")}`);
  await Deno.writeTextFile(`${folder}/tree one/leaf.sh`, script("leaf"));
  await Deno.writeTextFile(
    `${folder}/app own.ts`,
    `import { words } from "./words.ts";
export default (environ, startResponse) => {
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  return [new TextEncoder().encode(words)];
};
`,
  );
  await Deno.mkdir(`${folder}/site one`);
  await Deno.writeTextFile(`${folder}/site one/a.txt`, "file");
  await Deno.writeTextFile(`${folder}/site one/index.php`, "");
  await Deno.writeTextFile(`${folder}/words.ts`, `export const words = "wsgi";\n`);
}

/** A table with a route of every kind and form. */
function everyKind(folder: string, port: number): string {
  const program = `${REPOSITORY}/lib/welcome/fastcgi.ts`;
  return `server:
  listen: [127.0.0.1:0, "unix:gate way.sock"]
  accessLog: off
  spoolDir: ./spool dir
  runDir: ./r d
admin: {listen: "127.0.0.2:0", token: {env: PORTICO_TOKEN}}
routes:
  - {path: /respond, respond: respond}
  - {path: /redirect, redirect: /respond}
  - path: /one
    cgi: {script: "./one two.sh", passEnv: [PORTICO_SHOWN]}
  - path: /tree/*
    cgi: {root: "tree one", interpreters: {.sh: [sh]}}
  - path: /unix
    fastcgi: "unix:${folder}/up stream"
  - path: /tcp
    fastcgi: {connect: 127.0.0.1:${port}}
  - path: /spawn
    fastcgi:
      spawn: {command: [deno, run, --no-prompt, -A, ${program}, "{socket}"], processes: 2}
  - path: /memory
    maxRequestBody: 1MiB
    cgi: "./one two.sh"
  - {path: /files/*, static: "./site one"}
  - path: /php/*
    php: {root: "./site one", connect: 127.0.0.1:${port}}
${HAS_WSGI ? '  - {path: /wsgi, wsgi: "./app own.ts"}' : ""}
`;
}

/** FastCGI applications that this process runs, over both transports, while `body` runs. */
async function withUpstreams(
  folder: string,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const unix = Deno.listen({ transport: "unix", path: `${folder}/up stream` });
  const upstreams = [tcp, unix].map((listener) =>
    serveFastcgi(listener, async (call) => {
      let size = 0;
      for await (const piece of call.stdin) size += piece.length;
      await call.writeStdout(`Content-Type: text/plain\n\nupstream ${size}`);
    })
  );
  try {
    await body(tcp.addr.port);
  } finally {
    for (const upstream of upstreams) await upstream[Symbol.asyncDispose]();
  }
}

for (const name of ["plain", "it's", "a, b"]) {
  Deno.test(`flags are just enough for every kind in a folder named "${name}"`, async (t) => {
    await using temp = await tempFolder();
    const folder = `${temp.path}/${name}`;
    await writeApplications(folder);
    const file = `${folder}/routes.yaml`;
    await withUpstreams(folder, async (port) => {
      await Deno.writeTextFile(file, everyKind(folder, port));
      const flags = await flagsOf(file);

      await t.step("every route serves, large bodies too", async () => {
        const env = { PORTICO_SHOWN: "shown", PORTICO_TOKEN: "a-token-of-some-length" };
        const options = { flags, env, listeners: 2 };
        await using running = await startPortico(["-c", file], options);
        const get = async (path: string, body?: Uint8Array<ArrayBuffer>) => {
          const init = body === undefined ? {} : { method: "POST", body };
          const response = await fetch(running.base + path, init);
          return `${response.status} ${await response.text()}`;
        };
        const large = new Uint8Array(2 * 2 ** 20);
        assert.equal(running.addresses[1], `unix:${folder}/gate way.sock`);
        assert.equal(await get("/respond"), "200 respond");
        assert.equal(await get("/redirect"), "200 respond");
        assert.equal(await get("/one", large), "200 one shown");
        assert.equal(await get("/tree/leaf.sh"), "200 leaf");
        assert.equal(await get("/unix", large), `200 upstream ${large.length}`);
        assert.equal(await get("/tcp", large), `200 upstream ${large.length}`);
        assert.match(await get("/spawn", large), /^200 .*2097152/s);
        assert.equal(await get("/files/a.txt"), "200 file");
        assert.equal(await get("/php/a.txt"), "200 file");
        assert.equal(await get("/php/any", large), `200 upstream ${large.length}`);
        if (HAS_WSGI) assert.equal(await get("/wsgi"), "200 wsgi");
        running.signal("SIGTERM");
        const { code, err } = await running.ended;
        assert.deepEqual([code, err], [0, ""]);
      });

      // Quotes are a matter of the line alone.
      if (name.includes("'")) return;
      await t.step("each is needed, and its lack is told before anything starts", async () => {
        assert.ok(lessOne(flags).length >= (name.includes(",") ? 7 : 20));
        await assertLeast(file, flags);
      });
    });
  });
}

Deno.test("flags grant all programs only to a folder of them", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  await Deno.mkdir(`${folder.path}/cgi`);
  await writeScript(
    `${folder.path}/cgi/x`,
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nran'\n",
  );
  await Deno.writeTextFile(
    file,
    "server: {listen: '127.0.0.1:0', accessLog: off}\nroutes: [{path: /*, cgi: {root: cgi}}]\n",
  );
  const flags = await flagsOf(file);
  assert.ok(flags.includes("--allow-run"), String(flags));
  await using running = await startPortico(["-c", file], { flags });
  assert.equal(await (await fetch(`${running.base}/x`)).text(), "ran");
  await assertLeast(file, flags);
});

Deno.test("flags for less ask for less", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(file, "routes: [{path: /, respond: hello}]\n");
  assert.deepEqual(await flagsOf(file), [
    "--no-prompt",
    `--allow-read=${file}`,
    "--allow-net=127.0.0.1:8080",
    SWITCHES,
  ]);
  // Where it really listens counts.
  assert.deepEqual(await flagsOf(file, "-l", `unix:${folder.path}/s`, "-l", "127.0.0.1:0"), [
    "--no-prompt",
    `--allow-read=${file},${folder.path}/s`,
    `--allow-write=${folder.path}/s`,
    `--allow-net=unix:${folder.path}/s,127.0.0.1:0`,
    SWITCHES,
  ]);
});

Deno.test("all that is missing is told at once, with who needs it", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `server: {listen: "127.0.0.1:0"}
routes:
  - {path: /a, name: first, cgi: {script: /bin/true, passEnv: [HOME]}}
  - {path: /b, fastcgi: 127.0.0.1:9}
`,
  );
  const flags = ["--no-prompt", `--allow-read=${file}`];
  const { code, err } = await runPortico(["-c", file], { flags });
  assert.equal(code, 1);
  for (
    const line of [
      "--allow-net=127.0.0.1:0  server.listen needs it to listen there",
      '--allow-run=/bin/true  route "first" (cgi) needs it to run the script',
      '--allow-env=HOME  route "first" (cgi) needs it to pass it on',
      '--allow-net=127.0.0.1:9  route "/b" (fastcgi) needs it to connect to the application',
    ]
  ) {
    assert.ok(err.includes(line), `${line} in\n${err}`);
  }
});

Deno.test("a reload that needs more than was granted is refused, and says what", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/routes.yaml`;
  const write = (routes: string) =>
    Deno.writeTextFile(
      file,
      `server: {listen: "127.0.0.1:0", accessLog: off}\nroutes: [${routes}]\n`,
    );
  await write("{path: /, respond: hello}");
  await using running = await startPortico(["-c", file], { flags: await flagsOf(file) });
  await write("{path: /, cgi: /bin/true}");
  running.signal("SIGHUP");
  await eventually(() => running.err().includes("the table stays as it was"));
  assert.match(running.err(), /--allow-run=\/bin\/true {2}route "\/" \(cgi\) needs it/);
  assert.equal(await (await fetch(running.base)).text(), "hello");
});

Deno.test({
  name: "flags are enough for the shipped table",
  ignore: !HAS_WSGI,
  fn: async () => {
    const file = `${REPOSITORY}/routes.yaml`;
    await using folder = await tempFolder();
    const listen = ["--listen", `unix:${folder.path}/g.sock`];
    const flags = await flagsOf(file, ...listen);
    await using running = await startPortico(["-c", file, ...listen], { flags });
    using client = Deno.createHttpClient({
      proxy: { transport: "unix", path: `${folder.path}/g.sock` },
    });
    for (const path of ["/", "/shell/x", "/fastcgi/x", "/ping", "/old/x"]) {
      const response = await fetch(`http://localhost${path}`, { client });
      await response.body?.cancel();
      assert.equal(response.status, 200, path);
    }
    running.signal("SIGTERM");
    assert.equal((await running.ended).code, 0);
  },
});

Deno.test("flags are just enough to send traces", async () => {
  await using folder = await tempFolder();
  await using collector = startCollector();
  const file = `${folder.path}/routes.yaml`;
  const traces = `{endpoint: "${collector.base}", headers: {env: COLLECTOR_KEYS}}`;
  await Deno.writeTextFile(
    file,
    `server: {listen: "127.0.0.1:0", accessLog: off, traces: ${traces}}\nroutes: [{path: /, respond: hi}]\n`,
  );
  const flags = await flagsOf(file);
  assert.deepEqual(flags, [
    "--no-prompt",
    `--allow-read=${file}`,
    `--allow-net=127.0.0.1:0,${new URL(collector.base).host}`,
    "--allow-env=DENO_SERVE_ADDRESS,DENO_TRUST_PROXY_HEADERS,COLLECTOR_KEYS",
  ]);
  const env = { COLLECTOR_KEYS: "x-key=1" };
  await using running = await startPortico(["-c", file], { flags, env });
  assert.equal(await (await fetch(running.base)).text(), "hi");
  running.signal("SIGTERM");
  const { code, err } = await running.ended;
  assert.deepEqual([code, err], [0, ""]);
  assert.equal(collector.spans.length, 1);
  assert.equal(collector.posts[0]?.headers.get("x-key"), "1");
  await assertLeast(file, flags);
});
