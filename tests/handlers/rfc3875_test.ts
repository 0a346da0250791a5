/**
 * RFC 3875, CGI/1.1, as a checklist in the RFC's order: what it asks of a server, against a real gateway and
 * real shell scripts. The contract suite has each rule in its breadth; here each has its section.
 *
 * What the runtime does not allow, and what happens instead (tests marked "instead"):
 *
 * | section      | asked                                   | instead                                      |
 * | ------------ | --------------------------------------- | -------------------------------------------- |
 * | §4.1.2, §4.2 | a body is passed on whatever the method | that of GET and HEAD is dropped, and has no  |
 * |              |                                         | CONTENT_LENGTH                               |
 * | §4.1.16      | SERVER_PROTOCOL is the client's version | HTTP/1.1 for every client                    |
 * | §4.2         | the body's trailer fields are kept      | dropped                                      |
 * | §4.2         | a 413 before the client begins to send  | 100 Continue goes out first in any case      |
 * | §5.1, §5.2   | NPH output goes out unmodified          | parsed, and sent in the client's protocol    |
 * | §6.3.3       | a script's own reason phrase            | the standard phrase of the status, or none   |
 * | §6.3.3       | a Status of 1xx, or past 599            | 1xx heads are skipped; 101 and what is past  |
 * |              |                                         | 599 are a 502                                |
 */
import assert from "node:assert/strict";
import * as v from "valibot";
import { cgi } from "../../lib/handlers/cgi.ts";
import { encodePath } from "../../lib/protocol/cgi_path.ts";
import { Client, requestText } from "../support/client.ts";
import { eventually, rawExchange } from "../support/gateway.ts";
import { writeScript } from "../support/peers.ts";
import {
  CHUNKED,
  ENVIRON,
  gives,
  PLAIN,
  refused,
  replies,
  rule,
  sendChunked,
  sendHttp2,
} from "../support/script_site.ts";
import { linesOf, parseEnviron } from "./contract.ts";

const DIGEST = PLAIN + "printf '%s ' \"${CONTENT_LENGTH-none}\"; sha1sum | cut -c 1-8\n";
// --- §3 Invoking the script ----------------------------------------------------------------------

rule(
  "§3.1",
  "a request is converted for the script, and its answer for the client",
  async (site) => {
    const answer = await site.ask({ method: "PUT", target: "/cgi/t/a%20b?q", body: "hello" });
    assert.deepEqual([answer.status, answer.get("x-said")], [201, "PUT /a b q"]);
    assert.equal(answer.text, "hello");
  },
  {
    script:
      `printf 'Status: 201\\nX-Said: %s %s %s\\n\\n' "$REQUEST_METHOD" "$PATH_INFO" "$QUERY_STRING"
cat`,
  },
);

rule("§3.1", "the client gets correct HTTP, whatever the script prints", async (site) => {
  gives(502)(await site.ask());
  assert.equal(await site.failure(), "transfer-encoding");
}, { script: "printf 'Transfer-Encoding: chunked\\n\\nzz\\r\\nHTTP/1.1 200 OK\\r\\n\\r\\n'\n" });

rule("§3.1", "a script that dies in its body never looks complete", async (site) => {
  const answer = await site.ask();
  assert.deepEqual([answer.status, answer.whole], [200, false]);
  assert.equal(await site.failure(), "script-died");
}, { script: PLAIN + "printf half; sleep 0.1; kill -KILL $$\n" });

rule("§3.1", "no script is run that the table's rules keep from a request", async (site) => {
  assert.equal((await site.ask({ host: "other.org" })).status, 404);
  const answer = await site.ask({ host: "example.org", method: "DELETE" });
  assert.deepEqual([answer.status, answer.get("allow")], [405, "GET, HEAD"]);
  await assert.rejects(Deno.stat(`${site.folder}/ran`), Deno.errors.NotFound);
}, { script: "touch ran\n", route: { host: "example.org", methods: ["GET"] } });

