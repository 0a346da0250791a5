import assert from "node:assert/strict";
import fc from "fast-check";
import type { Endpoint } from "../../lib/exchange.ts";
import { contains, parseIp, parseRange } from "../../lib/protocol/ip.ts";
import { createTrust, isForwardingField } from "../../lib/protocol/forwarding.ts";

/** The proxies of most rows: two networks. 203.0.113.x, 198.51.100.x and 2001:db8::x are strangers. */
const NEAR = ["10.0.0.0/8", "fd00::/8"];
const PROXY: Endpoint = { address: "10.0.0.1", port: 40_000 };
const STRANGER: Endpoint = { address: "203.0.113.7", port: 40_000 };
const OWN = { scheme: "http", authority: "gw.test:8080", serverPort: 8080 } as const;

type Fields = readonly (readonly [name: string, value: string])[];

/** What a row expects. A string is the client's address; whatever is left out is as received. */
interface Expected {
  readonly client?: string;
  readonly port?: number;
  readonly scheme?: string;
  readonly authority?: string;
  readonly serverPort?: number;
}

interface Row {
  readonly what: string;
  readonly trust?: readonly string[];
  readonly peer?: Endpoint;
  readonly own?: { scheme: "http" | "https"; authority: string; serverPort: number };
  readonly fields: Fields;
  readonly gives: Expected | string;
}

function xff(value: string): Fields {
  return [["X-Forwarded-For", value]];
}

function forwarded(...values: string[]): Fields {
  return values.map((value) => ["Forwarded", value]);
}

function headersOf(fields: Fields): Headers {
  return new Headers(fields.map(([name, value]): [string, string] => [name, value]));
}

function check({ trust = NEAR, peer = PROXY, own = OWN, fields, gives }: Row): void {
  const { client, scheme, authority, serverPort } = createTrust(trust)
    .resolve(peer, headersOf(fields), own);
  const expected = typeof gives === "string" ? { client: gives } : gives;
  const told = expected.client === undefined ? peer : { address: expected.client, port: 0 };
  assert.deepEqual({ client, scheme, authority, serverPort }, {
    client: { address: told.address, port: expected.port ?? told.port },
    scheme: expected.scheme ?? own.scheme,
    authority: expected.authority ?? own.authority,
    serverPort: expected.serverPort ?? own.serverPort,
  });
}

const UNTRUSTED: readonly Row[] = [
  {
    what: "an untrusted peer's X-Forwarded-For",
    peer: STRANGER,
    fields: xff("1.1.1.1"),
    gives: {},
  },
  {
    what: "an untrusted peer's Forwarded",
    peer: STRANGER,
    fields: forwarded("for=1.1.1.1"),
    gives: {},
  },
  {
    what: "an untrusted peer's proto, host and port",
    peer: STRANGER,
    fields: [["X-Forwarded-Proto", "https"], ["X-Forwarded-Host", "evil.test"], [
      "X-Forwarded-Port",
      "1",
    ]],
    gives: {},
  },
  { what: "anything if nobody is trusted", trust: [], fields: xff("1.1.1.1"), gives: {} },
  {
    what: "a neighbour of a trusted range",
    trust: ["10.0.0.0/32"],
    fields: xff("1.1.1.1"),
    gives: {},
  },
  { what: "a trusted name in a header alone", peer: STRANGER, fields: xff("10.0.0.1"), gives: {} },
  {
    what: "a Unix peer that is not listed",
    peer: { address: "/run/p.sock", port: 0 },
    fields: xff("1.1.1.1"),
    gives: {},
  },
  {
    what: "an unreadable address with a port, though unix is listed",
    trust: ["unix"],
    peer: { address: "fe80::1%eth0", port: 5 },
    fields: xff("1.1.1.1"),
    gives: {},
  },
  {
    what: "an IP peer if only unix is listed",
    trust: ["unix"],
    fields: xff("1.1.1.1"),
    gives: {},
  },
];

