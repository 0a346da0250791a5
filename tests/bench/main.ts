/**
 * `deno task bench [SUITE…] [--rounds N] [--seconds N] [--large] [--json]`: the suites side by side, as tables.
 */
import { parseArgs } from "node:util";
import { type Row, table } from "./harness.ts";
import { cache } from "./cache.ts";
import { cgi } from "./cgi.ts";
import { fastcgi } from "./fastcgi.ts";
import { python } from "./python.ts";
import { php } from "./php.ts";
import { proxy } from "./proxy.ts";
import { statics } from "./static.ts";
import { uwsgi } from "./uwsgi.ts";
import { wsgi } from "./wsgi.ts";

export interface SuiteOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Bodies of 1 GiB rather than 256 MiB. */
  readonly large: boolean;
}

const SUITES: Readonly<Record<string, (options: SuiteOptions) => Promise<Row[]>>> = {
  wsgi,
  cgi,
  cache,
  fastcgi,
  uwsgi,
  php,
  proxy,
  static: statics,
  python,
};

const { values, positionals } = parseArgs({
  args: [...Deno.args],
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    large: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const options = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  large: values.large,
};
for (const name of positionals.length > 0 ? positionals : Object.keys(SUITES)) {
  const suite = SUITES[name];
  if (suite === undefined) {
    throw new Error(`Unknown suite "${name}": ${Object.keys(SUITES).join(", ")}`);
  }
  const rows = await suite(options);
  const text = values.json ? JSON.stringify({ suite: name, rows }) : table(name, rows);
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}
