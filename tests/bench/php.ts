/** A PHP site on php-fpm: a hello through the front controller, beside nginx and Caddy. */
import { Fpm } from "../support/php_fpm.ts";
import { caddy } from "./caddy.ts";
import { FASTCGI_PARAMS, nginx, portico } from "./contenders.ts";
import { compare, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

/** As many connections as the clients have: kept ones each hold a child. */
const CONNECTIONS = 64;
/** Enough for one server that never lets go of its connections, and for one that works. */
const POOL = `pm = static\npm.max_children = ${2 * CONNECTIONS}`;

export async function php({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  const root = `${folder}/site`;
  await Deno.mkdir(root);
  await Deno.writeTextFile(`${root}/index.php`, `<?php echo "Hello, world!\\n";\n`);
  const fpm = await Fpm.start(folder, { pm: POOL });
  const { socket } = fpm;
  const site = `root ${root}; try_files $uri /index.php$is_args$args;`;
  const pass = (target: string) =>
    `${site} location ~ \\.php$ { ${FASTCGI_PARAMS}
     fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; ${target} }`;
  try {
    return await compare([
      nginx(
        "nginx keep-alive",
        `upstream app { server unix:${socket}; keepalive ${CONNECTIONS}; }`,
        pass("fastcgi_pass app; fastcgi_keep_conn on;"),
        "/hello",
      ),
      nginx("nginx", "", pass(`fastcgi_pass unix:${socket};`), "/hello"),
      caddy(() => `root * ${root}\nphp_fastcgi unix/${socket}`, "/hello"),
      portico(
        "Portico",
        () =>
          `  - {path: /*, php: {root: ${root}, connect: "unix:${socket}", pool: {max: ${CONNECTIONS}, maxIdle: ${CONNECTIONS}}}}`,
        "/hello",
      ),
    ], { rounds, work: [{ connections: 16, seconds }, { connections: 64, seconds }] });
  } finally {
    await fpm[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  }
}
