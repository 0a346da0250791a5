import assert from "node:assert/strict";
import fc from "fast-check";
import { type ByteString, ENCODED_SLASH, type Mount } from "../../lib/exchange.ts";
import { parsePattern, PatternError } from "../../lib/router/pattern.ts";
import { drawOutline } from "../../lib/router/outline.ts";
import { createRouter } from "../../lib/router/router.ts";
import { toVariants } from "../../lib/router/shape.ts";

/** The mount that a table of this one pattern gives the path; undefined if it does not match. */
function mount(pattern: string, path: ByteString): Mount | undefined {
  const router = createRouter([{ path: pattern, host: undefined, methods: undefined }]);
  const match = router.match("GET", "localhost", path);
  return match.type === "found" ? match.mount : undefined;
}

function params(pattern: string, path: ByteString): Record<string, string> | undefined {
  const found = mount(pattern, path);
  return found && { ...found.params };
}

/** The parts of a pattern in short: groups as `<name type>`, what is repeated between parentheses. */
function sketch(pattern: string): string {
  return parsePattern(pattern).map((part) => {
    if (part.type === "text") return part.text;
    if (part.type !== "repeat") return `<${part.name} ${part.type}>`;
    const inner = part.inner === undefined ? "" : `<${part.inner.name} ${part.inner.type}>`;
    return `(${part.prefix}${inner}${part.suffix})${part.modifier}`;
  }).join("");
}

const PARTS: readonly (readonly [pattern: string, parts: string])[] = [
  ["/", "/"],
  ["/users/:id", "/users/<id segment>"],
  ["/users/:id(\\d+)", "/users/<id regexp>"],
  ["/:id([^\\/]+?)", "/<id segment>"],
  ["/:rest(.*)", "/<rest wildcard>"],
  ["/*.php", "/<0 wildcard>.php"],
  ["/*/(x)/*", "/<0 wildcard>/<1 regexp>/<2 wildcard>"],
  ["/a{/b}?", "/a(/b)?"],
  ["/a{/b}", "/a/b"],
  ["/a{}?", "/a"],
  ["/a/:x?", "/a(/<x segment>)?"],
  ["/a-:x?", "/a-(<x segment>)?"],
  ["/a\\/:x?", "/a/(<x segment>)?"],
  ["/:path+/end", "(/<path segment>)+/end"],
  ["/**", "(/<0 wildcard>)*"],
  ["/{-:n.}*", "/(-<n segment>.)*"],
  ["{/:lang}?/docs", "(/<lang segment>)?/docs"],
  ["/\\:a\\*\\{\\}\\?\\\\", "/:a*{}?\\"],
  ["/a)", "/a)"],
  ["/:\u00fcber", "/<\u00fcber segment>"],
];

for (const [pattern, parts] of PARTS) {
  Deno.test(`parsePattern() reads ${pattern}`, () => assert.equal(sketch(pattern), parts));
}

