/** What a cache does to fields. */
import assert from "node:assert/strict";
import {
  changedUrls,
  comparable,
  confirms,
  freshenedFields,
  keptFields,
  tagsOf,
  validatingFields,
  varyNames,
  withStatus,
} from "../../lib/protocol/cache_answer.ts";

Deno.test("keptFields() leaves out what is told anew, and dates what nobody has dated", () => {
  assert.deepEqual(keptFields([["X", "1"], ["Age", "5"], ["Content-Length", "9"]], 0), [[
    "X",
    "1",
  ]]);
  assert.deepEqual(keptFields([["Expires", "then"]], 0), [
    ["Expires", "then"],
    ["date", "Thu, 01 Jan 1970 00:00:00 GMT"],
  ]);
  assert.deepEqual(keptFields([["Date", "now"], ["Expires", "then"]], 0), [
    ["Date", "now"],
    ["Expires", "then"],
  ]);
});

Deno.test("freshenedFields() takes what a 304 says, but for what the body says (RFC 9111 §3.2)", () => {
  const stored: [string, string][] = [["X", "old"], ["Y", "kept"], ["Content-Type", "a/b"]];
  const news: [string, string][] = [["x", "new"], ["content-type", "c/d"], ["Content-Length", "0"]];
  assert.deepEqual(freshenedFields(stored, news), [["Y", "kept"], ["Content-Type", "a/b"], [
    "x",
    "new",
  ]]);
});

Deno.test("confirms() compares tags weakly, and takes a 304 without one", () => {
  assert.ok(confirms([], [["etag", '"a"']]));
  assert.ok(confirms([["ETag", 'W/"a"']], [["etag", '"a"']]));
  assert.ok(!confirms([["ETag", '"b"']], [["etag", '"a"']]));
});

Deno.test("validatingFields() asks by whatever validator there is", () => {
  assert.equal(validatingFields([["X", "1"]]), undefined);
  assert.deepEqual(validatingFields([["ETag", '"a"'], ["Last-Modified", "then"]]), [
    ["if-none-match", '"a"'],
    ["if-modified-since", "then"],
  ]);
});

Deno.test("varyNames() and comparable() make requests comparable", () => {
  assert.deepEqual(varyNames([["Vary", "B, a"], ["vary", "b"]]), ["a", "b"]);
  assert.equal(comparable(null), "");
  assert.equal(comparable(" de , en;q=0.5,  fr "), "de,en;q=0.5,fr");
});

Deno.test("tagsOf() reads Surrogate-Key and Cache-Tag", () => {
  assert.deepEqual(tagsOf([["Surrogate-Key", "a b  c"], ["Cache-Tag", "d e, a ,,f"]]), [
    "a",
    "b",
    "c",
    "d e",
    "f",
  ]);
  assert.deepEqual(tagsOf([]), []);
});

Deno.test("withStatus() stands behind the caches nearer to the program (RFC 9211 §2)", () => {
  assert.deepEqual(withStatus([], "hit"), [["cache-status", "portico; hit"]]);
  assert.deepEqual(withStatus([["Cache-Status", "inner; fwd=miss"]], "hit"), [
    ["cache-status", "inner; fwd=miss, portico; hit"],
  ]);
});

Deno.test("changedUrls() names what an unsafe method may have changed, on the same origin", () => {
  const rows: [name: string, value: string, changed: string[]][] = [
    ["Location", "/b", ["http://a.example/b"]],
    ["Content-Location", "c?d#e", ["http://a.example/x/c?d"]],
    ["Location", "http://a.example/b", ["http://a.example/b"]],
    ["Location", "https://a.example/b", []],
    ["Location", "http://b.example/b", []],
    ["Location", "http://[", []],
  ];
  for (const [name, value, changed] of rows) {
    assert.deepEqual(changedUrls("http://a.example/x/y", [[name, value]]), changed, value);
  }
});
