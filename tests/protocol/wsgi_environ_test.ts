import assert from "node:assert/strict";
import { collectEnviron, mountFacts, planEnviron } from "../../lib/protocol/cgi_environ.ts";
import type { Application, Environ } from "../../lib/protocol/wsgi.ts";
import { bodyOf, bytes, PLAIN, type Setting, Stage } from "../support/wsgi_call.ts";

const VARIABLES = 'PEP 3333 "environ Variables"';
const DETAILS = 'PEP 3333 "Specification Details"';

function environOf(setting: Setting = {}): Environ {
  return new Stage(setting).environ;
}

Deno.test(`environ is a plain object without prototype, the application's to change (${DETAILS})`, () => {
  const environ = environOf();
  assert.equal(Object.getPrototypeOf(environ), null);
  assert.equal("constructor" in environ, false);
  assert.equal("toString" in environ, false);
  assert(Object.isExtensible(environ));
  environ["my.key"] = 1;
  environ.PATH_INFO = "/changed";
  Reflect.deleteProperty(environ, "wsgi.errors");
  const copy = { ...environ };
  assert.deepEqual([copy["my.key"], copy.PATH_INFO, copy["wsgi.errors"]], [
    1,
    "/changed",
    undefined,
  ]);
});

Deno.test(`environ is fresh for each request (${DETAILS})`, () => {
  const stages = [new Stage(), new Stage()];
  const [one, two] = stages.map(({ environ }) => environ);
  assert.notEqual(one, two);
  assert.notEqual(one?.["wsgi.input"], two?.["wsgi.input"]);
  assert.notEqual(one?.["wsgiorg.routing_args"], two?.["wsgiorg.routing_args"]);
  assert.notEqual(one?.["portico.signal"], two?.["portico.signal"]);
});

Deno.test(`environ has the one walk's CGI variables, and no others (${VARIABLES})`, () => {
  const setting: Setting = {
    exchange: {
      method: "POST",
      target: "/app/caf%C3%A9?q=1&r",
      path: "/app/caf\xc3\xa9",
      query: "q=1&r",
      scheme: "https",
      headers: new Headers({ accept: "*/*", "content-type": "text/plain", "x-a": "caf\xe9" }),
    },
    mount: { scriptName: "/app", pathInfo: "/caf\xc3\xa9" },
    env: { STAGE: "test", SERVER_SOFTWARE: "mine" },
    body: bodyOf([bytes("12345")], 5),
  };
  const { environ, exchange } = new Stage(setting);
  const facts = mountFacts({ scriptName: "/app", pathInfo: "/caf\xc3\xa9", params: {} }, 5);
  const walked = collectEnviron(planEnviron(setting.env ?? {}, undefined), exchange, facts);
  const own = Object.entries(environ).filter(([name]) => !name.includes("."));
  assert.deepEqual(Object.fromEntries(own), { ...walked });
  assert.equal(environ.CONTENT_LENGTH, "5");
  assert.equal(environ.HTTPS, "on");
  assert.equal(environ["STAGE"], "test");
  assert.equal(environ["SERVER_SOFTWARE"], "mine");
});

Deno.test(`environ has what must be there, never empty where it must not be (${VARIABLES})`, () => {
  const environ = environOf({ exchange: { method: "PATCH" } });
  assert.equal(environ.REQUEST_METHOD, "PATCH");
  assert.equal(environ.SERVER_NAME, "example.org");
  assert.equal(environ.SERVER_PORT, "80");
  assert.equal(environ.SERVER_PROTOCOL, "HTTP/1.1");
  assert.equal(environ.SCRIPT_NAME, "");
  assert.equal(environ.QUERY_STRING, "");
});

Deno.test(`environ leaves out what is not known (${VARIABLES})`, () => {
  const environ = environOf({ body: bodyOf([bytes("chunked")]) });
  for (const name of ["CONTENT_LENGTH", "CONTENT_TYPE", "HTTPS", "AUTH_TYPE", "REMOTE_USER"]) {
    assert.equal(name in environ, false, name);
  }
});

Deno.test(`environ's CGI variables are native strings (PEP 3333 "A Note On String Types")`, () => {
  const environ = environOf({
    exchange: { path: "/\xff\xe9", headers: new Headers({ "x-a": "\xfc" }) },
    env: { NAME: "caf\u00e9 \u2713" },
  });
  for (const [name, value] of Object.entries(environ)) {
    if (name.includes(".")) continue;
    assert.equal(typeof value, "string", name);
    // deno-lint-ignore no-control-regex
    assert.match(String(value), /^[\x00-\xff]*$/, name);
  }
  assert.equal(environ["NAME"], "caf\xc3\xa9 \xe2\x9c\x93");
});

Deno.test(`environ has every wsgi key (${VARIABLES})`, () => {
  const environ = environOf({ exchange: { scheme: "https" } });
  assert.deepEqual(environ["wsgi.version"], [1, 0]);
  assert.equal(environ["wsgi.url_scheme"], "https");
  assert.equal(environ["wsgi.input_terminated"], true);
  assert.equal(environ["wsgi.multithread"], false);
  assert.equal(environ["wsgi.multiprocess"], false);
  assert.equal(environ["wsgi.run_once"], false);
  for (const method of ["read", "readline", "readlines"] as const) {
    assert.equal(typeof environ["wsgi.input"][method], "function");
  }
  assert.equal(typeof environ["wsgi.input"][Symbol.asyncIterator], "function");
  for (const method of ["write", "writelines", "flush"] as const) {
    assert.equal(typeof environ["wsgi.errors"][method], "function");
  }
  assert.equal(typeof environ["wsgi.file_wrapper"], "function");
});

Deno.test(`environ has the server's own keys, lower case and with a prefix (${VARIABLES})`, () => {
  const environ = environOf({ exchange: { id: "id-7" }, mount: { params: { name: "caf\xe9" } } });
  assert.deepEqual(environ["wsgiorg.routing_args"], [[], { name: "caf\xe9" }]);
  assert.equal(environ["portico.request_id"], "id-7");
  assert.deepEqual(environ["portico.client"], { address: "192.0.2.9", port: 4000 });
  assert.equal(environ["portico.nonblocking"], true);
  assert.deepEqual(environ["portico.routes"], []);
  assert(Object.isFrozen(environ["portico.routes"]));
  assert(environ["portico.signal"] instanceof AbortSignal);
  for (const name of Object.keys(environ)) {
    assert.match(name, /^(?:[A-Z][A-Z0-9_]*|(?:wsgi|wsgiorg|portico)\.[a-z_]+)$/);
  }
});

Deno.test('an application is called with two arguments (PEP 3333 "The Application/Framework Side")', () => {
  let seen: unknown[] = [];
  const application: Application = (...all) => {
    seen = all;
    all[1]("200 OK", PLAIN);
    return [];
  };
  const stage = new Stage();
  stage.run(application);
  assert.equal(seen.length, 2);
  assert.equal(seen[0], stage.environ);
});