const FAULTS: readonly (readonly [pattern: string, offset: number, message: RegExp])[] = [
  ["", 0, /empty path/],
  ["users", 0, /"users": start it with a slash/],
  ["{users}?", 0, /start it with a slash/],
  ["/a{/b", 2, /end of the group: close it with }/],
  ["/a{/b{c}}", 5, /"\{" between braces/],
  ["/a{/:b:c}", 6, /":" between braces/],
  ["/a{/:b?}", 6, /"\?" between braces/],
  ["/a}", 2, /"\}" here: write \\}/],
  ["/a?", 2, /"\?" here: write \\\?/],
  ["/a/:b??", 6, /"\?" here/],
  ["/:", 1, /group name after the colon/],
  ["/a/:1", 3, /group name after the colon/],
  ["/:id/x/:id", 7, /group name "id" twice/],
  ["/:id(\\d+", 4, /end of the regular expression: close it with \)/],
  ["/:id([)", 4, /regular expression "\[": \w+/],
  ["/:id(a(b))", 4, /write \(\?: for \(/],
  ["/:id(a(?<x>b))", 4, /write \(\?: for \(/],
  ["/:id()", 4, /it is empty/],
  ["/(?:a)", 1, /starts with a question mark/],
  ["/(\u00e9)", 1, /write it in ASCII/],
  ["/100%", 4, /write %25/],
  ["/%zz", 1, /write %25/],
  ["/a%00", 2, /NUL/],
  ["/a\\", 2, /end with a backslash/],
  ["/a//b", 2, /Cannot match "\/\/": repeated slashes are merged/],
  ["//:x", 0, /repeated slashes are merged/],
  ["/a/../b", 2, /Cannot match "\/..\/": dot segments are resolved/],
  ["/a/.", 2, /dot segments are resolved/],
  ["/:x/%2e%2E/:y", 3, /dot segments are resolved/],
];

for (const [pattern, offset, message] of FAULTS) {
  Deno.test(`parsePattern() refuses ${JSON.stringify(pattern)} at ${offset}`, () => {
    assert.throws(() => parsePattern(pattern), (error) => {
      assert.ok(error instanceof PatternError);
      assert.match(error.message, message);
      assert.equal(error.offset, offset);
      return true;
    });
  });
}

Deno.test("parsePattern() leaves dots alone that share their segment with a group", () => {
  assert.deepEqual(params("/..:x", "/..a"), { x: "a" });
  assert.deepEqual(params("/:x../b", "/a../b"), { x: "a" });
});

Deno.test("parsePattern() makes typed and encoded text the bytes of a decoded path", () => {
  for (const pattern of ["/caf\u00e9", "/caf%C3%A9", "/caf%c3%a9", "/%63af\\\u00e9"]) {
    assert.notEqual(mount(pattern, "/caf\u00c3\u00a9"), undefined, pattern);
    assert.equal(mount(pattern, "/caf\u00e9"), undefined, pattern);
  }
  assert.notEqual(mount("/a%20b", "/a b"), undefined);
  assert.notEqual(mount("/a b", "/a b"), undefined);
  assert.notEqual(mount("/\u{1f418}", "/\u00f0\u009f\u0090\u0098"), undefined);
  assert.notEqual(mount("/100\\%", "/100%"), undefined);
  assert.notEqual(mount("/100%25", "/100%"), undefined);
});

Deno.test("an encoded slash matches an encoded slash alone, and comes out as a slash", () => {
  const encoded = `/a${ENCODED_SLASH}b`;
  assert.deepEqual({ ...mount("/a%2Fb", encoded) }, {
    scriptName: "/a/b",
    pathInfo: "",
    params: Object.create(null),
  });
  assert.equal(mount("/a%2fb", "/a/b"), undefined);
  assert.equal(mount("/a/b", encoded), undefined);
  assert.deepEqual(params("/:x", encoded), { x: "a/b" });
  assert.deepEqual(params("/:x([a-z].b)", encoded), { x: "a/b" });
  assert.equal(mount("/*", `${encoded}/c`)?.pathInfo, "/a/b/c");
  assert.equal(mount("/:x/*", `${encoded}/c`)?.scriptName, "/a/b");
});

const MOUNTS: readonly (readonly [
  pattern: string,
  path: string,
  scriptName: string,
  pathInfo: string,
  params: Record<string, string>,
])[] = [
  ["/*", "/", "", "/", { 0: "" }],
  ["/*", "/a/b", "", "/a/b", { 0: "a/b" }],
  ["/git/*", "/git", "/git", "", { 0: "" }],
  ["/git/*", "/git/", "/git", "/", { 0: "" }],
  ["/git/*", "/git/repo/info/refs", "/git", "/repo/info/refs", { 0: "repo/info/refs" }],
  ["/u/:id/*", "/u/7/x", "/u/7", "/x", { id: "7", 0: "x" }],
  ["/u/:id(\\d+)/*", "/u/7/x", "/u/7", "/x", { id: "7", 0: "x" }],
  ["/u/:id(\\d+)/*", "/u/7", "/u/7", "", { id: "7", 0: "" }],
  ["/*/b/*", "/a/b/c", "/a/b", "/c", { 0: "a", 1: "c" }],
  ["{/:lang}?/*", "/en/x", "/en", "/x", { lang: "en", 0: "x" }],
  ["{/:lang}?/*", "/", "", "/", { 0: "" }],
  ["/a{/b}?/*", "/a/b", "/a/b", "", { 0: "" }],
  ["/users/:id", "/users/7", "/users/7", "", { id: "7" }],
  ["/users/:id/edit", "/users/7/edit", "/users/7/edit", "", { id: "7" }],
  ["/users/:id?", "/users", "/users", "", {}],
  ["/users/:id?", "/users/7", "/users/7", "", { id: "7" }],
  ["/:a?/:b?", "/x", "/x", "", { a: "x" }],
  ["/:path+/end", "/x/y/end", "/x/y/end", "", { path: "x/y" }],
  ["/*.php", "/a/b.php", "/a/b.php", "", { 0: "a/b" }],
  ["/*.php", "/.php", "/.php", "", { 0: "" }],
  ["/x/*/y", "/x/a/b/y", "/x/a/b/y", "", { 0: "a/b" }],
  ["/:rest(.*)", "/a/b", "/a/b", "", { rest: "a/b" }],
  ["/:name.:ext", "/a.b.c", "/a.b.c", "", { name: "a", ext: "b.c" }],
  ["/(a|b)/:n(\\d{2})", "/b/42", "/b/42", "", { 0: "b", n: "42" }],
  ["/a*", "/a", "/a", "", { 0: "" }],
  ["/*", "/line\nend", "", "/line\nend", { 0: "line\nend" }],
  ["/*/x*", "/a\nb/x\n", "/a\nb/x\n", "", { 0: "a\nb", 1: "\n" }],
];

for (const [pattern, path, scriptName, pathInfo, values] of MOUNTS) {
  Deno.test(`${pattern} mounts ${JSON.stringify(path)}`, () => {
    const found = mount(pattern, path);
    assert.ok(found);
    assert.deepEqual({ ...found, params: { ...found.params } }, {
      scriptName,
      pathInfo,
      params: values,
    });
    assert.equal(Object.getPrototypeOf(found.params), null);
  });
}

const MISSES: readonly (readonly [pattern: string, path: string])[] = [
  ["/git/*", "/gitx"],
  ["/git/*", "/"],
  ["/users/:id", "/users"],
  ["/users/:id", "/users/"],
  ["/users/:id", "/users/7/"],
  ["/users/:id(\\d+)", "/users/x"],
  ["/users/:id(\\d+)", "/users/7x"],
  ["/users", "/Users"],
  ["/a/", "/a"],
  ["/a", "/a/"],
  ["/*.php", "/a.php/"],
  ["/*.php", "/aphp"],
  ["/ab*ba", "/aba"],
  ["/:path+/end", "/end"],
];

for (const [pattern, path] of MISSES) {
  Deno.test(`${pattern} does not match ${path}`, () =>
    assert.equal(mount(pattern, path), undefined));
}

Deno.test("common patterns need no regular expression", () => {
  const patterns = [
    "/",
    "/a/b",
    "/:a/b/:c",
    "/a/*",
    "/*.php",
    "/a/*/b",
    "/a/:b?",
    "/a{/}?",
    "{/:lang}?/docs/*",
  ];
  for (const pattern of patterns) {
    const types = toVariants(parsePattern(pattern)).map(({ shape }) => shape.type);
    assert.ok(!types.includes("expression"), pattern);
  }
});

Deno.test("drawOutline() keeps segments whose groups cannot hold a slash or be empty", () => {
  const outline = (pattern: string) => drawOutline(parsePattern(pattern));
  const known = (...segments: (string | undefined)[]) => ({ segments, closed: true });
  const open = (...segments: (string | undefined)[]) => ({ segments, closed: false });
  assert.deepEqual(outline("/a/:b"), known("a", undefined));
  assert.deepEqual(outline("/a/:b.json/"), known("a", undefined, ""));
  assert.deepEqual(outline("/a/:b(\\d+)/c"), known("a", undefined, "c"));
  assert.deepEqual(outline("/:b([a-z0-9_-]+(?:x|y){2,})"), known(undefined));
  assert.deepEqual(outline("/a/*"), open("a"));
  assert.deepEqual(outline("/a/b*"), open("a"));
  assert.deepEqual(outline("/a/:b?"), open());
  for (
    const wild of ["\\d*", "[^a]+", "[+-9]", ".+", "\\D", "a|", "\\x2f", "\\b", "(?=a)", "a\\/"]
  ) {
    assert.deepEqual(outline(`/a/:b(${wild})`), open("a"), wild);
  }
});

/**
 * What generated patterns are made of; each colon gets a name of its own. No segment starts with a dot,
 * since URLPattern resolves `/.` even where a group follows.
 */
const PIECES = [
  ...["/", "/", "/", "a", "b", "ab", "a.b", "-", "/a", "/b"],
  ...["/:", "/:", ":", "/:?", "/:+", "/:*", "-:?"],
  ...["/*", "*", "/**", "/*?"],
  ...["{/a}?", "{b}?", "{/:}?", "{-:}+", "{/:.}*", "{/(a|b)-}?"],
  ...["(a|b)", "/(b|ab)", ":(a+)", "/:(\\w+)", "/:(.*)", "/:([^\\/]+?)b"],
];

const patterns = fc.array(fc.constantFrom(...PIECES), { maxLength: 6 }).map((pieces) => {
  let names = 0;
  return `/${pieces.join("")}`.replaceAll(":", () => `:n${names++}`);
});

const paths = fc.array(fc.constantFrom("a", "b", "ab", "ba", "a.b", "a-b", "-a", "aa"), {
  maxLength: 4,
}).chain((segments) => fc.constantFrom("", "/").map((end) => `/${segments.join("/")}${end}`))
  .filter((path) => !path.includes("//"));

function read(pattern: string): URLPattern | undefined {
  try {
    return new URLPattern({ pathname: pattern });
  } catch {
    return undefined;
  }
}

/** The groups that took part; undefined if the path does not match. */
function entriesOf(pattern: URLPattern, path: string) {
  const groups = pattern.exec({ pathname: path })?.pathname.groups;
  return groups && Object.entries(groups).filter(([, value]) => value !== undefined);
}

/** Spelled so that the runtime takes it as a final wildcard: its value is the mount's business. */
const FINAL_WILDCARD = /\/(?:\*|\(\.\*\))$|\/\*\?$/;

Deno.test("a pattern matches as the runtime's URLPattern does", () => {
  let compared = 0;
  let matched = 0;
  fc.assert(
    fc.property(patterns, fc.array(paths, { minLength: 1, maxLength: 8 }), (pattern, asked) => {
      const real = read(pattern);
      fc.pre(!pattern.includes("//") && !FINAL_WILDCARD.test(pattern));
      if (real === undefined) return assert.throws(() => parsePattern(pattern), PatternError);
      for (const path of asked) {
        const groups = entriesOf(real, path);
        const expected = groups && Object.fromEntries(groups);
        assert.deepEqual(params(pattern, path), expected, `${pattern} on ${path}`);
        compared++;
        if (groups !== undefined) matched++;
      }
    }),
    { numRuns: 1000 },
  );
  assert.ok(matched > compared / 50, `${matched} of ${compared} matched`);
});

Deno.test("a final /* matches what URLPattern matches, and the prefix itself", () => {
  fc.assert(
    fc.property(patterns, paths, (prefix, path) => {
      const body = prefix.replace(/\/$/, "");
      fc.pre(!`${body}/`.includes("//"));
      const below = read(`${body}/*`);
      const itself = body === "" ? undefined : read(body);
      fc.pre(below !== undefined && (body === "" || itself !== undefined));
      const expected = below.test({ pathname: path }) || itself?.test({ pathname: path }) === true;
      const found = mount(`${body}/*`, path);
      assert.equal(found !== undefined, expected, `${body}/* on ${path}`);
      if (found === undefined) return;
      assert.equal(found.scriptName + found.pathInfo, path);
      assert.match(found.pathInfo, /^$|^\//);
    }),
    { numRuns: 1000 },
  );
});
