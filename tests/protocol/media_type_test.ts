import assert from "node:assert/strict";
import { mediaTypeOf } from "../../lib/protocol/media_type.ts";

const rows: [name: string, type: string][] = [
  ["/srv/index.html", "text/html; charset=utf-8"],
  ["a.HTML", "text/html; charset=utf-8"],
  ["a.css", "text/css; charset=utf-8"],
  ["a.mjs", "text/javascript; charset=utf-8"],
  ["a.txt", "text/plain; charset=utf-8"],
  ["a.json", "application/json"],
  ["a.xml", "application/xml"],
  ["a.svg", "image/svg+xml"],
  ["a b.pdf", "application/pdf"],
  ["a.tar.gz", "application/gzip"],
  ["a.woff2", "font/woff2"],
  ["a.unheard-of", "application/octet-stream"],
  ["README", "application/octet-stream"],
  ["/srv/v1.html/README", "application/octet-stream"],
  ["/srv/.html", "application/octet-stream"],
  [".css", "application/octet-stream"],
  ["a.", "application/octet-stream"],
  [`a.${"x".repeat(300)}`, "application/octet-stream"],
  ["constructor.constructor", "application/octet-stream"],
];

for (const [name, type] of rows) {
  Deno.test(`mediaTypeOf() ${JSON.stringify(name.slice(0, 30))}: ${type}`, () => {
    assert.equal(mediaTypeOf(name), type);
    assert.equal(mediaTypeOf(name), type, "asked again");
  });
}
