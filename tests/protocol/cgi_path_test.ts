import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../../lib/errors.ts";
import { ENCODED_SLASH } from "../../lib/exchange.ts";
import { decodeTarget, isFileName, splitScript } from "../../lib/protocol/cgi_path.ts";

const S = ENCODED_SLASH;

const targets: [target: string, path: string, query?: string][] = [
  ["/", "/"],
  ["/a", "/a"],
  ["/a/b/", "/a/b/"],
  ["/a?b", "/a", "b"],
  ["/?", "/", ""],
  ["/a?b?c=/../%zz//", "/a", "b?c=/../%zz//"],
  ["/a?%00", "/a", "%00"],
  ["/a%3Fb?c", "/a?b", "c"],
  ["/a%23b", "/a#b"],
  ["/a%20b+c", "/a b+c"],
  ["/%41%6a", "/Aj"],
  ["/%252e%252e/%2541", "/%2e%2e/%41"],
  ["/a%0ab%7f%1b", "/a\nb\x7f\x1b"],
  ["/%ff%C3%A9", "/\xff\xc3\xa9"],
  ["/caf\u00e9", "/caf\xc3\xa9"],
  ["/\u20ac/\u{1f600}", "/\xe2\x82\xac/\xf0\x9f\x98\x80"],
  ["/\u00e9/../a?\u00e9", "/a", "\xc3\xa9"],
  ["/a/\u00e9%20", "/a/\xc3\xa9 "],
  ["/a/./b", "/a/b"],
  ["/a/.", "/a/"],
  ["/.", "/"],
  ["/./", "/"],
  ["/a/../b", "/b"],
  ["/a/b/..", "/a/"],
  ["/a/b/../", "/a/"],
  ["/a/..", "/"],
  ["/..", "/"],
  ["/../../etc/passwd", "/etc/passwd"],
  ["/a/../../b", "/b"],
  ["/a/%2e%2e/b", "/b"],
  ["/a/%2E./b", "/b"],
  ["/a/.%2e", "/"],
  ["/a/%2e/b", "/a/b"],
  ["/a/.../b", "/a/.../b"],
  ["/a/..b/.c", "/a/..b/.c"],
  ["/a/..%20/b", "/a/.. /b"],
  ["/a/..;/b", "/a/..;/b"],
  ["//", "/"],
  ["//a", "/a"],
  ["/a//b///c//", "/a/b/c/"],
  ["/a//../b", "/b"],
  ["/a/.//./b", "/a/b"],
  ["/a\\..\\b", "/a\\..\\b"],
  ["/a%5c..%5cb", "/a\\..\\b"],
  ['/"<>^`{|}~', '/"<>^`{|}~'],
  ["/a%2Fb", `/a${S}b`],
  ["/a%2fb/", `/a${S}b/`],
  ["/%2F", `/${S}`],
  ["/%2F/a", `/${S}/a`],
  ["/a/..%2fb", `/a/..${S}b`],
  ["/a/%2e%2e%2f%2e%2e/b", `/a/..${S}../b`],
  ["/a%2Fb/../c", "/c"],
  ["/a%252Fb", "/a%2Fb"],
  ["/a?b%2Fc", "/a", "b%2Fc"],
  ["*", "*"],
];

for (const [target, path, query = ""] of targets) {
  Deno.test(`decodeTarget() reads ${target}`, () => {
    const decoded = decodeTarget(target);
    assert.equal(decoded.path, path);
    assert.equal(decoded.query, query);
    assert.equal(decoded.encodedSlash, path.includes(S));
    assert.equal(decoded.target, toBytes(target));
  });
}

