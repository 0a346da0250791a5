import assert from "node:assert/strict";
import fc from "fast-check";
import { FileTree, type Finding } from "../../lib/io/file_tree.ts";
import { isFileName, isLeftover } from "../../lib/protocol/cgi_path.ts";
import { byteString } from "../../lib/protocol/latin1.ts";
import { tempFolder } from "../support/peers.ts";

/** A tree while `body` runs: files by name, `-> ` before a link's target. */
async function withTree(
  files: Readonly<Record<string, string>>,
  body: (folder: string) => void | Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  for (const [name, content] of Object.entries(files)) {
    const path = `${folder.path}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (content.startsWith("-> ")) await Deno.symlink(content.slice(3), path);
    else await Deno.writeTextFile(path, content);
  }
  await body(folder.path);
}

/** In short: the file's name in the tree and the rest, `folder`, or why there is nothing. */
function brief(found: Finding): string {
  if (found.type === "file") return `${found.place} + ${JSON.stringify(found.rest)}`;
  return found.type === "folder" ? "folder" : found.failure;
}

Deno.test("FileTree.find() gives the file along a path, and what is left of it", async () => {
  const files = { "r/a.php": "", "r/d/b": "", "r/d.php/c.php": "", "r/caf\u00e9": "" };
  await withTree(files, (folder) => {
    const tree = new FileTree(`${folder}/r`);
    const rows: Record<string, string> = {
      "": "folder",
      "/": "folder",
      "/d": "folder",
      "/d/": "folder",
      "/a.php": '/a.php + ""',
      "/a.php/": '/a.php + "/"',
      "/a.php/x/.y/z.php": '/a.php + "/x/.y/z.php"',
      "/a.php/\n": '/a.php + "/\\n"',
      "/a.php/\xff": '/a.php + "/\xff"',
      "/d.php": "folder",
      "/d.php/c.php/x": '/d.php/c.php + "/x"',
      "/d/b": '/d/b + ""',
      "/caf\xc3\xa9": '/caf\xc3\xa9 + ""',
      "/caf\xe9": "hidden-name",
      "/d/.x": "hidden-name",
      "/d/\x01": "hidden-name",
      "/none": "no-file",
      "/none/a.php": "no-file",
      [`/${"x/".repeat(3000)}`]: "no-file",
      [`/${"x".repeat(255)}x`]: "no-file",
    };
    for (const [path, expected] of Object.entries(rows)) {
      assert.equal(brief(tree.find(path)), expected, path);
    }
  });
});

Deno.test("FileTree.find() names what it found by the folder's own name, and as it really is", async () => {
  await withTree({
    "releases/1/sub/a.txt": "",
    "releases/1/b.txt": "-> sub/a.txt",
    "current": "-> releases/1",
  }, (folder) => {
    const found = new FileTree(`${folder}/current/`).find("/b.txt");
    assert.ok(found.type === "file");
    const { path, name, real, realRoot } = found;
    assert.deepEqual({ path, name, real, realRoot }, {
      path: `${folder}/current/sub/a.txt`,
      name: `${folder}/current/b.txt`,
      real: `${folder}/releases/1/sub/a.txt`,
      realRoot: `${folder}/releases/1`,
    });
  });
});

Deno.test("FileTree.find() follows a folder that is a link to wherever it leads", async () => {
  await withTree({ "1/a": "one", "2/a": "two!", "2/b": "", "current": "-> 1" }, async (folder) => {
    const tree = new FileTree(`${folder}/current`);
    const sizeOf = (path: string) => {
      const found = tree.find(path);
      return found.type === "file" ? found.info.size : brief(found);
    };
    assert.deepEqual([sizeOf("/a"), sizeOf("/b")], [3, "no-file"]);
    await Deno.symlink("2", `${folder}/next`);
    await Deno.rename(`${folder}/next`, `${folder}/current`);
    assert.deepEqual([sizeOf("/a"), sizeOf("/b")], [4, 0], "at once, for files");
  });
});

Deno.test("FileTree.find() lets no link out, nor to what is hidden", async () => {
  const files = {
    "r/a": "",
    "r/.env": "",
    "r/old.bak": "",
    "r/..data/x": "",
    "r/.well-known/y": "",
    "secret": "",
    "r/out": "-> ../secret",
    "r/far": "-> /etc",
    "r/env": "-> .env",
    "r/back": "-> old.bak",
    "r/x": "-> ..data/x",
    "r/y": "-> .well-known/y",
    "r/loop": "-> loop",
    "r/in": "-> ../r/a",
  };
  await withTree(files, (folder) => {
    const rows: Record<string, string> = {
      "/out": "outside-root",
      "/far/passwd": "outside-root",
      "/env": "hidden-name",
      "/back": '/back + ""',
      "/x": '/x + ""',
      "/y": '/y + ""',
      "/loop": "no-file",
      "/in": '/in + ""',
      "/.well-known/y": '/.well-known/y + ""',
    };
    const tree = new FileTree(`${folder}/r`);
    for (const [path, expected] of Object.entries(rows)) {
      assert.equal(brief(tree.find(path)), expected, path);
    }
    const strict = new FileTree(`${folder}/r`, isLeftover);
    assert.equal(brief(strict.find("/back")), "hidden-name");
    assert.equal(brief(strict.find("/old.bak")), "hidden-name");
    assert.equal(brief(strict.find("/x")), '/x + ""');
  });
});

Deno.test("FileTree.find() finds what a walk by hand finds, and splits nothing wrongly", async () => {
  const files = { "r/a": "", "r/b/a": "", "r/b/c/a": "", "r/c.php/b": "" };
  await withTree(files, (folder) => {
    const tree = new FileTree(`${folder}/r`);
    const known = new Set(Object.keys(files).map((name) => name.slice(1)));
    const segment = fc.constantFrom("a", "b", "c", "c.php", "x");
    const path = fc.tuple(fc.array(segment, { maxLength: 6 }), fc.constantFrom("", "/"))
      .map(([segments, slash]) => segments.map((name) => `/${name}`).join("") + slash);
    fc.assert(fc.property(path, (path) => {
      const prefixes = path.split("/").map((_, i, all) => all.slice(0, i + 1).join("/"));
      const place = prefixes.find((prefix) => known.has(prefix));
      const found = tree.find(path);
      assert.equal(found.type === "file" ? found.place : undefined, place);
      if (found.type === "file") assert.equal(found.place + found.rest, path);
    }));
  });
});

Deno.test("FileTree wants a folder", async () => {
  await withTree({ "file": "" }, (folder) => {
    assert.throws(() => new FileTree(`${folder}/none`), Deno.errors.NotFound);
    assert.throws(() => new FileTree(`${folder}/file`), /file is not a folder/);
  });
});

Deno.test("FileTree.find() finds a name exactly if it is not hidden", async () => {
  await using folder = await tempFolder();
  const tree = new FileTree(folder.path, isLeftover);
  const letter = fc.constantFrom(..."azAZ09-_.~#,@[`{\u00e9");
  const name = fc.array(letter, { minLength: 1, maxLength: 6 }).map((letters) => letters.join(""));
  fc.assert(
    fc.property(name, (name) => {
      const isShown = isFileName(name) && !isLeftover(name);
      if (isFileName(name)) Deno.writeTextFileSync(`${folder.path}/${name}`, "");
      assert.equal(tree.find(byteString(`/${name}`)).type, isShown ? "file" : "nothing", name);
      assert.equal(tree.find(byteString(`/none/${name}`)).type, "nothing", name);
    }),
    { numRuns: 300 },
  );
});
