/** Cache hits: FastCGI replies out of nginx's fastcgi_cache and out of Portico's cache. */
import { behind } from "../peers/behind.ts";
import { FASTCGI_PARAMS, nginx } from "../peers/nginx.ts";
import { portico } from "../peers/portico.ts";
import { fastcgiProgram } from "../peers/programs.ts";
import type { Contender, Suite } from "../model.ts";
import { HELLO_BYTES, PAGE_BYTES, rate } from "./works.ts";

export const cache: Suite = {
  name: "cache",
  title: "Cache hit",
  async plan(folder) {
    const program = await fastcgiProgram(folder, 4);
    return {
      contenders: [
        behind(program, { name: "nginx fastcgi_cache", server: nginxCache }),
        behind(program, { name: "Portico", server: (socket) => portico(route(socket)) }),
      ],
      works: [
        ...rate("hello", "/", HELLO_BYTES, [1, 16, 64]),
        ...rate("10 KiB page", `/?${PAGE_BYTES}`, PAGE_BYTES, [16]),
      ],
    };
  },
};

function route(socket: string): string {
  return `  - {path: /*, fastcgi: {connect: "unix:${socket}"}, cache: {defaultTtl: 1h}}`;
}

function nginxCache(socket: string): Contender {
  return nginx({
    name: "nginx",
    http: (folder) =>
      `fastcgi_cache_path ${folder}/store keys_zone=hello:8m max_size=64m use_temp_path=off;`,
    location: `${FASTCGI_PARAMS} fastcgi_pass unix:${socket};
      fastcgi_cache hello; fastcgi_cache_valid 200 1h; fastcgi_cache_lock on;
      fastcgi_cache_key $scheme$host$request_uri; ${OPEN_FILE_CACHE}`,
  });
}

/** Its copies lie in files; this keeps them open. */
const OPEN_FILE_CACHE = "open_file_cache max=1000 inactive=60s; open_file_cache_valid 30s;";
