import assert from "node:assert/strict";
import fc from "fast-check";
import { ENCODED_SLASH, type Exchange } from "../../lib/exchange.ts";
import { Lifeline } from "../../lib/lifeline.ts";
import {
  collectEnviron,
  type EnvironFacts,
  mountFacts,
  planEnviron,
  SERVER_SOFTWARE,
  walkEnviron,
} from "../../lib/protocol/cgi_environ.ts";
import { byteString, textOf } from "../../lib/protocol/latin1.ts";

const NO_HEADERS: readonly (readonly [string, string])[] = [];

function exchangeOf(
  changes: Partial<Omit<Exchange, "headers">> & { headers?: Iterable<readonly string[]> } = {},
): Exchange {
  const { headers = NO_HEADERS, ...rest } = changes;
  return {
    id: "id-1",
    method: "GET",
    target: "/app/a%20b?q=1",
    path: "/app/a b",
    query: "q=1",
    hostname: "example.org",
    authority: "Example.org:8080",
    scheme: "http",
    client: { address: "192.0.2.9", port: 4000 },
    server: { address: "192.0.2.1", port: 8080 },
    body: null,
    withholds: () => false,
    lifeline: new Lifeline(),
    headers: new Headers(
      [...headers].map(([name = "", value = ""]): [string, string] => [name, value]),
    ),
    ...rest,
  };
}

const FACTS: EnvironFacts = {
  scriptName: "/app",
  pathInfo: "/a b",
  scriptFilename: undefined,
  contentLength: undefined,
};
const PLAN = planEnviron({}, undefined);

/** All variables of a request. */
function environ(
  changes: Parameters<typeof exchangeOf>[0] = {},
  facts: Partial<EnvironFacts> = {},
) {
  return { ...collectEnviron(PLAN, exchangeOf(changes), { ...FACTS, ...facts }) };
}

Deno.test("collectEnviron() gives RFC 3875's variables, the common ones, and no other (RFC 3875 §4.1)", () => {
  assert.deepEqual(environ(), {
    DOCUMENT_URI: "/app/a b",
    GATEWAY_INTERFACE: "CGI/1.1",
    HTTP_HOST: "Example.org:8080",
    PATH_INFO: "/a b",
    QUERY_STRING: "q=1",
    REDIRECT_STATUS: "200",
    REMOTE_ADDR: "192.0.2.9",
    REMOTE_HOST: "192.0.2.9",
    REMOTE_PORT: "4000",
    REQUEST_ID: "id-1",
    REQUEST_METHOD: "GET",
    REQUEST_SCHEME: "http",
    REQUEST_URI: "/app/a%20b?q=1",
    SCRIPT_NAME: "/app",
    SERVER_ADDR: "192.0.2.1",
    SERVER_NAME: "example.org",
    SERVER_PORT: "8080",
    SERVER_PROTOCOL: "HTTP/1.1",
    SERVER_SOFTWARE,
  });
});

Deno.test("collectEnviron() sets CONTENT_LENGTH if there is a body, and then always (RFC 3875 §4.1.2)", () => {
  for (const contentLength of [0, 5, 2 ** 40]) {
    assert.equal(environ({}, { contentLength })["CONTENT_LENGTH"], String(contentLength));
  }
  assert.equal("CONTENT_LENGTH" in environ(), false);
});

Deno.test("collectEnviron() sets QUERY_STRING, SCRIPT_NAME and PATH_INFO even if empty (RFC 3875 §4.1.5, §4.1.7, §4.1.13)", () => {
  const { QUERY_STRING, SCRIPT_NAME, PATH_INFO } = environ({ query: "" }, {
    scriptName: "",
    pathInfo: "",
  });
  assert.deepEqual([QUERY_STRING, SCRIPT_NAME, PATH_INFO], ["", "", ""]);
});

Deno.test("collectEnviron() says HTTPS=on under TLS alone, and the port of the scheme (RFC 3875 §4.1.15, §4.1.18)", () => {
  const server = { address: "unix:/s", port: 0 };
  const secure = environ({ scheme: "https", server });
  assert.deepEqual(
    [secure["HTTPS"], secure["REQUEST_SCHEME"], secure["SERVER_PORT"]],
    ["on", "https", "443"],
  );
  const plain = environ({ server, client: { address: "unix:", port: 0 } });
  assert.deepEqual([plain["SERVER_PORT"], plain["REMOTE_ADDR"]], ["80", "unix:"]);
  assert.equal("HTTPS" in plain || "REMOTE_PORT" in plain, false);
});

Deno.test("collectEnviron() keeps an IPv6 host in brackets and a client's address bare (RFC 3875 §4.1.8, §4.1.14)", () => {
  const variables = environ({
    hostname: "[::1]",
    authority: "[::1]:81",
    client: { address: "2001:db8::1", port: 1 },
  });
  assert.equal(variables["SERVER_NAME"], "[::1]");
  assert.equal(variables["REMOTE_ADDR"], "2001:db8::1");
});

Deno.test("collectEnviron() translates PATH_INFO below the document root alone (RFC 3875 §4.1.6, §9.8)", () => {
  const plan = planEnviron({}, "/srv/www");
  const translate = (changes: Partial<EnvironFacts>, path = "/app/a b") =>
    collectEnviron(plan, exchangeOf({ path }), { ...FACTS, ...changes })["PATH_TRANSLATED"];
  assert.equal(translate({}), "/srv/www/a b");
  assert.equal(translate({ pathInfo: "" }), undefined);
  // RFC 3875 §9.8: a decoded %2F could make new dot segments.
  assert.equal(translate({ pathInfo: "/../../etc" }, `/app/..${ENCODED_SLASH}..`), undefined);
  assert.equal("PATH_TRANSLATED" in environ(), false);
});

