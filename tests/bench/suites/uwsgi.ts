/** uwsgi: a real uWSGI server with a Python hello behind every server that speaks its protocol. */
import { apacheProxy } from "../peers/apache.ts";
import { behind } from "../peers/behind.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { portico } from "../peers/portico.ts";
import { uwsgiSocket } from "../peers/python.ts";
import type { Contender, Suite } from "../model.ts";
import { nginxUwsgi } from "./python.ts";
import { HELLO_BYTES, rate } from "./works.ts";

const FOLDER = new URL("../../apps/python", import.meta.url).pathname;

export const uwsgi: Suite = {
  name: "uwsgi",
  title: "uwsgi, Python hello",
  plan() {
    const program = uwsgiSocket({ folder: FOLDER, module: "hello", processes: 2 });
    const over = (name: string, server: (socket: string) => Contender) =>
      behind(program, { name, server });
    return Promise.resolve({
      contenders: [
        over("nginx", nginxUwsgi),
        over("lighttpd", lighttpdUwsgi),
        over(
          "Apache mod_proxy_uwsgi",
          (socket) => apacheProxy("proxy_uwsgi", `unix:${socket}|uwsgi://localhost/`),
        ),
        over("Portico", (socket) => portico(`  - {path: /*, uwsgi: "unix:${socket}"}`)),
      ],
      works: rate("hello", "/", HELLO_BYTES, [1, 16, 64]),
    });
  },
};

/** lighttpd speaks it by its SCGI module. */
function lighttpdUwsgi(socket: string): Contender {
  return lighttpd({
    modules: ["mod_scgi"],
    lines: `scgi.protocol = "uwsgi"
scgi.server = ("/" => (("socket" => "${socket}", "check-local" => "disable")))`,
  });
}
