import assert from "node:assert/strict";
import fc from "fast-check";
import { PatternError } from "../../lib/router/pattern.ts";
import {
  createRouter,
  type Match,
  type RouteKey,
  type Router,
  type Verdict,
} from "../../lib/router/router.ts";

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

function router(...lines: readonly string[]): Router {
  return createRouter(lines.map(route));
}

/** Which of the routes takes `METHOD host/path`, or why none does. */
function outcome(table: Router, request: string): number | string {
  const match = ask(table, request);
  if (match.type === "found") return match.index;
  return match.type === "wrong-method" ? match.allow.join() : match.type;
}

function ask(table: Router, request: string): Match {
  const [method = "", place = ""] = request.split(" ");
  const slash = place.indexOf("/");
  return table.match(method, place.slice(0, slash) || "localhost", place.slice(slash));
}

Deno.test("createRouter() refuses a faulty path", () => {
  assert.throws(() => router("/a", "/a{b"), PatternError);
});

Deno.test("match() finds nothing in an empty table", () => {
  assert.equal(outcome(router(), "GET /"), "not-found");
});

Deno.test("match() takes the first route in file order, not the most precise", () => {
  const table = router("/a/b", "/a/:x", "/a/*", "/a/c", "/:x/c", "/*.php", "/*", "/z");
  assert.equal(outcome(table, "GET /a/b"), 0);
  assert.equal(outcome(table, "GET /a/c"), 1);
  assert.equal(outcome(table, "GET /a"), 2);
  assert.equal(outcome(table, "GET /a/c/d.php"), 2);
  assert.equal(outcome(table, "GET /b/c"), 4);
  assert.equal(outcome(table, "GET /b/c.php"), 5);
  assert.equal(outcome(table, "GET /z"), 6);
  assert.equal(outcome(table, "GET /"), 6);
});

Deno.test("match() finds a route that stands before a wider one, whatever their kinds", () => {
  const table = router("/x/:n(\\d+)", "/x/*.txt", "/x/a", "/x/:id{.gz}?", "/x/*");
  assert.equal(outcome(table, "GET /x/1"), 0);
  assert.equal(outcome(table, "GET /x/1.txt"), 1);
  assert.equal(outcome(table, "GET /x/a"), 2);
  assert.equal(outcome(table, "GET /x/b"), 3);
  assert.equal(outcome(table, "GET /x/b/c"), 4);
});

Deno.test("match() goes back to a parameter where a literal leads nowhere", () => {
  const table = router("/a/b/c", "/a/:x/d", "/:x/:y/e", "/:x/b/:z");
  assert.equal(outcome(table, "GET /a/b/d"), 1);
  assert.equal(outcome(table, "GET /a/b/e"), 2);
  assert.equal(outcome(table, "GET /a/b/f"), 3);
  assert.equal(outcome(table, "GET /a/c/f"), "not-found");
});

Deno.test("match() tells apart paths that differ by a trailing slash or in case", () => {
  const table = router("/a", "/a/", "/A", "/:x/");
  assert.equal(outcome(table, "GET /a"), 0);
  assert.equal(outcome(table, "GET /a/"), 1);
  assert.equal(outcome(table, "GET /A"), 2);
  assert.equal(outcome(table, "GET /b/"), 3);
  assert.equal(outcome(table, "GET /b"), "not-found");
});

Deno.test("match() passes over a route that has the path but not the method", () => {
  const table = router("GET /a", "POST /a", "GET /:x", "PUT,DELETE /*");
  assert.equal(outcome(table, "GET /a"), 0);
  assert.equal(outcome(table, "HEAD /a"), 0);
  assert.equal(outcome(table, "POST /a"), 1);
  assert.equal(outcome(table, "PUT /a"), 3);
  assert.equal(outcome(table, "get /a"), "DELETE,GET,HEAD,POST,PUT");
  assert.equal(outcome(table, "POST /b"), "DELETE,GET,HEAD,PUT");
  assert.equal(outcome(table, "POST /b/c"), "DELETE,PUT");
});

Deno.test("match() gives CONNECT and TRACE to a route that lists them alone", () => {
  const table = router("/a", "TRACE,GET /b", "/b");
  assert.equal(outcome(table, "PROPFIND /a"), 0);
  assert.equal(outcome(table, "TRACE /b"), 1);
  assert.equal(outcome(table, "CONNECT /a"), "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT");
  assert.equal(outcome(table, "CONNECT /b"), "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE");
});

Deno.test("match() asks the routes of a host, of its wildcards and of any host", () => {
  const table = router(
    "git.Example.org/a",
    "*.example.org/a",
    "*.b.example.org/*",
    "/a",
    "[::1]/v6",
    "example.org/*",
  );
  assert.equal(outcome(table, "GET git.example.org/a"), 0);
  assert.equal(outcome(table, "GET www.example.org/a"), 1);
  assert.equal(outcome(table, "GET a.b.example.org/a"), 1);
  assert.equal(outcome(table, "GET a.b.example.org/c"), 2);
  assert.equal(outcome(table, "GET x.a.b.example.org/c"), 2);
  assert.equal(outcome(table, "GET b.example.org/c"), "not-found");
  assert.equal(outcome(table, "GET example.org/a"), 3);
  assert.equal(outcome(table, "GET example.org/c"), 5);
  assert.equal(outcome(table, "GET .example.org/c"), "not-found");
  assert.equal(outcome(table, "GET notexample.org/c"), "not-found");
  assert.equal(outcome(table, "GET [::1]/v6"), 4);
  assert.equal(outcome(table, "GET [::2]/v6"), "not-found");
});

