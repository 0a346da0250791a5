import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { Spool } from "../../lib/io/spool.ts";
import { spoolFiles } from "../support/spool_files.ts";

async function withSpool(
  quota: number,
  body: (spool: Spool, folder: string) => Promise<void>,
): Promise<void> {
  const parent = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-spool-" });
  const folder = `${parent}/deep/spool`;
  try {
    await body(new Spool(folder, quota), folder);
    assert.deepEqual(spoolFiles(parent), []);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index % 251);
}

Deno.test("Spool makes files without a name, in a folder of its own", async () => {
  await withSpool(1000, async (spool, folder) => {
    const file = await spool.create();
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    assert.equal(((await Deno.stat(folder)).mode ?? 0) & 0o777, 0o700);
    assert.equal(spoolFiles(folder).length, 1);
    file.close();
    assert.equal(spoolFiles(folder).length, 0);
  });
});

Deno.test("SpoolFile gives back what was written, in pieces", async () => {
  await withSpool(2 ** 20, async (spool) => {
    const file = await spool.create();
    const whole = bytes(200_000);
    for (let at = 0; at < whole.length; at += 7777) {
      await file.append(whole.subarray(at, at + 7777));
    }
    await file.rewind();
    const memory = new Uint8Array(65_536);
    const read: number[] = [];
    for (let piece = await file.read(memory); piece; piece = await file.read(memory)) {
      read.push(...piece);
    }
    assert.deepEqual(Uint8Array.from(read), whole);
    file.close();
  });
});

Deno.test("Spool holds all its files to one quota, and gives back what is closed", async () => {
  await withSpool(100, async (spool) => {
    const first = await spool.create();
    const second = await spool.create();
    await first.append(bytes(60));
    await second.append(bytes(40));
    assert.equal(spool.used, 100);
    await assert.rejects(first.append(bytes(1)), (error) => {
      assert.ok(error instanceof GatewayError);
      assert.deepEqual([error.status, error.failure], [503, "spool-full"]);
      assert.ok(error.headers.some(([name]) => name === "retry-after"));
      return true;
    });
    assert.equal(spool.used, 100);
    second.close();
    second.close();
    assert.equal(spool.used, 60);
    await first.append(bytes(40));
    first.close();
    assert.equal(spool.used, 0);
  });
});

Deno.test("Spool makes its folder when it is needed, again if need be", async () => {
  await withSpool(100, async (spool, folder) => {
    const parent = folder.slice(0, folder.indexOf("/deep"));
    await Deno.writeTextFile(`${parent}/deep`, "in the way");
    await assert.rejects(spool.create());
    await Deno.remove(`${parent}/deep`);
    (await spool.create()).close();
    await Deno.remove(folder);
    (await spool.create()).close();
  });
});