const WALKS: readonly Row[] = [
  { what: "no field at all", fields: [], gives: {} },
  { what: "one address", fields: xff("203.0.113.9"), gives: "203.0.113.9" },
  { what: "the rightmost stranger", fields: xff("1.1.1.1, 203.0.113.9"), gives: "203.0.113.9" },
  { what: "past a trusted hop", fields: xff("203.0.113.9, 10.0.0.2"), gives: "203.0.113.9" },
  {
    what: "past many, forged ones ahead",
    fields: xff("127.0.0.1, 10.0.0.9, 203.0.113.9,10.0.0.3 ,10.0.0.2"),
    gives: "203.0.113.9",
  },
  {
    what: "to the leftmost if all are trusted",
    fields: xff("10.0.0.3, 10.0.0.2"),
    gives: "10.0.0.3",
  },
  {
    what: "over several fields in order",
    fields: [...xff("1.1.1.1"), ...xff("203.0.113.9"), ...xff("10.0.0.2")],
    gives: "203.0.113.9",
  },
  { what: "over empty elements", fields: xff(", 203.0.113.9,, \t,"), gives: "203.0.113.9" },
  { what: "nowhere in an empty field", fields: xff(""), gives: {} },
  { what: "nowhere among commas", fields: xff(",,,"), gives: {} },
  {
    what: "an address with a port",
    fields: xff("203.0.113.9:5678"),
    gives: { client: "203.0.113.9", port: 5678 },
  },
  { what: "bare IPv6", fields: xff("2001:DB8:0::9"), gives: "2001:db8::9" },
  { what: "bracketed IPv6", fields: xff("[2001:db8::9]"), gives: "2001:db8::9" },
  {
    what: "bracketed IPv6 with a port",
    fields: xff("[2001:db8::9]:443"),
    gives: { client: "2001:db8::9", port: 443 },
  },
  { what: "past trusted IPv6", fields: xff("2001:db8::9, fd00::2"), gives: "2001:db8::9" },
  {
    what: "from an IPv6 peer",
    peer: { address: "fd00::1", port: 9 },
    fields: xff("203.0.113.9"),
    gives: "203.0.113.9",
  },
  {
    what: "from an IPv4-mapped peer",
    peer: { address: "::ffff:10.0.0.1", port: 9 },
    fields: xff("203.0.113.9"),
    gives: "203.0.113.9",
  },
  {
    what: "a mapped peer as IPv4, though it says nothing",
    peer: { address: "::ffff:10.0.0.1", port: 9 },
    fields: [],
    gives: { client: "10.0.0.1", port: 9 },
  },
  {
    what: "a mapped stranger as IPv4",
    peer: { address: "::ffff:203.0.113.7", port: 9 },
    fields: xff("1.1.1.1"),
    gives: { client: "203.0.113.7", port: 9 },
  },
  {
    what: "past mapped hops",
    fields: xff("::ffff:203.0.113.9, ::ffff:10.0.0.2"),
    gives: "203.0.113.9",
  },
  {
    what: "a range in mapped form",
    trust: ["::ffff:10.0.0.0/104"],
    fields: xff("203.0.113.9"),
    gives: "203.0.113.9",
  },
  {
    what: "from a Unix peer that is listed",
    trust: ["unix"],
    peer: { address: "/run/p.sock", port: 0 },
    fields: xff("203.0.113.9"),
    gives: "203.0.113.9",
  },
  {
    what: "from an unnamed Unix peer",
    trust: ["unix"],
    peer: { address: "", port: 0 },
    fields: xff("203.0.113.9"),
    gives: "203.0.113.9",
  },
  {
    what: "nowhere from a silent Unix peer",
    trust: ["unix"],
    peer: { address: "/run/p.sock", port: 0 },
    fields: [],
    gives: {},
  },
];

