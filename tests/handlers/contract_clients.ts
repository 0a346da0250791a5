/**
 * Who the client is, as programs are told: every row of the table through a real connection. The peer is
 * always 127.0.0.1; whether it is trusted is the row's part.
 */
import assert from "node:assert/strict";
import { ENVIRON, OK } from "../upstreams/play.ts";
import { parseEnviron, type Subject, testWithProbe, type Theatre } from "./contract.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** What a row expects; what is left out is as without any field. */
interface Told {
  readonly addr?: string;
  /** Null: not told. */
  readonly port?: string | null;
  readonly https?: boolean;
  readonly name?: string;
  readonly serverPort?: string;
  readonly host?: string;
  /** Variables of forwarding fields that arrive; all others must not. */
  readonly passed?: readonly string[];
}

type Row = readonly [what: string, fields: Fields, told: Told];

const xff = (value: string): Fields => [["X-Forwarded-For", value]];
const std = (value: string): Fields => [["Forwarded", value]];
const X = ["HTTP_X_FORWARDED_FOR"];
const F = ["HTTP_FORWARDED"];
/** A client that came by proxies, which tell no port of it. */
const by = (addr: string, passed: readonly string[]): Told => ({ addr, port: null, passed });

/** 127.0.0.1, 10.0.0.0/8 and fd00::/8 are trusted. */
const TRUSTED: readonly Row[] = [
  ["no field", [], {}],
  ["one address", xff("198.51.100.9"), by("198.51.100.9", X)],
  ["forged addresses ahead", xff("127.0.0.1, 10.0.0.1, 198.51.100.9"), by("198.51.100.9", X)],
  ["past trusted hops", xff("198.51.100.9, 10.0.0.3, fd00::1"), by("198.51.100.9", X)],
  ["an untrusted hop among them", xff("198.51.100.9, 203.0.113.1, 10.0.0.3"), {
    ...by("203.0.113.1", X),
  }],
  ["trusted hops alone", xff("10.0.0.4, 10.0.0.3"), by("10.0.0.4", X)],
  ["two fields", [...xff("1.1.1.1"), ...xff("198.51.100.9")], by("198.51.100.9", X)],
  ["a port", xff("198.51.100.9:4711"), { addr: "198.51.100.9", port: "4711", passed: X }],
  ["IPv6", xff("2001:DB8::9"), by("2001:db8::9", X)],
  ["IPv6 in brackets, with a port", xff("[2001:db8::9]:4711"), {
    ...{ addr: "2001:db8::9", port: "4711", passed: X },
  }],
  ["an IPv4-mapped address", xff("::ffff:198.51.100.9"), by("198.51.100.9", X)],
  ["no address", xff("evil.example"), { passed: X }],
  ["unknown", xff("unknown"), { passed: X }],
  ["no address left of a hop", xff("' OR 1=1, 10.0.0.3"), by("10.0.0.3", X)],
  ["Forwarded", std("for=198.51.100.9"), by("198.51.100.9", F)],
  ["Forwarded, quoted IPv6 with a port", std('for="[2001:db8::9]:4711"'), {
    ...{ addr: "2001:db8::9", port: "4711", passed: F },
  }],
  ["Forwarded, quoted IPv4 with a port", std('For="198.51.100.9:4711"'), {
    ...{ addr: "198.51.100.9", port: "4711", passed: F },
  }],
  ["Forwarded, an obfuscated port", std('for="198.51.100.9:_p"'), by("198.51.100.9", F)],
  ["Forwarded, an obfuscated node", std("for=_hidden"), { passed: F }],
  ["Forwarded, unknown", std("for=unknown"), { passed: F }],
  ["Forwarded, an obfuscated node behind a hop", std("for=_hidden, for=10.0.0.3"), {
    ...by("10.0.0.3", F),
  }],
  ["Forwarded, forged ahead", std("for=127.0.0.1, for=198.51.100.9, for=10.0.0.3"), {
    ...by("198.51.100.9", F),
  }],
  ["Forwarded, an unclosed quote ahead", std('for="1.1.1.1, for=198.51.100.9'), {
    ...by("198.51.100.9", F),
  }],
  ["Forwarded, everything", std('for=198.51.100.9;proto=https;host="www.test:8443"'), {
    ...by("198.51.100.9", F),
    ...{ https: true, name: "www.test", serverPort: "8443", host: "www.test:8443" },
  }],
  ["Forwarded of a hidden client, with its scheme", std("for=_x;proto=https;host=www.test"), {
    ...{ https: true, name: "www.test", serverPort: "443", host: "www.test", passed: F },
  }],
  ["both families alike", [...xff("198.51.100.9"), ...std("for=198.51.100.9")], {
    ...by("198.51.100.9", X),
  }],
  ["both families, contested", [...xff("198.51.100.9"), ...std("for=1.1.1.1;host=evil")], {
    ...by("198.51.100.9", X),
  }],
  ["scheme, host and port", [
    ...xff("198.51.100.9"),
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "www.test"],
    ["X-Forwarded-Port", "444"],
  ], {
    ...{ addr: "198.51.100.9", port: null, https: true, name: "www.test", serverPort: "444" },
    ...{ host: "www.test" },
    passed: [...X, "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO"],
  }],
  ["a scheme alone", [...xff("198.51.100.9"), ["X-Forwarded-Proto", "https"]], {
    ...{ addr: "198.51.100.9", port: null, https: true, serverPort: "443" },
    passed: [...X, "HTTP_X_FORWARDED_PROTO"],
  }],
];

