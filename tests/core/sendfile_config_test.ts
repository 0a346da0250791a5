/** The route-wide option `sendfile`: what the table makes of it, what it needs, what editors accept. */
import assert from "node:assert/strict";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { needsOf } from "../../lib/permissions.ts";
import * as kinds from "../support/fake_kinds.ts";
import { accepts } from "../support/json_schema.ts";

function tableOf(sendfile: string) {
  const text = `routes: [{path: /, respond: hi${sendfile}}]`;
  return parseTable(text, { file: "routes.yaml", folder: "/srv/app" }, kinds);
}

Deno.test("parseTable() keeps the folders of sendfile as they are written", () => {
  const [route] = tableOf(", sendfile: {/protected/: ./files, /: /srv/all, /a b/ü/: x}").routes;
  const folders = { "/protected/": "./files", "/": "/srv/all", "/a b/ü/": "x" };
  assert.deepEqual(route?.options.sendfile, folders);
});

Deno.test("parseTable() opens no folder by default", () => {
  const [route] = tableOf("").routes;
  assert.ok(route !== undefined && !("sendfile" in route.options));
});

Deno.test("needsOf() asks to read each folder of sendfile", () => {
  const needs = needsOf(tableOf(", sendfile: {/a/: ./files, /b/: /srv/all}"), [], "/c.yaml");
  const own = needs.filter(({ reason }) => reason.includes("sendfile"));
  assert.deepEqual(own.map(({ who, name, value }) => [who, name, value]), [
    ['route "/" (respond)', "read", "/srv/app/files"],
    ['route "/" (respond)', "read", "/srv/all"],
  ]);
});

Deno.test("buildJsonSchema() accepts of sendfile what the check accepts", () => {
  const schema = JSON.parse(JSON.stringify(buildJsonSchema(kinds)));
  const rows: [sendfile: unknown, right: boolean][] = [
    [{ "/protected/": "./files" }, true],
    [{ "/": "files", "/a b/.c/": "/srv" }, true],
    [{}, false],
    [{ "/protected": "./files" }, false],
    [{ "/../": "./files" }, false],
    [{ "/a/": "" }, false],
    [{ "/a/": 5 }, false],
    ["./files", false],
  ];
  for (const [sendfile, right] of rows) {
    const table = { routes: [{ path: "/", respond: "hi", sendfile }] };
    assert.equal(accepts(schema, table), right, JSON.stringify(sendfile));
  }
});
