import assert from "node:assert/strict";
import fc from "fast-check";
import { PatternError } from "../../lib/router/pattern.ts";
import { createRouter, type RouteKey } from "../../lib/router/router.ts";
import { findShadowed } from "../../lib/router/shadow.ts";

/** Routes in short: `GET,POST *.example.org/path`, methods and host both optional. */
function route(line: string): RouteKey {
  const words = line.split(" ");
  const place = words.pop() ?? "";
  const slash = place.search(/[/{]/);
  return {
    path: place.slice(slash),
    host: slash === 0 ? undefined : place.slice(0, slash),
    methods: words[0]?.split(","),
  };
}

/** What is found of a table whose last route is `last`, in short: `by` of the last route. */
function shadow(last: string, ...earlier: readonly string[]): readonly number[] | undefined {
  const found = findShadowed([...earlier, last].map(route));
  return found.find(({ index }) => index === earlier.length)?.by;
}

const SHADOWED: readonly (readonly [by: string, last: string])[] = [
  ["/", "/"],
  ["/a/b", "/a/b"],
  ["/caf%C3%A9", "/caf\u00e9"],
  ["/users/:id", "/users/:name"],
  ["/users/:id", "/users/new"],
  ["/users/:id", "/users/:id(\\d+)"],
  ["/users/:id", "/users/:id.json"],
  ["/users/:id", "/users/user-:id"],
  ["/users/:id(\\d+)", "/users/42"],
  ["/users/:id(\\d+)", "/users/:n(\\d+)"],
  ["/users/:id?", "/users"],
  ["/users/:id?", "/users/7"],
  ["/:x/:y", "/a/:y"],
  ["/*", "/"],
  ["/*", "/a/:b"],
  ["/*", "/*.php"],
  ["/*", "{/:lang}?/docs"],
  ["/a/*", "/a"],
  ["/a/*", "/a/"],
  ["/a/*", "/a/b/:c"],
  ["/a/*", "/a/b/*"],
  ["/a/*", "/a/*.php"],
  ["/a/*", "/a/:x(.*)/b"],
  ["/:x/*", "/a/*"],
  ["/:x/*", "/:y(\\w+)/*"],
  ["/*.php", "/index.php"],
  ["/*.php", "/a/*.php"],
  ["/*.php", "/:dir/index.php"],
  ["/*/edit", "/users/:id/edit"],
  ["/a*", "/ab*"],
  ["/:rest(.*)", "/*"],
  ["/:x+/end", "/:y+/end"],
  ["/a", "example.org/a"],
  ["/a", "*.example.org/a"],
  ["*.example.org/a", "www.example.org/a"],
  ["*.Example.org/a", "a.b.EXAMPLE.org/a"],
  ["*.example.org/a", "*.www.example.org/a"],
  ["*.example.org/a", "*.example.org/a"],
  ["example.org/*", "example.org/a"],
  ["/a", "GET /a"],
  ["GET /a", "GET /a"],
  ["GET /a", "HEAD /a"],
  ["GET,POST /*", "POST /a"],
];

for (const [by, last] of SHADOWED) {
  Deno.test(`findShadowed() reports ${last} after ${by}`, () => {
    assert.deepEqual(shadow(last, by), [0]);
  });
}

const REACHABLE: readonly (readonly [earlier: string, last: string])[] = [
  ["/a", "/b"],
  ["/a", "/a/"],
  ["/a", "/:x"],
  ["/a/", "/a/:x?"],
  ["/users/new", "/users/:id"],
  ["/users/:id", "/users/"],
  ["/users/:id", "/users/:id/edit"],
  ["/users/:id", "/users/:id?"],
  ["/users/:id", "/users/:path(.+)"],
  ["/users/:id", "/users/v:n(.*)"],
  ["/users/:id(\\d+)", "/users/:id"],
  ["/users/:id(\\d+)", "/users/x"],
  ["/users/:id(\\d)", "/users/:id(\\d+)"],
  ["/a/*", "/ab"],
  ["/a/*", "/*"],
  ["/a/b/*", "/a/*"],
  ["/*.php", "/*"],
  ["/*.php", "/*.html"],
  ["/a/*.php", "/*.php"],
  ["/a/:rest(.*)", "/a/*"],
  ["/*/edit", "/:x/:y"],
  ["/ab*ba", "/aba"],
  ["example.org/a", "/a"],
  ["example.org/a", "example.com/a"],
  ["*.example.org/a", "example.org/a"],
  ["www.example.org/a", "*.example.org/a"],
  ["*.www.example.org/a", "*.example.org/a"],
  ["*.example.org/a", "*.notexample.org/a"],
  ["GET /a", "/a"],
  ["GET /a", "GET,POST /a"],
  ["HEAD /a", "GET /a"],
  ["/a", "TRACE,GET /a"],
];

for (const [earlier, last] of REACHABLE) {
  Deno.test(`findShadowed() leaves ${last} after ${earlier}`, () => {
    assert.equal(shadow(last, earlier), undefined);
  });
}

Deno.test("findShadowed() finds the routes that take the methods together", () => {
  assert.deepEqual(shadow("GET,POST /a", "GET /a", "/b", "POST /*"), [0, 2]);
  assert.deepEqual(shadow("GET,POST /a", "GET /a", "HEAD /a", "POST /:x"), [0, 2]);
  assert.deepEqual(shadow("GET,POST x.org/a", "GET /a", "POST *.org/a"), [0, 1]);
  assert.equal(shadow("/a", "GET,HEAD,POST,PUT,DELETE,PATCH,OPTIONS /a", "TRACE /a"), undefined);
});

Deno.test("findShadowed() names one route rather than several", () => {
  assert.deepEqual(shadow("GET,POST /a", "GET /a", "POST /a", "/*"), [2]);
});

Deno.test("findShadowed() finds the routes that take the variants of an optional part", () => {
  assert.deepEqual(shadow("/a/:x?", "/a/:y", "/a"), [0, 1]);
  assert.deepEqual(shadow("/a{/}?", "/a{/}?"), [0]);
  assert.deepEqual(shadow("/a/:x?", "/a/*"), [0]);
  assert.equal(shadow("/a/:x?", "/a"), undefined);
});

Deno.test("findShadowed() reports every shadowed route, once each and in file order", () => {
  const table = ["/a", "/b/*", "/a", "/c", "/b/x", "/*", "/d", "GET /d"].map(route);
  assert.deepEqual(findShadowed(table), [
    { index: 2, by: [0] },
    { index: 4, by: [1] },
    { index: 6, by: [5] },
    { index: 7, by: [5] },
  ]);
  assert.deepEqual(findShadowed([]), []);
});

Deno.test("findShadowed() refuses a faulty path", () => {
  assert.throws(() => findShadowed([route("/a{b")]), PatternError);
});

const PATHS = [
  ...["/", "/a", "/a/", "/a/b", "/b/a", "/a/b/a"],
  ...["/:x", "/a/:x", "/:x/b", "/:x/:y", "/a/:x?", "/a{/}?", "/:x/", "/a:x", "/:x-b"],
  ...["/*", "/a/*", "/a/b/*", "/:x/*", "/:x/b/*", "/a/:x?/*"],
  ...["/*b", "/a*", "/a/*b", "/*/b", "/a/*/b", "/a/:x(.*)", "/:x(.*)"],
  ...["/:x([ab])", "/:x([ab]*)", "/a/:x(a|b)", "/:x(a|b)/b", "/:x+", "/a/:x+", "/:x([ab/]+)/b"],
];

function tablesOf(paths: readonly string[]) {
  const route = fc.record({
    path: fc.constantFrom(...paths),
    host: fc.constantFrom(undefined, undefined, "b.org", "a.b.org", "*.b.org", "*.a.b.org"),
    methods: fc.option(
      fc.uniqueArray(fc.constantFrom("GET", "HEAD", "POST", "TRACE"), { minLength: 1 }),
      { nil: undefined },
    ),
  });
  return fc.array(route, { minLength: 2, maxLength: 8 });
}

/** Every path of up to three segments from a small alphabet, with and without a slash at its end. */
const REQUEST_PATHS = ["/"];
for (const a of ["a", "b", "a-b", "ab", "c"]) {
  REQUEST_PATHS.push(`/${a}`, `/${a}/`);
  for (const b of ["a", "b", "ab", "c"]) {
    REQUEST_PATHS.push(`/${a}/${b}`, `/${a}/${b}/`);
    for (const c of ["a", "b", "c"]) REQUEST_PATHS.push(`/${a}/${b}/${c}`, `/${a}/${b}/${c}/`);
  }
}

/** The routes that win at least one request of all that are tried. */
function winners(table: readonly RouteKey[]): ReadonlySet<number> {
  const router = createRouter(table);
  const found = new Set<number>();
  for (const method of ["GET", "HEAD", "POST", "TRACE", "PUT"]) {
    for (const host of ["b.org", "a.b.org", "x.b.org", "x.a.b.org", "c.org"]) {
      for (const path of REQUEST_PATHS) {
        const match = router.match(method, host, path);
        if (match.type === "found") found.add(match.index);
      }
    }
  }
  return found;
}

Deno.test("findShadowed() reports no route that a request reaches", () => {
  fc.assert(
    fc.property(tablesOf(PATHS), (table) => {
      const won = winners(table);
      for (const { index, by } of findShadowed(table)) {
        assert.ok(!won.has(index), `route ${index} wins`);
        assert.ok(by.length > 0 && by.every((earlier) => earlier < index));
        // Those named are enough: without all the others it still cannot match.
        const few = [...by, index].map((i) => table[i]).filter((key) => key !== undefined);
        assert.ok(!winners(few).has(few.length - 1), `routes ${by} leave some of ${index}`);
      }
    }),
    { numRuns: 300 },
  );
});

/** Of these kinds the requests tried tell every two apart, so that nothing may be missed. */
const PLAIN = ["/", "/a", "/a/b", "/:x", "/a/:x", "/:x/b", "/:x/:y", "/*", "/a/*", "/a/b/*"];

Deno.test("findShadowed() misses no route that one earlier route shadows", () => {
  fc.assert(
    fc.property(tablesOf(PLAIN), (table) => {
      const reported = new Set(findShadowed(table).map(({ index }) => index));
      for (const [index, key] of table.entries()) {
        const byOne = table.slice(0, index).some((earlier) => !winners([earlier, key]).has(1));
        if (byOne) assert.ok(reported.has(index), `route ${index} is not reported`);
      }
    }),
    { numRuns: 100 },
  );
});
