/** The grammars of what clients and operators write: fields, targets, tables, other servers' files. */
import assert from "node:assert/strict";
import { parseTable } from "../../../lib/config/load.ts";
import { ConfigError } from "../../../lib/errors.ts";
import { ENCODED_SLASH } from "../../../lib/exchange.ts";
import { kinds } from "../../support/kinds.ts";
import { translateNginx } from "../../../lib/import/nginx.ts";
import { Lifeline } from "../../../lib/lifeline.ts";
import { chooseCoding } from "../../../lib/protocol/accept_encoding.ts";
import { parseAuthority } from "../../../lib/protocol/authority.ts";
import { contains, parseIp, parseRange } from "../../../lib/protocol/ip.ts";
import { parseBasic } from "../../../lib/protocol/basic_credentials.ts";
import { ByteWriter } from "../../../lib/protocol/byte_writer.ts";
import { parseCacheControl, parseTargeted } from "../../../lib/protocol/cache_control.ts";
import { judge } from "../../../lib/protocol/cache_policy.ts";
import { decodeTarget, splitScript } from "../../../lib/protocol/cgi_path.ts";
import { searchWords } from "../../../lib/protocol/cgi_search_words.ts";
import { createTrust } from "../../../lib/protocol/forwarding.ts";
import { writeRequestHead } from "../../../lib/protocol/http1_request.ts";
import { weighConditions } from "../../../lib/protocol/http_conditions.ts";
import { formatHttpDate, parseHttpDate } from "../../../lib/protocol/http_date.ts";
import { chooseRanges } from "../../../lib/protocol/http_range.ts";
import { isFieldValue, isToken } from "../../../lib/protocol/http_fields.ts";
import { originTarget, publicLocation, writePath } from "../../../lib/protocol/proxy_target.ts";
import { decodeExchange, encodeExchange } from "../../../lib/protocol/wsgi_wire_exchange.ts";
import { parsePattern, PatternError } from "../../../lib/router/pattern.ts";
import { createRouter } from "../../../lib/router/router.ts";
import { exchangeOf } from "../../support/exchange.ts";
import { latin1Of, type Random } from "./random.ts";
import { type Bytes, type Target, told } from "./target.ts";

/** Lines `name: value` as the runtime would have let them through. */
function fieldsOf(text: string): [string, string][] {
  return text.split("\n").flatMap((line): [string, string][] => {
    const colon = line.indexOf(":");
    const pair: [string, string] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    return isToken(pair[0]) && isFieldValue(pair[1]) ? [pair] : [];
  });
}

const headersOf = (text: string) => new Headers(fieldsOf(text));
const utf8 = new TextDecoder();

function target(input: Bytes): void {
  const text = utf8.decode(input);
  const decoded = told(() => decodeTarget(text));
  if (typeof decoded === "string") return assert.equal(decoded, "refused 400 bad-target");
  const { path, query, encodedSlash } = decoded;
  assert.equal(encodedSlash, path.includes(ENCODED_SLASH));
  if (path === "*") return;
  assert.ok(path.startsWith("/") && !path.includes("\0"));
  assert.ok(!/\/\/|\/\.\.?(?:\/|$)/.test(path), path);
  // Whoever decodes what we write finds the same place.
  assert.equal(decodeTarget(writePath(path)).path, path);
  const asked = { target: decoded.target, path, query };
  for (const strip of [false, true]) {
    const sent = originTarget(asked, { scriptName: "" }, { prefix: "", strip });
    assert.match(sent, /^\/[\x21-\xff]*$/);
    assert.equal(decodeTarget(textOf(sent)).path, path);
  }
  const split = splitScript(path, [".php", ".cgi"]);
  if (split !== undefined) assert.equal(split.script + split.rest, path);
  searchWords("GET", query);
}

/** Bytes as the text that the runtime would have made of them. */
function textOf(bytes: string): string {
  return utf8.decode(Uint8Array.from(bytes, (char) => char.charCodeAt(0)));
}

