/** `connect`, `balance`, `pool` and `authorize` as the table writes them: what they come to, their faults. */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { needsOf } from "../../lib/permissions.ts";

function parse(route: string) {
  const text = `routes:\n  - path: /\n    ${route}\n`;
  return parseTable(text, { file: "routes.yaml", folder: "/srv" }, kinds);
}

function faultsOf(route: string): readonly string[] {
  try {
    parse(route);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ message }) => message);
  }
  return [];
}

const FAULTS: Readonly<Record<string, string>> = {
  "connect: []": "Cannot be empty: write an address",
  "connect: nowhere":
    'Cannot read "nowhere" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  "connect: [a:1, nowhere]":
    'Cannot read "nowhere" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  "connect: {backup: true}": 'Missing key "address": write it here',
  "connect: [a:1, {address: b:0}]":
    'Cannot read "b:0" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  "connect: [{address: a:1, spare: true}]":
    'Unknown key "spare": the keys here are address, backup',
  "connect: [{address: a:1, backup: 1}]": "Cannot read 1 as a switch: write true or false",
  "connect: {address: a:1, backup: true}":
    "Cannot have nothing but backups: leave `backup` out of one",
  "connect: a:1, balance: random":
    'Cannot read "random" as a choice: write least-connections or round-robin',
  "connect: a:1, pool: {minIdle: 20}":
    "Cannot keep more in advance than at all: write a maxIdle of minIdle or more",
  "connect: a:1, pool: {minIdle: 1, maxIdle: 0}":
    "Cannot keep more in advance than at all: write a maxIdle of minIdle or more",
  "connect: a:1, pool: {maxRequests: 0}":
    "Cannot read 0 as a count: write a whole number, 1 or more",
  "connect: a:1, pool: {maxAge: soon}":
    'Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  "connect: a:1, pool: {retryWindow: 3}": "Cannot read 3 as a duration: write 500ms, 30s, 2m or 1h",
  "connect: a:1, pool: {multiplex: auto}": 'Cannot read "auto" as a switch: write true or false',
  "spawn: php-cgi, balance: round-robin":
    "Cannot choose how processes of Portico's own are balanced: leave out balance",
  "spawn: php-cgi, pool: {multiplex: true}":
    "Cannot multiplex to processes of Portico's own, whose requests are counted by connection: " +
    "leave out multiplex",
};

for (const [fields, fault] of Object.entries(FAULTS)) {
  Deno.test(`fastcgi: {${fields}} is a fault`, () => {
    assert.deepEqual(faultsOf(`fastcgi: {${fields}}`), [fault]);
  });
}

const AUTHORIZE_FAULTS: Readonly<Record<string, string>> = {
  "nowhere": 'Cannot read "nowhere" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  "{script: a.php}": 'Missing key "connect": write it here',
  "{connect: []}": "Cannot be empty: write an address",
  "{connect: a:1, timeout: 0s}": "Cannot be 0: write how long it may take",
  "{connect: a:1, role: x}":
    'Unknown key "role": the keys here are connect, script, env, timeout, connectTimeout',
  "{connect: a:1, env: {A-B: c}}":
    'Cannot read "A-B" as the name of a variable: write letters, digits and _',
};

for (const [value, fault] of Object.entries(AUTHORIZE_FAULTS)) {
  Deno.test(`authorize: ${value} is a fault`, () => {
    assert.deepEqual(faultsOf(`respond: hello\n    authorize: ${value}`), [fault]);
  });
}

Deno.test("connect is one address or many, plain or with what else there is to say", () => {
  const a = { transport: "tcp", hostname: "a", port: 1 };
  const b = { transport: "unix", path: "/b" };
  const rows: readonly (readonly [string, readonly object[]])[] = [
    ["a:1", [{ address: a, backup: false }]],
    ["{address: a:1}", [{ address: a, backup: false }]],
    ["[a:1, 'unix:/b']", [{ address: a, backup: false }, { address: b, backup: false }]],
    ["[a:1, {address: 'unix:/b', backup: true}]", [
      { address: a, backup: false },
      { address: b, backup: true },
    ]],
  ];
  for (const [text, expected] of rows) {
    const [route] = parse(`fastcgi: {connect: ${text}}`).routes;
    assert.deepEqual((route?.fields as { connect: unknown }).connect, expected, text);
  }
});

Deno.test("fastcgi names its backups where its target is shown", () => {
  const [route] = parse("fastcgi: {connect: [a:1, {address: b:2, backup: true}]}").routes;
  assert.equal(route?.kind.describe(route.fields), "a:1, b:2 (backup)");
});

Deno.test("authorize is an address, or all there is to say of an authorizer", () => {
  const address = { transport: "tcp", hostname: "a", port: 1 };
  const [short] = parse("respond: x\n    authorize: a:1").routes;
  assert.deepEqual(short?.options.authorize, {
    connect: [address],
    script: undefined,
    env: {},
    timeoutMs: 10_000,
    connectTimeoutMs: undefined,
  });
  const [long] = parse(
    "respond: x\n    authorize: {connect: [a:1], script: auth.php, env: {A: 1}, timeout: 2s}",
  ).routes;
  assert.deepEqual(long?.options.authorize, {
    connect: [address],
    script: "auth.php",
    env: { A: "1" },
    timeoutMs: 2000,
    connectTimeoutMs: undefined,
  });
});

Deno.test("authorize takes the permission to connect, for any kind", () => {
  const table = parse("respond: x\n    authorize: {connect: [a:1, 'unix:run/auth']}");
  const needs = needsOf(table, [], "/srv/routes.yaml")
    .filter(({ who }) => who.startsWith("route"))
    .map(({ name, value }) => `${name} ${value}`);
  assert.deepEqual(needs, [
    "net a:1",
    "net unix:/srv/run/auth",
    "read /srv/run/auth",
    "write /srv/run/auth",
  ]);
});
