import assert from "node:assert/strict";
import { claimRunDir, firstSlot } from "../../lib/io/run_dir.ts";

async function withFolder(body: (runDir: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-run-" });
  try {
    await body(`${folder}/portico`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("claimRunDir() makes the folder that permissions name, for its owner alone", async () => {
  await withFolder(async (runDir) => {
    await using claimed = await claimRunDir(runDir);
    assert.equal(claimed.path, firstSlot(runDir));
    const { mode } = await Deno.stat(claimed.path);
    assert.equal((mode ?? 0) & 0o777, 0o700);
  });
});

Deno.test("claimRunDir() never gives a folder to two at once", async () => {
  await withFolder(async (runDir) => {
    const first = await claimRunDir(runDir);
    const second = await claimRunDir(runDir);
    assert.notEqual(first.path, second.path);
    await first[Symbol.asyncDispose]();
    const third = await claimRunDir(runDir);
    assert.equal(third.path, first.path);
    await second[Symbol.asyncDispose]();
    await third[Symbol.asyncDispose]();
  });
});

Deno.test("claimRunDir() gives a folder that another process holds to nobody", async () => {
  await withFolder(async (runDir) => {
    const program = `const { claimRunDir } = await import(${
      JSON.stringify(
        new URL("../../lib/io/run_dir.ts", import.meta.url).href,
      )
    });
      const claimed = await claimRunDir(Deno.args[0]);
      console.log(claimed.path);
      await new Promise((resolve) => setTimeout(resolve, 60_000));`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", program, runDir],
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    const theirs = new TextDecoder().decode(value).trim();
    assert.equal(theirs, firstSlot(runDir));
    const ours = await claimRunDir(runDir);
    assert.notEqual(ours.path, theirs);
    // Even from a killed process the system takes its claim back.
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    await using again = await claimRunDir(runDir);
    assert.equal(again.path, theirs);
    await ours[Symbol.asyncDispose]();
  });
});

Deno.test("claimRunDir() says what to do when every folder is taken", async () => {
  await withFolder(async (runDir) => {
    await using claims = new AsyncDisposableStack();
    for (let slot = 0; slot < 64; slot++) claims.use(await claimRunDir(runDir));
    await assert.rejects(claimRunDir(runDir), /taken.*server\.runDir/s);
  });
});
