import assert from "node:assert/strict";
import fc from "fast-check";
import {
  contains,
  parseAuthority,
  parseIp,
  parseRange,
  type Range,
} from "../../lib/protocol/authority.ts";

const LONGEST = "a".repeat(255);

const ACCEPTED: readonly (readonly [text: string, hostname: string, port: number | undefined])[] = [
  ["example.org", "example.org", undefined],
  ["EXAMPLE.Org:8080", "example.org", 8080],
  ["example.org:", "example.org", undefined],
  ["example.org:0", "example.org", 0],
  ["example.org:00080", "example.org", 80],
  ["example.org:65535", "example.org", 65535],
  ["example.org.", "example.org.", undefined],
  ["a_b-c.d", "a_b-c.d", undefined],
  ["127.0.0.1:80", "127.0.0.1", 80],
  ["[::1]", "[::1]", undefined],
  ["[2001:DB8::1]:443", "[2001:db8::1]", 443],
  ["[::FFFF:10.0.0.1]:", "[::ffff:10.0.0.1]", undefined],
  [`${LONGEST}:65535`, LONGEST, 65535],
];

for (const [text, hostname, port] of ACCEPTED) {
  const shown = text.length > 40 ? `a name of ${LONGEST.length} bytes` : text;
  Deno.test(`parseAuthority() reads ${shown}`, () => {
    const expected = { hostname, port };
    assert.deepEqual(parseAuthority(text), expected);
    assert.deepEqual(parseAuthority(text), expected, "from the cache");
  });
}

const REFUSED: readonly (readonly [what: string, text: string])[] = [
  ["nothing", ""],
  ["a port alone", ":80"],
  ["two joined Host fields", "a.test, b.test"],
  ["a comma", "a,b"],
  ["a space", "a b"],
  ["a leading space", " a"],
  ["a trailing space", "a "],
  ["a tab", "a\tb"],
  ["a line feed at the end", "a\n"],
  ["NUL", "a\0"],
  ["DEL", "a\x7f"],
  ["a slash", "a/b"],
  ["a query", "a?b"],
  ["a fragment", "a#b"],
  ["userinfo", "user@a"],
  ["a backslash", "a\\b"],
  ["a percent escape", "a%2eb"],
  ["a byte above ASCII", "caf\xe9.test"],
  ["a quote", '"a"'],
  ["a port above 65535", "a:65536"],
  ["a port of six digits", "a:000080"],
  ["a signed port", "a:+80"],
  ["a hexadecimal port", "a:0x50"],
  ["two ports", "a:80:80"],
  ["bare IPv6", "2001:db8::1"],
  ["an unclosed bracket", "[::1"],
  ["an unopened bracket", "::1]"],
  ["empty brackets", "[]"],
  ["bracketed IPv4", "[127.0.0.1]"],
  ["a bracketed name", "[example.org]"],
  ["text after a bracket", "[::1]a"],
  ["malformed IPv6", "[1::2::3]"],
  ["IPv6 with a zone", "[fe80::1%25eth0]"],
  ["IPvFuture", "[v1.a]"],
  ["a name of 256 bytes", "a".repeat(256)],
];

for (const [what, text] of REFUSED) {
  Deno.test(`parseAuthority() refuses ${what}`, () => {
    assert.equal(parseAuthority(text), undefined);
  });
}

Deno.test("parseAuthority() answers alike after its cache has overflowed", () => {
  const before = parseAuthority("cached.test:81");
  for (let index = 0; index < 3000; index++) {
    assert.equal(parseAuthority(`h${index}.test`)?.hostname, `h${index}.test`);
  }
  assert.deepEqual(parseAuthority("cached.test:81"), before);
});

