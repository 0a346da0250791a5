/** WSGI in TypeScript: inline, as a fetch handler, and in a worker, against a bare `Deno.serve`. */
import { bareServe, portico } from "./contenders.ts";
import { compare, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

const APP = new URL("./hello_app.ts", import.meta.url).pathname;
const FETCH = `${APP}:fetching`;

export function wsgi({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const isolated = (app: string) => `  - {path: /*, wsgi: {app: "${app}", isolate: worker}}`;
  return compare([
    bareServe(),
    portico("Portico wsgi", () => `  - {path: /*, wsgi: ${APP}}`),
    portico("Portico wsgi, fetch()", () => `  - {path: /*, wsgi: "${FETCH}"}`),
    portico("Portico wsgi, isolated", () => isolated(APP)),
    portico("Portico wsgi, fetch(), isolated", () => isolated(FETCH)),
    portico("Portico respond", () => `  - {path: /*, respond: "Hello, world!"}`),
  ], { rounds, work: [{ connections: 16, seconds }] });
}
