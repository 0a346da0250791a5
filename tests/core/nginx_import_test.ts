/**
 * Expressions of locations as paths, the order of locations as the order of routes, and the text of tables:
 * each against a plain statement of the same, for what comes by chance as well.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseTable } from "../../lib/config/load.ts";
import { readTree } from "../../lib/config/yaml.ts";
import { toPlain } from "../../lib/config/tree.ts";
import { type Plain, writeTable } from "../../lib/draft/table_text.ts";
import { translateNginx } from "../../lib/import/nginx.ts";
import { readSize, readTime } from "../../lib/import/nginx_options.ts";
import { toPath, type Within } from "../../lib/import/nginx_regex.ts";
import { parseNginx } from "../../lib/import/nginx_syntax.ts";
import { Scope, Verdicts } from "../../lib/import/nginx_scope.ts";
import { collectLocations, locationOf, type Site } from "../../lib/import/nginx_site.ts";
import { createRouter } from "../../lib/router/router.ts";
import * as kinds from "../support/fake_kinds.ts";

const SOURCE = { file: "routes.yaml", folder: "/srv" };

Deno.test("toPath() writes what people would, where an expression allows it", () => {
  const cases: readonly (readonly [string, boolean, string, Within?])[] = [
    ["\\.php$", false, "/(.*\\.php)"],
    ["^/index\\.php$", false, "/index.php"],
    ["^/(a|b)/x", false, "/((?:a|b)/x.*)"],
    ["\\.(js|css)$", true, "/((?i:.*\\.(?:js|css)))"],
    ["/\\.ht", false, "/((?:.*/)?\\.ht.*)"],
    ["(^|/)\\.git", false, "/((?:.*/)?\\.git.*)"],
    ["\\.php(/|$)", false, "/(.*\\.php(?:/.*)?)"],
    ["^/a$|\\.b$", false, "/(a|.*\\.b)"],
    ["(?i)\\.PHP$", false, "/((?i:.*\\.PHP))"],
    ["^/(?<id>\\d+)$", false, "/((?:\\d+))"],
    ["^/[a-z_\\-.]+$", false, "/([a-z_\\-.]+)"],
    ["\\.php$", false, "/pma/(.*\\.php)", { prefix: "/pma/", except: [] }],
  ];
  for (const [regex, caseless, path, within] of cases) {
    assert.equal(toPath(regex, caseless, within), path, regex);
  }
});

Deno.test("toPath() refuses what only PCRE knows", () => {
  for (
    const regex of [
      "\\Aa",
      "(?>a)",
      "a++",
      "[[:alpha:]]",
      "\\1",
      "(a",
      "\u00e4",
      "(?i:a)(?#x)",
      "\\Qa",
    ]
  ) {
    assert.equal(toPath(regex, false), undefined, regex);
  }
});

/** The first of these routes that takes a path. */
function firstOf(paths: readonly string[], path: string): number | undefined {
  const yaml = writeTable({
    comments: [],
    server: {},
    routes: paths.map((own, at) => ({
      comments: [],
      fields: { path: own, name: `${at}`, reply: "x" },
    })),
  });
  const { routes } = parseTable(yaml, SOURCE, { reply: kinds.respond });
  const match = createRouter(routes).match("GET", "localhost", path);
  return match.type === "found" ? match.index : undefined;
}

const piece = fc.constantFrom(
  "a",
  "b",
  "\\.",
  "/",
  ".*",
  "[ab]",
  "(a|b)",
  "(/|$)",
  "a?",
  "(?:b/)+",
  "\\d",
  "[^/]",
);
const regexes = fc.tuple(
  fc.constantFrom("", "^", "^/", "/", "(^|/)"),
  fc.array(piece, { minLength: 1, maxLength: 4 }),
  fc.constantFrom("", "$", "|b$", "(/|$)"),
).map(([start, pieces, end]) => start + pieces.join("") + end);
const segments = fc.array(fc.constantFrom("a", "b", "ab", ".a", "a.b", "1", "A"), { maxLength: 4 });
const paths = fc.tuple(segments, fc.boolean()).map(([names, slash]) =>
  `/${names.join("/")}${slash && names.length > 0 ? "/" : ""}`
);

