/** What the table says of the admin listener, what it needs, and what no table may say. */
import assert from "node:assert/strict";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { needsOf } from "../../lib/permissions.ts";
import * as kinds from "../support/fake_kinds.ts";
import { accepts } from "../support/json_schema.ts";

function parse(admin: string, server = "") {
  const text = `server: {${server}}\nadmin: ${admin}\nroutes: [{path: /, respond: hi}]`;
  return parseTable(text, { file: "routes.yaml", folder: "/srv/app" }, kinds);
}

function faultsOf(admin: string, server = ""): readonly string[] {
  try {
    parse(admin, server);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

const tcp = (hostname: string, port: number) => ({ transport: "tcp", hostname, port });

Deno.test("parseTable() reads the admin listener and its token", () => {
  assert.equal(
    parseTable("routes: [{path: /, respond: a}]", { file: "f", folder: "/" }, kinds)
      .admin,
    undefined,
  );
  assert.deepEqual(parse("{listen: 127.0.0.1:9180}").admin, { listen: tcp("127.0.0.1", 9180) });
  assert.deepEqual(parse('{listen: "[::1]:9180"}').admin, { listen: tcp("::1", 9180) });
  assert.deepEqual(parse("{listen: localhost:0}").admin, { listen: tcp("localhost", 0) });
  assert.deepEqual(parse("{listen: unix:a.sock}").admin, {
    listen: { transport: "unix", path: "/srv/app/a.sock" },
  });
  assert.deepEqual(parse('{listen: ":9180", token: {env: TOKEN}}').admin, {
    listen: tcp("0.0.0.0", 9180),
    tokenEnv: "TOKEN",
  });
});

Deno.test("parseTable() reads drainDelay", () => {
  assert.equal(parse("{listen: localhost:1}", "drainDelay: 5s").server.drainDelayMs, 5000);
  assert.equal(parse("{listen: localhost:1}").server.drainDelayMs, 0);
});

const FOR_ALL =
  "Cannot listen there for everybody: write a loopback address, unix:/path, or a token";

for (
  const [admin, fault] of [
    ['{listen: ":9180"}', `2:17: ${FOR_ALL}`],
    ["{listen: 10.0.0.1:9180}", `2:17: ${FOR_ALL}`],
    ["{listen: example.org:9180}", `2:17: ${FOR_ALL}`],
    ['{listen: "[::]:9180"}', `2:17: ${FOR_ALL}`],
    [
      "{listen: https://127.0.0.1:9180}",
      "2:17: Cannot speak https there: write an address without https://",
    ],
    [
      "{listen: 127.0.0.1:8080}",
      "2:17: Cannot listen there twice: it stands in server.listen too",
    ],
    [
      "{listen: localhost:1, token: {env: A-B}}",
      '2:43: Cannot read "A-B" as the name of a variable: write letters, digits and _',
    ],
    [
      `{listen: "unix:/${"a".repeat(108)}"}`,
      "2:17: Cannot use a socket's path of 109 bytes: write one of 107 or fewer",
    ],
    [
      `{listen: "unix:${"a".repeat(100)}"}`,
      "2:17: Cannot use a socket's path of 109 bytes: write a shorter one",
    ],
  ] as const
) {
  Deno.test(`parseTable() refuses admin: ${admin.slice(0, 50)}`, () => {
    assert.deepEqual(faultsOf(admin), [fault]);
  });
}

Deno.test("parseTable() misses the address, and knows no other key", () => {
  assert.match(faultsOf("{}").join(), /^2:1: .*listen/);
  assert.match(faultsOf("{listen: localhost:1, port: 3}").join(), /^2:30: .*port/);
});

Deno.test("needsOf() asks for the address, and for the token's variable", () => {
  const needs = (admin: string) =>
    needsOf(parse(admin), [], "/srv/app/routes.yaml")
      .filter(({ who }) => who.startsWith("admin"))
      .map(({ who, name, value }) => `${who} ${name}=${value}`);
  assert.deepEqual(needs('{listen: ":9180", token: {env: TOKEN}}'), [
    "admin.listen net=0.0.0.0:9180",
    "admin.token env=TOKEN",
  ]);
  assert.deepEqual(needs("{listen: unix:/run/a.sock}"), [
    "admin.listen net=unix:/run/a.sock",
    "admin.listen read=/run/a.sock",
    "admin.listen write=/run/a.sock",
  ]);
});

Deno.test("the JSON Schema knows the admin section", () => {
  const schema = buildJsonSchema(kinds);
  const routes = [{ path: "/", respond: "hi" }];
  const admin = { listen: "127.0.0.1:9180", token: { env: "TOKEN" } };
  assert.ok(accepts(schema, { admin, routes }));
  assert.ok(!accepts(schema, { admin: { token: { env: "TOKEN" } }, routes }));
  assert.ok(!accepts(schema, { admin: { listen: "127.0.0.1:9180", port: 1 }, routes }));
});
