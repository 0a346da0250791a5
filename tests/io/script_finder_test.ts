import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { ENCODED_SLASH } from "../../lib/exchange.ts";
import { refuseEncodedSlash, ScriptTree } from "../../lib/io/script_finder.ts";
import { exchangeOf } from "../support/exchange.ts";

/** A tree of scripts with all that may lie in one. */
async function withTree(body: (tree: ScriptTree, root: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-tree-" });
  const root = `${folder}/root`;
  await Deno.mkdir(`${root}/deep/er`, { recursive: true });
  await Deno.mkdir(`${folder}/root-beside`);
  for (const name of ["a.cgi", "deep/b.cgi", "deep/er/c", "caf\u00e9", "with space", ".hidden"]) {
    await Deno.writeTextFile(`${root}/${name}`, "", { mode: 0o755 });
  }
  await Deno.writeTextFile(`${root}/plain.txt`, "", { mode: 0o644 });
  await Deno.writeTextFile(`${folder}/outside`, "");
  await Deno.writeTextFile(`${folder}/root-beside/neighbour`, "");
  await Deno.symlink("a.cgi", `${root}/alias`);
  await Deno.symlink("../outside", `${root}/escape`);
  await Deno.symlink("..", `${root}/up`);
  await Deno.symlink("../root-beside", `${root}/beside`);
  await Deno.symlink("nowhere", `${root}/dangling`);
  try {
    body(new ScriptTree(root), await Deno.realPath(root));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function isFailure(status: number, failure: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.status === status && error.failure === failure;
}

Deno.test("ScriptTree.find() takes the file along the path, the rest is PATH_INFO", async () => {
  await withTree((tree, root) => {
    const found: [path: string, name: string, rest: string][] = [
      ["/a.cgi", "/a.cgi", ""],
      ["/a.cgi/", "/a.cgi", "/"],
      ["/a.cgi/x/y", "/a.cgi", "/x/y"],
      ["/a.cgi/deep/b.cgi", "/a.cgi", "/deep/b.cgi"],
      ["/deep/b.cgi/x", "/deep/b.cgi", "/x"],
      ["/deep/er/c", "/deep/er/c", ""],
      ["/caf\xc3\xa9/x", "/caf\xc3\xa9", "/x"],
      ["/with space", "/with space", ""],
    ];
    for (const [path, name, rest] of found) {
      const script = tree.find(path);
      assert.deepEqual([script.name, script.rest], [name, rest]);
      const text = new TextDecoder().decode(Uint8Array.from(name, (char) => char.charCodeAt(0)));
      assert.equal(script.file, root + text);
    }
  });
});

Deno.test("ScriptTree.find() tells the permissions of the file", async () => {
  await withTree((tree) => {
    assert.notEqual(tree.find("/a.cgi").mode & 0o111, 0);
    assert.equal(tree.find("/plain.txt").mode & 0o111, 0);
  });
});

Deno.test("ScriptTree.find() follows a link within the tree, and none out of it", async () => {
  await withTree((tree, root) => {
    assert.equal(tree.find("/alias/x").file, `${root}/a.cgi`);
    assert.equal(tree.find("/alias/x").name, "/alias");
    for (const path of ["/escape", "/up/outside", "/beside/neighbour"]) {
      assert.throws(() => tree.find(path), isFailure(403, "outside-root"), path);
    }
  });
});

Deno.test("ScriptTree.find() finds nothing where there is no script", async () => {
  await withTree((tree) => {
    const nothing = [
      "",
      "/",
      "/deep",
      "/deep/",
      "/missing",
      "/missing/a.cgi",
      "/.hidden",
      "/./a.cgi",
      "/../outside",
      "/deep/../a.cgi",
      "//a.cgi",
      "/dangling",
      "/a\x00.cgi",
      `/deep${ENCODED_SLASH}b.cgi`,
      `/${"x".repeat(300)}`,
    ];
    for (const path of nothing) {
      assert.throws(() => tree.find(path), isFailure(404, "no-script"), path.slice(0, 40));
    }
  });
});

Deno.test("ScriptTree refuses a root that does not exist", () => {
  assert.throws(() => new ScriptTree("/nowhere/at/all"), Deno.errors.NotFound);
});

Deno.test("refuseEncodedSlash() answers 404 to a path to a file that holds one", () => {
  refuseEncodedSlash(exchangeOf({ path: "/a/b" }));
  assert.throws(
    () => refuseEncodedSlash(exchangeOf({ path: `/a${ENCODED_SLASH}b` })),
    isFailure(404, "encoded-slash"),
  );
});