const BROKEN_WALKS: readonly Row[] = [
  { what: "unknown, keeping the peer", fields: xff("203.0.113.9, unknown"), gives: {} },
  {
    what: "unknown, keeping the last address",
    fields: xff("203.0.113.9, unknown, 10.0.0.2"),
    gives: "10.0.0.2",
  },
  { what: "an obfuscated name", fields: xff("203.0.113.9, _hidden, 10.0.0.2"), gives: "10.0.0.2" },
  {
    what: "text that is no address",
    fields: xff("203.0.113.9, example.org, 10.0.0.2"),
    gives: "10.0.0.2",
  },
  { what: "malformed text at once", fields: xff("203.0.113.9, <script>"), gives: {} },
  {
    what: "nothing left of a stranger, however malformed",
    fields: xff('"\\<, 203.0.113.9'),
    gives: "203.0.113.9",
  },
  { what: "an unclosed quote", fields: xff('1.1.1.1", 10.0.0.2'), gives: "10.0.0.2" },
  { what: "an octal address", fields: xff("1.1.1.1, 010.0.0.2"), gives: {} },
  { what: "a short address", fields: xff("1.1.1.1, 10.2"), gives: {} },
  { what: "an octet above 255", fields: xff("1.1.1.1, 10.0.0.256"), gives: {} },
  { what: "a port above 65535", fields: xff("203.0.113.9:65536"), gives: {} },
  { what: "an empty port", fields: xff("203.0.113.9:"), gives: {} },
  { what: "an unclosed bracket", fields: xff("[2001:db8::9"), gives: {} },
  { what: "bracketed IPv4", fields: xff("[203.0.113.9]"), gives: {} },
  { what: "a zone identifier", fields: xff("fe80::1%eth0"), gives: {} },
  { what: "two addresses without a comma", fields: xff("1.1.1.1 10.0.0.2"), gives: {} },
  { what: "a no-break space, which is no blank", fields: xff("1.1.1.1, \xa010.0.0.2"), gives: {} },
  { what: "the name of a Unix socket", fields: xff("1.1.1.1, unix:"), gives: {} },
];

const RFC7239: readonly Row[] = [
  {
    what: "an element",
    fields: forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"),
    gives: { client: "192.0.2.60", serverPort: 8080 },
  },
  {
    what: "names in any case",
    fields: forwarded("For=192.0.2.60; PROTO=HTTPS"),
    gives: { client: "192.0.2.60", scheme: "https", serverPort: 8080 },
  },
  {
    what: "quoted IPv6 with a port",
    fields: forwarded('For="[2001:db8:cafe::17]:4711"'),
    gives: { client: "2001:db8:cafe::17", port: 4711 },
  },
  {
    what: "quoted IPv4 with a port",
    fields: forwarded('for="192.0.2.60:47"'),
    gives: { client: "192.0.2.60", port: 47 },
  },
  { what: "an obfuscated port", fields: forwarded('for="192.0.2.60:_p"'), gives: "192.0.2.60" },
  {
    what: "escapes in a quoted string",
    fields: forwarded('for="192\\.0.2.6\\0"'),
    gives: "192.0.2.60",
  },
  {
    what: "elements, the rightmost stranger",
    fields: forwarded("for=1.1.1.1, for=192.0.2.60"),
    gives: "192.0.2.60",
  },
  {
    what: "past trusted elements",
    fields: forwarded('for=192.0.2.60,for="[fd00::3]", for=10.0.0.2'),
    gives: "192.0.2.60",
  },
  {
    what: "several fields",
    fields: forwarded("for=1.1.1.1", "for=192.0.2.60", "for=10.0.0.2"),
    gives: "192.0.2.60",
  },
  {
    what: "proto and host of the element where the walk ends",
    fields: forwarded(
      "for=1.1.1.1;host=evil.test;proto=http, for=192.0.2.60;host=a.test;proto=https, for=10.0.0.2;host=inner.test;proto=http",
    ),
    gives: { client: "192.0.2.60", scheme: "https", authority: "a.test", serverPort: 443 },
  },
  {
    what: "no proto of an inner element",
    fields: forwarded("for=192.0.2.60, for=10.0.0.2;proto=https"),
    gives: "192.0.2.60",
  },
  {
    what: "a quoted host with a port",
    fields: forwarded('for=192.0.2.60;host="a.test:8443";proto=https'),
    gives: { client: "192.0.2.60", scheme: "https", authority: "a.test:8443", serverPort: 8443 },
  },
  {
    what: "a comma and a semicolon inside quotes",
    fields: forwarded('for=192.0.2.60;x="a, for=1.1.1.1;b"'),
    gives: "192.0.2.60",
  },
  {
    what: "a quote inside quotes",
    fields: forwarded('for=192.0.2.60;x="\\", for=1.1.1.1"'),
    gives: "192.0.2.60",
  },
  {
    what: "an equals sign before the closing quote",
    fields: forwarded('for=192.0.2.60;x="a="'),
    gives: "192.0.2.60",
  },
  { what: "an empty quoted string", fields: forwarded('for=192.0.2.60;x=""'), gives: "192.0.2.60" },
  {
    what: "empty pairs and elements",
    fields: forwarded(", ;for=192.0.2.60;; ,,"),
    gives: "192.0.2.60",
  },
  {
    what: "a hidden client, and its proto",
    fields: forwarded("for=unknown;proto=https;host=a.test"),
    gives: { scheme: "https", authority: "a.test", serverPort: 443 },
  },
  {
    what: "an obfuscated client behind a trusted hop",
    fields: forwarded("for=1.1.1.1, for=_SEVKISEK, for=10.0.0.2"),
    gives: "10.0.0.2",
  },
  {
    what: "an obfuscated client with a port",
    fields: forwarded('for="_gazonk:80", for=10.0.0.2'),
    gives: "10.0.0.2",
  },
  {
    what: "an element without for",
    fields: forwarded("for=1.1.1.1, proto=https"),
    gives: { scheme: "https", serverPort: 8080 },
  },
];

