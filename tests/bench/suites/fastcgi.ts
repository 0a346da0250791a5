/** FastCGI: libfcgi's C responder behind every server that speaks it. */
import { apacheProxy } from "../peers/apache.ts";
import { behind } from "../peers/behind.ts";
import { caddy } from "../peers/caddy.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { FASTCGI_PARAMS, keptUpstream, nginx } from "../peers/nginx.ts";
import { portico, withTwoWorkers } from "../peers/portico.ts";
import { fastcgiProgram } from "../peers/programs.ts";
import type { Contender, Suite } from "../model.ts";
import { among, down, HELLO_BYTES, MEDIUM_BYTES, PAGE_BYTES, rate, up } from "./works.ts";

/** As many as there may be requests at once: a connection that a server keeps holds one. */
const PROCESSES = 256;
/** Portico's pool: more connections than that make no C responder faster. */
const POOL = 64;

export const fastcgi: Suite = {
  name: "fastcgi",
  title: "FastCGI, C responder",
  async plan(folder, { largeBytes }) {
    const program = await fastcgiProgram(folder, PROCESSES);
    const over = (name: string, server: (socket: string) => Contender) =>
      behind(program, { name, server });
    const contenders = [
      over("nginx keep-alive", (socket) => nginxKept(socket)),
      over("nginx", (socket) => nginx({ name: "nginx", location: pass(`unix:${socket}`) })),
      over("lighttpd", lighttpdFastcgi),
      over("Apache mod_proxy_fcgi", apacheFastcgi),
      over("Caddy", (socket) => caddy(`reverse_proxy unix/${socket} {\n  transport fastcgi\n}`)),
      over("Portico", (socket) => portico(route(socket))),
      ...withTwoWorkers(
        over("nginx keep-alive, 2 workers", (socket) => nginxKept(socket, { workers: 2 })),
        over("Portico, 2 workers", (socket) => portico(route(socket), { workers: 2 })),
      ),
      over("nginx keep-alive, streamed", (socket) => nginxKept(socket, { streaming: true })),
      over("Portico, streamed", (socket) => portico(route(socket, "requestBody: stream, "))),
    ];
    const streaming = (name: string) => name.includes("streamed");
    const plain = (name: string) => !streaming(name) && !name.includes("workers");
    const some = (name: string) => !streaming(name);
    return {
      contenders,
      works: [
        ...among(rate("hello", "/", HELLO_BYTES, [1, 16]), plain),
        ...among(rate("hello", "/", HELLO_BYTES, [64, 256]), some),
        ...among(rate("10 KiB page", `/?${PAGE_BYTES}`, PAGE_BYTES, [16]), plain),
        ...among(rate("1 MiB", `/?${MEDIUM_BYTES}`, MEDIUM_BYTES, [16]), plain),
        ...among([down(`/?${largeBytes}`, largeBytes), up("/", largeBytes)], plain),
        ...among([up("/", largeBytes, ", streamed")], streaming),
      ],
    };
  },
};

function route(socket: string, more = ""): string {
  const pool = `pool: {max: ${POOL}, maxIdle: ${POOL}}`;
  return `  - {path: /*, maxRequestBody: 4GiB, ${more}fastcgi: {connect: "unix:${socket}", ${pool}}}`;
}

function pass(target: string): string {
  return `${FASTCGI_PARAMS} fastcgi_pass ${target}; fastcgi_max_temp_file_size 0;`;
}

function nginxKept(
  socket: string,
  { workers = 1, streaming = false }: { workers?: number; streaming?: boolean } = {},
): Contender {
  const more = streaming ? " fastcgi_request_buffering off;" : "";
  return nginx({
    name: "nginx",
    http: keptUpstream(`unix:${socket}`, PROCESSES),
    location: `${pass("app")} fastcgi_keep_conn on;${more}`,
    workers,
  });
}

function lighttpdFastcgi(socket: string): Contender {
  return lighttpd({
    modules: ["mod_fastcgi"],
    lines: `fastcgi.server = ("/" => (("socket" => "${socket}", "check-local" => "disable")))`,
  });
}

function apacheFastcgi(socket: string): Contender {
  return apacheProxy("proxy_fcgi", `unix:${socket}|fcgi://localhost/`);
}