Deno.test("parseAuthority() lets nothing through that a URL would read as more than host and port", () => {
  const unit = fc.constantFrom(..."aZ09._-:[]/?#@\\%, \t\0\x7f\xe9");
  fc.assert(fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
    const authority = parseAuthority(text);
    if (authority === undefined) return;
    const port = authority.port === undefined ? "" : `:${authority.port}`;
    const again = parseAuthority(authority.hostname + port);
    assert.deepEqual(again, authority, "its own spelling reads the same");
    assert.match(text, /^[a-zA-Z0-9._:[\]-]+$/);
  }));
});

const ADDRESSES: readonly (readonly [text: string, plain: string | undefined])[] = [
  ["10.0.0.1", "10.0.0.1"],
  ["255.255.255.255", "255.255.255.255"],
  ["2001:DB8:0:0::1", "2001:db8::1"],
  ["::", "::"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["::ffff:a00:1", "10.0.0.1"],
  ["0:0:0:0:0:ffff:0.0.0.0", "0.0.0.0"],
  ["ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ["::10.0.0.1", "::a00:1"],
  ["", undefined],
  ["10.0.0", undefined],
  ["10.0.0.256", undefined],
  ["010.0.0.1", undefined],
  ["0x0a.0.0.1", undefined],
  ["167772161", undefined],
  ["10.0.0.1 ", undefined],
  ["10.0.0.1:80", undefined],
  ["[::1]", undefined],
  ["fe80::1%eth0", undefined],
  ["1::2::3", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["12345::", undefined],
  ["::ffff:010.0.0.1", undefined],
  ["::ffff:0x7f.0.0.1", undefined],
  ["::ffff:10.0.0", undefined],
  ["10.0.0.1::", undefined],
  ["/run/a.sock", undefined],
];

for (const [text, plain] of ADDRESSES) {
  Deno.test(`parseIp() ${plain ? "reads" : "refuses"} ${JSON.stringify(text)}`, () => {
    assert.equal(parseIp(text)?.toString(), plain);
  });
}

Deno.test("parseIp() reads every IPv4 and IPv6 address back from its plain form", () => {
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
    const ip = parseIp(text);
    assert.ok(ip !== undefined, text);
    assert.equal(parseIp(ip.toString())?.toString(), ip.toString());
  }));
});

const RANGES: readonly (readonly [range: string, inside: string, outside: string])[] = [
  ["10.0.0.0/8", "10.255.255.255", "11.0.0.0"],
  ["10.1.2.3/8", "10.9.9.9", "9.255.255.255"],
  ["192.0.2.7", "192.0.2.7", "192.0.2.8"],
  ["192.0.2.0/31", "192.0.2.1", "192.0.2.2"],
  ["0.0.0.0/0", "203.0.113.9", "2001:db8::1"],
  ["2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"],
  ["2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"],
  ["::1", "::1", "127.0.0.1"],
  ["::/0", "2001:db8::1", "10.0.0.1"],
  ["::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"],
  ["10.0.0.0/8", "::ffff:10.0.0.1", "::a00:1"],
];

for (const [text, inside, outside] of RANGES) {
  Deno.test(`contains() finds ${inside} in ${text}, and ${outside} not`, () => {
    const range = parseRange(text);
    assert.ok(range !== undefined);
    assert.equal(contains([range], parseIp(inside)), true);
    assert.equal(contains([range], parseIp(outside)), false);
    assert.equal(contains([range], "unix"), false);
  });
}

Deno.test("contains() finds a Unix socket's end under the word unix alone", () => {
  const ranges: readonly Range[] = ["unix"];
  assert.equal(parseRange("unix"), "unix");
  assert.equal(contains(ranges, "unix"), true);
  assert.equal(contains(ranges, parseIp("10.0.0.1")), false);
  assert.equal(contains(ranges, undefined), false);
  assert.equal(contains([], "unix"), false);
});

for (
  const text of [
    ...["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0"],
    ...["10/8", "::/129", "::ffff:10.0.0.0/95", "localhost", "Unix", "unix:/run/a.sock", "/8"],
  ]
) {
  Deno.test(`parseRange() refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseRange(text), undefined);
  });
}
