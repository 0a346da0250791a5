/**
 * `init`, `import` and `unit` as a user runs them: what they write passes `check`, takes no more permissions
 * than it must, and is fit for the programs that read it.
 */
import assert from "node:assert/strict";
import { parse, parseAllDocuments } from "yaml";
import { discover } from "../lib/draft/discover.ts";
import type { Ground } from "../lib/draft/ground.ts";
import { writeTable } from "../lib/draft/table_text.ts";
import { parseTable } from "../lib/config/load.ts";
import { kinds } from "./support/kinds.ts";
import { runPortico } from "./support/command.ts";
import { testWith } from "./support/needs.ts";
import { tempFolder } from "./support/peers.ts";

type Tree = Readonly<Record<string, string>>;

/** A ground of files by name; those that end with ` +x` are executable. */
function groundOf(files: Tree, sockets: readonly string[] = []): Ground {
  const names = Object.keys(files).map((name) => name.replace(/ \+x$/, ""));
  return {
    sockets,
    read: (file) => files[file] ?? files[`${file} +x`],
    entries(folder) {
      const start = folder === "" ? "" : `${folder}/`;
      const inside = names.filter((name) => name.startsWith(start));
      const own = new Set(inside.map((name) => name.slice(start.length).split("/")[0] ?? ""));
      return [...own].map((name) => {
        const isFile = names.includes(start + name);
        const isExecutable = `${start}${name} +x` in files;
        return { name, isFile, isDirectory: !isFile, isExecutable };
      });
    },
  };
}

interface Expected {
  readonly files: Tree;
  readonly sockets?: readonly string[];
  /** `path key target`, a route each. */
  readonly rows: readonly string[];
  readonly found: readonly (string | RegExp)[];
}

const TREES: Readonly<Record<string, Expected>> = {
  "nothing": { files: {}, rows: ["/ respond 200"], found: [] },
  "Laravel, without php-fpm": {
    files: { artisan: "", "public/index.php": "", "public/css/app.css": "" },
    rows: ["/* php ./public/"],
    found: ["a Laravel site in ./public, run by php-cgi"],
  },
  "Symfony, with php-fpm": {
    files: { "bin/console": "", "public/index.php": "" },
    sockets: ["/run/php/php8.2-fpm.sock", "/run/php/php-fpm.sock", "/run/php/php8.4-fpm.sock"],
    rows: ["/* php ./public/"],
    found: ["a Symfony site in ./public, run by /run/php/php-fpm.sock"],
  },
  "WordPress, beside the table": {
    files: { "index.php": "", "wp-load.php": "" },
    rows: ["/routes.yaml respond 404", "/* php ./"],
    found: ["a WordPress site in ., run by php-cgi"],
  },
  "CGI programs beside a site": {
    files: {
      "cgi-bin/a.py": "",
      "cgi-bin/b.sh +x": "",
      "public/index.html": "",
      "public/404.html": "",
    },
    rows: ["/cgi-bin/* cgi ./cgi-bin/", "/* static ./public/"],
    found: ["CGI programs in ./cgi-bin", "static files in ./public"],
  },
  "Flask in a virtual environment": {
    files: {
      "app.py": "import x\napp = Flask(__name__)\n",
      ".venv/bin/python": "",
      "static/a.css": "",
    },
    rows: ["/static/* static ./static/", "/* wsgi ./app.py:app"],
    found: [
      "static files in ./static",
      "a Flask application, ./app.py:app with ./.venv/bin/python",
    ],
  },
  "Django": {
    files: { "manage.py": "", "shop/wsgi.py": "application = get_wsgi_application()\n" },
    rows: ["/* wsgi shop.wsgi:application"],
    found: ["a Django application, shop.wsgi:application"],
  },
  "a WSGI function": {
    files: { "wsgi.py": "def application(environ, start_response):\n  pass\n" },
    rows: ["/* wsgi ./wsgi.py:application"],
    found: ["a WSGI application, ./wsgi.py:application"],
  },
  "a module in Python that is no application": {
    files: { "app.py": "app = 1\n" },
    rows: ["/ respond 200"],
    found: [],
  },
  "an ASGI application": {
    files: { "main.py": "app = FastAPI()\n" },
    rows: ["/ respond 200"],
    found: [/^an ASGI application in \.\/main\.py: run uvicorn/],
  },
  "a script for mod_wsgi": {
    files: { "site.wsgi": "application = 1\n" },
    rows: ["/ respond 200"],
    found: [/link it as site_wsgi\.py/],
  },
  "a fetch handler": {
    files: { "main.ts": "export default {\n  fetch(request) { return new Response(); },\n};\n" },
    rows: ["/* wsgi ./main.ts"],
    found: ["a fetch handler, ./main.ts"],
  },
  "a WSGI application in TypeScript": {
    files: { "app.ts": "export function application(environ, start_response) {}\n" },
    rows: ["/* wsgi ./app.ts"],
    found: ["a WSGI application in TypeScript, ./app.ts"],
  },
  "a server in TypeScript": {
    files: { "main.ts": "Deno.serve(() => new Response());\n" },
    rows: ["/ respond 200"],
    found: [/^a server of its own in \.\/main\.ts: run it/],
  },
  "an application of a single page": {
    files: { "dist/index.html": '<body><div id="root"></div>', "package.json": "" },
    rows: ["/* static ./dist/"],
    found: ["an application of a single page in ./dist"],
  },
  "a uWSGI server": {
    files: {},
    sockets: ["/run/uwsgi/app/shop/socket"],
    rows: ["/* uwsgi unix:/run/uwsgi/app/shop/socket"],
    found: ["a uWSGI server at /run/uwsgi/app/shop/socket"],
  },
};