const BROKEN_RFC7239: readonly Row[] = [
  { what: "garbage", fields: forwarded("garbage"), gives: {} },
  { what: "a value left out", fields: forwarded("for="), gives: {} },
  { what: "blanks around =", fields: forwarded("for = 1.1.1.1"), gives: {} },
  { what: "unquoted IPv6", fields: forwarded("for=[2001:db8::1]"), gives: {} },
  { what: "quoted IPv6 without brackets", fields: forwarded('for="2001:db8::1"'), gives: {} },
  { what: "an unquoted port", fields: forwarded("for=1.1.1.1:80"), gives: {} },
  { what: "a name for a node", fields: forwarded("for=example.org"), gives: {} },
  { what: "a parameter twice", fields: forwarded("for=1.1.1.1;For=10.0.0.2"), gives: {} },
  { what: "an unclosed quote at the right", fields: forwarded('for="1.1.1.1'), gives: {} },
  { what: "text after a quoted string", fields: forwarded('for="1.1.1.1"x'), gives: {} },
  { what: "a quote that nothing opened", fields: forwarded('"'), gives: {} },
  { what: "an escape that closes nothing", fields: forwarded('for="1.1.1.1\\"'), gives: {} },
  {
    what: "a malformed element and all left of it",
    fields: forwarded("for=1.1.1.1, for=@, for=10.0.0.2"),
    gives: "10.0.0.2",
  },
  {
    what: "a scheme other than http and https",
    fields: forwarded("for=192.0.2.60;proto=ftp"),
    gives: "192.0.2.60",
  },
  {
    what: "a host with a path",
    fields: forwarded('for=192.0.2.60;host="a/b"'),
    gives: "192.0.2.60",
  },
  {
    what: "a host with userinfo",
    fields: forwarded('for=192.0.2.60;host="a@b"'),
    gives: "192.0.2.60",
  },
  // A client sends the left part; its proxy appends the right one, and is still heard.
  {
    what: "an unclosed quote that a client sent ahead",
    fields: forwarded('for="x', "for=192.0.2.60"),
    gives: "192.0.2.60",
  },
  {
    what: "a quote that would swallow the proxy's",
    fields: forwarded('for=1.1.1.1;x="', 'for="[2001:db8::9]:1"'),
    gives: { client: "2001:db8::9", port: 1 },
  },
  {
    what: "an escape at the end of a client's part",
    fields: forwarded('for="\\', 'for=192.0.2.60;host="a.test"'),
    gives: { client: "192.0.2.60", authority: "a.test", serverPort: 80 },
  },
];

function https(...more: Fields): Fields {
  return [...xff("203.0.113.9"), ["X-Forwarded-Proto", "https"], ...more];
}

