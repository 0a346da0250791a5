/** CGI: a process for each request. Hello by a static C program and by `/bin/sh`, pages, large bodies. */
import { apache } from "../peers/apache.ts";
import { behind } from "../peers/behind.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { FASTCGI_PARAMS, nginx } from "../peers/nginx.ts";
import { portico } from "../peers/portico.ts";
import { fcgiwrap } from "../peers/programs.ts";
import { build } from "../processes.ts";
import type { Contender, Suite } from "../model.ts";
import { down, HELLO_BYTES, MEDIUM_BYTES, PAGE_BYTES, rate, up } from "./works.ts";

/** How many programs fcgiwrap runs at once: as many as there are clients. */
const PROCESSES = 64;

export const cgi: Suite = {
  name: "cgi",
  title: "CGI",
  async plan(folder, { largeBytes }) {
    const programs = `${folder}/programs`;
    await writePrograms(programs);
    return {
      contenders: [
        lighttpdCgi(programs),
        apacheCgi(programs),
        behind(fcgiwrap(PROCESSES), {
          name: "nginx + fcgiwrap",
          server: (socket) => nginxCgi(programs, socket),
        }),
        portico(`  - {path: /cgi/*, maxRequestBody: 4GiB, cgi: {root: ${programs}}}`),
      ],
      works: [
        ...rate("hello, C", "/cgi/hello.cgi", HELLO_BYTES, [1, 16, 64, 256]),
        ...rate("hello, sh", "/cgi/hello.sh", HELLO_BYTES, [16]),
        ...rate("10 KiB page", `/cgi/body.cgi?${PAGE_BYTES}`, PAGE_BYTES, [16]),
        ...rate("1 MiB", `/cgi/body.cgi?${MEDIUM_BYTES}`, MEDIUM_BYTES, [16]),
        down(`/cgi/body.cgi?${largeBytes}`, largeBytes),
        up("/cgi/body.cgi", largeBytes),
      ],
    };
  },
};

async function writePrograms(folder: string): Promise<void> {
  await Deno.mkdir(folder, { mode: 0o755 });
  for (const name of ["hello", "body"]) {
    await build(folder, `cgi_${name}.c`, { name: `${name}.cgi`, flags: ["-static"] });
  }
  await Deno.writeTextFile(
    `${folder}/hello.sh`,
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nHello, world!\\n'\n",
    { mode: 0o755 },
  );
}

function lighttpdCgi(programs: string): Contender {
  return lighttpd({
    name: "lighttpd mod_cgi",
    modules: ["mod_cgi", "mod_alias"],
    lines: `alias.url = ("/cgi/" => "${programs}/")
$HTTP["url"] =~ "^/cgi/" { cgi.assign = ("" => "") }`,
  });
}

/** A daemon forks the programs, as it must where the server has threads. */
function apacheCgi(programs: string): Contender {
  return apache({
    name: "Apache mod_cgid",
    modules: ["alias", "cgid"],
    lines: `ScriptAlias /cgi/ ${programs}/`,
  });
}

function nginxCgi(programs: string, socket: string): Contender {
  return nginx({
    name: "nginx",
    http: () => `map $uri $cgi_path { "~^/cgi(?<rest>/.*)$" $rest; }`,
    location: `${FASTCGI_PARAMS} fastcgi_param SCRIPT_FILENAME ${programs}$cgi_path;
      fastcgi_pass unix:${socket}; fastcgi_max_temp_file_size 0;`,
  });
}
