/** SCGI: a small C program, one connection for each request as the protocol wants it. */
import { apacheProxy } from "../peers/apache.ts";
import { behind } from "../peers/behind.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { nginx } from "../peers/nginx.ts";
import { portico } from "../peers/portico.ts";
import { socketProgram } from "../peers/programs.ts";
import type { Contender, Suite } from "../model.ts";
import { HELLO_BYTES, rate } from "./works.ts";

const PROCESSES = 16;

export const scgi: Suite = {
  name: "scgi",
  title: "SCGI, C program",
  async plan(folder) {
    const program = await socketProgram(folder, "scgi", PROCESSES);
    const over = (name: string, server: (socket: string) => Contender) =>
      behind(program, { name, server });
    return {
      contenders: [
        over("nginx", (socket) => {
          const location = `include /etc/nginx/scgi_params; scgi_pass unix:${socket};`;
          return nginx({ name: "nginx", location });
        }),
        over("lighttpd", lighttpdScgi),
        over(
          "Apache mod_proxy_scgi",
          (socket) => apacheProxy("proxy_scgi", `unix:${socket}|scgi://localhost/`),
        ),
        over("Portico", (socket) => portico(`  - {path: /*, scgi: "unix:${socket}"}`)),
      ],
      works: rate("hello", "/", HELLO_BYTES, [1, 16, 64]),
    };
  },
};

function lighttpdScgi(socket: string): Contender {
  return lighttpd({
    modules: ["mod_scgi"],
    lines: `scgi.server = ("/" => (("socket" => "${socket}", "check-local" => "disable")))`,
  });
}
