/** The route-wide options `conditional`, `compress` and `cache`: what the table makes of them. */
import assert from "node:assert/strict";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { flagsLine, needsOf } from "../../lib/permissions.ts";
import * as kinds from "../support/fake_kinds.ts";
import { accepts } from "../support/json_schema.ts";

function optionsOf(text: string) {
  const table = `routes: [{path: /, respond: hi${text}}]`;
  const [route] = parseTable(table, { file: "r.yaml", folder: "/srv" }, kinds).routes;
  assert.ok(route !== undefined);
  return route.options;
}

function faultsOf(text: string): string[] {
  try {
    optionsOf(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults.map(({ message }) => message);
  }
  return [];
}

const CACHE = {
  maxSize: 64 * 2 ** 20,
  maxEntry: 2 * 2 ** 20,
  defaultTtlMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  storeCookies: false,
  clientDirectives: false,
};

Deno.test("parseTable() leaves replies as they are by default, and where a layer is off", () => {
  for (const text of ["", ", conditional: false, compress: false, cache: false"]) {
    const options = optionsOf(text);
    for (const name of ["conditional", "compress", "cache"]) {
      assert.ok(!(name in options), name);
    }
  }
});

Deno.test("parseTable() reads conditional", () => {
  assert.deepEqual(optionsOf(", conditional: true").conditional, { etag: "own" });
  assert.deepEqual(optionsOf(", conditional: {etag: auto}").conditional, { etag: "auto" });
  assert.deepEqual(optionsOf(", conditional: {}").conditional, { etag: "own" });
});

Deno.test("parseTable() reads compress", () => {
  assert.deepEqual(optionsOf(", compress: true").compress, ["zstd", "br", "gzip"]);
  assert.deepEqual(optionsOf(", compress: [gzip, br]").compress, ["gzip", "br"]);
});

Deno.test("parseTable() reads cache", () => {
  assert.deepEqual(optionsOf(", cache: true").cache, CACHE);
  assert.deepEqual(optionsOf(", cache: {}").cache, CACHE);
  const long = "{maxSize: 1GiB, maxEntry: 1MiB, defaultTtl: 5s, staleWhileRevalidate: 1m, " +
    "staleIfError: 1h, storeCookies: true, clientDirectives: true}";
  assert.deepEqual(optionsOf(`, cache: ${long}`).cache, {
    maxSize: 2 ** 30,
    maxEntry: 2 ** 20,
    defaultTtlMs: 5000,
    staleWhileRevalidateMs: 60_000,
    staleIfErrorMs: 3_600_000,
    storeCookies: true,
    clientDirectives: true,
  });
});

Deno.test("parseTable() reads a cache's store", () => {
  const store = { dir: "/a", maxSize: 2 ** 30, maxEntry: 2 ** 26 };
  assert.deepEqual(optionsOf(", cache: {store: /a}").cache, { ...CACHE, store });
  assert.deepEqual(optionsOf(", cache: {store: {dir: /a}}").cache, { ...CACHE, store });
  assert.deepEqual(
    optionsOf(", cache: {store: {dir: a, maxSize: 2MiB, maxEntry: 1MiB}}").cache?.store,
    { dir: "a", maxSize: 2 ** 21, maxEntry: 2 ** 20 },
  );
});

Deno.test("parseTable() wants one size for one folder of copies", () => {
  const route = (dir: string, size: string) =>
    `  - {path: /, respond: hi, cache: {store: {dir: ${dir}, maxSize: ${size}}}}`;
  const read = (...routes: string[]) =>
    parseTable(`routes:\n${routes.join("\n")}`, { file: "r.yaml", folder: "/srv" }, kinds);
  read(route("a", "1GiB"), route("/srv/a/", "1GiB"), route("b", "2GiB"));
  assert.throws(
    () => read(route("a", "1GiB"), route("/srv/a/", "2GiB")),
    /3:\d+: Cannot give \/srv\/a\/ two sizes: write the same maxSize as on line 2/,
  );
});

Deno.test("needsOf() asks for a cache's folder", () => {
  const table = parseTable(
    "routes: [{path: /, respond: hi, cache: {store: copies}}]",
    { file: "r.yaml", folder: "/srv" },
    kinds,
  );
  const flags = flagsLine(needsOf(table, [], "/srv/r.yaml"));
  assert.match(flags, / --allow-read=\/srv\/r.yaml,\/srv\/copies --allow-write=\/srv\/copies /);
});

Deno.test("parseTable() says what is wrong with a layer", () => {
  const rows: [text: string, fault: RegExp][] = [
    [", conditional: {etag: weak}", /own or auto/],
    [", conditional: {tag: auto}", /Unknown key "tag"/],
    [", compress: []", /Cannot be empty/],
    [", compress: [gzip, gzip]", /gzip/],
    [", compress: [lzma]", /zstd or br or gzip/],
    [", cache: {maxSize: 1KiB, maxEntry: 2KiB}", /write maxEntry up to maxSize/],
    [", cache: {maxSize: 1KiB}", /write maxEntry up to maxSize/],
    [", cache: {defaultTtl: soon}", /Cannot read "soon" as a duration/],
    [", cache: {ttl: 5s}", /Unknown key "ttl"/],
    [", cache: {store: {maxSize: 1GiB}}", /Missing|dir/],
    [", cache: {store: 5}", /Cannot read 5/],
    [", cache: {store: ''}", /Cannot be empty/],
    [", cache: {store: {dir: a, maxSize: 1KiB}}", /write maxEntry up to maxSize/],
    [", cache: {store: {dir: a, size: 1KiB}}", /Unknown key "size"/],
  ];
  for (const [text, fault] of rows) assert.match(faultsOf(text).join("\n"), fault, text);
});

Deno.test("parseTable() says of a layer that is neither a switch nor a map what would be right", () => {
  assert.match(faultsOf(", conditional: yes please").join(), /true, false or a map/);
  assert.match(faultsOf(", compress: gzip").join(), /true, false or a list/);
  assert.match(faultsOf(", cache: 5s").join(), /true, false or a map/);
});

Deno.test("buildJsonSchema() accepts of the layers what the check accepts", () => {
  const schema = JSON.parse(JSON.stringify(buildJsonSchema(kinds)));
  const rows: [fields: Record<string, unknown>, right: boolean][] = [
    [{ conditional: true, compress: true, cache: true }, true],
    [{ conditional: { etag: "auto" }, compress: ["br"], cache: { maxSize: "1GiB" } }, true],
    [{ conditional: { etag: "weak" } }, false],
    [{ compress: ["lzma"] }, false],
    [{ compress: "gzip" }, false],
    [{ cache: { ttl: "5s" } }, false],
    [{ cache: "5s" }, false],
  ];
  for (const [fields, right] of rows) {
    const table = { routes: [{ path: "/", respond: "hi", ...fields }] };
    assert.equal(accepts(schema, table), right, JSON.stringify(fields));
  }
});