function authority(input: Bytes): void {
  const text = latin1Of(input);
  const parsed = parseAuthority(text);
  if (parsed !== undefined) {
    assert.match(parsed.hostname, /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])$/);
    const url = new URL(`http://${text}/`);
    assert.equal(url.pathname + url.search + url.hash + url.username, "/");
    if (!text.startsWith("[")) assert.equal(url.hostname, parsed.hostname);
  }
  const ip = parseIp(text);
  const range = parseRange(text);
  if (range !== undefined && ip !== undefined) assert.ok(contains([range], ip));
}

const OWN = { scheme: "http", authority: "gw.test:8080", serverPort: 8080 } as const;

function forwarded(input: Bytes): void {
  const headers = headersOf(latin1Of(input));
  const near = createTrust(["10.0.0.0/8", "::1/128"], "CF-Connecting-IP");
  const told = near.resolve({ address: "10.1.2.3", port: 5 }, headers, OWN);
  assert.ok(told.client.port >= 0 && told.client.port <= 65_535);
  assert.ok(told.serverPort >= 0 && told.serverPort <= 65_535);
  assert.ok(parseIp(told.client.address) !== undefined, told.client.address);
  // A stranger's word is nobody's.
  const stranger = near.resolve({ address: "203.0.113.7", port: 5 }, headers, OWN);
  assert.deepEqual([stranger.client, stranger.authority, stranger.scheme, stranger.serverPort], [
    { address: "203.0.113.7", port: 5 },
    OWN.authority,
    OWN.scheme,
    OWN.serverPort,
  ]);
}

function ranges(input: Bytes, random: Random): void {
  const size = random.below(random.once(2) ? 20 : 10_000);
  const choice = chooseRanges(latin1Of(input), size);
  if (choice.type !== "slices") return;
  assert.ok(choice.slices.length > 0);
  for (const { start, end } of choice.slices) assert.ok(start >= 0 && start <= end && end <= size);
}

function conditions(input: Bytes, random: Random): void {
  const text = latin1Of(input);
  const headers = headersOf(text);
  const validators = { etag: '"a"', modifiedMs: 784_111_777_000 };
  weighConditions(random.pick(["GET", "HEAD", "PUT"]), headers, validators, 0);
  const ms = parseHttpDate(text, 0);
  if (ms !== undefined) assert.equal(parseHttpDate(formatHttpDate(ms), 0), ms);
  chooseCoding(text, ["zstd", "br", "gzip"]);
  parseBasic(text);
}

function caching(input: Bytes): void {
  const text = latin1Of(input);
  const pairs = fieldsOf(text);
  parseCacheControl(text);
  parseTargeted(text);
  const options = {
    defaultTtlMs: 1000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    storeCookies: false,
  };
  const asked = { asked: new Headers(pairs), isAuthenticated: false, status: 200, headers: pairs };
  const judgement = judge(asked, options, 0);
  if (pairs.some(([name]) => name.toLowerCase() === "set-cookie")) {
    assert.equal(judgement, undefined);
  }
  const location = publicLocation(text, { base: "http://10.0.0.1:80", prefix: "/p" }, "/cut");
  assert.ok(!location.startsWith("http://10.0.0.1:80/p/"));
}

