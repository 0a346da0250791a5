/**
 * `git http-backend` under the `cgi` kind, spoken to by the real git: the most demanding CGI program that
 * is everywhere. Clone, push, protocol version 2, and packs that git sends chunked because they exceed
 * its post buffer.
 */
import assert from "node:assert/strict";
import { withGateway } from "../support/gateway.ts";
import { testWith, which } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const BACKEND = "git-http-backend";
const MIB = 2 ** 20;

/** Runs git, and gives what it prints on both streams. */
type Git = (args: readonly string[], env?: Record<string, string>) => Promise<string>;

/** git as on a machine without any configuration. */
function gitAt(home: string): Git {
  return async (args, env = {}) => {
    const { success, stdout, stderr } = await new Deno.Command("git", {
      args: ["-c", "init.defaultBranch=main", "-c", "protocol.version=2", ...args],
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
        HOME: home,
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_TERMINAL_PROMPT: "0",
        GIT_AUTHOR_NAME: "a",
        GIT_AUTHOR_EMAIL: "a@example.org",
        GIT_COMMITTER_NAME: "c",
        GIT_COMMITTER_EMAIL: "c@example.org",
        ...env,
      },
      stdin: "null",
    }).output();
    const text = new TextDecoder();
    assert.ok(success, `git ${args.join(" ")}: ${text.decode(stderr)}`);
    return text.decode(stdout) + text.decode(stderr);
  };
}

/** The commit that a branch of a repository is at. */
async function headOf(git: Git, repository: string, branch = "main"): Promise<string> {
  return (await git(["-C", repository, "rev-parse", branch])).trim();
}

/** Commits a file of incompressible bytes to the repository that it lies in. */
async function commitNoise(git: Git, file: string, bytes: number): Promise<void> {
  const noise = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) {
    crypto.getRandomValues(noise.subarray(at, at + 65_536));
  }
  await Deno.writeFile(file, noise);
  const repository = file.slice(0, file.lastIndexOf("/"));
  await git(["-C", repository, "add", file]);
  await git(["-C", repository, "commit", "-q", "-m", "Add noise"]);
}

/** A bare repository that takes pushes, holding one commit of `bytes` of noise. */
async function createOrigin(git: Git, folder: string, bytes: number): Promise<string> {
  const origin = `${folder}/origin.git`;
  await git(["init", "-q", "--bare", origin]);
  await git(["-C", origin, "config", "http.receivepack", "true"]);
  const work = `${folder}/work`;
  await git(["init", "-q", work]);
  await commitNoise(git, `${work}/first.bin`, bytes);
  await git(["-C", work, "push", "-q", origin, "main"]);
  return origin;
}

testWith(["git", BACKEND], "cgi serves git http-backend: clone, push, protocol v2", async (t) => {
  await using folder = await tempFolder();
  const git = gitAt(folder.path);
  const origin = await createOrigin(git, folder.path, 5 * MIB);
  const backend = (key: string, more: string) =>
    `  - path: /${key}/*
    cgi:
      script: ${which(BACKEND)}
      env: {GIT_PROJECT_ROOT: "${folder.path}", GIT_HTTP_EXPORT_ALL: 1}
${more}`;
  const table = `server:
  spoolDir: ${folder.path}/spool
routes:
${backend("git", "    methods: [GET, POST]")}
${backend("streamed", "    requestBody: stream")}
`;
  await withGateway(table, async ({ base, log }) => {
    const url = `${base}/git/origin.git`;
    const clone = `${folder.path}/clone`;

    await t.step("a repository of 5 MiB is cloned over protocol v2", async () => {
      const trace = await git(["clone", url, clone], { GIT_TRACE_CURL: "1" });
      assert.match(trace, /Git-Protocol: version=2/);
      assert.match(trace, /Info: Server|HTTP\/1\.1 200/);
      assert.equal(await headOf(git, clone), await headOf(git, origin));
      await git(["-C", clone, "fsck", "--strict"]);
    });

    await t.step("a small push and a fetch go through", async () => {
      await commitNoise(git, `${clone}/small.bin`, 1000);
      await git(["-C", clone, "push", "-q", "origin", "main"]);
      assert.equal(await headOf(git, origin), await headOf(git, clone));
      await git(["-C", `${folder.path}/work`, "fetch", "-q", url, "main:fetched"]);
      assert.equal(await headOf(git, `${folder.path}/work`, "fetched"), await headOf(git, origin));
    });

    for (const key of ["git", "streamed"]) {
      await t.step(`a push of 5 MiB, which git sends chunked (/${key}/)`, async () => {
        await commitNoise(git, `${clone}/${key}.bin`, 5 * MIB);
        const to = `${base}/${key}/origin.git`;
        const trace = await git(["-C", clone, "push", to, "main"], { GIT_TRACE_CURL: "1" });
        assert.match(trace, /Transfer-Encoding: chunked/i);
        assert.equal(await headOf(git, origin), await headOf(git, clone));
        await git(["-C", origin, "fsck", "--strict"]);
      });
    }

    await t.step("four clones at once", async () => {
      const names = Array.from({ length: 4 }, (_, i) => `${folder.path}/many${i}`);
      await Promise.all(names.map((name) => git(["clone", "-q", "--depth", "1", url, name])));
      for (const name of names) assert.equal(await headOf(git, name), await headOf(git, origin));
    });

    await t.step("what the program refuses is passed on", async () => {
      const missing = await fetch(`${base}/git/nothing.git/info/refs?service=git-upload-pack`);
      await missing.body?.cancel();
      assert.equal(missing.status, 404);
      const wrong = await fetch(`${url}/info/refs`, { method: "PUT", body: "x" });
      await wrong.body?.cancel();
      assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "GET, HEAD, POST"]);
    });

    assert.doesNotMatch(await log(), / (error|warn) /);
  });
});
