/** How the configuration names HTTP origins: what is read, and what is said of what cannot be. */
import assert from "node:assert/strict";
import * as v from "valibot";
import { originPool, origins, parseOrigin } from "../../lib/io/http_origin_fields.ts";
import { originBase, originPermissions } from "../../lib/io/http_origin_fields.ts";

const PLACE = { folder: "/srv", runDir: "/run", spoolDir: "/tmp" };

Deno.test("parseOrigin() reads scheme, host, port and prefix", () => {
  const rows = [
    ["http://127.0.0.1:3000", "127.0.0.1", 3000, false, "127.0.0.1:3000", ""],
    ["http://App.example.org", "App.example.org", 80, false, "app.example.org", ""],
    ["https://app.example.org/", "app.example.org", 443, true, "app.example.org", ""],
    ["https://[::1]:8443/a/b%20c/", "::1", 8443, true, "[::1]:8443", "/a/b%20c"],
    ["http://[::1]", "::1", 80, false, "[::1]", ""],
  ] as const;
  for (const [text, hostname, port, secure, host, prefix] of rows) {
    const origin = parseOrigin(text) ?? assert.fail(text);
    assert.deepEqual(origin.address, { transport: "tcp", hostname, port });
    assert.deepEqual([origin.secure, origin.host, origin.prefix], [secure, host, prefix], text);
  }
  assert.deepEqual(parseOrigin("unix:run/app.sock")?.address, {
    transport: "unix",
    path: "run/app.sock",
  });
});

Deno.test("parseOrigin() refuses what it could not send or reach as written", () => {
  const rows = [
    "",
    "127.0.0.1:3000",
    "//host",
    "ftp://host",
    "http://",
    "http://:80",
    "http://host:0",
    "http://host:99999",
    "http://user@host/",
    "http://host/?q",
    "http://host/#f",
    "http://host/a b",
    "http://host/a/../b",
    "http://host/./b",
    "http://host/a//b",
    "http://host/%zz",
    "http://300.1.1.1/",
    "http://[::1::2]/",
    "unix:",
    "HTTP://host",
  ];
  for (const text of rows) assert.equal(parseOrigin(text), undefined, text);
});

function faultsOf(schema: v.GenericSchema, input: unknown): string[] {
  return v.safeParse(schema, input).issues?.map(({ message }) => message) ?? [];
}

Deno.test("origins takes one, a list and backups, and says what is wrong with others", () => {
  const long = `unix:/${"a".repeat(120)}`;
  assert.equal(v.parse(origins, "http://a").length, 1);
  const [, second] = v.parse(origins, ["http://a", { address: "http://b", backup: true }]);
  assert.deepEqual([second?.name, second?.backup], ["http://b", true]);
  const right = ': write "http://host:port", "https://host" or "unix:/path", perhaps with a path ' +
    "behind the host";
  assert.deepEqual(faultsOf(origins, "localhost:3000"), [
    `Cannot read "localhost:3000" as an origin${right}`,
  ]);
  assert.deepEqual(faultsOf(origins, ["http://a", "b"]), [`Cannot read "b" as an origin${right}`]);
  assert.deepEqual(faultsOf(origins, ["http://a", 7]), [`Cannot read 7 as an origin${right}`]);
  assert.deepEqual(faultsOf(origins, []), ["Cannot be empty: write an origin"]);
  assert.deepEqual(faultsOf(origins, { address: "http://a", backup: true }), [
    "Cannot have nothing but backups: leave `backup` out of one",
  ]);
  assert.deepEqual(faultsOf(origins, { address: "http://a", backups: true }), [
    'Unknown key "backups": did you mean "backup"?',
  ]);
  assert.deepEqual(faultsOf(origins, long), [
    "Cannot use a socket's path of 121 bytes: write one of 107 or fewer",
  ]);
  assert.deepEqual(faultsOf(originPool, { maxIdle: -1 }), [
    "Cannot read -1 as a count: write a whole number, 0 or more",
  ]);
});

Deno.test("originPermissions() asks for the connection, and for a socket's file", () => {
  const asked = originPermissions(v.parse(origins, ["https://a", "unix:x.sock"]), PLACE);
  assert.deepEqual(asked.map(({ name, value }) => `${name} ${value}`), [
    "net a:443",
    "net unix:/srv/x.sock",
    "read /srv/x.sock",
    "write /srv/x.sock",
  ]);
});

Deno.test("originBase() is how an origin names itself", () => {
  const rows = [
    ["http://a:80/x", "http://a"],
    ["http://A:8080", "http://a:8080"],
    ["https://a:443", "https://a"],
    ["https://a:80", "https://a:80"],
    ["http://[::1]:80", "http://[::1]"],
    ["unix:/x", "http://localhost"],
  ];
  for (const [text = "", base] of rows) {
    assert.equal(originBase(parseOrigin(text) ?? assert.fail(text)), base);
  }
});
