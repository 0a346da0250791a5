/**
 * The kind `php` before PHP itself: which path runs which script, which file is sent, what is never sent;
 * what PHP is told, compared with what nginx tells it; uploads, streams, clients that leave, deployments.
 */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { ask } from "../support/client.ts";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { fillRandom } from "../support/noise.ts";
import { startNginx } from "../support/nginx.ts";
import { phpFpm, startPhpFpm, tempFolder } from "../support/peers.ts";

const MIB = 2 ** 20;

/** Says which script runs, and what of the path it has. */
const WHO = `<?php
header('Content-Type: text/plain');
echo basename(__DIR__), '/', basename(__FILE__), ' ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '';
`;

/** Writes files by name; a value that begins with `-> ` is a link's target. */
async function writeTree(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = `${folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (content.startsWith("-> ")) await Deno.symlink(content.slice(3), path);
    else await Deno.writeTextFile(path, content);
  }
}

const SITE = {
  "site/index.php": WHO,
  "site/about.php": WHO,
  "site/admin/index.php": WHO,
  "site/docs/index.html": "<h1>docs</h1>",
  "site/css/main.css": "body {}",
  "site/upload/photo.jpg": WHO,
  "site/upload/dir.php/notes.txt": "notes",
  "site/sp ace/caf\u00e9.php": WHO,
  // What nobody shall ever read.
  "site/.env": "SECRET",
  "site/.git/config": "SECRET",
  "site/.hidden.php": "<?php echo 'SECRET';",
  "site/.well-known/security.txt": "Contact: me",
  "site/.well-known/.htpasswd": "SECRET",
  "site/config.inc": "SECRET",
  "site/lib.phtml": "SECRET",
  "site/tool.phar": "SECRET",
  "site/Upper.PHP": "SECRET",
  "site/old.php5": "SECRET",
  "site/about.php~": "SECRET",
  "site/about.php.bak": "SECRET",
  "site/about.php.orig": "SECRET",
  "site/.about.php.swp": "SECRET",
  "site/#about.php#": "SECRET",
  "site/line\nbreak.txt": "SECRET",
  "secret.txt": "SECRET",
  "secret.php": "<?php echo 'SECRET';",
  // Links: a name of one's own does not open what is closed.
  "site/link.txt": "-> about.php",
  "site/env.txt": "-> .env",
  "site/run.php": "-> css/main.css",
  "site/out.txt": "-> ../secret.txt",
  "site/out.php": "-> ../secret.php",
  "site/alias.php": "-> about.php",
  "site/alias.css": "-> css/main.css",
};

/** `php-cgi` without the machine's own settings, one process for speed. */
const SPAWN = "spawn: {command: [php-cgi, -n], processes: 1}";

testWith(
  ["php-cgi"],
  "php: a path means a script, a file, a folder or the front controller",
  async () => {
    await using folder = await tempFolder();
    await writeTree(folder.path, SITE);
    const front = "site/index.php /index.php ";
    const answers: Record<string, string> = {
      "/": front,
      "/index.php": front,
      "/index.php/a/b": `${front}/a/b`,
      "/about.php": "site/about.php /about.php ",
      "/about.php?x=/y.php": "site/about.php /about.php ",
      "/about.php/": "site/about.php /about.php /",
      "/about.php/x/y.php/z": "site/about.php /about.php /x/y.php/z",
      "/about.php/.env": "site/about.php /about.php /.env",
      "/about.php/a%0ab": "site/about.php /about.php /a\nb",
      "/about.php/%0a": "site/about.php /about.php /\n",
      "/about.php//a": "site/about.php /about.php /a",
      "/alias.php/i": "site/about.php /alias.php /i",
      "/admin/": "admin/index.php /admin/index.php ",
      "/admin/index.php/x": "admin/index.php /admin/index.php /x",
      "/sp%20ace/caf%C3%A9.php/i": "sp ace/caf\u00e9.php /sp ace/caf\u00e9.php /i",
      // What names nothing.
      "/news/2026": front,
      "/missing.php": front,
      "/about.phpx": front,
      "/about.PHP": front,
      "/about.php.": front,
      "/css/": front,
      "/css": front,
      "/css/main.css/": front,
      "/css/main.css/x.php": front,
      "/upload/photo.jpg/x.php": front,
      "/upload/dir.php": front,
      "/upload/dir.php/": front,
      "/%ff.php": front,
      "/a%5c..%5cabout.php": front,
    };
    await withGateway(
      `routes: [{path: /*, php: {root: ${folder.path}/site, ${SPAWN}}}]`,
      async ({ port }) => {
        for (const [target, text] of Object.entries(answers)) {
          const answer = await ask(port, { target });
          assert.deepEqual([answer.status, utf8(answer.bytes)], [200, text], target);
        }
        for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"]) {
          assert.equal((await ask(port, { method, target: "/api" })).text, front, method);
        }
      },
    );
  },
);

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

testWith(["php-cgi"], "php: files are sent as static files are", async () => {
  await using folder = await tempFolder();
  await writeTree(folder.path, SITE);
  await Deno.writeTextFile(`${folder.path}/site/css/main.css.gz`, "packed");
  const fields = `${SPAWN}, precompressed: true, cacheControl: {"/css/*": "max-age=9"}`;
  await withGateway(
    `routes: [{path: /*, php: {root: ${folder.path}/site, ${fields}}}]`,
    async ({ port }) => {
      const css = await ask(port, { target: "/css/main.css?v=2" });
      assert.deepEqual([css.status, css.text], [200, "body {}"]);
      assert.equal(css.get("content-type"), "text/css; charset=utf-8");
      assert.equal(css.get("cache-control"), "max-age=9");
      assert.equal(css.get("x-content-type-options"), "nosniff");
      assert.equal(css.get("vary"), "accept-encoding");
      const headers = { "If-None-Match": css.get("etag") ?? "" };
      assert.equal((await ask(port, { target: "/css/main.css", headers })).status, 304);
      const gzip = { "Accept-Encoding": "gzip" };
      assert.equal((await ask(port, { target: "/css/main.css", headers: gzip })).text, "packed");
      const range = await ask(port, { target: "/css/main.css", headers: { Range: "bytes=0-3" } });
      assert.deepEqual([range.status, range.text], [206, "body"]);
      assert.equal((await ask(port, { target: "/docs/" })).text, "<h1>docs</h1>");
      assert.equal((await ask(port, { target: "/alias.css" })).text, "body {}");
      assert.equal((await ask(port, { target: "/.well-known/security.txt" })).text, "Contact: me");
      assert.equal((await ask(port, { target: "/upload/dir.php/notes.txt" })).text, "notes");
      const post = await ask(port, { method: "POST", target: "/css/main.css", body: "x" });
      assert.deepEqual([post.status, post.get("allow")], [405, "GET, HEAD, OPTIONS"]);
      for (const [target, to] of [["/admin?a=%20", "/admin/?a=%20"], ["//docs", "/docs/"]]) {
        const answer = await ask(port, { target: target ?? "" });
        assert.deepEqual([answer.status, answer.get("location")], [308, to], target);
      }
    },
  );
});

testWith(
  ["php-cgi"],
  "php: sources, dot-files and backups are never sent, with a front controller and without",
  async () => {
    await using folder = await tempFolder();
    await writeTree(folder.path, SITE);
    const { "site/index.php": _, ...withoutFront } = SITE;
    await writeTree(`${folder.path}/bare`, withoutFront);
    const targets = [
      ...Object.entries(SITE).filter(([, content]) => content.includes("SECRET"))
        .map(([name]) => name.replace(/^site/, "")).filter((name) => name.startsWith("/")),
      ...[
        "/link.txt",
        "/env.txt",
        "/run.php",
        "/out.txt",
        "/out.php",
        "/.git",
        "/.git/",
        "/..%2fsecret.txt",
      ],
      ...[
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/css/..%5c..%5csecret.txt",
        "/.%00env",
        "/%2eenv",
        "//.env",
        "/./.env",
      ],
    ].map((path) => path.replace(/[ #~\n]/g, encodeURIComponent));
    const table = `routes:
  - {path: /bare/*, php: {root: ${folder.path}/bare/site, ${SPAWN}}}
  - {path: /*, php: {root: ${folder.path}/site, ${SPAWN}}}
`;
    await withGateway(table, async ({ port }) => {
      for (const target of targets) {
        const { status, text } = await ask(port, { target });
        assert.doesNotMatch(text, /SECRET|<\?php|body \{/, target);
        if (/%2f/i.test(target)) assert.equal(status, 404, target);
        else if (target.includes("%00")) assert.equal(status, 400, target);
        else assert.deepEqual([status, text], [200, "site/index.php /index.php "], target);
        if (target.includes("..") || target.includes("%2e%2e") || target.includes("%00")) continue;
        const bare = await ask(port, { target: `/bare${target}` });
        assert.equal(bare.status, 404, `/bare${target}`);
      }
    });
  },
);

/** What PHP says of $_SERVER. */
type Server = Readonly<Record<string, unknown>>;

testWith([phpFpm(), "nginx"], "php: PHP is told what nginx tells it, field by field", async () => {
  await using folder = await tempFolder();
  await Deno.chmod(folder.path, 0o755);
  const root = `${folder.path}/site`;
  const report = await Deno.readTextFile(`${TESTS}/apps/php/report.php`);
  await writeTree(root, { "index.php": report, "plain.php": report, "sub/index.php": report });
  await using fpm = await startPhpFpm(folder.path, "unix");
  await using nginx = await startNginx(
    folder.path,
    `
    root ${root};
    index index.php index.html;
    location / { try_files $uri $uri/ /index.php$is_args$args; }
    location ~ [^/]\\.php(/|$) {
      fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
      if (!-f $document_root$fastcgi_script_name) { return 404; }
      include /etc/nginx/fastcgi_params;
      set $path_info $fastcgi_path_info;
      fastcgi_param PATH_INFO $path_info;
      fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;
      fastcgi_param DOCUMENT_ROOT $realpath_root;
      fastcgi_pass ${fpm.address};
    }`,
  );
  const table = `routes: [{path: /*, php: {root: ${root}, connect: "${fpm.address}"}}]`;
  await withGateway(table, async ({ port }) => {
    const requests = [
      { target: "/plain.php?a=1&b=%20" },
      { target: "/plain.php/extra/a%20b?x" },
      { target: "/news/2026?page=2" },
      { target: "/caf%C3%A9/x" },
      { target: "/" },
      { target: "/sub/?q" },
      {
        method: "POST",
        target: "/form",
        body: "a=1",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
      },
      { method: "DELETE", target: "/index.php/items/7" },
    ];
    for (const request of requests) {
      const headers = {
        "User-Agent": "test",
        Cookie: "a=1",
        "X-Own": "y",
        Authorization: "Basic YTpi",
        ...request.headers,
      };
      const told = async (port: number): Promise<Server> => {
        const { text } = await ask(port, { ...request, headers, host: "www.example.org" });
        return comparable(JSON.parse(text).server);
      };
      const [ours, theirs] = [await told(port), await told(nginx.port)];
      assert.deepEqual(ours, theirs, request.target);
    }
  });
});

/**
 * Without what has to differ, and without what only one of the two says: nginx sends variables that have no
 * value, Connection, which ends at each hop, and as REMOTE_USER what a client merely claims; RFC 3875 §4.1 has
 * more than nginx's list.
 */
function comparable(server: Server): Server {
  const own =
    /^(REMOTE_PORT|SERVER_(PORT|SOFTWARE|NAME)|REQUEST_TIME(_FLOAT)?|REQUEST_ID|REMOTE_(HOST|USER)|PATH_TRANSLATED|HTTP_CONNECTION|HTTP_CONTENT_(TYPE|LENGTH))$/;
  return Object.fromEntries(
    Object.entries(server).filter(([name, value]) => !own.test(name) && value !== "")
      .sort(([a], [b]) => a < b ? -1 : 1),
  );
}

for (const where of ["php-cgi", phpFpm()]) {
  testWith([where], `php: bodies and streams by ${where}`, async (t) => {
    await using folder = await tempFolder();
    const root = `${folder.path}/site`;
    await Deno.mkdir(root);
    for (const name of ["report", "endless", "tick"]) {
      await Deno.copyFile(`${TESTS}/apps/php/${name}.php`, `${root}/${name}.php`);
    }
    await Deno.writeTextFile(`${root}/abort.php`, IGNORES_ABORT);
    await Deno.writeTextFile(`${root}/events.php`, EVENTS);
    await using fpm = where === "php-cgi" ? undefined : await startPhpFpm(folder.path, "unix");
    // Nothing but the folder: php-cgi is started as it comes, with the machine's own php.ini.
    const php = fpm === undefined ? root : `{root: ${root}, connect: "${fpm.address}"}`;
    const table = `server:
  spoolDir: ${folder.path}/spool
routes: [{path: /*, maxRequestBody: 24MiB, php: ${php}}]`;
    await withGateway(table, async (gateway) => {
      const size = fpm === undefined ? 20 * MIB : 15 * MIB;
      await t.step("a large upload arrives in $_FILES", () => checkUpload(gateway, size));
      await t.step("a large chunked body arrives with its length", () => checkChunked(gateway));
      await t.step("more than the route takes is a 413", () => checkTooLarge(gateway));
      await t.step("events come one by one", () => checkEvents(gateway, folder.path));
      await t.step("PHP learns that the client left", () => checkAbort(gateway, folder.path));
    });
  });
}

const IGNORES_ABORT = `<?php
ignore_user_abort(true);
for ($i = 0; $i < 1000 && !connection_aborted(); $i++) { echo str_repeat('x', 8192); ob_get_level() && ob_flush(); flush(); usleep(5000); }
file_put_contents($_GET['mark'], connection_aborted() ? "aborted, and goes on" : 'whole');
`;

const EVENTS = `<?php
header('Content-Type: text/event-stream');
while (ob_get_level()) ob_end_flush();
foreach (['one', 'two', 'three'] as $name) {
  echo "data: $name\\n\\n";
  flush();
  for ($i = 0; $i < 1000 && !file_exists($_GET['gate'] . $name); $i++) { usleep(5000); clearstatcache(); }
}
`;

async function sha1(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function checkUpload({ base }: TestGateway, size: number): Promise<void> {
  const bytes = fillRandom(new Uint8Array(size));
  const form = new FormData();
  form.set("note", "with a file");
  form.set("photo", new File([bytes], "photo.bin"));
  const response = await fetch(`${base}/report.php`, { method: "POST", body: form });
  const { files, post } = await response.json();
  assert.deepEqual(post, { note: "with a file" });
  assert.deepEqual(files.photo, { name: "photo.bin", size, sha1: await sha1(bytes) });
}

async function checkChunked({ base }: TestGateway): Promise<void> {
  const bytes = fillRandom(new Uint8Array(20 * MIB));
  const body = ReadableStream.from([bytes.subarray(0, 10), bytes.subarray(10)]);
  const response = await fetch(`${base}/report.php/x`, { method: "PUT", body });
  const { input, server } = await response.json();
  assert.deepEqual(input, { length: bytes.length, sha1: await sha1(bytes) });
  assert.equal(server.CONTENT_LENGTH, String(bytes.length));
}

async function checkTooLarge({ port }: TestGateway): Promise<void> {
  const headers = { "Content-Length": String(24 * MIB + 1) };
  const { status } = await ask(port, { method: "POST", target: "/report.php", headers });
  assert.equal(status, 413);
}

async function checkEvents({ base }: TestGateway, folder: string): Promise<void> {
  const response = await fetch(`${base}/events.php?gate=${folder}/gate-`);
  const reader = (response.body ?? assert.fail("no body")).pipeThrough(new TextDecoderStream())
    .getReader();
  for (const name of ["one", "two", "three"]) {
    assert.equal((await reader.read()).value, `data: ${name}\n\n`);
    await Deno.writeTextFile(`${folder}/gate-${name}`, "");
  }
  assert.equal((await reader.read()).done, true);
  for (const name of ["one", "two", "three"]) await Deno.remove(`${folder}/gate-${name}`);
}

async function checkAbort({ base }: TestGateway, folder: string): Promise<void> {
  const rows = { endless: "aborted", abort: "aborted, and goes on" };
  for (const [script, expected] of Object.entries(rows)) {
    const mark = `${folder}/mark-${script}`;
    const response = await fetch(`${base}/${script}.php?mark=${mark}`);
    const reader = (response.body ?? assert.fail("no body")).getReader();
    await reader.read();
    await reader.cancel();
    const marked = () => Deno.readTextFile(mark).catch(() => "");
    await eventually(async () => await marked() !== "", 5000, `${script}.php to end`);
    assert.equal(await marked(), expected);
  }
}

testWith(["php-cgi"], "php: below a prefix, the site has its place in SCRIPT_NAME", async () => {
  await using folder = await tempFolder();
  await writeTree(folder.path, SITE);
  const table = `routes: [{path: /blog/*, php: {root: ${folder.path}/site, ${SPAWN}}}]`;
  await withGateway(table, async ({ port }) => {
    const rows = {
      "/blog/": "site/index.php /blog/index.php ",
      "/blog/2026/news": "site/index.php /blog/index.php ",
      "/blog/about.php/x": "site/about.php /blog/about.php /x",
    };
    for (const [target, text] of Object.entries(rows)) {
      assert.equal((await ask(port, { target })).text, text, target);
    }
    const bare = await ask(port, { target: "/blog" });
    assert.deepEqual([bare.status, bare.get("location")], [308, "/blog/"]);
  });
});

/** Finds its path as Symfony's and Laravel's Request do, and WordPress in a folder of its own. */
const FRONT_CONTROLLER = `<?php
$uri = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$script = $_SERVER['SCRIPT_NAME'];
$base = str_starts_with($uri, $script) ? $script : rtrim(dirname($script), '/');
header('Content-Type: text/plain');
echo $base, ' | ', rawurldecode(substr($uri, strlen($base))), ' | ', $_SERVER['QUERY_STRING'];
`;

testWith(["php-cgi"], "php: a framework's layout, with its uploads beside", async () => {
  await using folder = await tempFolder();
  await writeTree(folder.path, {
    "app/.env": "SECRET",
    "app/composer.json": "SECRET",
    "app/public/index.php": FRONT_CONTROLLER,
    "app/public/build/app-1a2b.js": "js",
    "app/public/storage": "-> ../storage/app/public",
    "app/storage/app/public/me.txt": "me",
    "app/storage/app/public/evil.php": "<?php echo 'RUN';",
    "app/storage/logs/app.log": "SECRET",
  });
  const php = `root: ${folder.path}/app/public, ${SPAWN}`;
  const immutable = "public, max-age=31536000, immutable";
  const table = `routes:
  - {path: /storage/*, static: ${folder.path}/app/storage/app/public}
  - {path: /shop/*, php: {${php}}}
  - path: /*
    php: {${php}, cacheControl: {"/build/*": "${immutable}"}}
`;
  await withGateway(table, async ({ port }) => {
    const rows = {
      "/": " | / | ",
      "/users/7?tab=a%20b": " | /users/7 | tab=a%20b",
      "/caf%C3%A9/x%20y": " | /caf\u00e9/x y | ",
      "/index.php/users/7": "/index.php | /users/7 | ",
      "/shop/": "/shop | / | ",
      "/shop/users/7": "/shop | /users/7 | ",
      "/shop/index.php/users": "/shop/index.php | /users | ",
      "/storage/me.txt": "me",
      "/../.env": " | /../.env | ",
      "/storage/../../.env": " | /storage/../../.env | ",
    };
    for (const [target, text] of Object.entries(rows)) {
      const answer = await ask(port, { target });
      assert.deepEqual([answer.status, utf8(answer.bytes)], [200, text], target);
    }
    const build = await ask(port, { target: "/build/app-1a2b.js" });
    assert.deepEqual([build.text, build.get("cache-control")], ["js", immutable]);
    const evil = await ask(port, { target: "/storage/evil.php" });
    assert.deepEqual([evil.text, evil.get("content-type")], [
      "<?php echo 'RUN';",
      "application/x-httpd-php",
    ]);
    assert.equal(
      (await ask(port, { target: "/storage/../logs/app.log" })).text.includes("SECRET"),
      false,
    );
  });
});

testWith(["php-cgi"], "php: a deployment that turns a link is one for PHP too", async () => {
  await using folder = await tempFolder();
  const says = (release: number) =>
    `<?php echo ${release}, ' ', $_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['DOCUMENT_ROOT'];`;
  for (const release of [1, 2]) {
    await writeTree(`${folder.path}/releases/${release}`, {
      "public/index.php": says(release),
      "public/app.css": `/* ${release} */`,
    });
  }
  const turn = async (release: number) => {
    await Deno.symlink(`releases/${release}`, `${folder.path}/next`);
    await Deno.rename(`${folder.path}/next`, `${folder.path}/current`);
  };
  await turn(1);
  const table = `routes: [{path: /*, php: {root: ${folder.path}/current/public, ${SPAWN}}}]`;
  await withGateway(table, async ({ port }) => {
    const text = async (target: string) => (await ask(port, { target })).text;
    const expected = (release: number) => {
      const root = `${folder.path}/releases/${release}/public`;
      return `${release} ${root}/index.php ${root}`;
    };
    assert.equal(await text("/any"), expected(1));
    assert.equal(await text("/app.css"), "/* 1 */");
    await turn(2);
    assert.equal(await text("/app.css"), "/* 2 */", "a file at once");
    await eventually(async () => await text("/any") === expected(2), 3000, "the new release");
    await Deno.remove(`${folder.path}/releases/1`, { recursive: true });
    assert.equal(await text("/"), expected(2));
  });
});

testWith(
  ["php-cgi"],
  "php: the flags that are printed are enough, also for a root that is a link",
  async () => {
    await using folder = await tempFolder();
    await writeTree(folder.path, {
      "releases/1/index.php": WHO,
      "releases/1/a.css": "a {}",
      "releases/1/b.css": "-> a.css",
      "current": "-> releases/1",
      "routes.yaml": `server: {listen: "127.0.0.1:0", runDir: ./run, spoolDir: ./spool}
routes:
  - {path: /files/*, static: {root: current, listing: true, precompressed: true}}
  - {path: /*, php: current}
`,
    });
    const file = `${folder.path}/routes.yaml`;
    const { out } = await runPortico(["flags", "-c", file]);
    const flags = out.trim().split(" ");
    assert.ok(flags.some((flag) => /^--allow-read=.*\/current(,|$)/.test(flag)), out);
    await using running = await startPortico(["-c", file], { flags });
    const text = async (path: string) => (await (await fetch(running.base + path)).text());
    assert.equal(await text("/x"), "1/index.php /index.php ");
    assert.equal(await text("/a.css"), "a {}");
    assert.equal(await text("/files/b.css"), "a {}");
    assert.match(await text("/files/"), /\.\/a\.css/);
  },
);

testWith(["php-cgi"], "php: explain tells what would happen", async () => {
  await using folder = await tempFolder();
  await writeTree(folder.path, {
    ...SITE,
    "routes.yaml": "routes: [{path: /*, php: {root: site, env: {APP_ENV: prod}}}]\n",
  });
  const told = async (url: string) => {
    const file = `${folder.path}/routes.yaml`;
    return JSON.parse((await runPortico(["explain", "-c", file, "--json", url])).out);
  };
  const root = `${folder.path}/site`;
  const script = await told("/about.php/x?y");
  assert.deepEqual(script.notes, [`runs ${root}/about.php`]);
  assert.match(
    script.target,
    /^php-cgi -d post_max_size=67108864 -d upload_max_filesize=67108864$/,
  );
  assert.deepEqual([script.scriptName, script.pathInfo], ["/about.php", "/x"]);
  assert.equal(script.environ.SCRIPT_FILENAME, `${root}/about.php`);
  assert.equal(script.environ.DOCUMENT_ROOT, root);
  assert.equal(script.environ.APP_ENV, "prod");
  const front = await told("/nothing");
  assert.deepEqual(front.notes, [`runs ${root}/index.php, the front controller`]);
  assert.equal(front.environ.REQUEST_URI, "/nothing");
  const css = await told("/css/main.css");
  assert.deepEqual([css.target, css.notes], [
    `${root}/css/main.css`,
    ["sends the file as text/css; charset=utf-8"],
  ]);
  assert.match((await told("/admin")).notes.join(), /would answer 308/);
  await Deno.remove(`${root}/index.php`);
  assert.match(
    (await told("/.env")).notes.join(),
    /would answer 404: There is nothing at "\/.env"/,
  );
});

Deno.test("php: faults of the table are told where they are", () => {
  const rows: Record<string, string> = {
    "{}": 'Missing key "root": write it here',
    "{root: x, spawn: php-cgi, connect: 'a:1'}": "Cannot have both: write either connect or spawn",
    "{root: x, spawn: php-cgi, ini: {a: 1}}":
      "Cannot reach PHP's settings there: ini is for the php-cgi that is started by default",
    "{root: x, ini: {'a b': 1}}":
      'Cannot read "a b" as the name of a PHP setting: write one such as memory_limit',
    "{root: x, index: /index.php}":
      'Cannot read "/index.php" as a file of the folder: write index.php, without a slash before it',
    "{root: x, index: ../index.php}":
      'Cannot read "../index.php" as a file of the folder: write index.php, without a slash before it',
    "{root: x, split: []}": "Cannot be empty: write a suffix",
    "{root: x, balance: round-robin}":
      "Cannot choose how processes of Portico's own are balanced: leave out balance",
    "{root: x, script: y}":
      'Unknown key "script": the keys here are root, connect, spawn, balance, pool, connectTimeout, index, split, ini, env, timeout, cacheControl, precompressed',
  };
  for (const [php, message] of Object.entries(rows)) {
    assert.deepEqual(faultsOf(`routes: [{path: /, php: ${php}}]`), [message], php);
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
