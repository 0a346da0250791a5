/**
 * The kind `static` over a real server: what a path means, conditions and ranges by the tables of
 * RFC 9110, codings, caching, tricks with paths; beside nginx where the two could differ.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { ask, Client, type RequestText } from "../support/client.ts";
import { runPortico } from "../support/command.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { accepts } from "../support/json_schema.ts";
import { testWith } from "../support/needs.ts";
import { startNginx } from "../support/nginx.ts";
import { tempFolder } from "../support/peers.ts";

type Files = Readonly<Record<string, string>>;

/** Writes files by name; a value that begins with `-> ` is a link's target, one of "/" a folder. */
async function writeTree(folder: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = `${folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (content === "/") await Deno.mkdir(path);
    else if (content.startsWith("-> ")) await Deno.symlink(content.slice(3), path);
    else await Deno.writeTextFile(path, content);
  }
}

interface Site {
  readonly port: number;
  /** The folder that is served. */
  readonly root: string;
  get(target: string, headers?: RequestText["headers"]): ReturnType<typeof ask>;
}

/** Serves files while `body` runs; `fields` are those of the long form besides `root`. */
async function withSite(
  files: Files,
  fields: string,
  body: (site: Site) => Promise<void>,
  path = "/*",
): Promise<void> {
  await using folder = await tempFolder();
  const root = `${folder.path}/root`;
  await writeTree(root, files);
  const table = `routes: [{path: "${path}", static: {root: ${root}${fields && `, ${fields}`}}}]`;
  await withGateway(table, async ({ port }) => {
    await body({ port, root, get: (target, headers = {}) => ask(port, { target, headers }) });
  });
}

Deno.test("static: a file is sent with what describes it", async () => {
  await withSite(
    { "page.html": "<h1>Gr\u00fc\u00dfe</h1>", "data.bin": "x", "empty.txt": "" },
    "",
    async ({ get, root }) => {
      const page = await get("/page.html?v=1");
      assert.equal(page.status, 200);
      assert.equal(new TextDecoder().decode(page.bytes), "<h1>Gr\u00fc\u00dfe</h1>");
      assert.equal(page.get("content-type"), "text/html; charset=utf-8");
      assert.equal(page.get("content-length"), "16");
      assert.equal(page.get("accept-ranges"), "bytes");
      assert.equal(page.get("x-content-type-options"), "nosniff");
      assert.match(page.get("etag") ?? "", /^"[0-9a-f]+-10"$/);
      const { mtime } = await Deno.stat(`${root}/page.html`);
      assert.equal(page.get("last-modified"), mtime?.toUTCString());
      for (const name of ["cache-control", "vary", "content-encoding"]) {
        assert.equal(
          page.get(name),
          undefined,
        );
      }
      assert.equal((await get("/data.bin")).get("content-type"), "application/octet-stream");
      const empty = await get("/empty.txt");
      assert.deepEqual([empty.status, empty.text, empty.get("content-length")], [200, "", "0"]);
    },
  );
});

Deno.test("static: only GET, HEAD and OPTIONS", async () => {
  await withSite({ "a.txt": "text" }, "", async ({ port }) => {
    const say = (method: string, target: string) => ask(port, { method, target });
    const head = await say("HEAD", "/a.txt");
    assert.deepEqual([head.status, head.get("content-length"), head.text], [200, "4", ""]);
    const options = await say("OPTIONS", "/a.txt");
    assert.deepEqual([options.status, options.get("allow"), options.text], [
      204,
      "GET, HEAD, OPTIONS",
      "",
    ]);
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"]) {
      for (const target of ["/a.txt", "/missing"]) {
        const answer = await say(method, target);
        assert.deepEqual([answer.status, answer.get("allow")], [405, "GET, HEAD, OPTIONS"], method);
      }
    }
  });
});

Deno.test("static: a folder is its index, behind its slash", async () => {
  const files = {
    "index.html": "root",
    "docs/index.html": "docs",
    "both/index.txt": "text",
    "both/index.html": "html",
    "bare/a.txt": "a",
    "odd/index.html": "/",
    "sp ace/index.html": "space",
    "%/index.html": "percent",
  };
  await withSite(files, "index: [index.txt, index.html]", async ({ get }) => {
    const bodies = {
      "/": "root",
      "/docs/": "docs",
      "/both/": "text",
      "/sp%20ace/": "space",
      "/%25/": "percent",
    };
    for (const [target, text] of Object.entries(bodies)) {
      assert.equal((await get(target)).text, text, target);
    }
    assert.equal((await get("/both/")).get("content-type"), "text/plain; charset=utf-8");
    const places = {
      "/docs": "/docs/",
      "/docs?a=%20/&b": "/docs/?a=%20/&b",
      "/sp%20ace": "/sp%20ace/",
      "/%25": "/%25/",
      "/bare": "/bare/",
      "//evil.example/..//docs": "/docs/",
      "//docs": "/docs/",
    };
    for (const [target, place] of Object.entries(places)) {
      const answer = await get(target);
      assert.deepEqual([answer.status, answer.get("location")], [308, place], target);
    }
    for (
      const target of [
        "/bare/",
        "/odd/",
        "/docs/index.html/",
        "/docs/index.html/x",
        "/missing",
        "/missing/",
      ]
    ) {
      assert.equal((await get(target)).status, 404, target);
    }
  });
});

Deno.test("static: below a prefix, and as a single file", async () => {
  await withSite({ "index.html": "root", "a.txt": "a" }, "", async ({ get }) => {
    assert.equal((await get("/files/a.txt")).text, "a");
    assert.equal((await get("/files/")).text, "root");
    assert.equal((await get("/files")).get("location"), "/files/");
  }, "/files/*");
  await withSite({ "favicon.ico": "icon" }, "", async ({ get }) => {
    assert.equal((await get("/favicon.ico")).text, "icon");
    assert.equal((await get("/")).status, 404);
  }, "/favicon.ico");
});

const HIDDEN = {
  "index.html": "index",
  "a.txt": "a",
  ".env": "SECRET",
  ".git/config": "SECRET",
  "sub/.htpasswd": "SECRET",
  "sub/.well-known/x": "SECRET",
  ".well-known/acme/token": "token",
  ".well-known/.secret": "SECRET",
  "..data": "SECRET",
  "line\nbreak": "SECRET",
  "in.txt": "-> a.txt",
  "deep": "-> sub",
  "sub/b.txt": "b",
  "env.txt": "-> .env",
  "git": "-> .git",
  "out.txt": "-> ../secret.txt",
  "etc": "-> /etc",
  "loop": "-> loop",
  "nowhere": "-> missing",
  "../secret.txt": "SECRET",
  "../root-not/secret.txt": "SECRET",
  "mount.txt": "-> ..2026/mount.txt",
  "..2026/mount.txt": "mounted",
};

Deno.test("static: links count inside the folder alone, and open nothing that is hidden", async () => {
  await withSite(HIDDEN, "listing: true", async ({ get }) => {
    const bodies = {
      "/in.txt": "a",
      "/deep/b.txt": "b",
      "/.well-known/acme/token": "token",
      // As Kubernetes mounts files.
      "/mount.txt": "mounted",
    };
    for (const [target, text] of Object.entries(bodies)) {
      assert.equal((await get(target)).text, text, target);
    }
    for (
      const target of [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git",
        "/.git/",
        "/sub/.htpasswd",
        "/sub/.well-known/x",
        "/.well-known/.secret",
        "/..data",
        "/line%0abreak",
        "/env.txt",
        "/git/config",
        "/git",
        "/git/",
        "/out.txt",
        "/etc/hostname",
        "/etc/",
        "/etc",
        "/loop",
        "/nowhere",
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub%2fb.txt",
        "/../root-not/secret.txt",
        "/..2026/mount.txt",
        "/..%5csecret.txt",
        "/a.txt%20",
        "/a.txt.",
        "/A.TXT",
        "/a.txt/",
        "/a.txt/.",
        "/a.txt%ff",
        "/%c0%ae%c0%ae/secret.txt",
        `/${"x".repeat(300)}`,
        `/${"x/".repeat(2500)}`,
      ]
    ) {
      const { status, text } = await get(target);
      assert.deepEqual([status, text.includes("SECRET")], [
        404,
        false,
      ], target);
    }
    for (const target of ["/a%00.txt", "/a.txt%00", "/%zz", "/%"]) {
      assert.equal((await get(target)).status, 400, target);
    }
    assert.doesNotMatch((await get("/")).text, /SECRET/);
  });
});

Deno.test("static: no spelling of a path leads out of the folder, or to what is hidden", async () => {
  const piece = fc.constantFrom(
    ...[
      "..",
      ".",
      "",
      "%2e%2e",
      "%2E.",
      ".%2e",
      "..%2f",
      "%2f",
      "%5c",
      "..%5c",
      "\\",
      "..\\",
      "%00",
      "%c0%af",
      "%c0%ae",
    ],
    ...[
      "%e0%80%af",
      "%ff",
      "%u002e",
      "%252e%252e",
      "..;",
      "...",
      "~",
      "%20",
      "%0a",
      "secret.txt",
      ".env",
      ".git",
    ],
    ...[
      "config",
      "a.txt",
      "out.txt",
      "etc",
      "hostname",
      "sub",
      "root",
      "root-not",
      "deep",
      "git",
      ".htpasswd",
      "A.TXT",
    ],
  );
  const target = fc.array(piece, { maxLength: 7 }).map((pieces) => `/${pieces.join("/")}`);
  const shown = new Set(["index", "a", "b", "token", "mounted"]);
  await withSite(HIDDEN, "", async ({ get }) => {
    await fc.assert(
      fc.asyncProperty(target, async (target) => {
        const { status, text } = await get(target);
        assert.ok([200, 308, 400, 404].includes(status), String(status));
        if (status === 200) assert.ok(shown.has(text), text);
        else assert.doesNotMatch(text, /SECRET/);
      }),
      { numRuns: 500 },
    );
  });
});

/** When the file of the tables was changed. */
const CHANGED = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));
const [BEFORE, SAME, AFTER] = [-60_000, 0, 60_000]
  .map((ms) => new Date(CHANGED.getTime() + ms).toUTCString());

/** Conditions by what they come to (RFC 9110 §13.2.2); TAG is the file's own. */
const CONDITIONS: Readonly<Record<"proceed" | "304" | "412", readonly Record<string, string>[]>> = {
  proceed: [
    {},
    { "If-None-Match": '"other"' },
    { "If-None-Match": '"a", W/"b"' },
    { "If-Match": "TAG" },
    { "If-Match": '"other", TAG' },
    { "If-Match": "*" },
    { "If-Modified-Since": BEFORE ?? "" },
    { "If-Modified-Since": "no date" },
    { "If-Unmodified-Since": SAME ?? "" },
    { "If-Unmodified-Since": AFTER ?? "" },
    { "If-Unmodified-Since": "no date" },
    // The tag has the last word.
    { "If-None-Match": '"other"', "If-Modified-Since": AFTER ?? "" },
    { "If-Match": "TAG", "If-Unmodified-Since": BEFORE ?? "" },
  ],
  "304": [
    { "If-None-Match": "TAG" },
    { "If-None-Match": "W/TAG" },
    { "If-None-Match": '"other" , TAG' },
    { "If-None-Match": "*" },
    { "If-Modified-Since": SAME ?? "" },
    { "If-Modified-Since": AFTER ?? "" },
    { "If-None-Match": "TAG", "If-Modified-Since": BEFORE ?? "" },
    { "If-Match": "TAG", "If-None-Match": "TAG" },
    { "If-Unmodified-Since": SAME ?? "", "If-Modified-Since": SAME ?? "" },
  ],
  "412": [
    { "If-Match": '"other"' },
    { "If-Match": "W/TAG" },
    { "If-Unmodified-Since": BEFORE ?? "" },
    { "If-Match": '"other"', "If-None-Match": "TAG" },
    { "If-Unmodified-Since": BEFORE ?? "", "If-Modified-Since": SAME ?? "" },
  ],
};

const TEXT = "0123456789";

/** Ranges by what they come to where the conditions let them (§14.2, §13.1.5). */
const RANGES:
  readonly (readonly [status: number, content: string, fields: Record<string, string>])[] = [
    [200, TEXT, {}],
    [206, "0", { Range: "bytes=0-0" }],
    [206, "234", { Range: "bytes=2-4" }],
    [206, "89", { Range: "bytes=8-" }],
    [206, "89", { Range: "bytes=8-100" }],
    [206, "9", { Range: "bytes=-1" }],
    [206, TEXT, { Range: "bytes=-100" }],
    [206, "multipart", { Range: "bytes=0-1,5-6" }],
    [416, "*/10", { Range: "bytes=10-" }],
    [416, "*/10", { Range: "bytes=-0" }],
    [200, TEXT, { Range: "lines=0-1" }],
    [200, TEXT, { Range: "bytes=x-" }],
    [200, TEXT, { Range: "bytes=4-3" }],
    [206, "0", { Range: "bytes=0-0", "If-Range": "TAG" }],
    [206, "0", { Range: "bytes=0-0", "If-Range": SAME ?? "" }],
    [200, TEXT, { Range: "bytes=0-0", "If-Range": "W/TAG" }],
    [200, TEXT, { Range: "bytes=0-0", "If-Range": '"other"' }],
    [200, TEXT, { Range: "bytes=0-0", "If-Range": BEFORE ?? "" }],
    [200, TEXT, { Range: "bytes=0-0", "If-Range": AFTER ?? "" }],
    [200, TEXT, { Range: "bytes=10-", "If-Range": '"other"' }],
  ];

interface Row {
  readonly fields: Readonly<Record<string, string>>;
  readonly range: (typeof RANGES)[number];
  readonly verdict: "proceed" | "304" | "412";
}

/** Every condition with every range. */
const ROWS: readonly Row[] = Object.entries(CONDITIONS).flatMap(([verdict, conditions]) =>
  conditions.flatMap((condition) =>
    RANGES.map((range): Row => ({
      fields: { ...condition, ...range[2] },
      range,
      verdict: verdict === "304" || verdict === "412" ? verdict : "proceed",
    }))
  )
);

/** The fields with the file's own tag in place. */
function withTag(fields: Row["fields"], tag: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value.replaceAll("TAG", tag)]),
  );
}

Deno.test("static: conditions and ranges, each with each (RFC 9110 §13, §14)", async () => {
  await withSite({ "f.txt": TEXT }, "", async ({ port, root, get }) => {
    await Deno.utime(`${root}/f.txt`, CHANGED, CHANGED);
    const tag = (await get("/f.txt")).get("etag") ?? "";
    for (const method of ["GET", "HEAD"]) {
      for (const { fields, range, verdict } of ROWS) {
        const what = `${method} ${JSON.stringify(fields)}`;
        const answer = await ask(port, { method, target: "/f.txt", headers: withTag(fields, tag) });
        const [status, content] = method === "HEAD" ? [200, TEXT] : range;
        assert.equal(answer.status, verdict === "proceed" ? status : Number(verdict), what);
        if (answer.status === 304) {
          assert.deepEqual([answer.text, answer.get("etag"), answer.get("content-type")], [
            "",
            tag,
            undefined,
          ], what);
        }
        if (verdict !== "proceed") continue;
        if (method === "HEAD") assert.equal(answer.text, "", what);
        else if (status === 416) {
          assert.equal(answer.get("content-range"), `bytes ${content}`, what);
        } else if (content === "multipart") {
          assert.match(
            answer.text,
            /bytes 0-1\/10\r\n\r\n01\r\n--[^]*bytes 5-6\/10\r\n\r\n56\r\n--/,
          );
        } else {assert.deepEqual([answer.text, answer.get("content-length")], [
            content,
            String(content.length),
          ], what);}
      }
    }
  });
});

/**
 * Where nginx differs, and why we do: it weighs a date even if there is a tag, which §13.1.3 and §13.1.4
 * have ignored; it takes a date that cannot be read for a very old one (§13.1.4), and answers 416 to ranges that
 * cannot be read, which §14.2 has ignored.
 */
function differsInNginx({ fields }: Row): boolean {
  const both = (tag: string, date: string) => tag in fields && date in fields;
  return both("If-None-Match", "If-Modified-Since") || both("If-Match", "If-Unmodified-Since") ||
    fields["If-Unmodified-Since"] === "no date" ||
    ["bytes=x-", "bytes=4-3"].includes(fields.Range ?? "");
}

testWith(["nginx"], "static: conditions and ranges as nginx has them", async () => {
  await using folder = await tempFolder();
  await Deno.chmod(folder.path, 0o755);
  await withSite({ "f.txt": TEXT }, "", async ({ port, root }) => {
    await Deno.chmod(root.replace(/\/root$/, ""), 0o755);
    await Deno.utime(`${root}/f.txt`, CHANGED, CHANGED);
    await using nginx = await startNginx(folder.path, `root ${root}; if_modified_since before;`);
    const ports = [port, nginx.port];
    const tags = await Promise.all(
      ports.map(async (port) => (await ask(port, { target: "/f.txt" })).get("etag") ?? ""),
    );
    for (const row of ROWS.filter((row) => !differsInNginx(row))) {
      const [ours, theirs] = await Promise.all(ports.map(async (port, at) => {
        const headers = withTag(row.fields, tags[at] ?? "");
        const { status, text, get } = await ask(port, { target: "/f.txt", headers });
        const shown = status < 300 && !get("content-type")?.startsWith("multipart") ? text : "";
        return {
          status,
          shown,
          range: get("content-range"),
          modified: status < 400 && get("last-modified"),
        };
      }));
      assert.deepEqual(ours, theirs, JSON.stringify(row.fields));
    }
  });
});

Deno.test("static: a file that was just changed is sent as it is now", async () => {
  await withSite({ "a.txt": "first" }, "", async ({ root, get }) => {
    const old = new Date(Date.now() - 60_000);
    await Deno.utime(`${root}/a.txt`, old, old);
    for (const text of ["first", "secon", "third"]) {
      await Deno.writeTextFile(`${root}/a.txt`, text);
      await Deno.utime(`${root}/a.txt`, old, old);
      assert.equal((await get("/a.txt")).text, text);
    }
    await Deno.writeTextFile(`${root}/b.txt`, "other");
    await Deno.rename(`${root}/b.txt`, `${root}/a.txt`);
    assert.equal((await get("/a.txt")).text, "other");
    await Deno.remove(`${root}/a.txt`);
    assert.equal((await get("/a.txt")).status, 404);
  });
});

Deno.test("static: precompressed files are negotiated", async () => {
  const files = {
    "app.js": "plain",
    "app.js.br": "as br",
    "app.js.gz": "as gzip",
    "app.js.zst": "as zstd",
    "only.css": "plain",
    "only.css.gz": "as gzip",
    "none.txt": "plain",
    "index.html": "plain",
    "index.html.br": "as br",
    "trap.js": "plain",
    "trap.js.gz": "-> ../secret",
    "folder.js": "plain",
    "folder.js.br": "/",
    "../secret": "SECRET",
  };
  await withSite(files, "precompressed: true", async ({ get }) => {
    const rows: [target: string, accept: string | undefined, text: string][] = [
      ["/app.js", undefined, "plain"],
      ["/app.js", "gzip, deflate, br, zstd", "as br"],
      ["/app.js", "gzip, zstd", "as zstd"],
      ["/app.js", "GZIP", "as gzip"],
      ["/app.js", "x-gzip", "as gzip"],
      ["/app.js", "gzip;q=1, br;q=0.5", "as gzip"],
      ["/app.js", "br;q=0, *", "as zstd"],
      ["/app.js", "identity, gzip;q=0.1", "plain"],
      ["/app.js", "*;q=0", "plain"],
      ["/app.js", "", "plain"],
      ["/only.css", "br, gzip", "as gzip"],
      ["/only.css", "br", "plain"],
      ["/none.txt", "br, gzip", "plain"],
      ["/", "br", "as br"],
      ["/trap.js", "gzip", "plain"],
      ["/folder.js", "br", "plain"],
    ];
    for (const [target, accept, text] of rows) {
      const answer = await get(target, accept === undefined ? {} : { "Accept-Encoding": accept });
      assert.deepEqual([answer.status, answer.text], [200, text], `${target} ${accept}`);
      const [, coding] = /^as (.*)/.exec(text) ?? [];
      assert.equal(answer.get("content-encoding"), coding, `${target} ${accept}`);
      const varies = /^\/(app|only|$)/.test(target);
      assert.equal(answer.get("vary"), varies ? "accept-encoding" : undefined, target);
    }
    const zstd = await get("/app.js", { "Accept-Encoding": "zstd" });
    assert.equal(zstd.get("content-type"), "text/javascript; charset=utf-8");
    assert.match(zstd.get("etag") ?? "", /^"[0-9a-f]+-7-zstd"$/);
    const headers = { "If-None-Match": zstd.get("etag") ?? "" };
    const same = await get("/app.js", { ...headers, "Accept-Encoding": "zstd" });
    assert.deepEqual([same.status, same.get("vary"), same.get("etag")], [
      304,
      "accept-encoding",
      zstd.get("etag"),
    ]);
    assert.equal(
      (await get("/app.js", headers)).status,
      200,
      "another coding is another representation",
    );
    const slice = await get("/app.js", { "Accept-Encoding": "br", Range: "bytes=0-1" });
    assert.deepEqual([slice.status, slice.text, slice.get("content-encoding")], [206, "as", "br"]);
  });
  await withSite(files, "", async ({ get }) => {
    const answer = await get("/app.js", { "Accept-Encoding": "br" });
    assert.deepEqual([answer.text, answer.get("vary")], ["plain", undefined]);
  });
});

Deno.test("static: cacheControl is one value, or goes by the file's path", async () => {
  const files = {
    "index.html": "i",
    "assets/app.js": "a",
    "assets/deep/b.css": "b",
    "fonts/x.woff2": "x",
  };
  await withSite(files, 'cacheControl: "no-cache"', async ({ get }) => {
    assert.equal((await get("/assets/app.js")).get("cache-control"), "no-cache");
    const tag = (await get("/")).get("etag") ?? "";
    const same = await get("/", { "If-None-Match": tag });
    assert.deepEqual([same.status, same.get("cache-control")], [304, "no-cache"]);
  });
  const rules =
    `cacheControl: {"/assets/*.css": "max-age=1", "/assets/*": "max-age=2, immutable", "*.html": "no-cache"}`;
  await withSite(files, rules, async ({ get }) => {
    const rows = {
      "/assets/app.js": "max-age=2, immutable",
      "/assets/deep/b.css": "max-age=1",
      "/": "no-cache",
      "/fonts/x.woff2": undefined,
    };
    for (const [target, value] of Object.entries(rows)) {
      assert.equal((await get(target)).get("cache-control"), value, target);
    }
    assert.equal((await get("/assets/missing.js")).get("cache-control"), "no-store");
  });
});

Deno.test("static: notFound is the page of a 404, fallback that of an application", async () => {
  const files = {
    "index.html": "app",
    "404.html": "<h1>none</h1>",
    "a.txt": "a",
    "bare/x": "x",
    ".env": "SECRET",
  };
  await withSite(files, "notFound: 404.html", async ({ port, get }) => {
    for (const target of ["/missing", "/.env", "/bare/", "/a.txt/x"]) {
      const answer = await get(target, { Range: "bytes=0-1", "If-None-Match": "*" });
      assert.deepEqual([answer.status, answer.text], [404, "<h1>none</h1>"], target);
      assert.equal(answer.get("content-type"), "text/html; charset=utf-8");
    }
    assert.equal((await ask(port, { method: "POST", target: "/missing" })).status, 405);
    assert.equal((await ask(port, { method: "HEAD", target: "/missing" })).status, 404);
  });
  await withSite(files, "fallback: index.html", async ({ get }) => {
    for (const target of ["/users/7", "/.env", "/bare/"]) {
      const answer = await get(target);
      assert.deepEqual([answer.status, answer.text], [200, "app"], target);
    }
    const tag = (await get("/users/7")).get("etag") ?? "";
    assert.equal((await get("/users/8", { "If-None-Match": tag })).status, 304);
  });
});

Deno.test("static: a listing shows what may be had, and injects nothing", async () => {
  const files = {
    ...HIDDEN,
    "sub/<img src=x onerror=alert(1)>.txt": "1",
    'sub/"quoted" & more.txt': "22",
    "sub/javascript:alert(1)": "333",
    "sub/100% #1?.txt": "4",
    "sub/c\u00e4f\u00e9.txt": "5",
    "sub/zz/inner": "6",
  };
  delete (files as Record<string, string>)["index.html"];
  await withSite(files, "listing: true", async ({ get, root }) => {
    const page = await get("/sub/");
    assert.equal(page.status, 200);
    assert.equal(page.get("content-type"), "text/html; charset=utf-8");
    assert.equal(page.get("content-length"), String(page.bytes.length));
    assert.match(page.get("content-security-policy") ?? "", /default-src 'none'/);
    const html = new TextDecoder().decode(page.bytes);
    assert.doesNotMatch(html, /<img|htpasswd|https?:|<script|src=x onerror=alert\(1\)>\.txt"/);
    const links = Array.from(html.matchAll(/href="([^"]*)"/g), ([, href = ""]) => href);
    assert.deepEqual(links.slice(0, 2), ["../", "./zz/"], "folders first");
    assert.equal(links.length, 8);
    for (const href of links.slice(2)) {
      const url = new URL(unescapeHtml(href), "http://127.0.0.1/sub/");
      const answer = await get(url.pathname);
      assert.equal(answer.status, 200, href);
    }
    assert.match(html, />\u00a0?c\u00e4f\u00e9\.txt<\/a><td>1 B<td>\d{4}-\d\d-\d\d \d\d:\d\d/);
    const top = (await get("/")).text;
    for (const name of ["in.txt", "deep/", "mount.txt"]) {
      assert.ok(top.includes(`"./${name}"`), name);
    }
    for (const name of [".env", ".git", "out.txt", "etc", "loop", "nowhere", "env.txt", '"../"']) {
      assert.ok(!top.includes(name), name);
    }
    assert.equal((await get("/sub")).status, 308);
    assert.equal((await get("/sub/?C=M;O=A")).status, 200);
    await Deno.writeTextFile(`${root}/sub/index.html`, "own");
    assert.equal((await get("/sub/")).text, "own");
  });
});

function unescapeHtml(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}

Deno.test("static: a long file is whole, and so are its slices", async () => {
  await withSite({ "short.txt": "" }, "", async ({ root, get }) => {
    const bytes = Uint8Array.from(
      { length: 1_700_001 },
      (_, at) => (at * 31 + (at >> 8) * 7) & 0xff,
    );
    await Deno.writeFile(`${root}/long.bin`, bytes);
    assert.deepEqual((await get("/long.bin")).bytes, bytes);
    for (const [start, end] of [[0, 1_699_999], [300_000, 300_001], [65_535, 1_600_000]] as const) {
      const slice = await get("/long.bin", { Range: `bytes=${start}-${end}` });
      assert.deepEqual(slice.bytes, bytes.slice(start, end + 1));
    }
  });
});

Deno.test("static: a client that takes too long is cut off at the route's timeout", async () => {
  await using folder = await tempFolder();
  await Deno.writeFile(`${folder.path}/long.bin`, new Uint8Array(40 * 2 ** 20));
  const table = `routes: [{path: /*, timeout: 500ms, static: ${folder.path}}]`;
  await withGateway(table, async ({ port, access }) => {
    using client = await Client.send(port, { target: "/long.bin" });
    assert.equal((await client.head()).get("content-length"), String(40 * 2 ** 20));
    await eventually(async () => / 200 /.test(await access()), 5000, "the end of the request");
    const { whole, bytes } = await client.body();
    assert.ok(!whole && bytes.length < 40 * 2 ** 20);
  });
});

/** assert.deepEqual() would take gigabytes to tell how so many bytes differ. */
function isSame(some: Uint8Array, other: Uint8Array): boolean {
  return some.length === other.length && some.every((byte, at) => byte === other[at]);
}

Deno.test("static: what is sent from memory is the file, however often and to how many", async () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 31 + (at >> 8) * 7) & 0xff);
  await withSite({ "short.txt": "" }, "", async ({ root, get }) => {
    await Deno.writeFile(`${root}/app.bin`, bytes);
    // A file that was just changed is not kept.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => get("/app.bin")));
      for (const answer of answers) assert.ok(isSame(answer.bytes, bytes));
      const slice = await get("/app.bin", { Range: "bytes=20000-79999" });
      assert.ok(isSame(slice.bytes, bytes.slice(20_000, 80_000)));
    }
    const changed = bytes.toReversed();
    await Deno.writeFile(`${root}/app.bin`, changed);
    assert.ok(isSame((await get("/app.bin")).bytes, changed));
  });
});

