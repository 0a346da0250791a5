/** Copies on disk: there after a restart, within their bytes, and never others than were stored. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { CacheFile } from "../../lib/io/cache_file.ts";
import type { Stored } from "../../lib/io/cache_store.ts";
import { DiskStore } from "../../lib/io/disk_store.ts";
import { eventually, TESTS } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";
import { bodyFor, copyOf } from "../support/stored.ts";

const nothing = () => "";
const LARGE = 2 ** 24;
const WRITER = `${TESTS}/upstreams/disk_store_writer.ts`;

function silent(message: string) {
  assert.fail(message);
}

function open(folder: string, maxSize = LARGE): Promise<DiskStore> {
  return DiskStore.open(folder, { maxSize, notice: silent });
}

/** Stores, and waits until it is done. */
async function put(store: DiskStore, ...copies: Stored[]): Promise<void> {
  for (const stored of copies) store.put(stored);
  await store[Symbol.asyncDispose]();
}

function bodyOf(stored: Stored | undefined): Uint8Array | undefined {
  assert.ok(stored?.body instanceof CacheFile);
  return stored.body.read();
}

const namesIn = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name);

Deno.test("DiskStore has its copies again after a restart", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/new/one`;
  const stored = copyOf("http://a/", {
    status: 404,
    headers: [["content-type", "text/plain"], ["x-name", "caf\u00e9"]],
    body: bodyFor("a", 5000),
    vary: [["accept-language", "de"]],
    freshUntil: 12,
    isForAll: true,
    tags: ["one", "two"],
  });
  await put(await open(path), stored, copyOf("http://b/", { body: new Uint8Array(0) }));
  const store = await open(path);
  assert.equal(store.count, 2);
  assert.equal(store.find("http://a/", nothing), undefined);
  const found = store.find("http://a/", () => "de");
  assert.deepEqual({ ...found, body: stored.body, wasUsed: false }, stored);
  assert.deepEqual(bodyOf(found), stored.body);
  assert.equal(bodyOf(store.find("http://b/", nothing))?.length, 0);
  assert.equal(store.deleteTag("two").length, 1);
  await store.removed();
  assert.equal((await open(path)).count, 1);
});

Deno.test("DiskStore ignores and removes what is no whole copy", async () => {
  await using folder = await tempFolder();
  const copies = `${folder.path}/copies`;
  const urls = Array.from({ length: 8 }, (_, at) => `http://a/${at}`);
  await put(
    await open(folder.path),
    ...urls.map((url) => copyOf(url, { body: bodyFor(url, 9000) })),
  );
  const [cut, longer, head, footer, part] = namesIn(copies).map((name) => `${copies}/${name}`);
  assert.ok(cut && longer && head && footer && part);
  await Deno.truncate(cut, 5000);
  await Deno.writeTextFile(longer, "more", { append: true });
  const flip = async (file: string, at: number) => {
    const bytes = await Deno.readFile(file);
    bytes[bytes.length + at] = (bytes.at(at) ?? 0) ^ 1;
    await Deno.writeFile(file, bytes);
  };
  await flip(head, -60);
  await flip(footer, -20);
  await Deno.rename(part, `${part}.part`);
  await Deno.writeTextFile(`${copies}/notes.txt`, "foreign");
  await Deno.writeTextFile(`${copies}/${crypto.randomUUID()}`, "");
  await Deno.writeTextFile(`${folder.path}/notes.txt`, "beside");
  const store = await open(folder.path);
  assert.equal(store.count, 3);
  assert.equal(namesIn(copies).length, 3);
  assert.equal(await Deno.readTextFile(`${folder.path}/notes.txt`), "beside");
});

Deno.test("DiskStore gives no body that has changed since it was stored", async () => {
  await using folder = await tempFolder();
  const body = bodyFor("a", 500_000);
  const store = await open(folder.path);
  await put(store, copyOf("http://a/", { body }));
  const stored = store.find("http://a/", nothing);
  assert.ok(stored?.body instanceof CacheFile);
  const { path } = stored.body;
  const bytes = await Deno.readFile(path);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  await Deno.writeFile(path, bytes);
  assert.equal(stored.body.read(), undefined);
  const source = stored.body.source();
  assert.ok(source !== undefined);
  let count = 0;
  await assert.rejects(async () => {
    for (let piece = await source.read(); piece; piece = await source.read()) count += piece.length;
  }, /changed on the disk/);
  assert.ok(count < body.length, "all of it was given");
  await Deno.truncate(path, 400_000);
  assert.deepEqual([stored.body.read(), stored.body.source()], [undefined, undefined]);
  await Deno.remove(path);
  assert.deepEqual([stored.body.read(), stored.body.source()], [undefined, undefined]);
});

