/** What a program is told of a request (RFC 3875 §4.1; the environ of the README). */
import assert from "node:assert/strict";
import type { RequestText } from "../support/client.ts";
import { ENVIRON, OK } from "../upstreams/play.ts";
import {
  lengthOfNothing,
  parseEnviron,
  type Subject,
  testWithProbe,
  type Theatre,
} from "./contract.ts";

export function testEnviron(subject: Subject): void {
  testWholeEnviron(subject);
  testFields(subject);
  testHosts(subject);
  testPaths(subject);
  testMethods(subject);

  testWithProbe(subject, "env of the route wins over what the walk tells", async (theatre) => {
    const environ = await environOf(theatre, { target: "/set/", headers: { "X-Over": "client" } });
    assert.equal(environ["HTTP_X_OVER"], "table");
    assert.equal(environ["SERVER_NAME"], "caf\xc3\xa9.example");
    assert.equal(environ["EXTRA"], "1");
  }, {
    more: [{
      path: "/set/*",
      env: { HTTP_X_OVER: "table", SERVER_NAME: "caf\u00e9.example", EXTRA: "1" },
    }],
  });
}

function testWholeEnviron(subject: Subject): void {
  testWithProbe(
    subject,
    "gives the whole environ and nothing else (RFC 3875 §4.1)",
    async (theatre) => {
      const environ = await environOf(theatre, {
        method: "POST",
        target: "/p/a%20b/c?x=1&y=%2F",
        host: "example.org:8080",
        headers: { "Content-Type": "text/plain; charset=utf-8", Accept: "*/*" },
        body: "hello",
      });
      const { REMOTE_PORT, REQUEST_ID, HTTP_X_PLAY, PROGRESS, ...rest } = environ;
      assert.match(REMOTE_PORT ?? "", /^\d+$/);
      assert.match(REQUEST_ID ?? "", /^[0-9a-f]{8}-[0-9a-z]+$/);
      assert.ok(HTTP_X_PLAY !== undefined && PROGRESS !== undefined);
      for (const name of subject.ownVariables) delete rest[name];
      assert.deepEqual(rest, {
        CONTENT_LENGTH: "5",
        CONTENT_TYPE: "text/plain; charset=utf-8",
        DOCUMENT_URI: "/p/a b/c",
        GATEWAY_INTERFACE: "CGI/1.1",
        HTTP_ACCEPT: "*/*",
        HTTP_HOST: "example.org:8080",
        PATH_INFO: "/a b/c",
        QUERY_STRING: "x=1&y=%2F",
        REDIRECT_STATUS: "200",
        REMOTE_ADDR: "127.0.0.1",
        REMOTE_HOST: "127.0.0.1",
        REQUEST_METHOD: "POST",
        REQUEST_SCHEME: "http",
        REQUEST_URI: "/p/a%20b/c?x=1&y=%2F",
        SCRIPT_NAME: "/p",
        SERVER_ADDR: "127.0.0.1",
        SERVER_NAME: "example.org",
        SERVER_PORT: String(theatre.port),
        SERVER_PROTOCOL: "HTTP/1.1",
        SERVER_SOFTWARE: "Portico/0.1.0",
      });
    },
  );
}

/** A request field line, and the variables that come of it. */
const FIELDS: readonly [lines: [string, string][], expected: Record<string, string | undefined>][] =
  [
    [[["X-One", "a"], ["X-One", "b"]], { HTTP_X_ONE: "a, b" }],
    [[["Cookie", "a=1"], ["Cookie", "b=2"]], { HTTP_COOKIE: "a=1; b=2" }],
    [[["Proxy", "http://evil/"]], { HTTP_PROXY: undefined }],
    [[["X_Foo", "evil"], ["X-Foo", "good"]], { HTTP_X_FOO: "good" }],
    [[["X_Foo", "evil"]], { HTTP_X_FOO: undefined }],
    [[["X.Foo", "evil"], ["X~Foo", "evil"]], { HTTP_X_FOO: undefined }],
    [[["Content_Type", "evil"], ["Content_Length", "9"]], {
      CONTENT_TYPE: undefined,
      CONTENT_LENGTH: undefined,
      HTTP_CONTENT_TYPE: undefined,
      HTTP_CONTENT_LENGTH: undefined,
    }],
    [[["Content-Type", "text/html"]], { CONTENT_TYPE: "text/html", HTTP_CONTENT_TYPE: undefined }],
    [[["Connection", "close, X-Hop"], ["X-Hop", "1"], ["X-Stay", "1"]], {
      HTTP_CONNECTION: undefined,
      HTTP_X_HOP: undefined,
      HTTP_X_STAY: "1",
    }],
    [[["TE", "trailers"], ["Trailer", "X-T"], ["Keep-Alive", "5"], ["Upgrade", "h2c"]], {
      HTTP_TE: undefined,
      HTTP_TRAILER: undefined,
      HTTP_KEEP_ALIVE: undefined,
      HTTP_UPGRADE: undefined,
    }],
    [[["Proxy-Connection", "keep-alive"], ["Proxy-Authorization", "Basic eA=="]], {
      HTTP_PROXY_CONNECTION: undefined,
      HTTP_PROXY_AUTHORIZATION: undefined,
    }],
    [[["Authorization", "Basic eA=="]], {
      HTTP_AUTHORIZATION: "Basic eA==",
      REMOTE_USER: undefined,
      AUTH_TYPE: undefined,
    }],
    [[["X-Forwarded-For", "1.2.3.4"], ["Forwarded", "for=1.2.3.4;host=evil"]], {
      HTTP_X_FORWARDED_FOR: undefined,
      HTTP_FORWARDED: undefined,
      REMOTE_ADDR: "127.0.0.1",
      SERVER_NAME: "127.0.0.1",
    }],
    [[["X-Real-IP", "1.2.3.4"]], { HTTP_X_REAL_IP: undefined }],
    [[["X-Text", "caf\xc3\xa9"]], { HTTP_X_TEXT: "caf\xc3\xa9" }],
    [[["X-Empty", ""]], { HTTP_X_EMPTY: "" }],
    [[["X-Tab", "a\tb"]], { HTTP_X_TAB: "a\tb" }],
  ];

