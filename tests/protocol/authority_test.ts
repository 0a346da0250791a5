import assert from "node:assert/strict";
import fc from "fast-check";
import { parseAuthority } from "../../lib/protocol/authority.ts";

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
  // No URL can hold them, and an application reads its request's.
  ["a number for a last label", "a.127"],
  ["five numbers", "1.2.3.4.5"],
  ["bad punycode", "xn--a"],
  // URLs make 127.0.0.1 of them.
  ["an IPv4 address in one number", "2130706433"],
  ["an IPv4 address in hexadecimal", "0x7f.1"],
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