const RECEIVED: readonly Row[] = [
  {
    what: "the scheme, and the port of the Host",
    fields: https(),
    gives: { client: "203.0.113.9", scheme: "https", serverPort: 8080 },
  },
  {
    what: "the scheme's own port for a Host without one",
    own: { ...OWN, authority: "gw.test" },
    fields: https(),
    gives: { client: "203.0.113.9", scheme: "https", serverPort: 443 },
  },
  {
    what: "http behind a TLS listener",
    own: { scheme: "https", authority: "gw.test", serverPort: 8443 },
    fields: [["X-Forwarded-Proto", "http"]],
    gives: { scheme: "http", serverPort: 80 },
  },
  {
    what: "the host, and the scheme's own port",
    fields: https(["X-Forwarded-Host", "A.test"]),
    gives: { client: "203.0.113.9", scheme: "https", authority: "A.test", serverPort: 443 },
  },
  {
    what: "the host's port",
    fields: https(["X-Forwarded-Host", "a.test:8443"]),
    gives: { client: "203.0.113.9", scheme: "https", authority: "a.test:8443", serverPort: 8443 },
  },
  {
    what: "an IPv6 host",
    fields: [["X-Forwarded-Host", "[2001:db8::1]:81"]],
    gives: { authority: "[2001:db8::1]:81", serverPort: 81 },
  },
  {
    what: "the port field before the host's port",
    fields: https(["X-Forwarded-Host", "a.test:1"], ["X-Forwarded-Port", "444"]),
    gives: { client: "203.0.113.9", scheme: "https", authority: "a.test:1", serverPort: 444 },
  },
  { what: "a port alone", fields: [["X-Forwarded-Port", "444"]], gives: { serverPort: 444 } },
  { what: "no port 0", fields: [["X-Forwarded-Port", "0"]], gives: {} },
  { what: "no port above 65535", fields: [["X-Forwarded-Port", "65536"]], gives: {} },
  { what: "no port that is no number", fields: [["X-Forwarded-Port", "80a"]], gives: {} },
  {
    what: "no scheme other than http and https",
    fields: [["X-Forwarded-Proto", "javascript"]],
    gives: {},
  },
  { what: "no empty scheme", fields: [["X-Forwarded-Proto", ""]], gives: {} },
  { what: "no host with a path", fields: [["X-Forwarded-Host", "a/b"]], gives: {} },
  { what: "no host with a blank", fields: [["X-Forwarded-Host", "a b"]], gives: {} },
  {
    what: "the last proto of an appended list",
    fields: [...xff("1.1.1.1, 203.0.113.9"), ["X-Forwarded-Proto", "http, https"]],
    gives: { client: "203.0.113.9", scheme: "https", serverPort: 8080 },
  },
  {
    what: "the host that goes with the client's address",
    fields: [...xff("1.1.1.1, 203.0.113.9, 10.0.0.2"), [
      "X-Forwarded-Host",
      "evil.test, a.test, inner.test",
    ]],
    gives: { client: "203.0.113.9", authority: "a.test", serverPort: 80 },
  },
  {
    what: "the only proto, however long the walk",
    fields: [...xff("203.0.113.9, 10.0.0.3, 10.0.0.2"), ["X-Forwarded-Proto", "https"]],
    gives: { client: "203.0.113.9", scheme: "https", serverPort: 8080 },
  },
  {
    what: "the leftmost proto if fewer hops wrote one",
    fields: [...xff("203.0.113.9, 10.0.0.3, 10.0.0.2"), ["X-Forwarded-Proto", "https, http"]],
    gives: { client: "203.0.113.9", scheme: "https", serverPort: 8080 },
  },
  {
    what: "the last proto if no address goes with it",
    fields: [["X-Forwarded-Proto", "http, https"]],
    gives: { scheme: "https", serverPort: 8080 },
  },
  { what: "nothing in a list of commas", fields: [["X-Forwarded-Proto", ",,"]], gives: {} },
];

const BOTH: readonly Row[] = [
  {
    what: "X-Forwarded-For over a forged Forwarded",
    fields: [...xff("203.0.113.9"), ...forwarded("for=127.0.0.1;proto=https;host=evil.test")],
    gives: "203.0.113.9",
  },
  {
    what: "no host of a Forwarded that only agrees on the client",
    fields: [...xff("203.0.113.9"), ...forwarded("for=203.0.113.9;host=evil.test")],
    gives: "203.0.113.9",
  },
  {
    what: "X-Forwarded-For although a client's own proxy wrote Forwarded",
    fields: [...xff("203.0.113.9"), ...forwarded("for=192.168.1.5;proto=https")],
    gives: "203.0.113.9",
  },
  {
    what: "Forwarded if X-Forwarded-For names nobody",
    fields: [...xff("unknown"), ...forwarded("for=192.0.2.60")],
    gives: "192.0.2.60",
  },
  {
    what: "Forwarded if X-Forwarded-For is malformed",
    fields: [...xff("<>"), ...forwarded("for=192.0.2.60")],
    gives: "192.0.2.60",
  },
  {
    what: "Forwarded alone, not a stray X-Forwarded-Host beside it",
    fields: [...forwarded("for=192.0.2.60;proto=https"), ["X-Forwarded-Host", "evil.test"], [
      "X-Forwarded-Port",
      "1",
    ]],
    gives: { client: "192.0.2.60", scheme: "https", serverPort: 8080 },
  },
  {
    what: "X-Forwarded-Proto if Forwarded is malformed",
    fields: [...forwarded("garbage"), ["X-Forwarded-Proto", "https"]],
    gives: { scheme: "https", serverPort: 8080 },
  },
];

