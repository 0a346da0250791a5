/** nginx's language: words, quotes, comments, blocks; and what is refused, at its place. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError } from "../../lib/errors.ts";
import { type Directive, parseNginx } from "../../lib/import/nginx_syntax.ts";

type Bare = readonly [string, readonly string[], (readonly Bare[])?];

function bare(directives: readonly Directive[]): readonly Bare[] {
  return directives.map(({ name, args, block }): Bare =>
    block === undefined ? [name, args] : [name, args, bare(block)]
  );
}

const read = (text: string) => bare(parseNginx(text, "nginx.conf"));

Deno.test("parseNginx() reads words as nginx does", () => {
  const cases: readonly (readonly [string, readonly Bare[]])[] = [
    ["", []],
    ["a;", [["a", []]]],
    ["a b\tc\r\n d ;", [["a", ["b", "c", "d"]]]],
    ["a#b c; # d;\n#e\nf;", [["a#b", ["c"]], ["f", []]]],
    [`a "b ; { c" 'd "e"' "\\"f\\"";`, [["a", ["b ; { c", 'd "e"', '"f"']]]],
    ["a b'c' d\"e;", [["a", ["b'c'", 'd"e']]]],
    ["location ~ \\.php$ { x; }", [["location", ["~", "\\.php$"], [["x", []]]]]],
    ["a \\\\b \\$c \\t;", [["a", ["\\b", "\\$c", "\t"]]]],
    ["a ${b}c $d;", [["a", ["${b}c", "$d"]]]],
    ['a "${b} c";', [["a", ["${b} c"]]]],
    ["a{b{c;}}d;", [["a", [], [["b", [], [["c", []]]]]], ["d", []]]],
    ['rewrite "^/(\\d{2})$" /x;', [["rewrite", ["^/(\\d{2})$", "/x"]]]],
    ["if ($a = b) { return 1; }", [["if", ["($a", "=", "b)"], [["return", ["1"]]]]]],
    ['a "two\nlines";', [["a", ["two\nlines"]]]],
    ["\ufeffa;", [["a", []]]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(read(text), expected, text);
});

Deno.test("parseNginx() knows the line of each directive", () => {
  const [a, b] = parseNginx('a\n b;\n# c\n\nd {\n e "x\ny"; f; }', "site");
  assert.deepEqual([a?.line, b?.line, b?.block?.map(({ line }) => line)], [1, 5, [6, 7]]);
  assert.equal(b?.file, "site");
});

Deno.test("parseNginx() refuses what is not nginx's language, at its place", () => {
  const wrong: Readonly<Record<string, string>> = {
    "a": 'f:1:2: Cannot find the end of "a", which begins on line 1: write ;',
    "a;\n }": "f:2:2: Cannot place } here: no block is open",
    "a { b; ": "f:1:8: Cannot find the end of the block that begins on line 1: write }",
    "a { b }": 'f:1:7: Cannot find the end of "b", which begins on line 1: write ;',
    "; a;": "f:1:1: Cannot place ; here: name a directive",
    "{}": "f:1:1: Cannot place { here: name a directive",
    'a "b;': 'f:1:6: Cannot find the end of the text: close it with "',
    'a "b"c;': 'f:1:6: Cannot place "c" behind a closing quote: write a space between',
    "location / {\n content_by_lua_block {\n ngx.say('}')\n }\n}":
      "f:2:24: Cannot take over content_by_lua_block: it is a program in Lua. Leave it out",
    ["a {".repeat(70)]: "f:1:196: Cannot read more than 64 nested blocks",
  };
  for (const [text, message] of Object.entries(wrong)) {
    assert.throws(() => parseNginx(text, "f"), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.message, message, text);
      return true;
    });
  }
});

/** Writes a tree so that every word survives. */
function write(tree: readonly Bare[]): string {
  const word = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;
  return tree.map(([name, args, block]) =>
    `${[name, ...args].map(word).join(" ")}${block === undefined ? ";" : `{${write(block)}}`}`
  ).join("\n");
}

const { tree } = fc.letrec<{ tree: Bare[]; node: Bare }>((tie) => ({
  tree: fc.array(tie("node"), { maxLength: 4, depthIdentifier: "nginx" }),
  node: fc.oneof(
    { depthIdentifier: "nginx", maxDepth: 4 },
    fc.tuple(fc.string({ minLength: 1 }), fc.array(fc.string())),
    fc.tuple(fc.string({ minLength: 1 }), fc.array(fc.string()), tie("tree")),
  ) as fc.Arbitrary<Bare>,
}));

Deno.test("parseNginx() reads back any tree that was written with quotes", () => {
  fc.assert(fc.property(tree, (directives) => {
    assert.deepEqual(read(write(directives)), directives);
  }));
});

Deno.test("parseNginx() ends on any text, with directives or a fault", () => {
  const noise = fc.string({
    unit: fc.constantFrom(..."ab $\\\"'{};#\n\t()~".split("")),
    maxLength: 60,
  });
  fc.assert(
    fc.property(noise, (text) => {
      try {
        assert.ok(Array.isArray(parseNginx(text, "f")));
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
