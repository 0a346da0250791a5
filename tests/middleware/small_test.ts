import assert from "node:assert/strict";
import {
  basicAuth,
  cors,
  dispatch,
  methodOverride,
  mount,
  timing,
} from "../../lib/middleware/mod.ts";
import type { Application, Middleware } from "../../lib/protocol/wsgi.ts";
import { validator } from "../../lib/protocol/wsgi_validator.ts";
import { bytes, PLAIN } from "../support/wsgi_call.ts";
import { answering, ask, type Asked, textOf, valuesOf } from "./layer.ts";

/** Tells these variables. */
function telling(...names: string[]): Application {
  return (environ, start) => {
    start("200 OK", PLAIN);
    return [bytes(JSON.stringify(names.map((name) => environ[name] ?? null)))];
  };
}

async function toldBy(middleware: Middleware, names: string[], asked: Asked): Promise<unknown> {
  return JSON.parse(textOf(await ask(middleware, telling(...names), asked)));
}

function basic(user: string, password: string): Asked {
  const text = new TextEncoder().encode(`${user}:${password}`);
  return { headers: { authorization: `Basic ${btoa(String.fromCharCode(...text))}` } };
}

const USERS = { ada: "lovelace", "jos\u00e9": "contrase\u00f1a", empty: "" };

Deno.test("basicAuth asks who is there (RFC 7617)", async () => {
  const outcome = await ask(basicAuth({ users: USERS, realm: 'a "b"' }), answering([]));
  assert.equal(outcome.status, 401);
  assert.deepEqual(valuesOf(outcome, "www-authenticate"), [
    'Basic realm="a \\"b\\"", charset="UTF-8"',
  ]);
  assert.deepEqual(valuesOf(outcome, "cache-control"), ["no-store"]);
  assert.equal(textOf(outcome), "401 Unauthorized\n");
});

Deno.test("basicAuth admits whom it knows, and tells the application (RFC 3875 §4.1.11)", async () => {
  const names = ["AUTH_TYPE", "REMOTE_USER", "HTTP_AUTHORIZATION"];
  for (const users of [USERS, new Map(Object.entries(USERS))]) {
    assert.deepEqual(
      await toldBy(basicAuth({ users }), names, basic("ada", "lovelace")),
      ["Basic", "ada", null],
    );
    assert.deepEqual(
      await toldBy(basicAuth({ users }), names, basic("jos\u00e9", "contrase\u00f1a")),
      ["Basic", "jos\xc3\xa9", null],
    );
  }
});

Deno.test("basicAuth refuses everybody else", async () => {
  const layer = basicAuth({ users: USERS });
  const cases: Asked[] = [
    basic("ada", "lovelac"),
    basic("ada", "lovelace2"),
    basic("ada", ""),
    basic("ADA", "lovelace"),
    basic("nobody", "lovelace"),
    basic("nobody", ""),
    basic("constructor", ""),
    basic("__proto__", "x"),
    basic("", ""),
    basic("empty", "x"),
    { headers: { authorization: "Bearer abc" } },
    { headers: { authorization: "Basic" } },
    { headers: { authorization: "Basic !!!" } },
    { headers: { authorization: `Basic ${btoa("nocolon")}` } },
    { headers: { authorization: `Basic ${btoa("\xff\xfe:x")}` } },
    { headers: { authorization: `Basic ${btoa("ada:lovelace")}, Basic x` } },
  ];
  for (const asked of cases) {
    const { status } = await ask(layer, answering([]), asked);
    assert.equal(status, 401, JSON.stringify(asked));
  }
});

Deno.test("basicAuth takes the word of verify, now or later, and only true", async () => {
  const answers: [unknown, number][] = [
    [true, 200],
    [Promise.resolve(true), 200],
    [false, 401],
    [Promise.resolve(false), 401],
    [Promise.resolve("yes"), 401],
    [1, 401],
  ];
  for (const [answer, expected] of answers) {
    const asked: string[] = [];
    const layer = basicAuth({
      verify: (user, password) => {
        asked.push(user, password);
        return answer as boolean;
      },
    });
    const outcome = await ask(layer, answering([]), basic("ada", "a:b"));
    assert.equal(outcome.status, expected);
    assert.deepEqual(asked, ["ada", "a:b"]);
  }
});

