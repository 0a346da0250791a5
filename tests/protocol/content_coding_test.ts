/** Which replies are compressed, and what that does to their fields. */
import assert from "node:assert/strict";
import { encoded, isCompressible, notModified } from "../../lib/protocol/content_coding.ts";

Deno.test("isCompressible() takes text and what is like text", () => {
  const rows: [type: string | undefined, right: boolean][] = [
    ["text/html; charset=utf-8", true],
    ["text/event-stream", true],
    ["application/json", true],
    ["application/ld+json; profile=x", true],
    ["application/javascript", true],
    ["application/x-ndjson", true],
    ["application/wasm", true],
    ["image/svg+xml", true],
    ["font/ttf", true],
    ["image/png", false],
    ["font/woff2", false],
    ["video/mp4", false],
    ["application/zip", false],
    ["application/octet-stream", false],
    ["application/jsonish", false],
    [undefined, false],
  ];
  for (const [type, right] of rows) {
    const headers: [string, string][] = type === undefined ? [] : [["Content-Type", type]];
    assert.equal(isCompressible(200, headers), right, type);
  }
});

Deno.test("isCompressible() leaves alone what is short, a part, encoded or not to be transformed", () => {
  const text: [string, string] = ["Content-Type", "text/plain"];
  const rows: [status: number, field: [string, string]][] = [
    [200, ["Content-Length", "1023"]],
    [200, ["Content-Encoding", "br"]],
    [206, ["X", "1"]],
    [416, ["Content-Range", "bytes */5"]],
    [200, ["Cache-Control", "public, No-Transform"]],
    [204, ["X", "1"]],
    [304, ["X", "1"]],
  ];
  for (const [status, field] of rows) {
    assert.ok(!isCompressible(status, [text, field]), field.join());
  }
  assert.ok(isCompressible(200, [text, ["Content-Length", "1024"]]));
  assert.ok(!isCompressible(200, [text], 100));
  assert.ok(isCompressible(404, [text]));
});

Deno.test("encoded() tells of other bytes, and of nothing that was true of the first ones", () => {
  const headers: [string, string][] = [
    ["Content-Type", "text/plain"],
    ["ETag", '"a"'],
    ["Vary", "Cookie"],
    ["Content-Length", "5000"],
    ["Accept-Ranges", "bytes"],
    ["Content-Digest", "sha-256=:AAAA:"],
  ];
  assert.deepEqual(encoded(headers, "br"), [
    ["Content-Type", "text/plain"],
    ["ETag", 'W/"a"'],
    ["vary", "Cookie, Accept-Encoding"],
    ["content-encoding", "br"],
  ]);
});

Deno.test("notModified() tells whoever has the compressed reply the tag that it bears", () => {
  const headers: [string, string][] = [["etag", '"a"']];
  const asked = (tags: string) => new Headers({ "if-none-match": tags });
  const vary = ["vary", "Accept-Encoding"];
  assert.deepEqual(notModified(headers, asked('W/"a"')), [["etag", 'W/"a"'], vary]);
  assert.deepEqual(notModified(headers, asked('"a"')), [["etag", '"a"'], vary]);
  assert.deepEqual(notModified([], new Headers()), [vary]);
});
