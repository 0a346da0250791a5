/** What the table says of the edge: `tls`, `clientIpHeader`, `originSecret`, `auth`; and what it needs. */
import assert from "node:assert/strict";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { needsOf } from "../../lib/permissions.ts";
import * as kinds from "../support/fake_kinds.ts";
import { accepts } from "../support/json_schema.ts";

function parse(server: string, route = "") {
  const text = `server: {${server}}\nroutes: [{path: /, respond: hi${route}}]`;
  return parseTable(text, { file: "routes.yaml", folder: "/srv/app" }, kinds);
}

function faultsOf(server: string, route = ""): readonly string[] {
  try {
    parse(server, route);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

const TLS = "tls: {cert: c.pem, key: /etc/k.pem}";

Deno.test("parseTable() reads what each address speaks, and the certificate", () => {
  const { server } = parse(
    `listen: [":443", "http://127.0.0.1:8080", "https://[::1]:8443", "unix:g.sock"], ` +
      `tls: {cert: c.pem, key: /etc/k.pem, redirect: ":80", hsts: {maxAge: 365d, preload: false}}`,
  );
  const tcp = (hostname: string, port: number) => ({ transport: "tcp", hostname, port });
  assert.deepEqual(server.listen, [
    tcp("0.0.0.0", 443),
    { ...tcp("127.0.0.1", 8080), scheme: "http" },
    { ...tcp("::1", 8443), scheme: "https" },
    { transport: "unix", path: "/srv/app/g.sock" },
    { ...tcp("0.0.0.0", 80), scheme: "http", redirects: true },
  ]);
  const tls = { cert: "/srv/app/c.pem", key: "/etc/k.pem", hsts: "max-age=31536000" };
  assert.deepEqual(server.tls, tls);
});

Deno.test("parseTable() reads the CDN's fields", () => {
  const { server } = parse(
    "trustedProxies: [unix], clientIpHeader: True-Client-IP, originSecret: {header: X-Key, env: KEY, except: [unix]}",
  );
  assert.equal(server.clientIpHeader, "True-Client-IP");
  assert.deepEqual(server.originSecret, { header: "X-Key", env: "KEY", except: ["unix"] });
});

Deno.test("parseTable() reads who may use a route", () => {
  const authOf = (auth: string) => parse("", `, auth: ${auth}`).routes[0]?.options.auth;
  assert.deepEqual(authOf("{basic: ./users}"), { basic: { file: "./users", realm: "Restricted" } });
  assert.deepEqual(authOf("{basic: {file: u, realm: Staff}}"), {
    basic: { file: "u", realm: "Staff" },
  });
});

const AN_AGE = "write 365d, 24h, 10m or 30s";

/** Faults of the server, each at its place. */
const SERVER: readonly (readonly [text: string, ...faults: string[]])[] = [
  [
    'listen: [":80", "https://:443"]',
    '1:26: Cannot speak https without a certificate: write "tls" too',
  ],
  [
    'listen: "https://:443"',
    '1:18: Cannot speak https without a certificate: write "tls" too',
  ],
  [
    `listen: ["http://:80", "unix:a"], ${TLS}`,
    "1:44: Cannot use a certificate where no address speaks https: add one to listen",
  ],
  [
    'listen: "https://unix:a"',
    '1:18: Cannot read "https://unix:a" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  ['listen: ["http://:80", ":80"]', '1:33: Cannot list "0.0.0.0:80" twice: keep one'],
  ["tls: {cert: c.pem}", '1:10: Missing key "key": write it here'],
  ["tls: c.pem", '1:15: Cannot read "c.pem" as a map of fields: write field: value'],
  [
    'listen: ":80", tls: {cert: c, key: k, redirect: ":80"}',
    "1:58: Cannot listen there twice: it stands in listen too",
  ],
  [
    "tls: {cert: c, key: k, redirect: unix:a}",
    "1:43: Cannot redirect from there to https: write an address such as :80",
  ],
  [
    'tls: {cert: c, key: k, redirect: "https://:80"}',
    "1:43: Cannot redirect from there to https: write an address such as :80",
  ],
  ["tls: {cert: c, key: k, hsts: 1y}", `1:39: Cannot read "1y" as an age: ${AN_AGE}`],
  [
    "tls: {cert: c, key: k, hsts: {maxAge: 5}}",
    `1:48: Cannot read 5 as an age: ${AN_AGE}`,
  ],
  [
    "tls: {cert: c, key: k, hsts: {maxAge: 30d, preload: true}}",
    "1:39: Cannot preload without includeSubDomains: true and a maxAge of 365d or more",
  ],
  [
    "clientIpHeader: X Real IP",
    '1:26: Cannot read "X Real IP" as the name of a field: write one such as X-Origin-Secret',
  ],
  [
    "clientIpHeader: True-Client-IP",
    "1:10: Cannot believe a field of nobody: write trustedProxies too",
  ],
  ["originSecret: X-Key", '1:24: Cannot read "X-Key" as a map of fields: write field: value'],
  ["originSecret: {header: X-Key}", '1:10: Missing key "env": write it here'],
  [
    "originSecret: {header: 'X Key', env: A-B, except: [localhost]}",
    '1:33: Cannot read "X Key" as the name of a field: write one such as X-Origin-Secret',
    '1:47: Cannot read "A-B" as the name of a variable: write letters, digits and _',
    '1:61: Cannot read "localhost" as a trusted proxy: write an IP address, a network such as 10.0.0.0/8 or fd00::/8, or unix',
  ],
];

for (const [text, ...faults] of SERVER) {
  Deno.test(`parseTable() refuses server: {${text}}`, () => {
    assert.deepEqual(faultsOf(text), faults);
  });
}

const ROUTE: readonly (readonly [text: string, ...faults: string[]])[] = [
  ["auth: users", '2:39: Cannot read "users" as a map of fields: write field: value'],
  ["auth: {}", '2:33: Missing key "basic": write it here'],
  ["auth: {basic: ''}", "2:47: Cannot be empty: write some text"],
  ["auth: {basic: {realm: a}}", '2:40: Missing key "file": write it here'],
  [
    "auth: {basic: {file: a, realm: caf\u00e9}}",
    '2:64: Cannot read "caf\u00e9" as a realm: write a few words in ASCII',
  ],
  [
    "auth: {digest: a}",
    '2:33: Missing key "basic": write it here',
    '2:40: Unknown key "digest": the keys here are basic',
  ],
];

for (const [text, ...faults] of ROUTE) {
  Deno.test(`parseTable() refuses of a route ${text}`, () => {
    assert.deepEqual(faultsOf("", `, ${text}`), faults);
  });
}

Deno.test("needsOf() asks for certificate, key, secret and users, and for where to redirect from", () => {
  const table = parse(
    `tls: {cert: c.pem, key: /etc/k.pem, redirect: ":80"}, originSecret: {header: X-Key, env: KEY}`,
    ", auth: {basic: ./users}",
  );
  const needs = needsOf(table, table.server.listen, "/c.yaml").map(({ who, name, value }) =>
    `${who} ${name} ${value}`
  );
  const expected = [
    "server.listen net 127.0.0.1:8080",
    "server.listen net 0.0.0.0:80",
    "server.tls read /srv/app/c.pem",
    "server.tls read /etc/k.pem",
    "server.originSecret env KEY",
    'route "/" (respond) read /srv/app/users',
  ];
  assert.deepEqual(expected.filter((need) => !needs.includes(need)), []);
  assert.ok(needs.some((need) => /read .*\/lib\/io\/password_worker\.ts$/.test(need)));
});

Deno.test("buildJsonSchema() accepts of the edge what the check accepts", () => {
  const schema = JSON.parse(JSON.stringify(buildJsonSchema(kinds)));
  const servers: [server: unknown, right: boolean][] = [
    [{ listen: ["https://:443", "http://[::1]:80"], tls: { cert: "c", key: "k" } }, true],
    [{ listen: "ftp://:21" }, false],
    [{ tls: { cert: "c", key: "k", hsts: "365d", redirect: ":80" } }, true],
    [{ tls: { cert: "c", key: "k", hsts: { maxAge: "1d", preload: false } } }, true],
    [{ tls: { cert: "c", key: "k", hsts: "1y" } }, false],
    [{ tls: { cert: "c" } }, false],
    [{ clientIpHeader: "CF-Connecting-IP" }, true],
    [{ clientIpHeader: "a b" }, false],
    [{ originSecret: { header: "X", env: "E", except: ["10.0.0.0/8"] } }, true],
    [{ originSecret: { header: "X" } }, false],
  ];
  for (const [server, right] of servers) {
    const table = { server, routes: [{ path: "/", respond: "hi" }] };
    assert.equal(accepts(schema, table), right, JSON.stringify(server));
  }
  for (const [auth, right] of [[{ basic: "u" }, true], [{ basic: {} }, false], ["u", false]]) {
    const table = { routes: [{ path: "/", respond: "hi", auth }] };
    assert.equal(accepts(schema, table), right, JSON.stringify(auth));
  }
});