for (const [name, { files, sockets, rows, found }] of Object.entries(TREES)) {
  Deno.test(`discover() finds ${name}`, () => {
    const { findings, table } = discover(groundOf(files, sockets));
    const text = writeTable(table);
    const { routes } = parseTable(text, { file: "routes.yaml", folder: "/srv" }, kinds);
    const told = routes.map(({ path, key, kind, fields }) =>
      `${path} ${key} ${kind.describe(fields)}`
    );
    assert.deepEqual(told, rows, text);
    assert.equal(findings.length, found.length);
    findings.forEach(({ what }, at) => {
      const expected = found[at] ?? "";
      if (typeof expected === "string") assert.equal(what, expected);
      else assert.match(what, expected);
    });
  });
}

async function writeTree(folder: string, files: Tree): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = `${folder}/${name.replace(/ \+x$/, "")}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text, { mode: name.endsWith(" +x") ? 0o755 : 0o644 });
  }
}

Deno.test("init writes a table that passes check, once, with the permissions for that", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeTree(path, { "cgi-bin/a.py": "", "public/index.html": "<p>" });
  const flags = ["--no-prompt", `--allow-read=${path}`, `--allow-write=${path}/routes.yaml`];
  const first = await runPortico(["init", path], { flags });
  assert.deepEqual([first.code, first.err], [0, ""]);
  assert.match(first.out, /^found CGI programs in \.\/cgi-bin\nfound static files in \.\/public\n/);
  assert.match(first.out, /^wrote .*\/routes\.yaml: \/cgi-bin\/\* \/\*$/m);
  for (const word of ["check", "explain /", "flags", "serve"]) {
    assert.ok(first.out.includes(`main.ts ${word} --config ${path}/routes.yaml`), first.out);
  }
  const checked = await runPortico(["check", "-c", `${path}/routes.yaml`]);
  assert.deepEqual([checked.code, checked.err], [0, ""]);
  await Deno.writeTextFile(`${path}/routes.yaml`, "mine");
  const second = await runPortico(["init"], { cwd: path });
  assert.deepEqual([second.code, second.out], [1, ""]);
  assert.match(second.err, /\.\/routes\.yaml is there already: --force replaces it/);
  assert.equal(await Deno.readTextFile(`${path}/routes.yaml`), "mine");
  const forced = await runPortico(["init", "--force"], { cwd: path });
  assert.equal(forced.code, 0);
  assert.match(await Deno.readTextFile(`${path}/routes.yaml`), /^# Which program/);
});

Deno.test("init, import and unit say what is wrong with how they are called", async () => {
  const wrong: Readonly<Record<string, readonly [number, RegExp]>> = {
    "init a b": [2, /init takes one folder/],
    "init /no/such/folder": [1, /Cannot find the folder/],
    "import": [2, /import takes a format and a file/],
    "import apache x": [2, /import takes a format and a file/],
    "import nginx /no/such/file": [1, /^\/no\/such\/file:1:1: Cannot read this file/],
    "unit": [2, /unit takes one of systemd, docker, compose, k8s/],
    "unit upstart": [2, /unit takes one of/],
    "unit systemd -c /no/such/routes.yaml": [1, /Cannot find this file/],
  };
  for (const [line, [status, message]] of Object.entries(wrong)) {
    const { code, out, err } = await runPortico(line.split(" "));
    assert.deepEqual([code, out], [status, ""], line);
    assert.match(err, message);
  }
});

Deno.test("import nginx prints the table, and on standard error a line for each of nginx's", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeTree(path, {
    "sites/shop": "server { root /srv/shop; include snippets/*.conf;\n gzip on; }",
    "snippets/a.conf": "location /a/ { proxy_pass http://127.0.0.1:1; }",
    "snippets/b.conf": "location = /b { return 204; }",
    "faulty": "server {\n root x\n}",
    "empty": "events {}",
  });
  const flags = ["--no-prompt", `--allow-read=${path}`];
  const { code, out, err } = await runPortico(["import", "nginx", `${path}/sites/shop`], { flags });
  assert.equal(code, 0);
  assert.match(err, /snippets\/a\.conf:1: taken over: location \/a\/ \{/);
  assert.match(err, /sites\/shop:2: NOT taken over: gzip on/);
  await Deno.writeTextFile(`${path}/routes.yaml`, out);
  const checked = await runPortico(["check", "-c", `${path}/routes.yaml`]);
  assert.deepEqual([checked.code, checked.err], [0, ""]);
  assert.match(checked.out, /fine, 4 routes/);
  const faulty = await runPortico(["import", "nginx", `${path}/faulty`], { flags });
  assert.deepEqual([faulty.code, faulty.out], [1, ""]);
  assert.match(faulty.err, /faulty:3:1: Cannot find the end of "root", which begins on line 2/);
  const empty = await runPortico(["import", "nginx", `${path}/empty`], { flags });
  assert.equal(empty.code, 1);
  assert.match(empty.err, /has nothing that a route could take over/);
});

const UNITS =
  `server: { listen: ["127.0.0.1:8080", ":80"], drainTimeout: 45s, spoolDir: /var/spool/portico }