Deno.test("match() is not slowed down by a host name of many labels", () => {
  const table = router("*.example.org/", "/");
  assert.equal(outcome(table, `GET ${"a.".repeat(100_000)}example.org/`), 0);
  assert.equal(outcome(table, `GET ${"a.".repeat(100_000)}example.com/`), 1);
});

Deno.test("match() keeps group names of the object prototype apart from it", () => {
  const found = ask(router("/:constructor/:__proto__"), "GET /a/b");
  assert.ok(found.type === "found");
  assert.deepEqual(Object.entries(found.mount.params), [["constructor", "a"], ["__proto__", "b"]]);
  assert.equal(Object.getPrototypeOf(found.mount.params), null);
});

Deno.test("candidates() says of every route why it matches or not", () => {
  const table = router("b.org/*", "/b", "POST /a", "GET /a", "/*", "POST /*");
  assert.deepEqual(table.candidates("GET", "a.org", "/a"), [
    "host",
    "path",
    "method",
    "found",
    "earlier",
    "method",
  ]);
  assert.deepEqual(router("/b").candidates("GET", "a.org", "/a"), ["path"]);
});

interface Asked {
  readonly method: string;
  readonly hostname: string;
  readonly path: string;
}

/** What patterns and wildcards mean, written down once more by hand. */
const MEANINGS: Readonly<Record<string, RegExp>> = {
  "/": /^\/$/,
  "/a": /^\/a$/,
  "/a/": /^\/a\/$/,
  "/a/b": /^\/a\/b$/,
  "/:x": /^\/[^/]+$/,
  "/:x/b": /^\/[^/]+\/b$/,
  "/a/:x": /^\/a\/[^/]+$/,
  "/a/:x?": /^\/a(\/[^/]+)?$/,
  "/:x/:y/c": /^\/[^/]+\/[^/]+\/c$/,
  "/a{/}?": /^\/a\/?$/,
  "/*": /^\//,
  "/a/*": /^\/a(\/|$)/,
  "/:x/b/*": /^\/[^/]+\/b(\/|$)/,
  "/*b": /^\/.*b$/,
  "/a/*/c": /^\/a\/.*\/c$/,
  "/:x([ab])": /^\/[ab]$/,
  "/:x([ab])/*": /^\/[ab](\/|$)/,
  "/a/:x+/c": /^\/a\/([^/]+\/)+c$/,
  "b.org": /^b\.org$/,
  "a.b.org": /^a\.b\.org$/,
  "*.b.org": /^.+\.b\.org$/,
  "*.a.b.org": /^.+\.a\.b\.org$/,
};

const sometimes = fc.constant(undefined);
const method = fc.constantFrom("GET", "HEAD", "POST", "TRACE");
const paths = Object.keys(MEANINGS).filter((key) => key.startsWith("/"));
const hosts = Object.keys(MEANINGS).filter((key) => !key.startsWith("/"));

const tables = fc.array(
  fc.record({
    path: fc.constantFrom(...paths),
    host: fc.oneof(sometimes, fc.constantFrom(...hosts)),
    methods: fc.oneof(sometimes, fc.uniqueArray(method, { minLength: 1 })),
  }),
  { maxLength: 12 },
);

const asked = fc.record({
  method,
  hostname: fc.constantFrom("b.org", "a.b.org", "x.b.org", "x.a.b.org", "localhost"),
  path: fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 4 })
    .chain((segments) => fc.constantFrom(`/${segments.join("/")}`, `/${segments.join("/")}/`))
    .filter((path) => !path.includes("//")),
});

function judge({ host, path, methods }: RouteKey, request: Asked): Verdict {
  if (host !== undefined && !MEANINGS[host]?.test(request.hostname)) return "host";
  if (!MEANINGS[path]?.test(request.path)) return "path";
  const listed = methods?.includes(request.method === "HEAD" ? "GET" : request.method) ||
    methods?.includes(request.method);
  return listed ?? request.method !== "TRACE" ? "found" : "method";
}

Deno.test("match() and candidates() agree with asking one route after the other", () => {
  fc.assert(
    fc.property(tables, fc.array(asked, { minLength: 1, maxLength: 10 }), (table, requests) => {
      const created = createRouter(table);
      for (const request of requests) {
        const { method, hostname, path } = request;
        const verdicts = table.map((route) => judge(route, request));
        const first = verdicts.indexOf("found");
        const failed = verdicts.includes("method") ? "wrong-method" : "not-found";
        const match = created.match(method, hostname, path);
        assert.equal(match.type === "found" ? match.index : match.type, first < 0 ? failed : first);
        assert.deepEqual(
          created.candidates(method, hostname, path),
          verdicts.map((verdict, i) => verdict === "found" && i > first ? "earlier" : verdict),
        );
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("match() finds every route of a large table", () => {
  const paths = Array.from({ length: 5000 }, (_, i) => [
    { path: `/fixed/${i}`, ask: `/fixed/${i}` },
    { path: `/p${i}/*`, ask: `/p${i}/a/b` },
    { path: `/q/:id/r${i}`, ask: `/q/7/r${i}` },
  ]).flat();
  const keys = paths.map(({ path }) => ({ path, host: undefined, methods: undefined }));
  const table = createRouter(keys);
  for (const [i, { ask }] of paths.entries()) {
    const match = table.match("GET", "localhost", ask);
    assert.equal(match.type === "found" ? match.index : match.type, i);
  }
});