const badTargets: [target: string, says: string][] = [
  ["", "does not start with a slash"],
  ["a", "does not start with a slash"],
  ["?a", "does not start with a slash"],
  ["**", "does not start with a slash"],
  ["\u00e9", '"\u00e9"'],
  ["http://a/b", "does not start with a slash"],
  ["example.org:443", "does not start with a slash"],
  ["/%", '"%" is no escape'],
  ["/a%2", '"%2" is no escape'],
  ["/%zz", '"%zz" is no escape'],
  ["/%2g", '"%2g" is no escape'],
  ["/%g2", '"%g2" is no escape'],
  ["/%+1", '"%+1" is no escape'],
  ["/%-1", '"%-1" is no escape'],
  ["/%%41", '"%%4" is no escape'],
  ["/%2/a", '"%2" is no escape'],
  ["/%2?a", '"%2" is no escape'],
  ["/%u0041", '"%u0" is no escape'],
  ["/%zz/../a", '"%zz" is no escape'],
  ["/%00", "holds a NUL"],
  ["/a.txt%00.php", "holds a NUL"],
  ["/%00/../a", "holds a NUL"],
  ["/a#b", "holds a fragment"],
  ["/a?b#c", "holds a fragment"],
  ["/#", "holds a fragment"],
  ["/a b", "holds a space or a control character"],
  ["/a?b c", "holds a space or a control character"],
  ["/a\tb", "holds a space or a control character"],
  ["/a\r\nb", "holds a space or a control character"],
  ["/a\0", "holds a space or a control character"],
  ["/a\x7f", "holds a space or a control character"],
];

for (const [target, says] of badTargets) {
  Deno.test(`decodeTarget() refuses ${JSON.stringify(target)}`, () => {
    assert.throws(() => decodeTarget(target), (error) => {
      assert(error instanceof GatewayError);
      assert.equal(error.status, 400);
      assert.equal(error.failure, "bad-target");
      assert(error.message.includes(says), error.message);
      return true;
    });
  });
}

/** Text as the bytes of its UTF-8 form. */
function toBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

