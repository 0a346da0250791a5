import assert from "node:assert/strict";
import fc from "fast-check";
import { chooseCoding } from "../../lib/protocol/accept_encoding.ts";

const ALL = ["br", "zstd", "gzip"] as const;

Deno.test("chooseCoding() takes the weightiest, and among equals the server's first (RFC 9110 §12.5.3)", () => {
  const rows: [field: string | null, chosen: string | undefined][] = [
    [null, undefined],
    ["", undefined],
    ["gzip", "gzip"],
    ["gzip, deflate, br, zstd", "br"],
    ["gzip, zstd", "zstd"],
    ["GZip", "gzip"],
    ["x-gzip", "gzip"],
    ["deflate", undefined],
    ["br;q=0.2, gzip;q=0.8", "gzip"],
    ["br;q=0.200 , gzip ; q=0.8", "gzip"],
    ["br;Q=0.2,gzip", "gzip"],
    ["br;q=0, gzip;q=0", undefined],
    ["*", "br"],
    ["*;q=0.5, br;q=0", "zstd"],
    ["*;q=0", undefined],
    ["identity", undefined],
    ["identity, gzip", "gzip"],
    ["identity;q=0.5, gzip;q=0.2", undefined],
    ["identity;q=0, gzip;q=0.1", "gzip"],
    ["gzip;q=0.1", "gzip"],
    // What cannot be read asks for nothing.
    ["gzip;q=2", undefined],
    ["gzip;q=0.1234", undefined],
    ["gzip;level=9", undefined],
    ["gz ip, br", "br"],
    [",,br,,", "br"],
  ];
  for (const [field, chosen] of rows) assert.equal(chooseCoding(field, ALL), chosen, String(field));
  assert.equal(chooseCoding("br, gzip;q=0.5", ["gzip"]), "gzip");
  assert.equal(chooseCoding("br", []), undefined);
});

Deno.test("chooseCoding() never gives what is not at hand or not wanted, whatever it reads", () => {
  const coding = fc.constantFrom(
    "br",
    "gzip",
    "x-gzip",
    "zstd",
    "identity",
    "*",
    "deflate",
    "g z",
    "",
  );
  const weight = fc.constantFrom("", ";q=0", ";q=0.0", ";q=1", ";q=0.5", "; q=0.25", ";q=x", ";");
  const field = fc.array(fc.tuple(coding, weight).map((pair) => pair.join("")), { maxLength: 6 })
    .map((elements) => elements.join(", "));
  fc.assert(fc.property(field, fc.subarray([...ALL]), (field, available) => {
    const chosen = chooseCoding(field, available);
    if (chosen === undefined) return;
    assert.ok(available.includes(chosen));
    assert.match(field, new RegExp(`\\b${chosen}\\b|\\*`));
  }));
});
