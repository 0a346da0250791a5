/**
 * A repository of 200 MiB pushed through `git http-backend`, which git sends in chunks, and cloned back:
 * the gateway, in a process of its own, must not hold more of it than a few pieces. Between the two lies
 * a network: chunks that come faster than they are read pile up in the runtime, which a client on the same
 * machine achieves.
 */
import assert from "node:assert/strict";
import { type Running, startPortico } from "../support/command.ts";
import { BACKEND, backendRoute, commitNoise, type Git, gitAt, headOf } from "../support/git.ts";
import { growthOf } from "../support/memory.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { startRelay } from "../support/relay.ts";

const MIB = 2 ** 20;
const SIZE = 200 * MIB;
const MAX_GROWTH = 32 * MIB;
const FILES = 4;
/** Bytes in a second. */
const NETWORK = 32 * MIB;

/** Noise is neither compressed nor compared: that would measure git. */
const AS_IT_IS = [
  ["core.compression", "0"],
  ["core.bigFileThreshold", "1m"],
  ["pack.window", "0"],
  ["gc.auto", "0"],
] as const;

/** A repository to push from, with a commit of a few bytes (branch `warm`) and the large one. */
async function createSource(git: Git, source: string): Promise<void> {
  await git(["init", "-q", "-b", "warm", source]);
  for (const [name, value] of AS_IT_IS) await git(["-C", source, "config", name, value]);
  await git(["-C", source, "config", "http.postBuffer", "65536"]);
  await commitNoise(git, `${source}/small.bin`, 2 * MIB);
  await git(["-C", source, "checkout", "-q", "-b", "main"]);
  for (let i = 0; i < FILES; i++) await commitNoise(git, `${source}/${i}.bin`, SIZE / FILES);
}

/** An empty repository that takes pushes and keeps a pack as it comes, once it has found it sound. */
async function createTarget(git: Git, target: string): Promise<void> {
  await git(["init", "-q", "--bare", target]);
  const settings = [
    ...AS_IT_IS,
    ["http.receivepack", "true"],
    ["receive.unpackLimit", "1"],
    ["receive.fsckObjects", "true"],
  ];
  for (const [name = "", value = ""] of settings) {
    await git(["-C", target, "config", name, value]);
  }
}

async function serve(folder: string): Promise<Running> {
  const file = `${folder}/routes.yaml`;
  const route = (requestBody: string) =>
    backendRoute(`/${requestBody}/*`, folder, {
      options: { requestBody, maxRequestBody: "300MiB", firstByteTimeout: "2m" },
    });
  await Deno.writeTextFile(
    file,
    `server:
  listen: 127.0.0.1:0
  runDir: ${folder}/run
  spoolDir: ${folder}/spool
  accessLog: json
routes:
${route("spool")}
${route("stream")}
`,
  );
  return await startPortico(["serve", "--config", file]);
}

testWith(["git", BACKEND], "cgi: a push and a clone of 200 MiB take no memory", async (t) => {
  await using folder = await tempFolder();
  const git = gitAt(folder.path);
  const source = `${folder.path}/source`;
  await createSource(git, source);
  const head = await headOf(git, source);
  await using gateway = await serve(folder.path);
  await using network = startRelay(Number(new URL(gateway.base).port), NETWORK);
  const base = `http://127.0.0.1:${network.port}`;

  // A program that takes its time lets a stream pile up: there the first of the files has to do.
  for (const [mode, main] of [["spool", "main"], ["stream", `main~${FILES - 1}`]] as const) {
    const target = `${folder.path}/${mode}.git`;
    const url = `${base}/${mode}/${mode}.git`;
    const push = (branch: string) =>
      git(["-C", source, "push", url, branch], {
        env: { GIT_TRACE_CURL: "1", GIT_TRACE_CURL_NO_DATA: "1" },
      });

    await t.step(`a chunked push (${mode})`, async () => {
      await createTarget(git, target);
      await push("warm:warm");
      let trace = "";
      const growth = await growthOf(
        gateway.pid,
        async () => void (trace = await push(`${main}:refs/heads/main`)),
      );
      assert.match(trace, /Transfer-Encoding: chunked/i);
      assert.equal(await headOf(git, target), await headOf(git, source, main));
      await git(["-C", target, "fsck", "--connectivity-only"]);
      assert.ok(growth < MAX_GROWTH, `grown by ${growth / MIB} MiB`);
    });
  }

  await t.step("a clone", async () => {
    const clone = `${folder.path}/clone`;
    const growth = await growthOf(gateway.pid, async () => {
      await git(["clone", "-q", "--no-checkout", `${base}/stream/spool.git`, clone]);
    });
    assert.equal(await headOf(git, clone), head);
    assert.ok(growth < MAX_GROWTH, `grown by ${growth / MIB} MiB`);
  });
  assert.equal(gateway.err(), "");
});