const TABLES = {
  "does not believe": UNTRUSTED,
  "walks X-Forwarded-For:": WALKS,
  "ends the walk at": BROKEN_WALKS,
  "reads Forwarded:": RFC7239,
  "ignores in Forwarded": BROKEN_RFC7239,
  "takes": RECEIVED,
  "believes": BOTH,
};

for (const [verb, rows] of Object.entries(TABLES)) {
  for (const row of rows) Deno.test(`resolve() ${verb} ${row.what}`, () => check(row));
}

Deno.test("resolve() says when the two families contradict each other", () => {
  const trust = createTrust(NEAR);
  const contested = (...fields: Fields) =>
    trust.resolve(PROXY, headersOf([...xff("203.0.113.9"), ...fields]), OWN).contested;
  assert.equal(contested(), false);
  assert.equal(contested(...forwarded("for=203.0.113.9")), false);
  assert.equal(contested(...forwarded("for=unknown")), false);
  assert.equal(contested(...forwarded("garbage")), false);
  assert.equal(contested(...forwarded('for="203.0.113.9:80";proto=https')), false);
  assert.equal(contested(...forwarded("for=127.0.0.1")), true);
  const proto = ["X-Forwarded-Proto", "https"] as const;
  assert.equal(contested(proto, ...forwarded("for=203.0.113.9;proto=https")), false);
  assert.equal(contested(proto, ...forwarded("for=203.0.113.9;proto=http")), true);
  const host = ["X-Forwarded-Host", "a.test"] as const;
  assert.equal(contested(host, ...forwarded('for=203.0.113.9;host="A.test:443"')), false);
  assert.equal(contested(host, ...forwarded("for=203.0.113.9;host=b.test")), true);
});

Deno.test("resolve() does not call an untrusted peer's fields contested", () => {
  const fields = [...xff("1.1.1.1"), ...forwarded("for=2.2.2.2")];
  const { contested } = createTrust(NEAR).resolve(STRANGER, headersOf(fields), OWN);
  assert.equal(contested, false);
});

Deno.test("resolve() withholds what was not believed", () => {
  const trust = createTrust(NEAR);
  const names = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "accept"];
  const withheld = (peer: Endpoint, fields: Fields) =>
    names.filter(trust.resolve(peer, headersOf(fields), OWN).withholds);
  const both = [...xff("203.0.113.9"), ...forwarded("for=203.0.113.9")];
  assert.deepEqual(withheld(STRANGER, both), names.slice(0, 4));
  assert.deepEqual(withheld(PROXY, both), ["forwarded"]);
  assert.deepEqual(withheld(PROXY, xff("203.0.113.9")), ["forwarded"]);
  assert.deepEqual(withheld(PROXY, forwarded("for=203.0.113.9")), [
    "x-forwarded-for",
    "x-forwarded-host",
  ]);
});