Deno.test("DiskStore gives parts of a body", async () => {
  await using folder = await tempFolder();
  const body = bodyFor("a", 300_000);
  const store = await open(folder.path);
  await put(store, copyOf("http://a/", { body }));
  const stored = store.find("http://a/", nothing);
  assert.ok(stored?.body instanceof CacheFile);
  const part = stored.body.source()?.slices?.([{ start: 250_000, end: 250_010 }]);
  assert.deepEqual(await part?.read(), body.slice(250_000, 250_010));
  assert.equal(await part?.read(), undefined);
});

Deno.test("DiskStore keeps nothing that was purged, or replaced, while it was written", async () => {
  await using folder = await tempFolder();
  const store = await open(folder.path);
  const stored = copyOf("http://a/", { tags: ["t"] });
  for (
    const purge of [
      () => store.deleteUrl("http://a/"),
      () => store.deleteTag("t"),
      () => store.clear(),
      () => store.delete(stored),
    ]
  ) {
    store.put(stored);
    purge();
    await store[Symbol.asyncDispose]();
    assert.equal(store.count, 0);
  }
  const [old, young] = [bodyFor("old", 100_000), bodyFor("young", 10)];
  store.put({ ...stored, body: old });
  await put(store, { ...stored, body: young });
  assert.deepEqual(bodyOf(store.find("http://a/", nothing)), young);
  assert.equal(namesIn(`${folder.path}/copies`).length, 1);
});

Deno.test("DiskStore takes a long body in pieces, and one like it once at a time", async () => {
  await using folder = await tempFolder();
  const store = await open(folder.path);
  const stored = copyOf("http://a/");
  const copy = store.begin(stored, 1e6);
  assert.ok(copy !== undefined);
  assert.equal(store.begin(stored, 1e6), undefined);
  const body = bodyFor("a", 300_000);
  for (let at = 0; at < body.length; at += 7000) await copy.write(body.subarray(at, at + 7000));
  assert.equal(store.count, 0);
  copy.end();
  await store[Symbol.asyncDispose]();
  assert.deepEqual(bodyOf(store.find("http://a/", nothing)), body);

  const longer = store.begin(copyOf("http://b/"), 1000);
  await longer?.write(body);
  longer?.end();
  const broken = store.begin(copyOf("http://c/"), 1e6);
  await broken?.write(body);
  broken?.abort();
  await store[Symbol.asyncDispose]();
  assert.equal(store.count, 1);
  assert.equal(namesIn(`${folder.path}/copies`).length, 1);
});

Deno.test("DiskStore keeps within its bytes, those that are being written too", async () => {
  await using folder = await tempFolder();
  const store = await open(folder.path, 100_000);
  const urls = Array.from({ length: 8 }, (_, at) => `http://a/${at}`);
  for (const url of urls) await put(store, copyOf(url, { body: bodyFor(url, 20_000) }));
  assert.equal(store.count, 4);
  assert.ok(store.has("http://a/7") && !store.has("http://a/3"));
  const copy = store.begin(copyOf("http://b/"), 1e6);
  await copy?.write(new Uint8Array(90_000));
  assert.ok(store.size <= 100_000);
  assert.ok(!store.has("http://a/7"));
  await copy?.write(new Uint8Array(20_000));
  copy?.end();
  await store[Symbol.asyncDispose]();
  assert.deepEqual([store.count, store.size], [0, 0]);
  assert.deepEqual(namesIn(`${folder.path}/copies`), []);
  await put(store, copyOf("http://a/1"));
  store.maxSize = 1000;
  assert.equal(store.count, 0);
  await store.removed();
});

