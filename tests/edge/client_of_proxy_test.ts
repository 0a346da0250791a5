/** Who the client is, as origins behind `proxy` are told: one hop, however many there were. */
import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { withGateway } from "../support/gateway.ts";

type Row = readonly [
  what: string,
  fields: readonly (readonly [string, string])[],
  client: string,
  rest?: { readonly proto?: string; readonly host?: string },
];

const TRUSTED: readonly Row[] = [
  ["no field", [], "127.0.0.1"],
  ["hops", [["X-Forwarded-For", "1.1.1.1, 198.51.100.9, 10.0.0.3"]], "198.51.100.9"],
  ["IPv6", [["X-Forwarded-For", "2001:db8::9"]], "2001:db8::9"],
  ["Forwarded", [["Forwarded", 'for="[2001:db8::9]:1";proto=https;host=www.test']], "2001:db8::9", {
    ...{ proto: "https", host: "www.test" },
  }],
  ["a hidden node", [["Forwarded", "for=_hidden"]], "127.0.0.1"],
  [
    "contested fields",
    [["X-Forwarded-For", "198.51.100.9"], ["Forwarded", "for=1.1.1.1"]],
    "198.51.100.9",
  ],
  [
    "scheme and host",
    [
      ["X-Forwarded-For", "198.51.100.9"],
      ["X-Forwarded-Proto", "https"],
      ["X-Forwarded-Host", "www.test"],
    ],
    "198.51.100.9",
    { proto: "https", host: "www.test" },
  ],
];

const UNTRUSTED: readonly Row[] = [
  ["no field", [], "127.0.0.1"],
  ["every field", [
    ["X-Forwarded-For", "1.1.1.1"],
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "evil.test"],
    ["Forwarded", "for=1.1.1.1;host=evil.test"],
    ["X-Real-IP", "1.1.1.1"],
    ["CF-Connecting-IP", "1.1.1.1"],
    ["True-Client-IP", "1.1.1.1"],
  ], "127.0.0.1"],
];

for (const [trusted, rows] of [["127.0.0.1, 10.0.0.0/8", TRUSTED], ["", UNTRUSTED]] as const) {
  Deno.test(`proxy tells origins who the client is, of proxies [${trusted}]`, async () => {
    await using origin = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      ({ headers }) => Response.json(Object.fromEntries(headers)),
    );
    const table = `server:\n  trustedProxies: [${trusted}]\nroutes:\n` +
      `  - {path: /*, proxy: "http://127.0.0.1:${origin.addr.port}"}\n`;
    await withGateway(table, async ({ port }) => {
      for (const [what, headers, client, { proto = "http", host = "own.test" } = {}] of rows) {
        const { text } = await ask(port, { target: "/", host: "own.test", headers });
        const told = JSON.parse(text);
        const node = client.includes(":") ? `"[${client}]"` : client;
        assert.equal(told["x-forwarded-for"], client, what);
        assert.equal(told["x-forwarded-proto"], proto, what);
        assert.equal(told["x-forwarded-host"], host, what);
        assert.equal(told["forwarded"], `for=${node};host=${host};proto=${proto}`, what);
        for (const name of ["x-real-ip", "cf-connecting-ip", "true-client-ip"]) {
          assert.equal(told[name], undefined, what);
        }
      }
    });
  });
}
