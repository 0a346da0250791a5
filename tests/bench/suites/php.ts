/** A PHP site on php-fpm: a hello through the front controller, and a page of 10 KiB. */
import { apache } from "../peers/apache.ts";
import { behind } from "../peers/behind.ts";
import { caddy } from "../peers/caddy.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { FASTCGI_PARAMS, keptUpstream, nginx } from "../peers/nginx.ts";
import { portico } from "../peers/portico.ts";
import { fpm } from "../peers/programs.ts";
import type { Contender, Suite } from "../model.ts";
import { HELLO_BYTES, PAGE_BYTES, rate } from "./works.ts";

/** As many as clients: a connection that a server keeps holds one. */
const CHILDREN = 64;

export const php: Suite = {
  name: "php",
  title: "PHP site, php-fpm",
  async plan(folder) {
    const root = `${folder}/site`;
    await Deno.mkdir(root, { mode: 0o755 });
    await Deno.writeTextFile(
      `${root}/index.php`,
      `<?php echo isset($_GET["bytes"]) ? str_repeat("x", (int) $_GET["bytes"]) : "Hello, world!\\n";\n`,
    );
    const program = fpm(CHILDREN);
    const over = (name: string, server: (socket: string) => Contender) =>
      behind(program, { name, server });
    return {
      contenders: [
        over("nginx keep-alive", (socket) =>
          nginx({
            name: "nginx",
            http: keptUpstream(`unix:${socket}`, CHILDREN),
            location: site(root, "fastcgi_pass app; fastcgi_keep_conn on;"),
          })),
        over(
          "nginx",
          (socket) =>
            nginx({ name: "nginx", location: site(root, `fastcgi_pass unix:${socket};`) }),
        ),
        over("lighttpd", (socket) => lighttpdSite(root, socket)),
        over("Apache mod_proxy_fcgi", (socket) => apacheSite(root, socket)),
        over("Caddy", (socket) => caddy(`root * ${root}\nphp_fastcgi unix/${socket}`)),
        over("Portico", (socket) => portico(route(root, socket))),
      ],
      works: [
        ...rate("hello", "/hello", HELLO_BYTES, [1, 16, 64]),
        ...rate("10 KiB page", `/page?bytes=${PAGE_BYTES}`, PAGE_BYTES, [16]),
      ],
    };
  },
};

function route(root: string, socket: string): string {
  const pool = `pool: {max: ${CHILDREN}, maxIdle: ${CHILDREN}}`;
  return `  - {path: /*, php: {root: ${root}, connect: "unix:${socket}", ${pool}}}`;
}

/** The front controller as nginx's and the frameworks' manuals have it. */
function site(root: string, pass: string): string {
  return `root ${root};
    location / { try_files $uri /index.php$is_args$args; }
    location ~ \\.php$ {
      ${FASTCGI_PARAMS}
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; ${pass}
    }`;
}

function lighttpdSite(root: string, socket: string): Contender {
  return lighttpd({
    root,
    modules: ["mod_rewrite", "mod_fastcgi"],
    lines: `url.rewrite-if-not-file = ("^/[^?]*(\\?.*)?$" => "/index.php$1")
fastcgi.server = (".php" => (("socket" => "${socket}")))`,
  });
}

function apacheSite(root: string, socket: string): Contender {
  return apache({
    modules: ["dir", "proxy", "proxy_fcgi"],
    lines: `DocumentRoot ${root}
FallbackResource /index.php
<FilesMatch "\\.php$">
  SetHandler "proxy:unix:${socket}|fcgi://localhost/"
</FilesMatch>`,
  });
}