Deno.test("collectEnviron() tells DOCUMENT_ROOT and SCRIPT_FILENAME where there are any", () => {
  const plan = planEnviron({}, "/srv/caf\u00e9");
  const facts = { ...FACTS, scriptFilename: "/srv/x.cgi" };
  const variables = collectEnviron(plan, exchangeOf(), facts);
  assert.equal(variables["DOCUMENT_ROOT"], "/srv/caf\xc3\xa9");
  assert.equal(variables["SCRIPT_FILENAME"], "/srv/x.cgi");
});

Deno.test("collectEnviron() tells as DOCUMENT_URI what the path came to, as nginx does", () => {
  const index = environ({ path: "/blog/" }, { scriptName: "/blog/index.php", pathInfo: "" });
  assert.equal(index["DOCUMENT_URI"], "/blog/index.php");
  const along = environ({ path: "/x.php/a" }, { scriptName: "/x.php", pathInfo: "/a" });
  assert.equal(along["DOCUMENT_URI"], "/x.php/a");
});

/** What a program must not see of a request's fields. */
const WITHHELD: readonly string[] = [
  "Connection",
  "Content-Length",
  "Content_Type",
  "Host",
  "HTTP2-Settings",
  "Keep-Alive",
  "Proxy",
  "Proxy-Authorization",
  "Proxy-Connection",
  "TE",
  "Trailer",
  "Transfer-Encoding",
  "Upgrade",
  "X_Foo",
  "X.Foo",
  "X~Foo",
  "X!Foo",
];

Deno.test("walkEnviron() withholds fields that are not for the program (RFC 3875 §4.1.18)", () => {
  const without = environ();
  for (const name of WITHHELD) {
    assert.deepEqual(environ({ headers: [[name, "evil"]] }), without, name);
  }
});

Deno.test("walkEnviron() withholds what Connection nominates, in any case and spacing (RFC 3875 §4.1.18)", () => {
  const headers = [["Connection", "close,  X-One ,x-TWO"], ["X-One", "1"], ["X-Two", "2"]];
  assert.deepEqual(environ({ headers }), environ());
});

Deno.test("walkEnviron() withholds what the exchange withholds", () => {
  const headers = [["X-Forwarded-For", "192.0.2.7"], ["X-Kept", "1"]];
  const withholds = (name: string) => name === "x-forwarded-for";
  assert.deepEqual(environ({ headers, withholds }), { ...environ(), HTTP_X_KEPT: "1" });
});

Deno.test("walkEnviron() joins repeated fields (RFC 3875 §4.1.18)", () => {
  const headers = [["X-A", "1"], ["x-a", "2"], ["X-B", ""]];
  assert.deepEqual(environ({ headers }), { ...environ(), HTTP_X_A: "1, 2", HTTP_X_B: "" });
});

Deno.test("walkEnviron() gives Content-Type its own variable (RFC 3875 §4.1.3)", () => {
  const variables = environ({ headers: [["Content-Type", "a/b"]] });
  assert.deepEqual(variables, { ...environ(), CONTENT_TYPE: "a/b" });
});

Deno.test("planEnviron() lets the table win, each name once", () => {
  const plan = planEnviron({ SERVER_NAME: "caf\u00e9", REDIRECT_STATUS: "404", OWN: "1" }, "/srv");
  const told: [string, string][] = [...plan.constants].map(([name, value]) => [name, value]);
  walkEnviron(plan, exchangeOf({ headers: [["X-A", "1"]] }), FACTS, {
    set: (name, value) => told.push([name, value]),
  });
  const names = told.map(([name]) => name);
  assert.equal(new Set(names).size, names.length);
  const variables = Object.fromEntries(told);
  assert.equal(variables["SERVER_NAME"], "caf\xc3\xa9");
  assert.equal(variables["REDIRECT_STATUS"], "404");
  assert.equal(variables["OWN"], "1");
});

Deno.test("mountFacts() takes the border from the mount", () => {
  assert.deepEqual(mountFacts({ scriptName: "/a", pathInfo: "/b", params: {} }, 3), {
    scriptName: "/a",
    pathInfo: "/b",
    scriptFilename: undefined,
    contentLength: 3,
  });
});

Deno.test("textOf() undoes byteString() for any text", () => {
  const anyChar = fc.integer({ min: 0, max: 0x10ffff })
    .filter((code) => code < 0xd800 || code > 0xdfff).map((code) => String.fromCodePoint(code));
  fc.assert(fc.property(fc.array(anyChar).map((chars) => chars.join("")), (text) => {
    const bytes = byteString(text);
    assert.ok([...bytes].every((char) => char.charCodeAt(0) <= 0xff));
    assert.equal(textOf(bytes), text);
  }));
});

const fieldName = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/);
const fieldValue = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,20}$/);
const RFC_NAMES = new Set(Object.keys(environ()));

Deno.test("no request field can set a variable outside HTTP_*, nor one twice (RFC 3875 §4.1.18)", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fieldName, fieldValue), { maxLength: 10 }), (headers) => {
      const told: string[] = [];
      walkEnviron(PLAN, exchangeOf({ headers }), FACTS, { set: (name) => told.push(name) });
      assert.equal(new Set(told).size, told.length);
      for (const name of told) {
        assert.ok(RFC_NAMES.has(name) || name === "CONTENT_TYPE" || /^HTTP_[A-Z0-9_]+$/.test(name));
        assert.notEqual(name, "HTTP_PROXY");
      }
    }),
    { numRuns: 300 },
  );
});
