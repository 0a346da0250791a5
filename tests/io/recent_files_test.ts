import assert from "node:assert/strict";
import { RecentFiles } from "../../lib/io/recent_files.ts";
import { eventually } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";

const OLD_MS = Date.now() - 60_000;

/** What is seen of a file that is `size` bytes long and was changed long ago. */
function infoOf(size: number, changes: Partial<Deno.FileInfo> = {}): Deno.FileInfo {
  const { info } = SAMPLE;
  const times = { mtime: new Date(OLD_MS), ctime: new Date(OLD_MS) };
  return { ...info, ...times, size, ino: 7, dev: 1, ...changes };
}

const SAMPLE = { info: Deno.statSync(new URL(import.meta.url)) };

Deno.test("RecentFiles gives back what was read, as long as the file is the one that was seen", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const changes: Record<string, Partial<Deno.FileInfo>> = {
    size: { size: 4 },
    "another file": { ino: 8 },
    "another disk": { dev: 2 },
    time: { mtime: new Date(OLD_MS + 1) },
    "time, set back": { ctime: new Date(OLD_MS + 1) },
  };
  for (const [what, change] of Object.entries(changes)) {
    const files = new RecentFiles(100);
    files.keep("/a", infoOf(3), bytes);
    assert.equal(files.get("/a", infoOf(3)), bytes, what);
    assert.equal(files.get("/b", infoOf(3)), undefined, what);
    assert.equal(files.get("/a", infoOf(3, change)), undefined, what);
    assert.equal(files.get("/a", infoOf(3)), undefined, `${what}: forgotten`);
  }
});

Deno.test("RecentFiles keeps nothing whose times could still stand for another state", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a`;
  // A machine that stands still for a second is asked again.
  await eventually(
    async () => {
      const files = new RecentFiles(100);
      const begun = Date.now();
      await Deno.writeTextFile(path, "new");
      // The time that can be set back says nothing.
      await Deno.utime(path, new Date(OLD_MS), new Date(OLD_MS));
      const info = Deno.statSync(path);
      files.keep(path, info, new TextEncoder().encode("new"));
      const found = files.get(path, info);
      if (Date.now() - begun >= 1000) return false;
      assert.equal(found, undefined);
      return true;
    },
    30_000,
    "a second without a pause",
  );
});

Deno.test("RecentFiles keeps no part of a file", () => {
  const files = new RecentFiles(100);
  files.keep("/a", infoOf(3), new Uint8Array(2));
  assert.equal(files.get("/a", infoOf(3)), undefined);
});

Deno.test("RecentFiles forgets the least lately used, and never holds more than it may", () => {
  const files = new RecentFiles(10);
  const has = (path: string) => files.get(path, infoOf(4)) !== undefined;
  files.keep("/a", infoOf(4), new Uint8Array(4));
  files.keep("/b", infoOf(4), new Uint8Array(4));
  assert.ok(has("/a"));
  files.keep("/c", infoOf(4), new Uint8Array(4));
  assert.deepEqual(["/a", "/b", "/c"].map(has), [true, false, true]);
  // Again, and again: no more than one of it is counted.
  for (let i = 0; i < 5; i++) files.keep("/c", infoOf(4), new Uint8Array(4));
  assert.deepEqual(["/a", "/c"].map(has), [true, true]);
  files.keep("/large", infoOf(11), new Uint8Array(11));
  assert.equal(files.get("/large", infoOf(11)), undefined);
});