function testFields(subject: Subject): void {
  testWithProbe(
    subject,
    "turns request fields into variables by the rules (RFC 3875 §4.1.18)",
    async (theatre) => {
      for (const [headers, expected] of FIELDS) {
        const environ = await environOf(theatre, { headers });
        const all = "CONTENT_LENGTH" in expected
          ? { ...expected, CONTENT_LENGTH: lengthOfNothing(subject) }
          : expected;
        assert.deepEqual(pick(environ, Object.keys(all)), all, JSON.stringify(headers));
      }
    },
  );

  testWithProbe(
    subject,
    "passes bytes that are not UTF-8 as well as it can (RFC 3875 §7.2)",
    async (theatre) => {
      const environ = await environOf(theatre, { target: "/p/%E9", headers: { "X-Text": "\xe9" } });
      const arrived = subject.exactBytes ? "\xe9" : "\xef\xbf\xbd";
      assert.equal(environ["PATH_INFO"], `/${arrived}`);
      assert.equal(environ["HTTP_X_TEXT"], arrived);
      assert.equal(environ["REQUEST_URI"], "/p/%E9");
    },
  );
}

function testHosts(subject: Subject): void {
  testWithProbe(
    subject,
    "tells the host as the request had it (RFC 3875 §4.1.14, §4.1.15)",
    async (theatre) => {
      const hosts = { "[::1]:8080": "[::1]", "[::1]": "[::1]", "EXAMPLE.org:81": "example.org" };
      for (const [host, name] of Object.entries(hosts)) {
        const environ = await environOf(theatre, { host });
        assert.deepEqual(pick(environ, ["HTTP_HOST", "SERVER_NAME", "SERVER_PORT"]), {
          HTTP_HOST: host,
          SERVER_NAME: name,
          SERVER_PORT: String(theatre.port),
        });
      }
      for (const host of ["a/b", "a?b", "u@a", "a b", "[::1", "a, b"]) {
        assert.equal((await theatre.ask([OK], { host })).status, 400, host);
      }
    },
  );
}

/** Target, and PATH_INFO below `/p` or the status of the refusal. */
const PATHS: readonly [target: string, expected: string | number][] = [
  ["/p", ""],
  ["/p/", "/"],
  ["/p/caf%C3%A9", "/caf\xc3\xa9"],
  ["/p/a%2Fb", "/a/b"],
  ["/p/a%3Bb%3Fc%3Dd", "/a;b?c=d"],
  ["/p//a///b", "/a/b"],
  ["/p/./a/../b", "/b"],
  ["/p/%2e%2e/p/c", "/c"],
  ["/p/a%0Ab", "/a\nb"],
  ["/p/a+b", "/a+b"],
  ["/p/%2525", "/%25"],
  ["/p/a%00b", 400],
  ["/p/%zz", 400],
  ["/p/%", 400],
];

function testPaths(subject: Subject): void {
  testWithProbe(
    subject,
    "splits the decoded path and keeps the raw target (RFC 3875 §4.1.5, §4.1.7, §4.1.13)",
    async (theatre) => {
      for (const [target, expected] of PATHS) {
        const answer = await theatre.ask([OK, ENVIRON], { target: `${target}?q=%2F+` });
        if (typeof expected === "number") {
          assert.equal(answer.status, expected, target);
          continue;
        }
        const environ = parseEnviron(answer.text);
        assert.deepEqual(
          pick(environ, ["SCRIPT_NAME", "PATH_INFO", "REQUEST_URI", "QUERY_STRING"]),
          {
            SCRIPT_NAME: "/p",
            PATH_INFO: expected,
            REQUEST_URI: `${target}?q=%2F+`,
            QUERY_STRING: "q=%2F+",
          },
        );
      }
    },
  );

  testWithProbe(
    subject,
    "takes a target in absolute form, of its own host (RFC 3875 §3.1)",
    async (theatre) => {
      const target = "http://example.org/p/x";
      const environ = await environOf(theatre, { target, host: "example.org" });
      assert.equal(environ["PATH_INFO"], "/x");
      assert.equal(environ["SERVER_NAME"], "example.org");
      assert.equal((await theatre.ask([OK], { target, host: "other.org" })).status, 400);
    },
  );
}

function testMethods(subject: Subject): void {
  testWithProbe(subject, "passes any method as it is (RFC 3875 §4.1.12)", async (theatre) => {
    // The parser of the Node-compatible server has a list of its own.
    const others = subject.listener === "node" ? ["REPORT"] : ["get", "A!#$"];
    for (const method of ["PROPFIND", "OPTIONS", ...others]) {
      assert.equal((await environOf(theatre, { method }))["REQUEST_METHOD"], method);
    }
  });
}

async function environOf(
  theatre: Theatre,
  request: Partial<RequestText>,
): Promise<Record<string, string>> {
  const answer = await theatre.ask([OK, ENVIRON], request);
  assert.equal(answer.status, 200, answer.text);
  return parseEnviron(answer.text);
}

function pick(environ: Record<string, string>, names: readonly string[]) {
  return Object.fromEntries(names.map((name) => [name, environ[name]]));
}
