/** The applications behind the servers: small C programs, php-fpm, fcgiwrap, an HTTP origin. */
import { freePort, phpFpm } from "../../support/peers.ts";
import { appears, build, launch } from "../processes.ts";
import type { UpstreamProgram } from "./behind.ts";
import { nginx } from "./nginx.ts";

/** libfcgi's responder in so many processes: a kept connection holds one. */
export async function fastcgiProgram(folder: string, processes: number): Promise<UpstreamProgram> {
  const file = await build(folder, "fastcgi_app.c", { name: "fastcgi_app", flags: ["-lfcgi"] });
  return onSocket((socket) => [file, socket, String(processes)]);
}

/** A program that speaks `scgi`, or the `http` of an upload, one request for each connection. */
export async function socketProgram(
  folder: string,
  protocol: "scgi" | "http",
  processes: number,
): Promise<UpstreamProgram> {
  const file = await build(folder, "socket_app.c", { name: `${protocol}_app` });
  return onSocket((socket) => [file, protocol, socket, String(processes)]);
}

/** CGI programs by way of FastCGI, so many at once. */
export function fcgiwrap(processes: number): UpstreamProgram {
  const line = (socket: string) => ["fcgiwrap", "-c", String(processes), "-s", `unix:${socket}`];
  return { ...onSocket(line), needs: ["fcgiwrap"] };
}

function onSocket(commandLine: (socket: string) => readonly string[]): UpstreamProgram {
  return {
    needs: [],
    async start(folder) {
      const address = `${folder}/app.sock`;
      const [program = "", ...args] = commandLine(address);
      const launched = launch(folder, program, args);
      await appears(address);
      await Deno.chmod(address, 0o777);
      return { ...launched, address };
    },
  };
}

/** php-fpm without a php.ini, with a fixed number of children. */
export function fpm(children: number): UpstreamProgram {
  return {
    needs: [phpFpm()],
    async start(folder) {
      const address = `${folder}/fpm.sock`;
      const isRoot = Deno.uid() === 0;
      await Deno.writeTextFile(
        `${folder}/fpm.conf`,
        `[global]
error_log = ${folder}/fpm.log
daemonize = no
[bench]
${isRoot ? "user = root\ngroup = root" : ""}
listen = ${address}
listen.mode = 0666
listen.backlog = 4096
pm = static
pm.max_children = ${children}
`,
      );
      const args = ["-n", "-F", ...(isRoot ? ["-R"] : []), "-y", `${folder}/fpm.conf`];
      const launched = launch(folder, phpFpm(), args);
      await appears(address);
      return { ...launched, address };
    },
  };
}

/** An nginx that serves a folder and a hello, as the origin behind proxies; its address is HOST:PORT. */
export function httpOrigin(root: string): UpstreamProgram {
  const location = `root ${root}; if ($uri = /hello) { return 200 "Hello, world!\\n"; }`;
  return {
    needs: ["nginx"],
    async start(folder) {
      const own = `${folder}/origin`;
      await Deno.mkdir(own, { mode: 0o755 });
      const port = freePort();
      const running = await nginx({ name: "origin", location }).start(own, port);
      await appears(`${own}/nginx.pid`);
      const pid = Number(await Deno.readTextFile(`${own}/nginx.pid`));
      return { address: `127.0.0.1:${port}`, pid, stop: running.stop };
    },
  };
}
