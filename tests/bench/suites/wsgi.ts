/** WSGI in TypeScript: inline, as a fetch handler, in a worker; against a bare `Deno.serve` and Python. */
import { bareServe, portico, withTwoWorkers } from "../peers/portico.ts";
import { gunicorn } from "../peers/python.ts";
import type { Suite } from "../model.ts";
import { among, HELLO_BYTES, rate } from "./works.ts";

const APP = new URL("../programs/hello_app.ts", import.meta.url).pathname;
const FETCH = `${APP}:fetching`;
const PYTHON = new URL("../../apps/python", import.meta.url).pathname;

export const wsgi: Suite = {
  name: "wsgi",
  title: "WSGI in TypeScript",
  plan() {
    const isolated = (app: string) => `  - {path: /*, wsgi: {app: "${app}", isolate: worker}}`;
    const inline = `  - {path: /*, wsgi: ${APP}}`;
    return Promise.resolve({
      contenders: [
        bareServe(),
        gunicorn("gunicorn, Python", { folder: PYTHON, module: "hello", processes: 1 }),
        portico(inline),
        portico(`  - {path: /*, wsgi: "${FETCH}"}`, { name: "Portico, fetch()" }),
        portico(isolated(APP), { name: "Portico, isolated" }),
        portico(isolated(FETCH), { name: "Portico, fetch(), isolated" }),
        portico(`  - {path: /*, respond: "Hello, world!\\n"}`, { name: "Portico, respond" }),
        ...withTwoWorkers(portico(inline, { name: "Portico, 2 workers", workers: 2 })),
      ],
      works: [
        ...rate("hello", "/", HELLO_BYTES, [16]),
        ...among(rate("hello", "/", HELLO_BYTES, [64, 256]), (name) => !name.includes("(")),
      ],
    });
  },
};
