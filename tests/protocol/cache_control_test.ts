/** Directives for caches, in the lenient form and in the strict one. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  instructionsOf,
  parseCacheControl,
  parseTargeted,
  seconds,
} from "../../lib/protocol/cache_control.ts";

Deno.test("parseCacheControl() reads directives in any form that occurs", () => {
  const rows: [field: string, directives: Record<string, string | true>][] = [
    ["max-age=60", { "max-age": "60" }],
    ["Max-Age=60, PUBLIC", { "max-age": "60", public: true }],
    ['max-age="60"', { "max-age": "60" }],
    ['private="a, b", no-cache', { private: "a, b", "no-cache": true }],
    ['x="a \\"max-age=1\\" b", max-age=5', { x: 'a "max-age=1" b', "max-age": "5" }],
    ["no-store,,  ,max-age=1,", { "no-store": true, "max-age": "1" }],
    ["max-age = 7", { "max-age": "7" }],
    // Of two that differ the one that allows less.
    ["max-age=60, max-age=10", { "max-age": "10" }],
    ["max-age=10, max-age=60", { "max-age": "10" }],
    ["max-age=10, max-age=soon", { "max-age": "soon" }],
    ["@@@, no-store", { "no-store": true }],
    ["", {}],
  ];
  for (const [field, directives] of rows) {
    assert.deepEqual(Object.fromEntries(parseCacheControl(field)), directives, field);
  }
});

Deno.test("parseCacheControl() takes any field, and finds what stands at its end", () => {
  const text = fc.string({ maxLength: 40 }).filter((field) => !/["\\]/.test(field));
  fc.assert(fc.property(text, (field) => {
    assert.ok(parseCacheControl(`${field}, no-store`).has("no-store"));
  }));
});

Deno.test("seconds() takes nothing but a whole number, and no more than there is", () => {
  const rows: [value: string | true | undefined, expected: number][] = [
    ["60", 60],
    ["0", 0],
    ["99999999999999999999", 2 ** 31],
    ["-1", 0],
    ["1.5", 0],
    ["60a", 0],
    ["", 0],
    [true, 0],
    [undefined, 0],
  ];
  for (const [value, expected] of rows) assert.equal(seconds(value), expected, String(value));
});

Deno.test("parseTargeted() reads a dictionary, and nothing that is none", () => {
  const rows: [field: string | undefined, directives: Record<string, string | true> | undefined][] =
    [
      ["max-age=60", { "max-age": "60" }],
      ["max-age=60, no-store", { "max-age": "60", "no-store": true }],
      ["no-store=?1, private=?0", { "no-store": true }],
      ["max-age=60;ext=1, x=token", { "max-age": "60", x: "token" }],
      ['x="a, b"', { x: "a, b" }],
      [undefined, undefined],
      ["  ", undefined],
      ['max-age="60"', undefined],
      ["max-age", undefined],
      ["Max-Age=60", undefined],
      ["max-age=60,", undefined],
      ["max-age=60 no-store", undefined],
      ["&&&", undefined],
    ];
  for (const [field, directives] of rows) {
    const read = parseTargeted(field);
    assert.deepEqual(read && Object.fromEntries(read), directives, field);
  }
});

Deno.test("instructionsOf() believes the targeted field alone where it can be read", () => {
  const both = (targeted: string) =>
    instructionsOf([["Cache-Control", "no-store"], ["CDN-Cache-Control", targeted]]);
  assert.deepEqual([...both("max-age=9").directives.keys()], ["max-age"]);
  assert.ok(both("max-age=9").isTargeted);
  assert.deepEqual([...both("&&&").directives.keys()], ["no-store"]);
});
