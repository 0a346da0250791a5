/** server.listener and its limits: what is read, and what is refused where. */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError, formatFault } from "../../lib/errors.ts";
import * as kinds from "../support/fake_kinds.ts";

function parse(server: string) {
  const text = `server: {${server}}\nroutes: [{path: /, respond: hi}]\n`;
  return parseTable(text, { file: "r.yaml", folder: "/srv/app" }, kinds);
}

function faultsOf(server: string): readonly string[] {
  try {
    parse(server);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(formatFault);
    throw error;
  }
  return [];
}

Deno.test("parseTable() gives the Node-compatible listener its limits", () => {
  assert.equal(parse("").server.node, undefined);
  assert.equal(parse("listener: deno").server.node, undefined);
  assert.deepEqual(parse("listener: node").server.node, {
    headerTimeoutMs: 20_000,
    keepAliveTimeoutMs: 75_000,
    maxConnections: 0,
    maxRequestHead: 65_536,
  });
  const limits =
    "headerTimeout: 5s, keepAliveTimeout: 1m, maxConnections: 100, maxRequestHead: 8KiB";
  assert.deepEqual(parse(`listener: node, ${limits}`).server.node, {
    headerTimeoutMs: 5000,
    keepAliveTimeoutMs: 60_000,
    maxConnections: 100,
    maxRequestHead: 8192,
  });
});

Deno.test("parseTable() refuses limits that no listener keeps", () => {
  for (
    const limit of [
      "headerTimeout: 5s",
      "keepAliveTimeout: 5s",
      "maxConnections: 5",
      "maxRequestHead: 8KiB",
    ]
  ) {
    const [name] = limit.split(":");
    assert.deepEqual(faultsOf(limit), [
      `r.yaml:1:10: Cannot keep ${name} by this listener: write "listener: node" too`,
    ]);
  }
});

Deno.test("parseTable() refuses limits of nothing, and listeners that are none", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["headerTimeout: 0s", "41: Cannot do without headerTimeout: leave it out for its default"],
    [
      "keepAliveTimeout: 0s",
      "44: Cannot do without keepAliveTimeout: leave it out for its default",
    ],
    ["maxRequestHead: 0", "42: Cannot do without maxRequestHead: leave it out for its default"],
    ["maxRequestHead: 1GiB", "42: Cannot take a head of that size: write 16MiB or less"],
  ];
  for (const [limit, fault] of rows) {
    assert.deepEqual(faultsOf(`listener: node, ${limit}`), [`r.yaml:1:${fault}`]);
  }
  assert.match(faultsOf("listener: nginx").join(), /^r\.yaml:1:20: .*"deno" or "node"/);
  assert.match(faultsOf("listener: node, maxConnections: 0").join(), /whole number, 1 or more/);
});