Deno.test("resolve() takes a CDN's own field for the client's address, from trusted peers alone", () => {
  const trust = createTrust(NEAR, "CF-Connecting-IP");
  const client = (peer: Endpoint, ...fields: Fields) =>
    trust.resolve(peer, headersOf(fields), OWN).client;
  const told = (value: string) => ["cf-connecting-ip", value] as const;
  const cases: readonly (readonly [value: string, address: string, port: number])[] = [
    ["198.51.100.9", "198.51.100.9", 0],
    [" 198.51.100.9\t", "198.51.100.9", 0],
    ["198.51.100.9:46532", "198.51.100.9", 46_532],
    ["2001:DB8::9", "2001:db8::9", 0],
    ["[2001:db8::9]:99", "2001:db8::9", 99],
    ["::ffff:198.51.100.9", "198.51.100.9", 0],
    ["10.9.9.9", "10.9.9.9", 0],
  ];
  for (const [value, address, port] of cases) {
    assert.deepEqual(client(PROXY, told(value), ...xff("203.0.113.9")), { address, port }, value);
    assert.deepEqual(client(STRANGER, told(value)), STRANGER, value);
  }
  for (const value of ["", "unknown", "_hidden", "a.b", "1.1.1.1, 2.2.2.2", "1.1.1.1 2.2.2.2"]) {
    assert.equal(client(PROXY, told(value), ...xff("203.0.113.9")).address, "203.0.113.9", value);
    assert.deepEqual(client(PROXY, told(value)), PROXY, value);
  }
  assert.equal(client(PROXY, ...xff("203.0.113.9")).address, "203.0.113.9");
});

Deno.test("resolve() takes scheme, host and port from the hops also where a CDN names the client", () => {
  const fields: Fields = [
    ["true-client-ip", "198.51.100.9"],
    ["x-forwarded-for", "1.1.1.1, 203.0.113.9"],
    ["x-forwarded-proto", "https"],
    ["x-forwarded-host", "www.test"],
  ];
  const told = createTrust(NEAR, "True-Client-IP").resolve(PROXY, headersOf(fields), OWN);
  const { client, scheme, authority, serverPort } = told;
  assert.deepEqual([client.address, scheme, authority, serverPort], [
    ...["198.51.100.9", "https", "www.test", 443],
  ]);
});

Deno.test("resolve() withholds a stranger's field of any name that would be believed", () => {
  const trust = createTrust(NEAR, "X-Edge-Client");
  const { withholds } = trust.resolve(STRANGER, new Headers(), OWN);
  assert.deepEqual(["x-edge-client", "x-real-ip", "accept"].filter(withholds), [
    ...["x-edge-client", "x-real-ip"],
  ]);
});

Deno.test("isForwardingField() knows the fields that speak for a client", () => {
  for (
    const name of [
      ...["forwarded", "x-forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"],
      ...["x-forwarded-port", "x-forwarded-by", "x-forwarded-server", "x-forwarded-prefix"],
      ...["x-forwarded-ssl", "x-real-ip", "x-client-ip", "client-ip", "cf-connecting-ip"],
      ...["true-client-ip", "fastly-client-ip", "cloudfront-viewer-address"],
    ]
  ) assert.equal(isForwardingField(name), true, name);
  for (const name of ["via", "host", "x-request-id", "cf-ray", "x-forward"]) {
    assert.equal(isForwardingField(name), false, name);
  }
});

Deno.test("createTrust() refuses what is no range", () => {
  assert.throws(() => createTrust(["10.0.0.0/8", "localhost"]), {
    name: "TypeError",
    message: 'Cannot read "localhost" as a range: write 10.0.0.0/8, ::1 or unix',
  });
});

Deno.test("resolve() answers alike when more peers came than it remembers", () => {
  const trust = createTrust(NEAR);
  for (let index = 0; index < 5000; index++) {
    const address = `10.1.${index >> 8}.${index & 255}`;
    const stranger = `11.1.${index >> 8}.${index & 255}`;
    const headers = headersOf(xff("203.0.113.9"));
    assert.equal(trust.resolve({ address, port: 1 }, headers, OWN).client.address, "203.0.113.9");
    assert.equal(
      trust.resolve({ address: stranger, port: 1 }, headers, OWN).client.address,
      stranger,
    );
  }
});

/** Text of a field value, made of the pieces that matter to the grammar. */
const fieldText = fc.array(
  fc.oneof(
    fc.constantFrom(
      ",",
      ", ",
      ";",
      '"',
      "\\",
      '="',
      "=",
      " ",
      "\t",
      "for=",
      "proto=https",
      "host=",
    ),
    fc.constantFrom(
      "unknown",
      "_x",
      "10.0.0.2",
      "1.1.1.1",
      '"[fd00::1]:80"',
      "[",
      "]",
      ":",
      "\xe9",
    ),
    fc.ipV4(),
    fc.ipV6(),
  ),
  { maxLength: 14 },
).map((pieces) => pieces.join(""));

