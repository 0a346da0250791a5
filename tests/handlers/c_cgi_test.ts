/**
 * A C program and a shell script under the `cgi` kind: 64 MiB down, and up and down at once, byte for byte.
 * Neither has a library between it and the pipes.
 */
import assert from "node:assert/strict";
import { type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { fillRandom, sha256 } from "../support/noise.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

const SIZE = 64 * 2 ** 20;

/** As `stream.c` makes it. */
function sequence(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

async function compile(source: string, program: string): Promise<void> {
  const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source];
  const { success, stderr } = await new Deno.Command("cc", { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

/** Serves one program at `/spool` and, its input as it comes, at `/stream`. */
async function withProgram(
  make: (folder: string) => Promise<string>,
  body: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  const script = await make(folder.path);
  const routes = ["spool", "stream"].map((requestBody) => {
    return { path: `/${requestBody}`, requestBody, cgi: { script } };
  });
  const table = `server:\n  spoolDir: ${folder.path}/s\nroutes: ${JSON.stringify(routes)}\n`;
  await withGateway(table, body);
}

testWith(["cc"], "a C program sends 64 MiB, and sends 64 MiB back", async (t) => {
  const compiled = async (folder: string) => {
    await compile(`${TESTS}/apps/cgi/stream.c`, `${folder}/stream`);
    return `${folder}/stream`;
  };
  await withProgram(compiled, async ({ base, log }) => {
    await t.step("down", async () => {
      const answer = await fetch(`${base}/spool?${SIZE}`);
      assert.equal(answer.headers.get("content-length"), String(SIZE));
      const bytes = new Uint8Array(await answer.arrayBuffer());
      assert.equal(await sha256(bytes), await sha256(sequence(SIZE)));
    });
    const noise = fillRandom(new Uint8Array(SIZE));
    const sum = await sha256(noise);
    for (const mode of ["spool", "stream"]) {
      await t.step(`up and down at once (${mode})`, async () => {
        const answer = await fetch(`${base}/${mode}`, { method: "POST", body: noise });
        assert.equal(answer.headers.get("x-length"), String(SIZE));
        assert.equal(await sha256(new Uint8Array(await answer.arrayBuffer())), sum);
      });
    }
    assert.equal(await log(), "");
  });
});

testWith(
  ["sh", "cat", "sha256sum"],
  "a shell script sums an upload up and makes a download",
  async (t) => {
    const written = (folder: string) =>
      writeScript(
        `${folder}/sum.sh`,
        `#!/bin/sh
set -eu
printf 'Content-Type: application/octet-stream\\n'
case "$QUERY_STRING" in
sum) printf '\\n'; sha256sum | cut -d ' ' -f 1 ;;
file) printf 'Content-Length: %s\\n\\n' "$(wc -c <"${folder}/noise")"; exec cat "${folder}/noise" ;;
esac
`,
      );
    const noise = fillRandom(new Uint8Array(SIZE));
    const sum = await sha256(noise);
    await withProgram(async (folder) => {
      await Deno.writeFile(`${folder}/noise`, noise);
      return await written(folder);
    }, async ({ base, log }) => {
      for (const mode of ["spool", "stream"]) {
        await t.step(`up (${mode})`, async () => {
          const answer = await fetch(`${base}/${mode}?sum`, { method: "POST", body: noise });
          assert.deepEqual([answer.status, await answer.text()], [200, `${sum}\n`]);
        });
      }
      await t.step("down", async () => {
        const answer = await fetch(`${base}/spool?file`);
        assert.equal(answer.headers.get("content-length"), String(SIZE));
        assert.equal(await sha256(new Uint8Array(await answer.arrayBuffer())), sum);
      });
      assert.equal(await log(), "");
    });
  },
);