function request(input: Bytes): void {
  const [line = "", ...lines] = latin1Of(input).split("\n");
  const decoded = told(() => decodeTarget(line));
  if (typeof decoded === "string") return;
  const exchange = exchangeOf({ ...decoded, headers: headersOf(lines.join("\n")) });
  const writer = new ByteWriter();
  const facts = { target: decoded.target, host: "a.test", cut: "", body: 5, connection: "" };
  writeRequestHead(writer, exchange, facts);
  const head = latin1Of(writer.take());
  assert.equal(head.indexOf("\r\n\r\n"), head.length - 4);
  const written = head.slice(0, -4).split("\r\n").slice(1);
  for (const field of written) {
    assert.match(field, /^[!#$%&'*+\-.^_`|~\w]+: [\t\x20-\x7e\x80-\xff]*$/);
  }
  const names = written.map((field) => field.slice(0, field.indexOf(":")));
  assert.equal(names.filter((name) => name === "content-length").length, 1);
  assert.ok(!names.some((name) => ["proxy", "transfer-encoding", "te", "upgrade"].includes(name)));
  // To a worker and back.
  const mount = { scriptName: "/a", pathInfo: "/b", params: { x: "y" } };
  const { exchange: again } = decodeExchange(encodeExchange(exchange, mount), new Lifeline());
  // The runtime trims what it is given, and joins what comes twice by a comma and a blank.
  const trimmed = ([name, value]: readonly [string, string]) => [name, value.trim()];
  assert.deepEqual([...again.headers].map(trimmed), [...exchange.headers].map(trimmed));
}

const MAX_ASKED = 16;

function pattern(input: Bytes): void {
  const [path = "", asked = "/"] = latin1Of(input).split("\n");
  try {
    parsePattern(path);
    // Nor so many wildcards, each of which multiplies the time that a path takes by its length.
    if (path.split("*").length > 4) return;
    const router = createRouter([{ path, host: undefined, methods: undefined }]);
    // An operator's own expression may take time that doubles with each character; not ours to judge.
    const found = router.match("GET", "a.test", asked.slice(0, MAX_ASKED));
    if (found.type !== "found") return;
    assert.equal(typeof found.mount.pathInfo, "string");
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
  }
}

const SOURCE = { file: "routes.yaml", folder: "/srv" };

function yaml(input: Bytes): void {
  const text = utf8.decode(input);
  try {
    parseTable(text, SOURCE, kinds);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(error.faults.length > 0);
    for (const { line, column, message } of error.faults) {
      assert.ok(line >= 1 && column >= 1 && message !== "", message);
      assert.ok(line <= text.split(/\r\n?|\n/).length, message);
    }
  }
}

function nginx(input: Bytes): void {
  const text = utf8.decode(input);
  let table: string | undefined;
  try {
    table = translateNginx(text, "site", () => []).table;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
  }
  // What was translated is a table, though an address in it may be none.
  if (table !== undefined) told(() => parseTable(table, SOURCE, kinds));
}

const SITE = `server {
  listen 80; server_name a.test; root /srv/a; index index.php;
  location / { try_files $uri $uri/ /index.php?$args; }
  location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; include fastcgi_params; }
  location /api/ { proxy_pass http://127.0.0.1:3000/; proxy_set_header Host $host; }
  location = /old { return 301 /new; }
  location ~* ^/(img|css)/ { expires 30d; }
}
`;
const YAML_SEED = `server:
  listen: 127.0.0.1:8080
  trustedProxies: [10.0.0.0/8]
routes:
  - path: /git/*
    host: git.example.org
    methods: [GET, POST]
    cgi: {script: /usr/bin/x, timeout: 30s, env: {A: b}}
  - {path: "/a/:id", fastcgi: {connect: "unix:/run/x.sock"}, headers: {set: {X-A: b}}}
  - {path: /*, static: ./public}
`;

export const TEXT_TARGETS: readonly Target[] = [
  {
    name: "target",
    run: target,
    words: [
      "/..",
      "/%2e%2e",
      "%2F",
      "%00",
      "//",
      "?",
      ".php",
      "%",
      "%c3%a9",
      "\xc4\x80",
      "/.",
      "*",
    ],
    seeds: ["/a/b?c=d", "/a/../b//c/%2e%2e/%2Fd.php/e?x+y", "/\xc3\xa9/%C3%A9", "*"],
  },
  {
    name: "authority and address",
    run: authority,
    words: [":80", "[::1]", "@", "/", "127.0.0.1", "::ffff:1.2.3.4", "%25", "0x7f", "/8", "."],
    seeds: ["a.test:80", "[2001:db8::1]:443", "10.0.0.0/8", "::ffff:10.0.0.1", "unix"],
  },
  {
    name: "forwarding fields",
    run: forwarded,
    words: [
      ...["Forwarded: ", "for=", "X-Forwarded-For: ", "X-Forwarded-Proto: https", "by=", "host="],
      ...[
        '"[2001:db8::1]:5"',
        "10.0.0.1",
        "proto=https",
        ";",
        ", ",
        "\\",
        '"',
        "X-Forwarded-Port: ",
      ],
      ...["X-Forwarded-Host: ", "CF-Connecting-IP: ", "unknown", "_hidden", "\n"],
    ],
    seeds: [
      'Forwarded: for="[2001:db8::1]:4711";proto=https;host=b.test, for=10.0.0.1\n',
      "X-Forwarded-For: 203.0.113.9, 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: b.test\n",
      "CF-Connecting-IP: 203.0.113.9\nX-Forwarded-Port: 443\n",
    ],
  },
  {
    name: "ranges",
    run: ranges,
    words: ["bytes=", "-", ",", "0-", "-5", "0-0", "1-9999"],
    seeds: ["bytes=0-4", "bytes=0-0,5-9,-3", "bytes=-5", "bytes=9-"],
  },
  {
    name: "conditions, dates, codings, credentials",
    run: conditions,
    words: [
      ...[
        "If-Match: ",
        "If-None-Match: ",
        "If-Modified-Since: ",
        "If-Range: ",
        'W/"a"',
        '"a"',
        "*",
      ],
      ...[
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "gzip;q=0.5",
        "Basic ",
      ],
      ...["Sun Nov  6 08:49:37 1994", "identity;q=0", "\n"],
    ],
    seeds: [
      'If-None-Match: W/"a", "b"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\n',
      'If-Match: *\nIf-Range: "a"\n',
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "br;q=0.8, gzip, *;q=0",
      "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    ],
  },
  {
    name: "caching fields",
    run: caching,
    words: [
      ...["Cache-Control: ", "max-age=", "s-maxage=60", "private", "no-store", "public", "Vary: *"],
      ...["Set-Cookie: a=b", "Expires: 0", "Age: 10", "CDN-Cache-Control: ", 'no-cache="a"', "\n"],
      ...["http://10.0.0.1:80/p/x", "Surrogate-Control: "],
    ],
    seeds: [
      'Cache-Control: public, max-age=60\nVary: Accept\nETag: "a"\n',
      "CDN-Cache-Control: max-age=60\nCache-Control: private\n",
      "http://10.0.0.1:80/p/x",
    ],
  },
  {
    name: "request to an origin",
    run: request,
    words: ["Connection: x-a\n", "X-A: b\n", "TE: trailers\n", "Via: 1.1 portico\n", "X_A: c\n"],
    seeds: ["/a?b\nX-A: b\nConnection: X-A, close\nUpgrade: h2c\nContent-Length: 7\nProxy: x\n"],
  },
  {
    name: "route's path",
    run: pattern,
    words: ["/:id", "(\\d+)", "*", "{", "}?", "/*", "+", "(?i:a)", "\\", "[a-z]", "\n", "%2F"],
    seeds: [
      "/a/:id(\\d+)/*\n/a/5/x",
      "/:a{/:b}?.php\n/x.php",
      "/*\n/",
      "/((?i:.*\\.(?:js|css)))\n/a.JS",
    ],
  },
  {
    name: "routes.yaml",
    run: yaml,
    words: [
      ...[
        "routes:\n",
        "  - path: /x\n",
        "    cgi: ",
        "server:\n",
        "&a ",
        "*a",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
      ],
      ...[
        "!!binary ",
        "- ",
        ": ",
        "? ",
        "|",
        ">-\n",
        "#",
        "'",
        '"',
        "\n",
        "\t",
        "---\n",
        "~",
        "\ufeff",
      ],
      ...[
        "respond: hi",
        "maxRequestBody: 1KiB",
        "php: ./x",
        "wsgi: ./a.ts",
        "proxy: http://a:1",
        "1e3",
      ],
    ],
    seeds: [YAML_SEED, "routes:\n- {path: /, respond: hi}\n", "routes: [{path: /, static: .}]\n"],
  },
  {
    name: "nginx's configuration",
    run: nginx,
    words: [
      ...[
        "server { ",
        "location / { ",
        "} ",
        "; ",
        "return 301 ",
        "rewrite ^/a(.*)$ /b$1 ",
        "~ ",
        "~* ",
      ],
      ...[
        "try_files $uri ",
        "proxy_pass http://a:1",
        "fastcgi_pass ",
        "root /x",
        "alias /y/",
        "if ($host)",
      ],
      ...[
        "\\.php$",
        "upstream u { ",
        "include x",
        "$uri",
        '"',
        "'",
        "\\",
        "#",
        "\n",
        "break",
        "=404",
      ],
    ],
    seeds: [
      SITE,
      "server { location /a { return 200 ok; } }",
      "events {} http { server { root /x; } }",
    ],
  },
];