const anyFields = fc.array(
  fc.tuple(
    fc.constantFrom(
      ...["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"],
      ...["X-Forwarded-Port", "X-Real-IP"],
    ),
    fc.oneof(fieldText, fc.constantFrom("https", "http", "evil.test", "443")),
  ),
  { maxLength: 6 },
);

Deno.test("resolve() is never changed by what an untrusted peer sends", () => {
  const trust = createTrust(NEAR);
  const silent = trust.resolve(STRANGER, new Headers(), OWN);
  fc.assert(fc.property(anyFields, (fields) => {
    assert.deepEqual(trust.resolve(STRANGER, headersOf(fields), OWN), silent);
  }));
});

Deno.test("resolve() gives well-formed values for whatever a trusted peer sends", () => {
  const trust = createTrust(NEAR);
  fc.assert(
    fc.property(anyFields, (fields) => {
      const { client, scheme, serverPort } = trust.resolve(PROXY, headersOf(fields), OWN);
      assert.equal(parseIp(client.address)?.text, client.address);
      assert.ok(Number.isInteger(client.port) && client.port >= 0 && client.port <= 65_535);
      assert.ok(scheme === "http" || scheme === "https");
      assert.ok(Number.isInteger(serverPort) && serverPort >= 0 && serverPort <= 65_535);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("resolve() hears the proxy whatever its client sent ahead", () => {
  const trust = createTrust(NEAR);
  const appended = [
    'for="[2001:db8::9]:80";proto=https;host="a.test"',
    "for=203.0.113.9;proto=https;host=a.test",
    'for=203.0.113.9;x="a, b=";proto=https;host="a\\.test"',
  ];
  fc.assert(
    fc.property(fieldText, fc.constantFrom(...appended), (ahead, element) => {
      const alone = trust.resolve(PROXY, headersOf(forwarded(element)), OWN);
      assert.notDeepEqual(alone.client, PROXY);
      assert.deepEqual(trust.resolve(PROXY, headersOf(forwarded(ahead, element)), OWN), alone);
      const legacy = trust.resolve(PROXY, headersOf([...xff(ahead), ...xff("203.0.113.9")]), OWN);
      assert.equal(legacy.client.address, "203.0.113.9");
    }),
    { numRuns: 1000 },
  );
});

/** A hop of a chain: near ones are trusted. */
const hop = fc.oneof(
  fc.nat(0xffffff).map((n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`),
  fc.constantFrom("fd00::1", "fdff:ab::9"),
  fc.ipV4(),
  fc.ipV6(),
);

function isNear(address: string): boolean {
  const ranges = NEAR.map((text) => parseRange(text)).filter((range) => range !== undefined);
  return contains(ranges, parseIp(address));
}

Deno.test("resolve() names a trusted address as the client only if every hop is trusted", () => {
  const trust = createTrust(NEAR);
  fc.assert(
    fc.property(fc.array(hop, { minLength: 1, maxLength: 8 }), (hops) => {
      const expected = hops.findLast((address) => !isNear(address)) ?? hops[0] ?? "";
      const elements = hops.map((address) =>
        `for="${address.includes(":") ? `[${address}]` : address}";proto=http`
      );
      for (const fields of [xff(hops.join(", ")), forwarded(elements.join(","))]) {
        const { client } = trust.resolve(PROXY, headersOf(fields), OWN);
        assert.equal(client.address, parseIp(expected)?.text);
        assert.equal(isNear(client.address), hops.every(isNear));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("resolve() reads the longest hostile fields in linear time", () => {
  const trust = createTrust(["0.0.0.0/0", "::/0"]);
  const size = 60_000;
  const hostile = [
    ...[",", " ", '"', '="', "\\", ";", ":", "a", "1.1.1.1,", "for=1.1.1.1,"],
    ...['for="', 'a="b",', "a=b;", "[", "_"],
  ].map((piece) => piece.repeat(size / piece.length));
  const start = performance.now();
  for (const text of hostile) {
    for (const value of [text, `for="${text}"`, `for=${text}`, `1.1.1.1${text}`]) {
      const fields = [...forwarded(value), ...xff(value)];
      const { client } = trust.resolve(PROXY, headersOf(fields), OWN);
      assert.ok(parseIp(client.address) !== undefined);
    }
  }
  // Takes a few hundredths of this; a quadratic reader takes minutes.
  assert.ok(performance.now() - start < 5000);
});