Deno.test("static: explain tells which file it would be", async () => {
  await using folder = await tempFolder();
  await writeTree(folder.path, {
    "site/index.html": "i",
    "site/a.txt": "a",
    "site/bare/x": "x",
    "site/404.html": "none",
    "routes.yaml":
      "routes: [{path: /f/*, static: {root: site, notFound: 404.html}}, {path: /l/*, static: {root: site, index: [], listing: true}}]\n",
  });
  const told = async (url: string) => {
    const args = ["explain", "-c", `${folder.path}/routes.yaml`, "--json", url];
    const { target, notes } = JSON.parse((await runPortico(args)).out);
    return [target.replace(folder.path, ""), notes.join()];
  };
  assert.deepEqual(await told("/f/a.txt"), [
    "/site/a.txt",
    "sends it as text/plain; charset=utf-8",
  ]);
  assert.deepEqual(await told("/f/"), ["/site/index.html", "sends it as text/html; charset=utf-8"]);
  assert.deepEqual(await told("/f/none"), [
    "/site/404.html",
    "sends it as text/html; charset=utf-8 with a 404",
  ]);
  assert.deepEqual(await told("/f/bare"), [
    "/site",
    "would answer 308: the path names a folder, without its slash",
  ]);
  assert.deepEqual(await told("/l/bare/"), ["/site/bare", "lists the folder"]);
  assert.match((await told("/l/none"))[1] ?? "", /^would answer 404: There is no file "\/none"/);
});