rule("§3.3", "the Script-URI leads to the same script with the same values", async (site) => {
  const told = await site.environ({
    target: "/cgi/t%3Bv=%3F/a%3Bb%3Dc%3Fd%25/caf%C3%A9?x=%2F&y=;",
    host: `127.0.0.1:${site.port}`,
  });
  const { SERVER_NAME, SERVER_PORT, SCRIPT_NAME, PATH_INFO, QUERY_STRING } = told;
  const path = ["/cgi/t;v=?", "/a;b=c?d%/caf\xc3\xa9"];
  assert.deepEqual([SCRIPT_NAME, PATH_INFO], path);
  const encoded = encodePath(path.join("")).replace(/[;=]/g, encodeURIComponent);
  const uri = new URL(`http://${SERVER_NAME}:${SERVER_PORT}${encoded}?${QUERY_STRING}`);
  const again = await site.environ({ target: uri.pathname + uri.search, host: uri.host });
  for (const name of ["SERVER_NAME", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"]) {
    assert.equal(again[name], told[name], name);
  }
}, { name: "t;v=?" });

rule("§3.4", "a script may start before the whole body has come", async (site) => {
  using client = await Client.send(site.port, {
    method: "POST",
    target: site.target,
    headers: CHUNKED,
  });
  await client.write("3\r\none\r\n");
  assert.equal((await client.head()).status, 200);
  await client.write("0\r\n\r\n");
  assert.equal((await client.body()).text, "one");
}, { script: PLAIN + "cat\n", route: { requestBody: "stream" } });

rule("§3.4", "a script is ended when its client has left", async (site) => {
  const client = await Client.send(site.port, { target: site.target });
  await eventually(() => exists(`${site.folder}/began`));
  client.close();
  await eventually(() => exists(`${site.folder}/ended`), 1000);
}, { script: "trap 'touch ended; exit' TERM\ntouch began\nsleep 60 & wait\n" });

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

// --- §4.1 Request meta-variables -----------------------------------------------------------------

rule("§4.1", "no two variables differ in case alone; all are of one case", async (site) => {
  const environ = await site.environ({ headers: [["x-lower", "1"], ["X-LOWER", "2"]] });
  for (const name of Object.keys(environ)) assert.match(name, /^[A-Z][A-Z0-9_]*$/);
  assert.equal(environ["HTTP_X_LOWER"], "1, 2");
});

rule("§4.1", "values are bytes without NUL", async (site) => {
  const environ = await site.environ({ target: "/cgi/t/caf%C3%A9" });
  assert.equal(environ["PATH_INFO"], "/caf\xc3\xa9");
  assert.equal((await site.ask({ target: "/cgi/t/%00" })).status, 400);
});

rule("§4.1", "what has no value is not set", async (site) => {
  const environ = await site.environ();
  const unset = ["AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTPS", "PATH_TRANSLATED"];
  for (const name of [...unset, "REMOTE_IDENT", "REMOTE_USER"]) assert.ok(!(name in environ), name);
});

rule("§4.1.1, §4.1.11", "AUTH_TYPE and REMOTE_USER come of no unchecked claim", async (site) => {
  const environ = await site.environ({ headers: { Authorization: "Basic cm9vdDp4" } });
  assert.ok(!("AUTH_TYPE" in environ) && !("REMOTE_USER" in environ));
});

rule("§4.1.2", "CONTENT_LENGTH is the body's, and unset without one", async (site) => {
  const told = async (body?: string) => {
    return (await site.environ({ method: "POST", ...(body === undefined ? {} : { body }) }))[
      "CONTENT_LENGTH"
    ];
  };
  assert.deepEqual([await told(), await told(""), await told("hello")], [undefined, "0", "5"]);
});

rule("§4.1.2", "CONTENT_LENGTH is exact for a chunked body", async (site) => {
  const environ = parseEnviron((await sendChunked(site, ["hello", "x".repeat(70_000)])).text);
  assert.equal(environ["CONTENT_LENGTH"], "70005");
});

rule("§4.1.2", "CONTENT_LENGTH is exact for a body in HTTP/2, small or large", async (site) => {
  for (const length of [0, 5, 3_000_000]) {
    const { status, text } = await sendHttp2(site, new Uint8Array(length));
    assert.equal(status, 200);
    assert.equal(parseEnviron(text)["CONTENT_LENGTH"], String(length));
  }
});

rule("§4.1.2", "instead: the body of GET and HEAD is dropped, and has no length", async (site) => {
  assert.equal((await site.ask({ method: "GET", body: "hello" })).text, "none da39a3ee\n");
}, { script: DIGEST });

rule("§4.1.3", "CONTENT_TYPE is the client's, and never invented", async (site) => {
  const headers = { "Content-Type": "Text/X; a=B" };
  const given = await site.environ({ method: "POST", headers, body: "x" });
  assert.equal(given["CONTENT_TYPE"], "Text/X; a=B");
  assert.ok(!("CONTENT_TYPE" in await site.environ({ method: "POST", body: "x" })));
});

rule("§4.1.4", "GATEWAY_INTERFACE is CGI/1.1", async (site) => {
  assert.equal((await site.environ())["GATEWAY_INTERFACE"], "CGI/1.1");
});

rule(
  "§4.1.5",
  "PATH_INFO is decoded, keeps its case, and is empty or starts with /",
  async (site) => {
    const rows = { "": "", "/": "/", "/a%20B/%63": "/a B/c", "/%3F%23%25": "/?#%", "/a+b": "/a+b" };
    for (const [path, expected] of Object.entries(rows)) {
      assert.equal((await site.environ({ target: `/cgi/t${path}?q` }))["PATH_INFO"], expected);
    }
  },
);

rule("§4.1.5", "an encoded slash is refused where paths name files", async (site) => {
  for (const path of ["/cgi/t%2Fx", "/cgi/t/a%2fb"]) {
    assert.equal((await site.ask({ target: path })).status, 404, path);
  }
});

rule("§4.1.6", "PATH_TRANSLATED is PATH_INFO below the root, case and all", async (site) => {
  const environ = await site.environ({ target: "/cgi/t/Some/%2e%2E/Where" });
  assert.equal(environ["PATH_TRANSLATED"], `${site.folder}/Where`);
  assert.ok(!("PATH_TRANSLATED" in await site.environ()));
});

rule("§4.1.7", "QUERY_STRING is always set, and still encoded", async (site) => {
  const rows = { "": "", "?": "", "?a=%41+b&%zz": "a=%41+b&%zz", "?a?b": "a?b" };
  for (const [query, expected] of Object.entries(rows)) {
    assert.equal((await site.environ({ target: `/cgi/t${query}` }))["QUERY_STRING"], expected);
  }
});

rule("§4.1.8", "REMOTE_ADDR is the client's address, IPv6 without brackets", async (site) => {
  assert.equal((await site.environ())["REMOTE_ADDR"], "127.0.0.1");
  const headers = { Forwarded: 'for="[2001:db8::1]:4711"' };
  const { REMOTE_ADDR, REMOTE_PORT } = await site.environ({ headers });
  assert.deepEqual([REMOTE_ADDR, REMOTE_PORT], ["2001:db8::1", "4711"]);
}, { server: { trustedProxies: ["127.0.0.1"] } });

rule(
  "§4.1.9, §4.1.10",
  "REMOTE_HOST is the address, and nobody is asked who it is",
  async (site) => {
    const { REMOTE_HOST, REMOTE_IDENT } = await site.environ();
    assert.deepEqual([REMOTE_HOST, REMOTE_IDENT], ["127.0.0.1", undefined]);
  },
);

rule("§4.1.12", "REQUEST_METHOD is any method, as it was written", async (site) => {
  for (const method of ["GET", "get", "PROPFIND", "X-OWN"]) {
    assert.equal((await site.environ({ method }))["REQUEST_METHOD"], method);
  }
});

rule("§4.1.13", "SCRIPT_NAME is the script's path, decoded, without PATH_INFO", async (site) => {
  const { SCRIPT_NAME, PATH_INFO } = await site.environ({ target: "/cgi/a%20b/a%20b" });
  assert.deepEqual([SCRIPT_NAME, PATH_INFO], ["/cgi/a b", "/a b"]);
}, { name: "a b" });

rule(
  "§4.1.14, §4.1.15",
  "SERVER_NAME is the host asked for, SERVER_PORT our port",
  async (site) => {
    const hosts = {
      "example.org:81": "example.org",
      "EXAMPLE.org": "example.org",
      "[::1]:8": "[::1]",
    };
    for (const [host, name] of Object.entries(hosts)) {
      const { SERVER_NAME, SERVER_PORT } = await site.environ({ host });
      assert.deepEqual([SERVER_NAME, SERVER_PORT], [name, String(site.port)]);
    }
  },
);

rule("§4.1.16", "instead: SERVER_PROTOCOL is HTTP/1.1 for every client", async (site) => {
  using client = await Client.connect(site.port);
  await client.write("GET /cgi/t HTTP/1.0\r\nHost: a\r\n\r\n");
  for (const text of [await afterHead(client), (await sendHttp2(site, new Uint8Array(1))).text]) {
    assert.equal(parseEnviron(text)["SERVER_PROTOCOL"], "HTTP/1.1");
  }
});

async function afterHead(client: Client): Promise<string> {
  let text = "";
  for (let more = await client.some(); more !== undefined; more = await client.some()) text += more;
  return text.slice(text.indexOf("\r\n\r\n") + 4);
}

rule("§4.1.17", "SERVER_SOFTWARE names the product, and no Server field another", async (site) => {
  const answer = await site.ask();
  assert.match(parseEnviron(answer.text)["SERVER_SOFTWARE"] ?? "", /^Portico\/\d/);
  assert.equal(answer.get("server"), undefined);
});

rule("§4.1.18", "request fields become HTTP_ variables", async (site) => {
  const headers = { "X-Some-Field": "a  b", Accept: "*/*", "User-Agent": "x/1" };
  const environ = await site.environ({ headers });
  assert.equal(environ["HTTP_X_SOME_FIELD"], "a  b");
  assert.deepEqual([environ["HTTP_ACCEPT"], environ["HTTP_USER_AGENT"]], ["*/*", "x/1"]);
});

rule("§4.1.18", "fields of one name become one value of the same meaning", async (site) => {
  const headers = [["X-A", "1"], ["x-a", "2"], ["Cookie", "a=1"], ["Cookie", "b=2"]] as const;
  const { HTTP_X_A, HTTP_COOKIE } = await site.environ({ headers });
  assert.deepEqual([HTTP_X_A, HTTP_COOKIE], ["1, 2", "a=1; b=2"]);
});

rule("§4.1.18", "a folded request field is refused", async (site) => {
  assert.equal((await site.ask({ headers: { "X-A": "1\r\n 2" } })).status, 400);
});

rule("§4.1.18", "field values are passed on as the bytes that they are", async (site) => {
  const { HTTP_X_A } = await site.environ({ headers: { "X-A": "caf\xc3\xa9" } });
  assert.equal(HTTP_X_A, "caf\xc3\xa9");
});

rule("§4.1.18, §9.2", "a proxy's credentials are withheld", async (site) => {
  const environ = await site.environ({ headers: { "Proxy-Authorization": "Basic eA==" } });
  assert.ok(!("HTTP_PROXY_AUTHORIZATION" in environ));
});

rule("§4.1.18", "Authorization reaches the script, who alone can check it", async (site) => {
  const environ = await site.environ({ headers: { Authorization: "Bearer x" } });
  assert.equal(environ["HTTP_AUTHORIZATION"], "Bearer x");
});

rule("§4.1.18", "what has a variable of its own has no second one", async (site) => {
  const headers = { "Content-Type": "a/b" };
  const environ = await site.environ({ method: "POST", headers, body: "x" });
  assert.ok(!("HTTP_CONTENT_TYPE" in environ) && !("HTTP_CONTENT_LENGTH" in environ));
});

rule("§4.1.18", "fields of the connection are withheld", async (site) => {
  const names = [
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Proxy-Connection",
    "X-Hop",
  ];
  const headers = names.map((name) => [name, name === "Connection" ? "X-Hop" : "x"] as const);
  const environ = await site.environ({ headers: [...headers, ["Connection", "close"]] });
  for (const name of names) {
    assert.ok(!(`HTTP_${name.toUpperCase().replaceAll("-", "_")}` in environ), name);
  }
});

rule("§4.1.18", "HTTPS tells the scheme", async (site) => {
  const environ = await site.environ({ headers: { "X-Forwarded-Proto": "https" } });
  assert.deepEqual([environ["HTTPS"], environ["REQUEST_SCHEME"]], ["on", "https"]);
}, { server: { trustedProxies: ["127.0.0.1"] } });

rule("§4.1.18", "no field sets HTTP_PROXY (httpoxy), nor poses as another", async (site) => {
  const headers = { Proxy: "http://evil/", "X_Real": "a", "X.Real": "b", "Content_Length": "9" };
  const environ = await site.environ({ headers });
  for (const name of ["HTTP_PROXY", "HTTP_X_REAL", "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"]) {
    assert.ok(!(name in environ), name);
  }
});

// --- §4.2 to §4.4 Message body, methods, command line --------------------------------------------

rule("§4.2", "the script reads CONTENT_LENGTH bytes, and then the end", async (site) => {
  const body = "\0\r\n\xff".repeat(50_000);
  assert.equal((await site.ask({ method: "POST", body })).text, `${body.length} ${body.length}\n`);
}, { script: PLAIN + 'echo "$CONTENT_LENGTH" $(wc -c)\n' });

rule("§4.2", "transfer codings are removed, content codings are the script's", async (site) => {
  const raw = "\x1f\x8b no gzip at all";
  const headers = { "Content-Encoding": "gzip" };
  const plain = await site.ask({ method: "POST", headers, body: raw });
  assert.equal((await sendChunked(site, [raw.slice(0, 5), raw.slice(5)])).text, plain.text);
}, { script: DIGEST });

rule("§4.2", "a transfer coding that cannot be removed is refused", async (site) => {
  for (const coding of ["gzip, chunked", "gzip", "identity", "chunked, gzip"]) {
    using client = await Client.send(site.port, {
      method: "POST",
      target: site.target,
      headers: { "Transfer-Encoding": coding },
    });
    await client.write("5\r\nhello\r\n0\r\n\r\n");
    const { status } = await client.head();
    assert.ok(status === 400 || status === 501, `${coding}: ${status}`);
  }
  assert.equal(await exists(`${site.folder}/ran`), false);
}, { script: "touch ran\n" });

rule("§4.2", "instead: trailer fields of a request are dropped", async (site) => {
  using client = await Client.send(site.port, {
    method: "POST",
    target: site.target,
    headers: [...CHUNKED, ["Trailer", "X-Sum"]],
  });
  await client.write("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
  const environ = parseEnviron((await client.answer()).text);
  assert.deepEqual([environ["CONTENT_LENGTH"], environ["HTTP_X_SUM"]], ["5", undefined]);
});

rule("§4.2", "an NPH script gets the body unaltered too", async (site) => {
  const body = "\0\r\n\xff\x1f\x8b";
  assert.equal((await site.ask({ method: "POST", body })).text, body);
}, { name: "nph-t", script: "printf 'HTTP/1.1 200 OK\\r\\n\\r\\n'\ncat\n" });

rule("§4.2", "a script need not read its input", async (site) => {
  const answer = await site.ask({ method: "POST", body: "x".repeat(2 ** 21) });
  assert.deepEqual([answer.text, answer.whole], ["unread", true]);
  assert.deepEqual(await linesOf(site.gateway.log()), []);
}, { script: PLAIN + "printf unread\n" });

rule("§4.2", "a 413 reaches a client in mid-upload", async (site) => {
  const length = 16 * 2 ** 20;
  using client = await Client.send(site.port, {
    method: "POST",
    target: site.target,
    headers: { "Content-Length": String(length) },
  });
  // The gateway may hang up on the rest.
  const sending = client.write(new Uint8Array(length)).catch(() => {});
  const answer = await client.answer();
  assert.deepEqual([answer.status, answer.whole], [413, true]);
  client.close();
  await sending;
  assert.equal(await exists(`${site.folder}/ran`), false);
}, { script: "touch ran\n", route: { maxRequestBody: "1MiB" } });

rule("§4.2", "instead: a client is told to continue, and then of the 413", async (site) => {
  using client = await Client.send(site.port, {
    method: "POST",
    target: site.target,
    headers: { "Content-Length": "16777216", Expect: "100-continue" },
  });
  let text = "";
  while (!text.includes("\r\n\r\nHTTP/1.1 ")) text += await client.some() ?? assert.fail(text);
  assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 413 /);
}, { route: { maxRequestBody: "1MiB" } });

rule("§4.2", "a 413 reaches a client whose chunks or frames go past the limit", async (site) => {
  const chunk = "x".repeat(2 ** 16);
  assert.equal((await sendChunked(site, Array(40).fill(chunk))).status, 413);
  assert.equal((await sendHttp2(site, new Uint8Array(40 * 2 ** 16))).status, 413);
  assert.equal(await exists(`${site.folder}/ran`), false);
}, { script: "touch ran\n", route: { maxRequestBody: "1MiB" } });

rule("§4.3.3", "what a script returns to HEAD is discarded", async (site) => {
  using client = await Client.send(site.port, { method: "HEAD", target: "/cgi/t" });
  assert.equal((await client.head()).get("content-length"), "4");
  assert.ok(await client.closed());
}, { script: "printf 'Content-Type: a/b\\nContent-Length: 4\\n\\nbody'\n" });

rule("§4.3.4", "a route may have its own methods; others are a 405 with Allow", async (site) => {
  const answer = await site.ask({ method: "PUT", body: "x" });
  assert.deepEqual([answer.status, answer.get("allow")], [405, "GET, HEAD, POST"]);
}, { route: { methods: ["GET", "POST"] } });

const ARGUMENTS = PLAIN + "printf '<%s>' \"$@\"\n";

rule(
  "§4.4",
  "the words of an indexed query are arguments where the route says so",
  async (site) => {
    const rows = {
      "?two+words": "<first><two><words>",
      "?a%20b+caf%C3%A9+%3D": "<first><a b><caf\xc3\xa9><=>",
      "?a=b": "<first>",
      "": "<first>",
    };
    for (const [query, expected] of Object.entries(rows)) {
      assert.equal((await site.ask({ target: `/cgi/t${query}` })).text, expected, query);
    }
    const posted = await site.ask({ method: "POST", target: "/cgi/t?two+words", body: "" });
    assert.equal(posted.text, "<first>");
  },
  { script: ARGUMENTS, fields: { queryArgs: true, args: ["first"] } },
);

rule("§4.4", "one word that is no argument, or an option, and there are none", async (site) => {
  for (const query of ["a+%00", "a+%ff", "a++b", "-s", "a+%2Ds", "-d+allow_url_include%3D1"]) {
    assert.equal((await site.ask({ target: `/cgi/t?${query}` })).text, "<>", query);
  }
}, { script: ARGUMENTS, fields: { queryArgs: true } });

rule("§4.4", "no word of a query is an argument unless the route says so", async (site) => {
  assert.equal((await site.ask({ target: "/cgi/t?two+words" })).text, "<>");
}, { script: ARGUMENTS });

Deno.test("RFC 3875 §4.4: queryArgs is a switch", () => {
  const faults = (queryArgs: unknown) =>
    v.safeParse(cgi.schema, { script: "/s", queryArgs }).issues?.map(({ message }) => message);
  assert.equal(faults(true), undefined);
  assert.match(faults("yes")?.join() ?? "", /Cannot read "yes" as a switch: write true or false/);
});

// --- §5 NPH scripts ------------------------------------------------------------------------------

for (
  const [how, setting] of Object.entries({
    "by its name": { name: "nph-t" },
    "by nph: true": { fields: { nph: true } },
  })
) {
  rule("§5.1, §5.2", `instead: what an NPH script (${how}) prints is parsed`, async (site) => {
    using client = await Client.send(site.port, { target: site.target });
    const { text, get } = await client.head();
    assert.equal(text.split("\n")[0], "HTTP/1.1 404 Not Found");
    assert.deepEqual([get("x-a"), get("content-type"), get("connection")], ["1", "a/b", "close"]);
    assert.equal((await client.body()).text, "body");
  }, {
    script:
      "printf 'HTTP/1.0 404 Lost\\r\\nX-A: 1\\r\\nConnection: keep-alive\\r\\nContent-Type: a/b\\r\\n\\r\\nbody'\n",
    ...setting,
  });
}

rule("§5.2", "what a script prints is not held back", async (site) => {
  using client = await Client.send(site.port, { target: "/cgi/nph-t" });
  assert.equal((await client.head()).status, 200);
  assert.equal(await client.some(), "5\r\nfirst\r\n");
  await Deno.writeTextFile(`${site.folder}/go`, "");
  assert.equal((await client.body()).text, "last");
}, {
  name: "nph-t",
  script:
    "printf 'HTTP/1.1 200 OK\\r\\n\\r\\nfirst'; until [ -e go ]; do sleep 0.02; done; printf last\n",
});

// --- §6 The script's response --------------------------------------------------------------------

rule("§6.1", "a script that takes too long is a 504, and is ended", async (site) => {
  assert.equal((await site.ask()).status, 504);
  await eventually(() => exists(`${site.folder}/ended`), 1000);
}, {
  script: "trap 'touch ended; exit' TERM\nsleep 60 & wait\n",
  fields: { timeout: "200ms" },
});

replies("§6.2", {
  "text without a head is refused": ["Hello, world\\n", refused],
  "a head without a blank line is refused": ["Content-Type: a/b\\n", refused],
  "no output at all is refused": ["", refused],
  "a blank line alone is no head": ["\\nContent-Type: a/b\\n\\n", refused],
});

replies("§6.2.1", {
  "a document without Status is a 200": ["Content-Type: a/b\\n\\nx", gives(200)],
  "204 and 304 go without a body": ['Status: 304\\nETag: "x"\\n\\nbody', (answer) => {
    gives(304, { etag: '"x"', "transfer-encoding": undefined })(answer);
  }],
});

rule("§6.2.1", "a client of HTTP/1.0 gets no chunks", async (site) => {
  using client = await Client.connect(site.port);
  await client.write("GET /cgi/t HTTP/1.0\r\nHost: a\r\n\r\n");
  assert.equal(await afterHead(client), "body");
}, { script: PLAIN + "printf bo; sleep 0.05; printf dy\n" });

rule("§6.2.2", "a local redirect is answered as if it had been asked for", async (site) => {
  await writeScript(`${site.folder}/there`, `#!/bin/sh\n${ENVIRON}`);
  const told = await site.environ({ method: "POST", body: "gone" });
  const { REQUEST_METHOD, PATH_INFO, QUERY_STRING, CONTENT_LENGTH } = told;
  assert.deepEqual([REQUEST_METHOD, PATH_INFO, QUERY_STRING], ["GET", "/x y", "q=1"]);
  assert.equal(CONTENT_LENGTH, undefined);
}, { script: "printf 'Location: /cgi/there/x%%20y?q=1\\n\\n'\n" });

rule("§6.2.2", "a local redirect stands under the table's rules", async (site) => {
  assert.equal((await site.ask({ method: "POST", body: "x" })).status, 405);
  assert.equal(
    (await site.ask({ method: "POST", target: "/cgi/t/nowhere", body: "x" })).status,
    404,
  );
}, {
  script:
    "case $PATH_INFO in ?*) printf 'Location: /nowhere\\n\\n' ;; *) printf 'Location: /cgi/t\\n\\n' ;; esac\n",
  route: { methods: ["POST"] },
});

rule("§6.2.2", "a circle of local redirects is ended", async (site) => {
  assert.equal((await site.ask()).status, 508);
}, { script: "printf 'Location: /cgi/t\\n\\n'\n" });

replies("§6.2.3", {
  "an absolute Location without Status is a 302": [
    "Location: http://example.org/x#y\\n\\n",
    gives(302, { location: "http://example.org/x#y" }),
  ],
});

replies("§6.2.4", {
  "a redirect with a document keeps its status, fields and document": [
    "Status: 301\\nLocation: http://example.org/\\nContent-Type: text/html\\n\\n<p>",
    (answer) => {
      gives(301, { location: "http://example.org/", "content-type": "text/html" })(answer);
      assert.equal(answer.text.slice(-3), "<p>");
    },
  ],
});

replies("§6.3", {
  "names of fields are of any case": ["sTATUS: 201\\ncontent-type: a/b\\n\\n", gives(201)],
  "a folded field is read as one line": ["X-A: a\\n  b\\n\\n", gives(200, { "x-a": "a b" })],
  "an empty field is as good as none": [
    "Status:\\nLocation:\\nContent-Type: a/b\\n\\n",
    gives(200, { location: undefined }),
  ],
  "a space before the colon is refused": ["Content-Type : a/b\\n\\n", refused],
  "a line without a colon is refused": ["Content-Type: a/b\\nnonsense\\n\\n", refused],
  "two Status that differ are refused": ["Status: 200\\nStatus: 404\\n\\n", refused],
  "two Location that differ are refused": [
    "Location: http://a/\\nLocation: http://b/\\n\\n",
    refused,
  ],
  "two Content-Type that differ are refused": [
    "Content-Type: a/b\\nContent-Type: c/d\\n\\n",
    refused,
  ],
});

replies("§6.3.1", {
  "a Content-Type is passed on as it is": [
    "Content-Type: Text/X;  a=B\\n\\n",
    gives(200, { "content-type": "Text/X;  a=B" }),
  ],
  "a missing Content-Type is not guessed": [
    "X-A: b\\n\\n<html>",
    gives(200, { "content-type": undefined }),
  ],
});

replies("§6.3.2", {
  "a relative Location goes to the client": [
    "Location: other\\n\\n",
    gives(302, { location: "other" }),
  ],
  "a Location with a network path does too": [
    "Location: //example.org/\\n\\n",
    gives(302, { location: "//example.org/" }),
  ],
  "a local Location with a fragment does too": [
    "Location: /a#b\\n\\n",
    gives(302, { location: "/a#b" }),
  ],
});

replies("§6.3.3", {
  "a Status needs no reason": ["Status: 404\\n\\n", gives(404)],
  "an extension code is passed on": ["Status: 499 Own\\n\\n", gives(499)],
  "a Status that is no number is refused": ["Status: abc\\n\\n", refused],
  "a Status of two digits is refused": ["Status: 99\\n\\n", refused],
  "instead: a Status past 599 is refused": ["Status: 700 Far\\n\\n", refused],
  "instead: 101 is refused": ["Status: 101 Switch\\n\\n", refused],
  "instead: an interim head is skipped": [
    "Status: 103 Early Hints\\nLink: </a>\\n\\nStatus: 202 Taken\\nContent-Type: a/b\\n\\n",
    gives(202, { link: undefined, "content-type": "a/b" }),
  ],
});

rule("§6.3.3", "instead: the reason is the standard one, or none", async (site) => {
  for (const [status, line] of Object.entries({ 200: "HTTP/1.1 200 OK", 599: "HTTP/1.1 599 " })) {
    using client = await Client.send(site.port, { target: `${site.target}?${status}` });
    assert.equal((await client.head()).text.split("\n")[0], line);
  }
}, { script: "printf 'Status: %s Own words\\n\\n' \"$QUERY_STRING\"\n" });

rule("§6.3.4", "lines of LF go out as lines of CRLF, fields in their order", async (site) => {
  const { head } = await rawExchange(site.port, requestText({ target: site.target }));
  assert.match(head, /\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\n/);
}, { script: "printf 'X-B: 1\\nX-A: 2\\nX-B: 3\\n\\n'\n" });

replies("§6.3.4", {
  "fields of the connection are dropped": [
    "Connection: keep-alive\\nKeep-Alive: 9\\nUpgrade: h2c\\nTE: x\\nTrailer: X\\nProxy-Connection: x\\nX-A: b\\n\\n",
    gives(200, {
      "keep-alive": undefined,
      upgrade: undefined,
      te: undefined,
      trailer: undefined,
      "proxy-connection": undefined,
      connection: "close",
      "x-a": "b",
    }),
  ],
  "a Date of the script's is the only one": [
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\\n\\n",
    (answer) => {
      assert.deepEqual(answer.all("date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    },
  ],
  "a Content-Length that is promised too long cuts the answer off": [
    "Content-Length: 100\\n\\nshort",
    (answer) => assert.deepEqual([answer.status, answer.whole], [200, false]),
  ],
  "a Content-Length that is no number is refused": ["Content-Length: abc\\n\\nx", refused],
});

replies("§6.3.5", {
  "X-CGI- fields stay here": [
    "X-CGI-Own: 1\\nX-A: b\\n\\n",
    gives(200, { "x-cgi-own": undefined, "x-a": "b" }),
  ],
});

rule("§6.4", "the body is passed on to its end, every byte", async (site) => {
  const all = Uint8Array.from({ length: 256 * 8192 }, (_, at) => at);
  await Deno.writeFile(`${site.folder}/data`, all, { mode: 0o644 });
  assert.deepEqual((await site.ask()).bytes, all);
}, { script: PLAIN + "cat data\n" });

// --- §7 to §9 System, implementation, security ---------------------------------------------------

rule("§7.2", "the script stands in its own folder", async (site) => {
  await Deno.mkdir(`${site.folder}/sub`);
  await writeScript(`${site.folder}/sub/where`, `#!/bin/sh\n${PLAIN}pwd -P\n`);
  assert.equal((await site.ask({ target: "/cgi/sub/where" })).text, `${site.folder}/sub\n`);
});

replies("§7.2", {
  "CRLF ends lines as LF does": [
    "Content-Type: a/b\\r\\nX-A: b\\r\\n\\r\\nx\\r\\n",
    gives(200, { "content-type": "a/b", "x-a": "b" }),
  ],
});

rule("§8.1", "empty and dot segments of a path are resolved before anything else", async (site) => {
  for (const target of ["//cgi///t//x", "/cgi/./u/../t/x", "/cgi/%2e%2e/cgi/t/x"]) {
    const { SCRIPT_NAME, PATH_INFO, REQUEST_URI } = await site.environ({ target });
    assert.deepEqual([SCRIPT_NAME, PATH_INFO, REQUEST_URI], ["/cgi/t", "/x", target]);
  }
});

rule(
  "§8.1",
  "a path or query past the request's limit is refused, below it is whole",
  async (site) => {
    assert.equal((await site.ask({ target: `${site.target}?${"q".repeat(70_000)}` })).status, 400);
    const long = "q".repeat(30_000);
    const { PATH_INFO, QUERY_STRING } = await site.environ({
      target: `${site.target}/${long}?${long}`,
    });
    assert.deepEqual([PATH_INFO, QUERY_STRING], [`/${long}`, long]);
  },
);

rule(
  "§9.5",
  "a script inherits its three descriptors, and nothing of the gateway's",
  async (site) => {
    const { text } = await site.ask({ method: "POST", body: "x".repeat(2 ** 21) });
    const open = new Map(
      text.trim().split("\n").map((line) => line.split("\t", 2) as [string, string]),
    );
    for (const fd of ["0", "1", "2"]) assert.match(open.get(fd) ?? "", /^pipe:/, text);
    for (const to of open.values()) assert.doesNotMatch(to, /^socket:|^anon_inode:|\(deleted\)/);
    // What it has beyond them it opened itself, or we were given and so passes through.
    const bare = new Deno.Command("/bin/sh", { args: [`${site.folder}/t`], stdin: "null" });
    const known = new TextDecoder().decode((await bare.output()).stdout).match(/^\d+(?=\t)/gm);
    assert.deepEqual([...open.keys()], known);
  },
  {
    script: PLAIN +
      'for fd in "/proc/$$/fd/"*; do printf \'%s\\t%s\\n\' "${fd##*/}" "$(readlink "$fd")"; done\n',
  },
);

rule("§9.6", "a head past 64 KiB is refused by name; a body has no limit", async (site) => {
  assert.equal((await site.ask({ target: `${site.target}?65536` })).status, 502);
  const [line] = await linesOf(site.gateway.log());
  assert.equal(line?.failure, "head-too-large");
  assert.match(line?.message ?? "", /65536 bytes, largest field Set-Cookie$/);
  const answer = await site.ask({ target: `${site.target}?65000` });
  assert.equal(answer.get("set-cookie")?.length, 65_000);
  assert.equal(answer.bytes.length, 20_000_000);
}, {
  script:
    `printf 'X-A: b\\nSet-Cookie: %0*d\\n\\n' "$QUERY_STRING" 0; head -c 20000000 /dev/zero\n`,
});

rule("§9.8", "no path leads out of the folder of scripts", async (site) => {
  const outside = `${site.folder}-outside`;
  await writeScript(outside, "#!/bin/sh\nprintf 'X-A: b\\n\\noutside'\n");
  try {
    await Deno.symlink(outside, `${site.folder}/link`);
    await Deno.symlink("..", `${site.folder}/up`);
    const name = outside.slice(outside.lastIndexOf("/"));
    const paths = ["/link", "/up", `/up${name}`, `/..${name}`, `/%2e%2e${name}`, `/..%2f${name}`];
    for (const path of paths) {
      const { status, text } = await site.ask({ target: `/cgi${path}` });
      assert.ok(status === 403 || status === 404, `${path}: ${status}`);
      assert.doesNotMatch(text, /outside/);
    }
    const { PATH_TRANSLATED } = await site.environ({ target: "/cgi/t/../../../etc/../cgi/t/etc" });
    assert.equal(PATH_TRANSLATED, `${site.folder}/etc`);
  } finally {
    await Deno.remove(outside);
  }
});
