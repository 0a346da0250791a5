/**
 * Many cores: a handler that computes for a millisecond a request, in one worker and in two. With two free
 * cores the second worker brings nearly as much as the first.
 */
import { portico, withTwoWorkers } from "../peers/portico.ts";
import type { Suite } from "../model.ts";
import { rate } from "./works.ts";

const APP = new URL("../programs/busy_app.ts", import.meta.url).pathname;
/** A line with a number, always the same. */
const BYTES = 11;

export const workers: Suite = {
  name: "workers",
  title: "Many cores",
  plan() {
    const busy = `  - {path: /*, wsgi: ${APP}}`;
    return Promise.resolve({
      contenders: [
        portico(busy),
        ...withTwoWorkers(portico(busy, { name: "Portico, 2 workers", workers: 2 })),
      ],
      works: rate("a millisecond's work", "/", BYTES, [32]),
    });
  },
};