/** 10.0.0.0/8 alone is trusted: the peer is a stranger. */
const UNTRUSTED: readonly Row[] = [
  ["no field", [], {}],
  ["X-Forwarded-For", xff("10.0.0.1"), {}],
  ["all of X-Forwarded-*", [
    ...xff("1.1.1.1"),
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "evil.test"],
    ["X-Forwarded-Port", "1"],
    ["X-Forwarded-Ssl", "on"],
  ], {}],
  ["Forwarded", std("for=1.1.1.1;proto=https;host=evil.test"), {}],
  ["a CDN's field", [["CF-Connecting-IP", "1.1.1.1"]], {}],
  ["an edge's own field", [["X-Edge-Client", "1.1.1.1"]], {}],
  ["other names for the address", [
    ...[["X-Real-IP", "1.1.1.1"], ["Client-IP", "1.1.1.1"], ["True-Client-IP", "1.1.1.1"]] as const,
  ], {}],
];

/** As TRUSTED, and X-Edge-Client is believed. */
const NAMED: readonly Row[] = [
  ["no field", [], {}],
  ["the field", [["X-Edge-Client", "198.51.100.9"]], by("198.51.100.9", ["HTTP_X_EDGE_CLIENT"])],
  ["the field over the hops", [...xff("1.1.1.1"), ["X-Edge-Client", "2001:db8::9"]], {
    ...by("2001:db8::9", [...X, "HTTP_X_EDGE_CLIENT"]),
  }],
  ["the field twice", [
    ...xff("198.51.100.9"),
    ["X-Edge-Client", "1.1.1.1"],
    ["X-Edge-Client", "2.2.2.2"],
  ], by("198.51.100.9", [...X, "HTTP_X_EDGE_CLIENT"])],
  ["the hops without it", xff("198.51.100.9"), by("198.51.100.9", X)],
];

const TABLES = [
  {
    what: "a trusted peer",
    trustedProxies: ["127.0.0.1", "10.0.0.0/8", "fd00::/8"],
    rows: TRUSTED,
  },
  {
    what: "an untrusted peer",
    trustedProxies: ["10.0.0.0/8"],
    clientIpHeader: "X-Edge-Client",
    rows: UNTRUSTED,
  },
  {
    what: "a CDN's field",
    trustedProxies: ["127.0.0.1", "10.0.0.0/8"],
    clientIpHeader: "X-Edge-Client",
    rows: NAMED,
  },
];

const CLAIMS =
  /^HTTP_(FORWARDED|X_FORWARDED_.*|X_REAL_IP|CLIENT_IP|TRUE_CLIENT_IP|CF_CONNECTING_IP|X_EDGE_CLIENT)$/;

export function testClients(subject: Subject): void {
  for (const { what, rows, ...server } of TABLES) {
    testWithProbe(subject, `tells who the client is: ${what}`, async (theatre) => {
      for (const row of rows) await checkRow(theatre, row);
    }, { server });
  }
}

async function checkRow(theatre: Theatre, [what, fields, told]: Row): Promise<void> {
  const { body, status } = await askFor(theatre, fields);
  assert.equal(status, 200, what);
  const environ = parseEnviron(body);
  const { addr = "127.0.0.1", https = false, passed = [] } = told;
  assert.deepEqual({
    REMOTE_ADDR: environ["REMOTE_ADDR"],
    REMOTE_HOST: environ["REMOTE_HOST"],
    REQUEST_SCHEME: environ["REQUEST_SCHEME"],
    HTTPS: environ["HTTPS"],
    SERVER_NAME: environ["SERVER_NAME"],
    SERVER_PORT: environ["SERVER_PORT"],
    HTTP_HOST: environ["HTTP_HOST"],
    passed: Object.keys(environ).filter((name) => CLAIMS.test(name)).sort(),
  }, {
    REMOTE_ADDR: addr,
    REMOTE_HOST: addr,
    REQUEST_SCHEME: https ? "https" : "http",
    HTTPS: https ? "on" : undefined,
    SERVER_NAME: told.name ?? "own.test",
    SERVER_PORT: told.serverPort ?? String(theatre.port),
    HTTP_HOST: told.host ?? "own.test",
    passed: [...passed].sort(),
  }, what);
  if (told.port === undefined) assert.match(environ["REMOTE_PORT"] ?? "", /^\d+$/, what);
  else assert.equal(environ["REMOTE_PORT"], told.port ?? undefined, what);
}

async function askFor(theatre: Theatre, headers: Fields) {
  const answer = await theatre.ask([OK, ENVIRON], { host: "own.test", headers });
  return { status: answer.status, body: answer.text };
}
