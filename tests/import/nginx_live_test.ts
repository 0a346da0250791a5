/**
 * The same requests, answered by a real nginx with its own configuration and by Portico with what was made
 * of it: the same status, body and place to go on to.
 */
import assert from "node:assert/strict";
import { translateNginx } from "../../lib/import/nginx.ts";
import { startPortico } from "../support/command.ts";
import { testWith } from "../support/needs.ts";
import { startNginx } from "../support/nginx.ts";
import { phpFpm, startPhpFpm, tempFolder } from "../support/peers.ts";

/** A server block for a folder and a php-fpm. */
type Server = (folder: string, fpm: string) => string;

const FILES: Readonly<Record<string, string>> = {
  "site/index.php": "<?php echo 'front ', $_SERVER['REQUEST_METHOD'], ' ', $_GET['q'] ?? '';",
  "site/about.php": "<?php echo 'about ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['DOCUMENT_ROOT'];",
  "site/main.css": "body {}",
  "site/docs/index.html": "docs",
  "site/docs/a b.txt": "spaced",
  "site/404.html": "lost",
  "site/uploads/x.php": "<?php echo 'never';",
  "data/files/one.txt": "one",
  "data/files/run.cgi": "source",
  "pma/index.php": "<?php echo 'pma ', $_SERVER['SCRIPT_NAME'];",
  "pma/theme.css": "p {}",
};

const LOCATIONS = ["= /exact", "/a/", "/a/b/", "^~ /a/first/", "/a/first/in/", "/deep/er/", "/"];

/** Each location says which it is. */
const ORDER: Server = () =>
  [...LOCATIONS, "~ \\.cgi$", "~* ^/A/.*\\.TXT$", "~ /b/", "~ x(y|z)+$"].map((location, at) =>
    `location ${location} { return 200 "${at} ${location.replace("$", "")}"; }`
  ).join("\n");

interface Comparison {
  readonly server: Server;
  readonly targets: readonly string[];
}

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  "the order of locations": {
    server: ORDER,
    targets: [
      ...["/", "/exact", "/exact/", "/exactly", "/a/", "/a/x", "/a/b/", "/a/b/c", "/a/b/c.cgi"],
      ...["/a/first/x", "/a/first/x.cgi", "/a/first/in/x", "/a/first/in/x.cgi", "/a/first/b/"],
      ...["/a/n.txt", "/A/n.TXT", "/a/b/n.txt", "/a/first/n.txt", "/deep/er/x", "/deep/er/b/x"],
      ...["/deep/x.cgi", "/xy", "/q/xyzy", "/xyq", "/a/%62/c", "/a//b/c", "/a/../deep/er/x", "/b/"],
    ],
  },
  "a PHP site with a front controller": {
    server: (folder, fpm) =>
      `root ${folder}/site; index index.php;
      location / { try_files $uri $uri/ /index.php?$query_string; }
      location ~* /uploads/.*\\.php$ { deny all; }
      location ~ \\.php$ { fastcgi_pass ${fpm}; include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; }
      location ^~ /files/ { root ${folder}/data; }
      location = /health { default_type text/plain; return 200 fine; }
      location /pma { alias ${folder}/pma; index index.php;
        location ~ ^/pma/(.+\\.php)$ { alias ${folder}/pma/$1; fastcgi_pass ${fpm};
          include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $request_filename; } }
      rewrite ^/old/(.*)$ /new/$1 permanent;`,
    targets: [
      ...["/", "/?q=1", "/index.php?q=2", "/about.php", "/main.css", "/nothing/here?q=3"],
      ...["/uploads/x.php", "/UPLOADS/x.php", "/files/one.txt", "/files/run.cgi", "/files/none"],
      ...["/health", "/pma/", "/pma/index.php", "/pma/theme.css", "/old/a/b", "/docs/a%20b.txt"],
    ],
  },
  "scripts among files that have a location of their own": {
    server: (folder, fpm) =>
      `root ${folder}/site; location / { try_files $uri $uri/ /index.php?$query_string; }
      location /uploads/ { expires 1d; }
      location ~ \\.php$ { fastcgi_pass ${fpm}; include /etc/nginx/fastcgi.conf; }
      location ~ ^/docs/ { expires 1d; }`,
    targets: ["/uploads/x.php", "/uploads/none", "/docs/a%20b.txt", "/about.php", "/x?q=1"],
  },
  "static files, and scripts without a front controller": {
    server: (folder, fpm) =>
      `root ${folder}/site; index index.php index.html; error_page 404 /404.html;
      location / { try_files $uri $uri/ =404; }
      location ~ \\.php$ { fastcgi_pass ${fpm}; include /etc/nginx/fastcgi.conf; }
      location = /one { alias ${folder}/data/files/one.txt; }
      location /gone/ { return 410; }`,
    targets: [
      ...[
        "/",
        "/about.php",
        "/main.css",
        "/docs/",
        "/docs/index.html",
        "/nothing",
        "/docs/nothing",
      ],
      ...["/one", "/gone/x"],
    ],
  },
};

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly location: string | undefined;
}

/** What people see: an error's own page is each server's affair, and so is how it names its host. */
async function ask(base: string, target: string): Promise<Answer> {
  const response = await fetch(base + target, { redirect: "manual" });
  const text = await response.text();
  const isPage = response.status >= 300 && /<html>|\n/.test(text) || response.status >= 400;
  const location = response.headers.get("location")?.replace(/^http:\/\/[^/]+/, "");
  return {
    status: response.status,
    body: isPage && text !== "lost" ? "" : text,
    location,
  };
}

for (const [name, { server, targets }] of Object.entries(COMPARISONS)) {
  testWith(["nginx", phpFpm()], `nginx and what was made of it agree on ${name}`, async () => {
    await using folder = await tempFolder();
    await Deno.chmod(folder.path, 0o755);
    for (const [file, text] of Object.entries(FILES)) {
      const path = `${folder.path}/${file}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    await using fpm = await startPhpFpm(folder.path, "unix");
    const block = server(folder.path, fpm.address);
    await using nginx = await startNginx(folder.path, block);
    const { table = "" } = translateNginx(`server { ${block} }`, "site", () => []);
    await Deno.writeTextFile(`${folder.path}/routes.yaml`, table);
    const args = ["-c", `${folder.path}/routes.yaml`, "-l", "127.0.0.1:0"];
    await using portico = await startPortico(args);
    const answers = async (base: string) => {
      const pairs: [string, Answer][] = [];
      for (const target of targets) pairs.push([target, await ask(base, target)]);
      return Object.fromEntries(pairs);
    };
    const expected = await answers(`http://127.0.0.1:${nginx.port}`);
    assert.ok(Object.values(expected).some(({ status }) => status === 200));
    assert.deepEqual(await answers(portico.base), expected, table);
  });
}
