/** Files of three sizes, beside servers that send them by `sendfile`. */
import { apache } from "../peers/apache.ts";
import { caddy } from "../peers/caddy.ts";
import { lighttpd } from "../peers/lighttpd.ts";
import { nginx } from "../peers/nginx.ts";
import { portico, withTwoWorkers } from "../peers/portico.ts";
import type { Contender, Suite } from "../model.ts";
import { among, down, rate, sizeOf } from "./works.ts";

const SMALL = 2 ** 10;
const MIDDLE = 100 * 2 ** 10;
const LARGE = 100 * 2 ** 20;

/** The recommended cache of open files; without it nginx opens the file for each request, as we do. */
const OPEN_FILE_CACHE = "open_file_cache max=1000 inactive=60s; open_file_cache_valid 30s;";

export const statics: Suite = {
  name: "static",
  title: "Static files",
  async plan(folder) {
    const root = `${folder}/files`;
    await Deno.mkdir(root, { mode: 0o755 });
    for (const bytes of [SMALL, MIDDLE, LARGE]) {
      await Deno.writeFile(root + pathOf(bytes), new Uint8Array(bytes).fill(0x61));
    }
    const plain = (name: string) => !name.includes("workers");
    const work = (bytes: number, connections: readonly number[]) =>
      rate(sizeOf(bytes), pathOf(bytes), bytes, connections);
    return {
      contenders: contenders(root),
      works: [
        ...among(work(SMALL, [1, 16, 64]), plain),
        ...work(SMALL, [256]),
        ...among(work(MIDDLE, [16]), plain),
        ...work(MIDDLE, [64]),
        ...among([down(pathOf(LARGE), LARGE)], plain),
      ],
    };
  },
};

function pathOf(bytes: number): string {
  return `/${bytes}.txt`;
}

function contenders(root: string): readonly Contender[] {
  const location = `root ${root};`;
  const route = `  - {path: /*, static: ${root}}`;
  return [
    nginx({ name: "nginx", location }),
    nginx({ name: "nginx open_file_cache", location: `${location} ${OPEN_FILE_CACHE}` }),
    lighttpd({ root, lines: `mimetype.assign = (".txt" => "text/plain")` }),
    apache({
      modules: ["mime"],
      lines: `DocumentRoot ${root}\nTypesConfig /dev/null\nAddType text/plain .txt`,
    }),
    caddy(`root * ${root}\nfile_server`),
    portico(route),
    ...withTwoWorkers(
      nginx({ name: "nginx, 2 workers", location, workers: 2 }),
      portico(route, { name: "Portico, 2 workers", workers: 2 }),
    ),
  ];
}