Deno.test("toPath() takes the paths that the expression finds, and no others", () => {
  let written = 0;
  fc.assert(
    fc.property(regexes, fc.boolean(), fc.array(paths, { minLength: 1 }), (regex, folds, all) => {
      const path = toPath(regex, folds);
      if (path === undefined) return;
      written++;
      const finds = new RegExp(regex, folds ? "is" : "s");
      for (const one of all) {
        assert.equal(firstOf([path], one) === 0, finds.test(one), `${regex} as ${path} for ${one}`);
      }
    }),
    { numRuns: 400 },
  );
  assert.ok(written > 300, `${written} of 400 could be written`);
});

const prefixes = fc.constantFrom("/", "/a/", "/b/", "/a/b/", "/a/b/a/", "/a/a/");
const location = fc.oneof(
  prefixes.map((prefix) => prefix),
  prefixes.map((prefix) => `^~ ${prefix}`),
  paths.map((path) => `= ${path}`),
  fc.constantFrom("~ \\.b$", "~ /b/", "~* ^/A/", "~ ^/a/b", "~ b$", "~ (a|1)/?$"),
);
/** No two alike: nginx would refuse them. */
const locations = fc.uniqueArray(location, {
  minLength: 1,
  maxLength: 9,
  selector: (text) => text.replace("^~ ", ""),
});

Deno.test("the first route that matches is the location that nginx would choose", () => {
  fc.assert(
    fc.property(locations, fc.array(paths, { minLength: 1, maxLength: 12 }), (all, asked) => {
      const text = all.map((one, at) => `location ${one} { return 200 ${at}; }`).join("\n");
      const { table } = translateNginx(`server { ${text} }`, "site", () => []);
      assert.ok(table !== undefined);
      const { routes } = parseTable(table, SOURCE, kinds);
      const router = createRouter(routes);
      const scope = new Scope(parseNginx(text, "site"), new Verdicts());
      const site: Site = {
        scope,
        locations: collectLocations(scope),
        upstreams: new Map(),
        verdicts: scope.verdicts,
        host: undefined,
        routeHost: undefined,
      };
      for (const path of asked) {
        // What a prefix says of its own name without the slash is told apart elsewhere.
        if (all.some((one) => one.endsWith(`${path}/`) && !one.startsWith("~"))) continue;
        const wanted = locationOf(site, path)?.scope.own("return")[0]?.args[1];
        const match = router.match("GET", "localhost", path);
        const fields: unknown = match.type === "found" ? routes[match.index]?.fields : undefined;
        const body: unknown = Reflect.get(Object(fields), "body");
        assert.equal(body, wanted, `${path} in\n${table}`);
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("writeTable() writes values that YAML reads back as they were", () => {
  const plain = fc.letrec<{ value: Plain }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string({ unit: "binary", maxLength: 40 }).filter((text) => text.isWellFormed()),
      fc.constantFrom(
        "on",
        "no",
        "~",
        "1e3",
        "0x1",
        "a: b",
        "a #b",
        "- a",
        "'",
        '"',
        "*",
        "/*",
        ".5",
        "1:2",
      ),
      fc.integer(),
      fc.boolean(),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.string({ minLength: 1 }), tie("value"), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
    ) as fc.Arbitrary<Plain>,
  }));
  fc.assert(
    fc.property(plain.value, fc.string(), (value, comment) => {
      const text = writeTable({
        comments: [comment],
        server: {},
        routes: [{ comments: [comment], fields: { value } }],
      });
      const faults: string[] = [];
      const tree = readTree(text, (_, message) => faults.push(message));
      assert.deepEqual(faults, [], text);
      const plain = tree && toPlain(tree);
      // The tree's maps have no prototype.
      assert.deepEqual(JSON.parse(JSON.stringify(plain)), { routes: [{ value }] }, text);
    }),
    { numRuns: 500 },
  );
});

Deno.test("readTime() and readSize() read nginx's units", () => {
  const times = { "60": 60, "5m": 300, "1h30m": 5400, "500ms": 0.5, "1d": 86_400, "1M": 2_592_000 };
  for (const [text, seconds] of Object.entries(times)) assert.equal(readTime(text), seconds, text);
  const sizes = { "8k": "8KiB", "10m": "10MiB", "1G": "1GiB", "512": "512B", "0": "1048576GiB" };
  for (const [text, size] of Object.entries(sizes)) assert.equal(readSize(text), size, text);
  for (const text of ["", "x", "1x", "-1"]) {
    assert.deepEqual([readTime(text), readSize(text)], [undefined, undefined], text);
  }
});
