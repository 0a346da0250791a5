/** The servers that benchmarks put side by side, each by its recommended fast settings. */
import { type Contender, launch, processTree, type Running } from "./harness.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** Portico itself, one worker, over a table written for the occasion. */
export function portico(name: string, routes: (folder: string) => string, path = "/"): Contender {
  return {
    name,
    needs: [],
    async start(folder, port) {
      await Deno.writeTextFile(
        `${folder}/routes.yaml`,
        `server: {listen: "127.0.0.1:${port}", accessLog: off}\nroutes:\n${routes(folder)}\n`,
      );
      const stop = launch(Deno.execPath(), [
        "run",
        "-A",
        "--no-check",
        `${ROOT}/main.ts`,
        "serve",
        "--config",
        `${folder}/routes.yaml`,
      ]);
      return running(`http://127.0.0.1:${port}${path}`, () => [stop.pid], stop);
    },
  };
}

/** A bare `Deno.serve` hello: the runtime's own speed. */
export function bareServe(): Contender {
  return {
    name: "bare Deno.serve",
    needs: [],
    async start(folder, port) {
      const file = `${folder}/bare.ts`;
      await Deno.writeTextFile(
        file,
        `const body = new TextEncoder().encode("Hello, world!\\n");
const headers: [string, string][] = [["content-type", "text/plain"]];
Deno.serve({ hostname: "127.0.0.1", port: ${port}, onListen() {} }, () => new Response(body, { headers }));
`,
      );
      const stop = launch(Deno.execPath(), ["run", "-A", "--no-check", file]);
      return running(`http://127.0.0.1:${port}/`, () => [stop.pid], stop);
    },
  };
}

/** nginx with one worker; `location` is the body of its one location block. */
export function nginx(
  name: string,
  upstream: string,
  location: string,
  path = "/",
): Contender {
  return {
    name,
    needs: ["nginx"],
    async start(folder, port) {
      await Deno.writeTextFile(
        `${folder}/nginx.conf`,
        `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; client_body_temp_path ${folder}/body;
  fastcgi_temp_path ${folder}/f; proxy_temp_path ${folder}/p; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${upstream}
  map $uri $cgi_path { "~^/cgi(?<rest>/.*)$" $rest; }
  server { listen 127.0.0.1:${port} backlog=4096; location / { ${location} } }
}
`,
      );
      const stop = launch("nginx", ["-c", `${folder}/nginx.conf`, "-p", folder]);
      // The master only supervises.
      const workers = () => processTree(stop.pid).slice(1);
      return running(`http://127.0.0.1:${port}${path}`, workers, stop);
    },
  };
}

/** lighttpd's mod_cgi over a folder of programs. */
export function lighttpdCgi(programs: string, path: string): Contender {
  return {
    name: "lighttpd mod_cgi",
    needs: ["lighttpd"],
    async start(folder, port) {
      await Deno.writeTextFile(
        `${folder}/lighttpd.conf`,
        `server.document-root = "${folder}"
server.bind = "127.0.0.1"
server.port = ${port}
server.upload-dirs = ("${folder}")
server.max-keep-alive-requests = 0
server.modules = ("mod_cgi", "mod_alias")
server.stream-response-body = 1
alias.url = ("/cgi/" => "${programs}/")
$HTTP["url"] =~ "^/cgi/" { cgi.assign = ("" => "") }
`,
      );
      const stop = launch("lighttpd", ["-D", "-f", `${folder}/lighttpd.conf`]);
      return running(`http://127.0.0.1:${port}${path}`, () => [stop.pid], stop);
    },
  };
}

/** Apache's event MPM with mod_cgid: a server process and the daemon that forks programs. */
export function apacheCgid(programs: string, path: string): Contender {
  return {
    name: "Apache mod_cgid",
    needs: ["apache2"],
    async start(folder, port) {
      const modules = ["mpm_event", "authz_core", "alias", "cgid"].map((name) =>
        `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`
      );
      await Deno.writeTextFile(
        `${folder}/apache.conf`,
        `${modules.join("\n")}
ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/apache.pid
Listen 127.0.0.1:${port}
ScriptSock ${folder}/cgid.sock
User www-data
Group www-data
ErrorLog ${folder}/error.log
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
ScriptAlias /cgi/ ${programs}/
<Directory ${programs}>
  Require all granted
</Directory>
`,
      );
      const stop = launch("apache2", ["-f", `${folder}/apache.conf`, "-DFOREGROUND"]);
      return running(`http://127.0.0.1:${port}${path}`, () => processTree(stop.pid), stop);
    },
  };
}

/** nginx in front of fcgiwrap, which runs as many programs at once as there are connections. */
export function nginxFcgiwrap(programs: string, path: string): Contender {
  return {
    name: "nginx + fcgiwrap",
    needs: ["nginx", "fcgiwrap"],
    async start(folder, port) {
      const socket = `${folder}/fcgiwrap.sock`;
      const wrap = launch("fcgiwrap", ["-c", "64", "-s", `unix:${socket}`]);
      const front = await nginx(
        "",
        "",
        `${FASTCGI_PARAMS} fastcgi_param SCRIPT_FILENAME ${programs}$cgi_path; fastcgi_pass unix:${socket};
         fastcgi_max_temp_file_size 0; client_max_body_size 0;`,
        path,
      ).start(folder, port);
      await exists(socket);
      await Deno.chmod(socket, 0o777);
      return {
        url: front.url,
        pids: () => [...front.pids(), ...processTree(wrap.pid)],
        stop: async () => {
          await front.stop();
          await wrap();
        },
      };
    },
  };
}

async function exists(file: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    try {
      await Deno.lstat(file);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  throw new Error(`${file} did not appear`);
}

function running(url: string, pids: () => readonly number[], stop: () => Promise<void>): Running {
  return { url, pids, stop };
}

/** `fastcgi_param` lines as the distributions ship them. */
export const FASTCGI_PARAMS = `
fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param REQUEST_URI $request_uri;
fastcgi_param DOCUMENT_URI $document_uri; fastcgi_param DOCUMENT_ROOT $document_root;
fastcgi_param SERVER_PROTOCOL $server_protocol; fastcgi_param REQUEST_SCHEME $scheme;
fastcgi_param GATEWAY_INTERFACE CGI/1.1; fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param REMOTE_PORT $remote_port;
fastcgi_param SERVER_ADDR $server_addr; fastcgi_param SERVER_PORT $server_port;
fastcgi_param SERVER_NAME $server_name; fastcgi_param REDIRECT_STATUS 200;`;

/** A program of libfcgi's, compiled for the occasion, in as many processes as there are connections. */
export async function cResponder(folder: string, processes: number): Promise<CResponder> {
  const source = new URL("./fastcgi_hello.c", import.meta.url).pathname;
  const built = await new Deno.Command("cc", {
    args: ["-O2", "-o", `${folder}/hello`, source, "-lfcgi"],
  }).output();
  if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
  const socket = `${folder}/hello.sock`;
  const stop = launch(`${folder}/hello`, [socket, String(processes)]);
  return { socket, stop };
}

export interface CResponder {
  readonly socket: string;
  stop(): Promise<void>;
}