Deno.test("static: faults of the table are told where they are", () => {
  const rows: Record<string, string> = {
    "{}": 'Missing key "root": write it here',
    "{root: x, notFound: a, fallback: b}": "Cannot have both: write either notFound or fallback",
    "{root: x, index: index.html}":
      'Cannot read "index.html" as a list: write [first, second] or one item a line after a dash',
    "{root: x, index: [a/b]}":
      'Cannot read "a/b" as the name of a file: write one without a slash, such as index.html',
    "{root: x, cacheControl: {assets: no-store}}":
      'Cannot read "assets" as a pattern of paths: write "/assets/*" or "*.css", where * stands for any characters',
    '{root: x, cacheControl: ""}':
      'Cannot read "" as a Cache-Control field: write text such as "public, max-age=3600"',
    "{root: x, cacheControl: 5}":
      "Cannot read 5 as Cache-Control: write a value, or a map of patterns and values",
    "{root: x, listing: yes please}": 'Cannot read "yes please" as a switch: write true or false',
    "{root: x, precompressed: [gz]}": "Cannot read a list as a switch: write true or false",
    "{root: x, cachecontrol: a}": 'Unknown key "cachecontrol": did you mean "cacheControl"?',
  };
  for (const [fields, message] of Object.entries(rows)) {
    assert.deepEqual(faultsOf(`routes: [{path: /, static: ${fields}}]`), [message], fields);
  }
});