Deno.test("basicAuth cannot be made without users, or with a realm that cannot be sent", () => {
  assert.throws(() => basicAuth({}), /Cannot admit anybody/);
  assert.throws(() => basicAuth({ users: {} }), /Cannot admit anybody/);
  assert.throws(() => basicAuth({ users: USERS, realm: "a\r\nb" }), /Cannot show a realm/);
});

const ORIGIN = "https://example.org";

Deno.test("cors tells every origin that it may read, by default", async () => {
  const outcome = await ask(cors(), answering([]), { headers: { origin: ORIGIN } });
  assert.deepEqual(valuesOf(outcome, "access-control-allow-origin"), ["*"]);
  assert.deepEqual(valuesOf(outcome, "vary"), []);
  assert.deepEqual(valuesOf(await ask(cors(), answering([])), "access-control-allow-origin"), []);
});

Deno.test("cors tells the origins of its list, and caches that there are others", async () => {
  const layer = cors({ origins: [ORIGIN], credentials: true, expose: ["X-Total"] });
  const app = answering([], [["Access-Control-Allow-Origin", "*"]]);
  const known = await ask(layer, app, { headers: { origin: ORIGIN } });
  assert.deepEqual(valuesOf(known, "access-control-allow-origin"), [ORIGIN]);
  assert.deepEqual(valuesOf(known, "access-control-allow-credentials"), ["true"]);
  assert.deepEqual(valuesOf(known, "access-control-expose-headers"), ["X-Total"]);
  assert.deepEqual(valuesOf(known, "vary"), ["Origin"]);
  for (const origin of ["https://example.org.evil.test", "http://example.org", "null"]) {
    const unknown = await ask(layer, app, { headers: { origin } });
    assert.equal(unknown.status, 200);
    assert.deepEqual(valuesOf(unknown, "access-control-allow-origin"), [], origin);
    assert.deepEqual(valuesOf(unknown, "vary"), ["Origin"]);
  }
});

Deno.test("cors answers preflight requests itself", async () => {
  const preflight = (origin: string): Asked => ({
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "PUT",
      "access-control-request-headers": "x-token",
    },
  });
  const never: Application = () => {
    throw new Error("called");
  };
  const outcome = await ask(
    cors({ origins: [ORIGIN], expose: ["X-Total"] }),
    never,
    preflight(ORIGIN),
  );
  assert.equal(outcome.status, 204);
  assert.deepEqual(outcome.headers, [
    ["Access-Control-Allow-Origin", ORIGIN],
    ["Access-Control-Allow-Methods", "PUT, PATCH, DELETE"],
    ["Access-Control-Allow-Headers", "x-token"],
    ["Access-Control-Max-Age", "600"],
    ["Vary", "Origin"],
    ["Vary", "Access-Control-Request-Headers"],
  ]);
  const listed = await ask(
    cors({ headers: ["X-A", "X-B"], methods: ["PUT"] }),
    never,
    preflight("null"),
  );
  assert.deepEqual(valuesOf(listed, "access-control-allow-headers"), ["X-A, X-B"]);
  assert.deepEqual(valuesOf(listed, "access-control-allow-methods"), ["PUT"]);
  const refused = await ask(cors({ origins: [ORIGIN] }), never, preflight("https://evil.test"));
  assert.equal(refused.status, 204);
  assert.deepEqual(valuesOf(refused, "access-control-allow-methods"), []);
});

Deno.test("cors passes on an OPTIONS that is no preflight", async () => {
  const outcome = await ask(cors(), answering([]), {
    method: "OPTIONS",
    headers: { origin: ORIGIN },
  });
  assert.equal(outcome.status, 200);
});

