import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import { ENCODED_SLASH } from "../../lib/exchange.ts";
import { refuseEncodedSlash, type Script, ScriptTree } from "../../lib/io/script_finder.ts";
import { encodePath, isLeftover } from "../../lib/protocol/cgi_path.ts";
import { exchangeOf } from "../support/exchange.ts";

const LONG = "x".repeat(300);

/** A tree of scripts with all that may lie in one. */
async function withTree(
  body: (tree: ScriptTree, root: string) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-tree-" });
  const root = `${folder}/root`;
  for (const path of ["deep/er", "indexed", "second", "odd/index.cgi", "bare", ".git", "old~"]) {
    await Deno.mkdir(`${root}/${path}`, { recursive: true });
  }
  await Deno.mkdir(`${folder}/root-beside`);
  const scripts = ["a.cgi", "deep/b.cgi", "deep/er/c", "caf\u00e9", "\ufffd", "with space"];
  const indexes = ["indexed/index.cgi", "indexed/index.pl", "second/index.pl", "odd/index.pl"];
  const hidden = [".hidden", ".git/hook", "old~/a.cgi", "a.cgi~", "a.cgi.bak", "#a.cgi#"];
  for (const name of [...scripts, ...indexes, ...hidden]) {
    await Deno.writeTextFile(`${root}/${name}`, "", { mode: 0o755 });
  }
  await Deno.writeTextFile(`${root}/plain.txt`, "", { mode: 0o644 });
  await Deno.writeTextFile(`${folder}/outside`, "");
  await Deno.writeTextFile(`${folder}/root-beside/neighbour`, "");
  const links = [
    ["a.cgi", "alias"],
    ["deep", "shallow"],
    ["../outside", "escape"],
    ["..", "up"],
    ["../root-beside", "beside"],
    ["nowhere", "dangling"],
    ["round", "round"],
    ["/dev/null", "device"],
    ["/proc/self/environ", "environ"],
  ] as const;
  for (const [to, name] of links) await Deno.symlink(to, `${root}/${name}`);
  const { success } = await new Deno.Command("mkfifo", { args: [`${root}/fifo`] }).output();
  assert.ok(success);
  using _socket = Deno.listen({ transport: "unix", path: `${root}/socket` });
  try {
    await body(new ScriptTree(root, ["index.cgi", "index.pl"]), await Deno.realPath(root));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function isFailure(status: number, failure: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.status === status && error.failure === failure;
}

function scriptAt(tree: ScriptTree, path: string): Script {
  const found = tree.find(path);
  return found.type === "script" ? found : assert.fail(`${path} is a folder`);
}

Deno.test("ScriptTree.find() takes the file along the path, the rest is PATH_INFO (RFC 3875 §4.1.5, §4.1.13)", async () => {
  await withTree((tree, root) => {
    const found: [path: string, name: string, rest: string][] = [
      ["/a.cgi", "/a.cgi", ""],
      ["/a.cgi/", "/a.cgi", "/"],
      ["/a.cgi/x/y", "/a.cgi", "/x/y"],
      ["/a.cgi/deep/b.cgi", "/a.cgi", "/deep/b.cgi"],
      ["/deep/b.cgi/x", "/deep/b.cgi", "/x"],
      ["/deep/er/c", "/deep/er/c", ""],
      ["/caf\xc3\xa9/x", "/caf\xc3\xa9", "/x"],
      ["/\xef\xbf\xbd", "/\xef\xbf\xbd", ""],
      ["/with space", "/with space", ""],
      // What a script is told is its own affair.
      ["/a.cgi/.git/config~", "/a.cgi", "/.git/config~"],
      ["/a.cgi/\xff\x01", "/a.cgi", "/\xff\x01"],
      [`/a.cgi/${LONG}`, "/a.cgi", `/${LONG}`],
    ];
    for (const [path, name, rest] of found) {
      const script = scriptAt(tree, path);
      assert.deepEqual([script.name, script.rest], [name, rest]);
      const text = new TextDecoder().decode(Uint8Array.from(name, (char) => char.charCodeAt(0)));
      assert.equal(script.file, root + text);
    }
  });
});

Deno.test("ScriptTree.find() tells the permissions of the file and whose they are", async () => {
  await withTree((tree) => {
    const script = scriptAt(tree, "/a.cgi");
    assert.notEqual(script.mode & 0o111, 0);
    assert.deepEqual([script.uid, script.gid], [Deno.uid(), Deno.gid()]);
    assert.equal(scriptAt(tree, "/plain.txt").mode & 0o111, 0);
  });
});

Deno.test("ScriptTree.find() takes the first index of a folder that is a file", async () => {
  await withTree((tree) => {
    for (
      const [path, name] of [
        ["/indexed/", "/indexed/index.cgi"],
        ["/second/", "/second/index.pl"],
        ["/odd/", "/odd/index.pl"],
      ] as const
    ) {
      const script = scriptAt(tree, path);
      assert.deepEqual([script.name, script.rest], [name, ""]);
    }
  });
});

Deno.test("ScriptTree.find() tells a folder that lacks its slash", async () => {
  await withTree((tree) => {
    for (const path of ["", "/deep", "/deep/er", "/indexed", "/bare", "/shallow"]) {
      assert.deepEqual(tree.find(path), { type: "folder" }, path);
    }
  });
});

Deno.test("ScriptTree.find() follows a link within the tree, and none out of it (RFC 3875 §9.8)", async () => {
  await withTree((tree, root) => {
    assert.equal(scriptAt(tree, "/alias/x").file, `${root}/a.cgi`);
    assert.equal(scriptAt(tree, "/alias/x").name, "/alias");
    assert.equal(scriptAt(tree, "/shallow/b.cgi").file, `${root}/deep/b.cgi`);
    const outside = ["/escape", "/escape/x", "/up", "/up/", "/up/outside", "/up/missing"];
    for (const path of [...outside, "/beside/neighbour", "/beside/missing/x", "/environ"]) {
      assert.throws(() => tree.find(path), isFailure(403, "outside-root"), path);
    }
  });
});

Deno.test("ScriptTree.find() refuses what merely lies there", async () => {
  await withTree((tree) => {
    const refused: Record<string, string[]> = {
      "hidden-name": [
        "/.hidden",
        "/.missing",
        "/.git/hook",
        "/deep/.x/y",
        "/old~/a.cgi",
        "/a.cgi~",
        "/a.cgi.bak/x",
        "/#a.cgi#",
      ],
      "no-index": ["/", "/deep/", "/bare/", "/shallow/"],
      "not-a-file": ["/fifo", "/fifo/x", "/socket", "/device"],
      "broken-link": ["/dangling", "/dangling/x", "/round", "/round/x"],
    };
    for (const [failure, paths] of Object.entries(refused)) {
      for (const path of paths) {
        assert.throws(() => tree.find(path), isFailure(403, failure), path);
        assert.equal(tree.tryFind(path), undefined, path);
      }
    }
  });
});

Deno.test("ScriptTree.find() finds nothing where there is no script", async () => {
  await withTree((tree) => {
    const nothing = [
      "/missing",
      "/missing/a.cgi",
      "/./a.cgi",
      "/../outside",
      "/deep/../a.cgi",
      "//a.cgi",
      "/a\x00.cgi",
      "/caf\xe9",
      `/deep${ENCODED_SLASH}b.cgi`,
      `/${"x".repeat(300)}`,
    ];
    for (const path of nothing) {
      assert.throws(() => tree.find(path), isFailure(404, "no-script"), path.slice(0, 40));
      assert.equal(tree.tryFind(path), undefined);
    }
  });
});

Deno.test("ScriptTree refuses a root that does not exist", () => {
  assert.throws(() => new ScriptTree("/nowhere/at/all"), Deno.errors.NotFound);
});

Deno.test("isLeftover() knows dot-files and what editors leave behind", () => {
  for (
    const name of [".", ".htaccess", ".#a", "a~", "#a#", "a.bak", "a.BAK", "a.old", "a.orig"]
      .concat("a.rej", "a.save", "a.save.1", "a.tmp", ".a.swp", "a.swn", "a.swo", "~", "a.~1~")
      .concat("a.cgi,v", "a.dpkg-old", "a.dpkg-dist", "a.ucf-new", "a.rpmsave", "a.rpmnew")
  ) assert.ok(isLeftover(name), name);
  for (
    const name of ["a", "a.cgi", "bak", "a.bakery", "a~b", "#a", "a#", "swp", "caf\xc3\xa9"]
      .concat("a.swf", "v", "a,w", "a.saved", "dpkg-old", "a.rpm", "a.dpkg-old.cgi")
  ) {
    assert.equal(isLeftover(name), false, name);
  }
});

Deno.test("encodePath() yields a path that decodes to what it was", () => {
  assert.equal(encodePath("/a b/%2f?#\\\xc3\xa9~"), "/a%20b/%252f%3F%23%5C%C3%A9~");
});

Deno.test("refuseEncodedSlash() answers 404 to a path to a file that holds one", () => {
  refuseEncodedSlash(exchangeOf({ path: "/a/b" }));
  assert.throws(
    () => refuseEncodedSlash(exchangeOf({ path: `/a${ENCODED_SLASH}b` })),
    isFailure(404, "encoded-slash"),
  );
});