Deno.test("static, php: editors accept what the check accepts", () => {
  const schema = JSON.parse(JSON.stringify(buildJsonSchema(kinds)));
  const rows: [kind: string, value: unknown, right: boolean][] = [
    ["static", "./files", true],
    [
      "static",
      { root: "x", index: [], listing: true, precompressed: true, notFound: "404.html" },
      true,
    ],
    ["static", { root: "x", cacheControl: "no-cache" }, true],
    ["static", { root: "x", cacheControl: { "/a/*": "no-cache", "*.css": "max-age=1" } }, true],
    ["static", { root: "x", cacheControl: { "a/*": "no-cache" } }, false],
    ["static", { root: "x", cacheControl: "" }, false],
    ["static", { root: "x", index: ["a/b"] }, false],
    ["static", { root: "x", index: [".htaccess"] }, false],
    ["static", {}, false],
    ["php", "./site", true],
    ["php", { root: "x", connect: "127.0.0.1:9000", index: "public/app.php" }, true],
    ["php", { root: "x", ini: { memory_limit: "256M", display_errors: 0 } }, true],
    ["php", { root: "x", ini: { "a b": 1 } }, false],
    ["php", { root: "x", index: "/index.php" }, false],
    ["php", { root: "x", split: [] }, false],
  ];
  for (const [kind, value, right] of rows) {
    const table = { routes: [{ path: "/", [kind]: value }] };
    assert.equal(accepts(schema, table), right, JSON.stringify(table));
    assert.equal(faultsOf(JSON.stringify(table)).length === 0, right, JSON.stringify(table));
  }
});

function faultsOf(text: string): readonly string[] {
  try {
    parseTable(text, { file: "routes.yaml", folder: "/srv" }, kinds);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ message }) => message);
  }
  return [];
}

Deno.test("static: a folder or a page that does not exist keeps the server from starting", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(`${folder.path}/file`, "");
  const rows: [fields: string, message: RegExp][] = [
    [`${folder.path}/none`, /No such file or directory.*none/],
    [`${folder.path}/file`, /file is not a folder/],
    [
      `{root: ${folder.path}, notFound: 404.html}`,
      /Cannot send 404.html: There is no file "\/404.html"/,
    ],
    [`{root: ${folder.path}, fallback: ../x}`, /Cannot send ..\/x: There is no file "\/x"/],
  ];
  for (const [fields, message] of rows) {
    await assert.rejects(
      withGateway(`routes: [{path: /, static: ${fields}}]`, async () => {}),
      message,
    );
  }
});
