/**
 * What RFC 9110, 9112 and 3986 ask of a server that gets these bytes, asked of both listeners and of nginx.
 * The rows that fail are held as they are: most of them are the parser's of the runtime.
 */
import assert from "node:assert/strict";
import { testWith } from "../support/needs.ts";
import { ALL } from "./standard/all.ts";
import { BY_DENO, BY_NGINX, BY_NODE } from "./standard/failing.ts";
import { failuresOf } from "./standard/play.ts";
import { nameOf } from "./standard/row.ts";
import { nginx, portico } from "./standard/servers.ts";

const LISTENERS = { deno: BY_DENO, node: BY_NODE } as const;

for (const listener of ["deno", "node"] as const) {
  const failing = LISTENERS[listener];
  Deno.test(`listener ${listener}: passes ${ALL.length - failing.length} of ${ALL.length} rows of the standards`, async () => {
    const failures = await failuresOf(ALL, new Set(failing), portico(listener));
    const told = [...failures].map(([name, { answers, seen }]) => `${name} => ${answers} ${seen}`);
    assert.deepEqual([...failures.keys()].sort(), [...failing].sort(), told.join("\n"));
  });
}

testWith(["nginx"], "either listener passes at least as many rows as nginx", async () => {
  const { size } = await failuresOf(ALL, new Set(BY_NGINX), nginx);
  for (const [listener, { length }] of Object.entries(LISTENERS)) {
    assert.ok(length <= size, `${listener} fails ${length}, nginx ${size}`);
  }
});

Deno.test("no two rows of the standards have one name", () => {
  const names = ALL.map(nameOf);
  assert.deepEqual([...new Set(names)], names);
  for (const name of [...BY_DENO, ...BY_NODE, ...BY_NGINX]) assert.ok(names.includes(name), name);
});