/** The slow way: one rule at a time, by rewriting, until nothing changes. */
function decodeSlowly(target: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (!/^\/[^\x00-\x20\x7f#]*$/.test(target)) return undefined;
  let path = toBytes(target.replace(/\?.*$/s, ""));
  if (/%(?![0-9a-f]{2})|%00/i.test(path)) return undefined;
  path = path.replaceAll(/%2f/gi, S);
  path = path.replaceAll(/%(..)/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  for (let before = ""; before !== path;) {
    before = path;
    path = path.replace(/\/\/+/, "/")
      .replace(/\/\.(\/|$)/, "/")
      .replace(/^\/\.\.(\/|$)/, "/");
    if (path === before) path = path.replace(/\/(?!\.\.\/)[^/]+\/\.\.(\/|$)/, "/");
  }
  return path;
}

const piece = fc.oneof(
  fc.constantFrom("/", "/", "//", ".", "..", "/../", "/./", "%2e", "%2E", "%2f", "%2F", "a", "b"),
  fc.constantFrom(
    "%",
    "%25",
    "%00",
    "%0a",
    "%41",
    "%zz",
    "?",
    "#",
    " ",
    "\\",
    "\u00e9",
    "%c3",
    ".php",
  ),
  fc.string({ unit: "grapheme", maxLength: 3 }),
);
const anyTarget = fc.array(piece, { maxLength: 12 }).map((pieces) => "/" + pieces.join(""));
/** Leaves out what is refused, so that most runs decode. */
const goodTarget = anyTarget.filter((target) => decodeSlowly(target) !== undefined);

Deno.test("decodeTarget() agrees with a slow reference", () => {
  const decode = (target: string) => {
    try {
      return decodeTarget(target).path;
    } catch (error) {
      assert(error instanceof GatewayError);
      return undefined;
    }
  };
  const same = (target: string) => assert.equal(decode(target), decodeSlowly(target));
  fc.assert(fc.property(anyTarget, same), { numRuns: 2000 });
  fc.assert(fc.property(goodTarget, same), { numRuns: 2000 });
});

Deno.test("decodeTarget() of an encoded decoded path is that path", () => {
  fc.assert(fc.property(goodTarget, (target) => {
    const { path } = decodeTarget(target);
    const encoded = path.replaceAll(
      /[^/]/g,
      (char) => char === S ? "%2F" : "%" + char.charCodeAt(0).toString(16).padStart(2, "0"),
    );
    assert.equal(decodeTarget(encoded).path, path);
  }));
});

Deno.test("decodeTarget() leaves no dot segment, empty segment or NUL, and bytes alone (RFC 3875 §8.1, §9.8)", () => {
  fc.assert(fc.property(goodTarget, (target) => {
    const { path, query } = decodeTarget(target);
    assert.equal(path[0], "/");
    const segments = path.slice(1).split("/");
    const last = segments.pop();
    for (const segment of segments) assert(segment !== "", path);
    for (const segment of [...segments, last]) assert(segment !== "." && segment !== "..", path);
    // deno-lint-ignore no-control-regex
    assert.match(path.replaceAll(S, ""), /^[\x01-\xff]*$/);
    // deno-lint-ignore no-control-regex
    assert.match(query, /^[\x01-\xff]*$/);
  }));
});

const splits: [path: string, split: [script: string, rest: string] | undefined][] = [
  ["/index.php", ["/index.php", ""]],
  ["/index.php/", ["/index.php", "/"]],
  ["/a/b.php/c/d", ["/a/b.php", "/c/d"]],
  ["/a.php/b.php", ["/a.php", "/b.php"]],
  ["/a.phtml/b", ["/a.phtml", "/b"]],
  ["/photo.jpg/x.php", ["/photo.jpg/x.php", ""]],
  ["/a.php.txt", undefined],
  ["/a.php.txt/b.php/c", ["/a.php.txt/b.php", "/c"]],
  ["/a.phpx/b", undefined],
  ["/a.php7", undefined],
  ["/php", undefined],
  ["/", undefined],
  ["", undefined],
  ["a.php", undefined],
  ["/a.PHP", undefined],
  ["/a.Php/b.php", ["/a.Php/b.php", ""]],
  // U+023A grows when lower-cased, U+212A (Kelvin) shrinks: neither moves the border.
  [`/${toBytes("\u023a\u023a\u023a\u023a")}.php/x.txt.php`, [
    `/${toBytes("\u023a\u023a\u023a\u023a")}.php`,
    "/x.txt.php",
  ]],
  [`/${toBytes("\u212a")}.php/b`, [`/${toBytes("\u212a")}.php`, "/b"]],
  // Fullwidth and dotless look-alikes are other bytes.
  [`/a${toBytes("\uff0e")}php`, undefined],
  [`/a.${toBytes("\uff50\uff48\uff50")}`, undefined],
  ["/a.php/\n", ["/a.php", "/\n"]],
  ["/a.php/b\nc.php", ["/a.php", "/b\nc.php"]],
  ["/a\n.php", undefined],
  ["/\n/a.php", undefined],
  ["/a.php\n", undefined],
  ["/a.php\0.txt", undefined],
  [`/a.php${S}b`, undefined],
  [`/x${S}a.php`, undefined],
  [`/a.php/b${S}c`, ["/a.php", `/b${S}c`]],
  ["/../a.php", undefined],
  ["/a/../b.php", undefined],
  ["/a.php/../b", ["/a.php", "/../b"]],
  ["/a//b.php", undefined],
];

for (const [path, expected] of splits) {
  Deno.test(`splitScript() splits ${JSON.stringify(path)}`, () => {
    const split = splitScript(path, [".php", ".phtml"]);
    assert.deepEqual(split === undefined ? undefined : [split.script, split.rest], expected);
  });
}

Deno.test("splitScript() splits nothing without suffixes", () => {
  assert.equal(splitScript("/a.php", []), undefined);
});

Deno.test("splitScript() only cuts at slashes, after file names", () => {
  let found = 0;
  fc.assert(fc.property(goodTarget, (target) => {
    const path = `${decodeTarget(target).path}/x.php/more`;
    const split = splitScript(path, [".php"]);
    // A name that no file can have, further left, ends the search.
    if (split === undefined) return;
    found++;
    const { script, rest } = split;
    assert.match(script, /\.php$/);
    assert.equal(script + rest, path);
    assert(rest === "" || rest.startsWith("/"));
    assert(script.slice(1).split("/").every(isFileName), script);
  }));
  assert(found > 0);
});

Deno.test("isFileName() refuses what no file in a tree may be asked for by (RFC 3875 §9.8)", () => {
  const bad = ["", ".", "..", "a/b", `a${S}b`, "a\0", "\n", "a\x1b", "\x7f", "\x01"];
  for (const segment of bad) assert.equal(isFileName(segment), false, JSON.stringify(segment));
  for (const segment of ["a", ".a", "...", "a b", "\xff\x80", "a\\b", "..a", "a..", "~"]) {
    assert.equal(isFileName(segment), true, segment);
  }
});