Deno.test("DiskStore has after a restart what it had before, whatever was done to it", async () => {
  const step = fc.record({
    what: fc.constantFrom("put", "put", "begin", "deleteUrl", "deleteTag", "find"),
    url: fc.integer({ min: 0, max: 4 }),
    length: fc.integer({ min: 0, max: 30_000 }),
    tag: fc.integer({ min: 0, max: 2 }),
    language: fc.constantFrom("", "de", "en"),
    waits: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await using folder = await tempFolder();
      const store = await open(folder.path, 90_000);
      for (const { what, url, length, tag, language, waits } of steps) {
        const vary: [string, string][] = language === "" ? [] : [["accept-language", language]];
        const body = bodyFor(`/${url}`, length);
        const stored = copyOf(`/${url}`, { body, tags: [`t${tag}`], vary });
        if (what === "put") store.put(stored);
        else if (what === "begin") {
          const copy = store.begin(stored, 20_000);
          await copy?.write(body);
          copy?.end();
        } else if (what === "deleteUrl") store.deleteUrl(`/${url}`);
        else if (what === "deleteTag") store.deleteTag(`t${tag}`);
        else store.find(`/${url}`, () => language);
        if (waits) await store[Symbol.asyncDispose]();
        assert.ok(store.size <= 90_000);
      }
      await store[Symbol.asyncDispose]();
      const again = await open(folder.path, 90_000);
      assert.deepEqual([again.count, again.size], [store.count, store.size]);
      for (let url = 0; url <= 4; url++) {
        for (const language of ["", "de", "en"]) {
          const found = again.find(`/${url}`, () => language);
          assert.equal(found === undefined, store.find(`/${url}`, () => language) === undefined);
          if (found === undefined) continue;
          assert.deepEqual(bodyOf(found), bodyFor(`/${url}`, found.body.length));
        }
      }
    }),
    { numRuns: 40 },
  );
});

Deno.test("DiskStore has only whole copies after it was killed while writing", async () => {
  await using folder = await tempFolder();
  for (const ms of [5, 40, 100, 250]) {
    const writer = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", WRITER, folder.path],
      stdout: "piped",
    }).spawn();
    const reader = writer.stdout.getReader();
    assert.match(new TextDecoder().decode((await reader.read()).value), /begun/);
    await new Promise((resolve) => setTimeout(resolve, ms));
    writer.kill("SIGKILL");
    await writer.status;
    await reader.cancel();
    const store = await open(folder.path);
    for (let at = 0; at < 50; at++) {
      const url = `http://a/${at}`;
      const found = store.find(url, nothing);
      if (found !== undefined) assert.deepEqual(bodyOf(found), bodyFor(url, found.body.length));
    }
    assert.equal(namesIn(`${folder.path}/copies`).length, store.count);
    assert.ok(store.size <= LARGE);
  }
  assert.ok((await open(folder.path)).count > 0, "nothing was ever stored");
});

Deno.test("DiskStore goes on without the disk while that is full, and says so once", async () => {
  await using folder = await tempFolder();
  // A file may have 64 KiB here (128 in some shells), and writing on fails as on a full disk.
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      'trap "" XFSZ; ulimit -f 128; exec "$@"',
      "sh",
      ...[Deno.execPath(), "run", "-A", "--no-check", WRITER, folder.path, "300"],
    ],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(lines.length, 3, lines.join("\n"));
  assert.match(lines[1] ?? "", /Cannot store copies in .*copies: .*(large|space)/i);
  const store = await open(folder.path);
  assert.equal(lines[2], `ended with ${store.count} copies`);
  assert.ok(store.count > 0);
  for (let at = 0; at < 50; at++) {
    const found = store.find(`http://a/${at}`, nothing);
    if (found === undefined) continue;
    assert.ok(found.body.length < 131_072);
    assert.deepEqual(bodyOf(found), bodyFor(`http://a/${at}`, found.body.length));
  }
});

Deno.test("DiskStore stores nothing in a folder that went away, and the rest goes on", async () => {
  await using folder = await tempFolder();
  const notices: string[] = [];
  const store = await DiskStore.open(`${folder.path}/a`, {
    maxSize: LARGE,
    notice: (line) => notices.push(line),
  });
  await put(store, copyOf("http://a/"));
  await Deno.remove(`${folder.path}/a`, { recursive: true });
  await put(store, copyOf("http://b/"), copyOf("http://c/"));
  assert.equal(notices.length, 1);
  assert.equal(bodyOf(store.find("http://a/", nothing)), undefined);
  await eventually(() => store.size === 4096);
});
