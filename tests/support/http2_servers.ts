/**
 * Real servers that speak HTTP/2, for one test: nginx, Apache and Caddy over one folder. Each gives the files
 * of `files`, with X-Protocol; nginx and Apache take uploads below `/put/` (WebDAV). They stop as politely
 * as each can, and start again on the same addresses.
 */
import { makeCertificate } from "./certificate.ts";
import { eventually } from "./gateway.ts";
import { which } from "./needs.ts";
import { accepts } from "./nginx.ts";
import { freePort } from "./peers.ts";

export interface Http2Server extends AsyncDisposable {
  /** Where it is, as routes.yaml writes it: by prior knowledge, over TLS, by a Unix socket if it can. */
  readonly urls: readonly string[];
  /** The certificate to trust. */
  readonly ca: string;
  readonly folder: string;
  start(): Promise<void>;
  /** What is under way ends well; resolves when the server has gone. */
  stop(): Promise<void>;
}

interface Place {
  readonly folder: string;
  readonly plain: number;
  readonly secure: number;
  readonly cert: string;
  readonly key: string;
}

interface Recipe {
  readonly program: string;
  readonly args: (folder: string) => string[];
  readonly config: (place: Place) => string;
  /** Ends it, but not what it has begun. */
  readonly farewell: Deno.Signal;
  readonly hasUnix: boolean;
}

/** Requests that one connection takes, with nginx. */
export const NGINX_REQUESTS = 10;

const MODULES = ["mpm_event", "authz_core", "http2", "ssl", "dav", "dav_fs", "headers", "alias"]
  .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n");

const RECIPES = {
  nginx: {
    program: "nginx",
    args: (folder) => ["-p", folder, "-e", `${folder}/log`, "-c", `${folder}/config`],
    farewell: "SIGQUIT",
    hasUnix: true,
    config: ({ folder, plain, secure, cert, key }) =>
      `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/log;
events {}
http {
  access_log off;
  ${
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
          .map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ")
      }
  server {
    listen 127.0.0.1:${plain} http2;
    listen 127.0.0.1:${secure} ssl http2;
    listen unix:${folder}/nginx.sock http2;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    keepalive_requests ${NGINX_REQUESTS};
    client_max_body_size 1g;
    root ${folder}/files;
    add_header X-Protocol $server_protocol always;
    location /put/ { root ${folder}; dav_methods PUT; }
  }
}
`,
  },
  apache2: {
    program: "apache2",
    args: (folder) => ["-f", `${folder}/config`, "-DFOREGROUND"],
    farewell: "SIGWINCH",
    hasUnix: false,
    config: ({ folder, plain, secure, cert, key }) =>
      `${MODULES}
ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/pid
ErrorLog ${folder}/log
DavLockDB ${folder}/put/.lock
${Deno.uid() === 0 ? "User www-data\nGroup www-data" : ""}
StartServers 1
ServerLimit 2
DocumentRoot ${folder}/files
Alias /put ${folder}/put
Header always set X-Protocol expr=%{SERVER_PROTOCOL}
Listen 127.0.0.1:${plain}
Listen 127.0.0.1:${secure}
Protocols h2c http/1.1
<Directory ${folder}>
  Require all granted
</Directory>
<Location /put>
  Dav On
</Location>
<VirtualHost 127.0.0.1:${secure}>
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>
`,
  },
  caddy: {
    program: "caddy",
    args: (folder) => ["run", "--config", `${folder}/config`, "--adapter", "caddyfile"],
    farewell: "SIGTERM",
    hasUnix: true,
    config: ({ folder, plain, secure, cert, key }) =>
      `{
  admin off
  auto_https off
  servers {
    protocols h1 h2 h2c
  }
}
(site) {
  header X-Protocol {http.request.proto}
  root * ${folder}/files
  file_server
}
http://:${plain} {
  bind 127.0.0.1 unix/${folder}/caddy.sock
  import site
}
https://localhost:${secure} {
  bind 127.0.0.1
  tls ${cert} ${key}
  import site
}
`,
  },
} satisfies Record<string, Recipe>;

export type ServerName = keyof typeof RECIPES;

/** Starts one in a temporary folder; its files are for the test to write, into `files`. */
export async function startHttp2Server(name: ServerName, folder: string): Promise<Http2Server> {
  const recipe: Recipe = RECIPES[name];
  for (const part of ["files", "put"]) await Deno.mkdir(`${folder}/${part}`, { recursive: true });
  // Apache's processes run as another user.
  await Deno.chmod(folder, 0o755);
  await Deno.chmod(`${folder}/put`, 0o777);
  const place = {
    folder,
    plain: freePort(),
    secure: freePort(),
    ...await makeCertificate(folder, name),
  };
  await Deno.writeTextFile(`${folder}/config`, recipe.config(place));
  let child: Deno.ChildProcess | undefined;
  const stop = async () => {
    child?.kill(recipe.farewell);
    await child?.status;
    child = undefined;
  };
  const start = async () => {
    child = new Deno.Command(which(recipe.program) ?? recipe.program, {
      args: recipe.args(folder),
      env: { HOME: folder },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const ports = [place.plain, place.secure];
    const isThere = async () => (await Promise.all(ports.map(accepts))).every(Boolean);
    await eventually(isThere, 10_000, `${name}, see ${folder}/log`);
  };
  await start();
  const unix = recipe.hasUnix ? [`unix:${folder}/${name}.sock`] : [];
  return {
    urls: [`http://127.0.0.1:${place.plain}`, `https://localhost:${place.secure}`, ...unix],
    ca: place.cert,
    folder,
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
