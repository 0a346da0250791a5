/**
 * A corpus of raw HTTP/1 requests: whatever is sent, what comes of it is what the tables say, the connection
 * goes on or ends as they say, and nothing reaches the application that they do not name. Where the
 * runtime's own parser decides, the tables hold what it does; README.md, "Security", says what follows.
 */
import assert from "node:assert/strict";
import { CHUNKS, FRAMING } from "./requests/framing.ts";
import { FIELDS } from "./requests/fields.ts";
import type { Row } from "./requests/row.ts";
import { HOSTS, METHODS, TARGETS } from "./requests/targets.ts";
import { withScene } from "./wire.ts";

const TABLES: Readonly<Record<string, readonly Row[]>> = {
  "bodies and their framing": FRAMING,
  "bodies in chunks": CHUNKS,
  targets: TARGETS,
  hosts: HOSTS,
  "methods, versions and what is no request": METHODS,
  "header fields": FIELDS,
};

for (const [name, rows] of Object.entries(TABLES)) {
  Deno.test(`${rows.length} raw requests: ${name}`, async () => {
    await withScene(async ({ gateway, send, taken }) => {
      for (const [what, sends, answers, ...seen] of rows) {
        const outcome = await send(sends, { answers, seen });
        assert.deepEqual([outcome.answers, ...outcome.seen], [answers, ...seen], what);
        assert.ok(!outcome.text.includes("SECRET"), what);
      }
      // Whatever came before: a second connection is served as ever.
      const after = await send("", { answers: "+", seen: [] });
      assert.deepEqual([after.answers, ...after.seen], ["+"]);
      assert.deepEqual(await taken(), [], "nothing reaches the application later on");
      assert.doesNotMatch(await gateway.log(), /"failure":"internal"|Unhandled|at file:/);
    });
  });
}

Deno.test("the corpus has 300 raw requests and more, no two alike", () => {
  const rows = Object.values(TABLES).flat();
  assert.ok(rows.length >= 400, `${rows.length}`);
  assert.equal(new Set(rows.map(([what, sends]) => what + sends)).size, rows.length);
});
