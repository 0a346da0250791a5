/** From the command to the first answer. */
import { caddy } from "../peers/caddy.ts";
import { nginx } from "../peers/nginx.ts";
import { bareServe, portico } from "../peers/portico.ts";
import type { Suite } from "../model.ts";
import { HELLO_BYTES } from "./works.ts";

export const start: Suite = {
  name: "start",
  title: "Start to first answer",
  plan: () =>
    Promise.resolve({
      contenders: [
        bareServe(),
        nginx({ name: "nginx", location: `return 200 "Hello, world!\\n";` }),
        caddy(`respond "Hello, world!\n"`),
        portico(`  - {path: /*, respond: "Hello, world!\\n"}`),
      ],
      works: [{ type: "start", label: "start", path: "/", bytes: HELLO_BYTES, connections: 1 }],
    }),
};
