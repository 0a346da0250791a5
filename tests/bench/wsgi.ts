/** WSGI: an inline hello against a bare `Deno.serve`. */
import { bareServe, portico } from "./contenders.ts";
import { compare, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

const APP = new URL("./hello_app.ts", import.meta.url).pathname;

export function wsgi({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  return compare([
    bareServe(),
    portico("Portico wsgi", () => `  - {path: /*, wsgi: ${APP}}`),
    portico("Portico respond", () => `  - {path: /*, respond: "Hello, world!"}`),
  ], { rounds, work: [{ connections: 16, seconds }] });
}