routes:
  - path: /blog/*
    php: { root: ./blog, connect: unix:/run/php/php-fpm.sock }
  - path: /wiki/*
    php: { root: ./wiki, connect: "fpm:9000" }
  - path: /old/*
    php: ./old
  - path: /x y
    cgi: { script: "./50% of $x.sh", env: { A: "1" } }
`;

async function printUnit(form: string, text: string): Promise<string> {
  await using folder = await tempFolder();
  await Deno.writeTextFile(`${folder.path}/routes.yaml`, text);
  const { code, out, err } = await runPortico(["unit", form], { cwd: folder.path });
  assert.deepEqual([code, err], [0, ""]);
  return out;
}

Deno.test("unit systemd grants what the table takes, and outlasts its drain", async () => {
  const unit = await printUnit("systemd", UNITS);
  for (
    const line of [
      "TimeoutStopSec=55",
      "ExecReload=/bin/kill -HUP $MAINPID",
      "NoNewPrivileges=yes",
      "ProtectSystem=strict",
      "AmbientCapabilities=CAP_NET_BIND_SERVICE",
      "ReadWritePaths=-/tmp -/var/spool/portico",
      "User=portico",
    ]
  ) assert.ok(unit.split("\n").includes(line), `${line} in\n${unit}`);
  assert.match(
    unit,
    /^ExecStart=.* run --no-prompt --allow-read=.* main|^ExecStart=.*main\.ts serve --config \S+$/m,
  );
  assert.match(unit, /50%% of \$\$x\.sh/);
  const least = await printUnit("systemd", "routes: [{path: /, respond: hello}]\n");
  assert.match(least, /^AmbientCapabilities=$/m);
  const asRoot = await printUnit(
    "systemd",
    "routes: [{path: /, cgi: {script: /bin/a, user: www-data}}]\n",
  );
  assert.match(asRoot, /^User=root$/m);
  assert.match(asRoot, /CAP_SETUID/);
});

testWith(["systemd-analyze"], "systemd finds nothing wrong with unit systemd", async () => {
  await using folder = await tempFolder();
  for (const table of [UNITS, "routes: [{path: /, respond: hello}]\n"]) {
    const file = `${folder.path}/portico.service`;
    await Deno.writeTextFile(file, await printUnit("systemd", table));
    const { code, stderr } = await new Deno.Command("systemd-analyze", { args: ["verify", file] })
      .output();
    const said = new TextDecoder().decode(stderr).split("\n").filter((line) =>
      line.includes("portico")
    );
    assert.deepEqual([code, said], [0, []]);
  }
});

Deno.test("unit docker starts the gateway with its flags, listening beyond its loopback", async () => {
  const file = await printUnit("docker", UNITS);
  const words: readonly string[] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(file)?.[1] ?? "");
  assert.equal(words[0], "/usr/bin/deno");
  assert.deepEqual(words.slice(words.indexOf("serve")).slice(3), [
    ...["--listen", "0.0.0.0:8080", "--listen", "0.0.0.0:80"],
  ]);
  assert.ok(words.some((word) => /^--allow-net=.*\b0\.0\.0\.0:8080\b/.test(word)), words.join(" "));
  assert.ok(words.includes("/opt/portico/main.ts"));
  assert.match(file, /^USER 65532:65532$/m);
  assert.match(file, /apt-get install -y --no-install-recommends php-cgi /);
  assert.match(file, /^EXPOSE 8080\nEXPOSE 80$/m);
  const instructions =
    /^(?:#.*|FROM|RUN|COPY|ENV|WORKDIR|USER|EXPOSE|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT)/;
  for (const line of file.trimEnd().split("\n")) assert.match(line, instructions);
});

Deno.test("unit compose has a php-fpm for each address that the table connects to", async () => {
  const file = parse(await printUnit("compose", UNITS));
  assert.deepEqual(Object.keys(file.services), ["portico", "php", "fpm"]);
  assert.equal(file.services.portico.stop_grace_period, "55s");
  assert.deepEqual(file.services.portico.ports, ["127.0.0.1:8080:8080", "127.0.0.1:80:80"]);
  assert.deepEqual(file.services.portico.volumes, ["php-run:/run/php"]);
  assert.deepEqual(file.volumes, { "php-run": null });
  assert.match(
    file.configs["php-pool"].content,
    /listen = \/run\/php\/php-fpm\.sock\nlisten\.mode/,
  );
  assert.match(file.configs["fpm-pool"].content, /listen = 9000/);
  assert.match(file.services.fpm.volumes[0], /^(\/.*\/wiki):\1:ro$/);
});

Deno.test("unit k8s waits for the drain, and probes the ports", async () => {
  const documents = parseAllDocuments(await printUnit("k8s", UNITS));
  const [deployment, service] = documents.map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
  const pod = deployment.spec.template.spec;
  assert.equal(pod.terminationGracePeriodSeconds, 60);
  assert.equal(pod.containers[0].readinessProbe.tcpSocket.port, 8080);
  assert.deepEqual(service.spec.ports.map(({ port }: { port: number }) => port), [8080, 80]);
  assert.deepEqual(deployment.spec.selector.matchLabels, deployment.spec.template.metadata.labels);
});

Deno.test("unit of a container refuses a table without a port", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(
    `${folder.path}/routes.yaml`,
    "server: {listen: 'unix:./a.sock'}\nroutes: [{path: /, respond: x}]\n",
  );
  const { code, err } = await runPortico(["unit", "k8s"], { cwd: folder.path });
  assert.equal(code, 1);
  assert.match(err, /a container is reached by a port/);
});

Deno.test("--help names init, import and unit", async () => {
  const { out } = await runPortico(["--help"]);
  for (const word of ["init \\[FOLDER\\]", "import nginx FILE", "unit FORM", "--force"]) {
    assert.match(out, new RegExp(`^ +${word} `, "m"));
  }
});

Deno.test("explain tells what lies along the path, and where links lead", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeTree(path, {
    "cgi/sub/run.sh +x": "",
    "cgi/plain.py": "",
    "files/docs/index.html": "",
    "one.sh +x": "",
    "routes.yaml": `routes:
  - {path: /cgi/*, cgi: {root: cgi}}
  - {path: /one/*, cgi: ./one.sh}
  - {path: /files/*, static: ./files}
  - {path: /ping, respond: pong}
`,
  });
  await Deno.symlink("sub/run.sh", `${path}/cgi/link.sh`);
  const looks = async (url: string) => {
    const { code, out, err } = await runPortico(["explain", "--json", url], { cwd: path });
    assert.deepEqual([code, err], [0, ""]);
    const found: { path: string; is: string; real?: string }[] = JSON.parse(out).looks;
    return found.map(({ path: own, is, real }) =>
      [is, own, real].filter((part) => part !== undefined).join(" ").replaceAll(path, "")
    );
  };
  assert.deepEqual(await looks("/cgi/sub/run.sh/more"), [
    "folder /cgi",
    "folder /cgi/sub",
    "program /cgi/sub/run.sh",
  ]);
  assert.deepEqual(await looks("/cgi/link.sh"), [
    "folder /cgi",
    "program /cgi/link.sh /cgi/sub/run.sh",
  ]);
  assert.deepEqual(await looks("/cgi/none/x"), ["folder /cgi", "nothing /cgi/none"]);
  assert.deepEqual(await looks("/cgi/plain.py"), ["folder /cgi", "file /cgi/plain.py"]);
  assert.deepEqual(await looks("/one/x"), ["program /one.sh"]);
  assert.deepEqual(await looks("/files/docs/"), [
    "folder /files",
    "folder /files/docs",
    "file /files/docs/index.html",
  ]);
  assert.deepEqual(await looks("/ping"), []);
  const people = await runPortico(["explain", "/cgi/link.sh"], { cwd: path });
  assert.match(people.out, /^ {2}program {3}\S+\/cgi\/link\.sh -> \S+\/cgi\/sub\/run\.sh$/m);
});