Deno.test("cors never lets every origin send credentials", () => {
  assert.throws(() => cors({ credentials: true }), /Cannot let every origin send credentials/);
  assert.throws(() => cors({ credentials: true, origins: "*" }), /list the origins/);
});

Deno.test("methodOverride makes a POST what its header says, if that may be", async () => {
  const names = ["REQUEST_METHOD"];
  const cases: [string, string, string][] = [
    ["POST", "delete", "DELETE"],
    ["POST", " PATCH ", "PATCH"],
    ["POST", "GET", "POST"],
    ["POST", "CONNECT", "POST"],
    ["POST", "", "POST"],
    ["GET", "DELETE", "GET"],
    ["PUT", "DELETE", "PUT"],
  ];
  for (const [method, wanted, expected] of cases) {
    const asked = { method, headers: { "x-http-method-override": wanted } };
    assert.deepEqual(
      await toldBy(methodOverride(), names, asked),
      [expected],
      `${method} ${wanted}`,
    );
  }
  const link = methodOverride({ methods: ["LINK"] });
  const asked = { method: "POST", headers: { "x-http-method-override": "link" } };
  const outcome = await ask(link, (environ, start) => {
    // An uncommon method is worth a warning to the validator.
    start(`200 ${environ.REQUEST_METHOD}`, PLAIN);
    return [];
  }, { ...asked, headers: { "x-http-method-override": "PUT" } });
  assert.equal(outcome.status, 200);
});

Deno.test('mount moves the prefix to SCRIPT_NAME (PEP 3333 "environ Variables")', async () => {
  const names = ["SCRIPT_NAME", "PATH_INFO"];
  const layer = mount({
    "/api": validator(telling(...names)),
    "/api/v2": validator(telling("REQUEST_METHOD", ...names)),
    "/caf\u00e9": validator(telling(...names)),
  });
  const cases: [string, unknown][] = [
    ["/api", ["/app/api", ""]],
    ["/api/", ["/app/api", "/"]],
    ["/api/x/y", ["/app/api", "/x/y"]],
    ["/api/v2/x", ["GET", "/app/api/v2", "/x"]],
    ["/api/v20", ["/app/api", "/v20"]],
    ["/caf\xc3\xa9/x", ["/app/caf\xc3\xa9", "/x"]],
    ["/apis", ["/app", "/apis"]],
    ["/", ["/app", "/"]],
  ];
  for (const [path, expected] of cases) {
    const asked = { mount: { scriptName: "/app", pathInfo: path } };
    assert.deepEqual(await toldBy(layer, names, asked), expected, path);
  }
});

Deno.test("mount takes prefixes of whole segments alone", () => {
  for (const prefix of ["", "/", "api", "/api/", "//", "/a//b"]) {
    assert.throws(() => mount({ [prefix]: answering([]) }), /Cannot mount at/, prefix);
  }
});

Deno.test("dispatch answers 404 where nothing is mounted", async () => {
  const site = dispatch({ "/a": answering([bytes("a")]) });
  const same: Middleware = (application) => application;
  assert.equal(textOf(await ask(same, site, { path: "/a/b" })), "a");
  const outcome = await ask(same, site, { path: "/b" });
  assert.equal(outcome.status, 404);
  assert.equal(textOf(outcome), "404 Not Found\n");
});

Deno.test("timing tells how long the application took to start (Server Timing)", async () => {
  const slow: Application = async (_environ, start) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    start("200 OK", [...PLAIN, ["Server-Timing", "db;dur=1"]]);
    return [];
  };
  const [theirs, ours = ""] = valuesOf(await ask(timing(), slow), "server-timing");
  assert.equal(theirs, "db;dur=1");
  const [, duration] = /^app;dur=(\d+\.\d)$/.exec(ours) ?? [];
  assert(Number(duration) >= 15, ours);
  assert.match(
    valuesOf(await ask(timing({ name: "wsgi" }), slow), "server-timing").join(),
    /wsgi;dur=/,
  );
  assert.throws(() => timing({ name: "a b" }), /Cannot name a timing/);
});
