import assert from "node:assert/strict";
import fc from "fast-check";
import { contains, isLoopback, parseIp, parseRange, type Range } from "../../lib/protocol/ip.ts";

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
    assert.equal(parseIp(text)?.text, plain);
  });
}

Deno.test("parseIp() reads every IPv4 and IPv6 address back from its plain form", () => {
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
    const ip = parseIp(text);
    assert.ok(ip !== undefined, text);
    assert.equal(parseIp(ip.text)?.text, ip.text);
  }));
});

Deno.test("parseIp() reads IPv6 as the runtime's URL does", () => {
  const group = fc.stringMatching(/^[0-9A-Fa-f]{0,5}$/);
  const groups = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant("0") }, group), {
    minLength: 5,
    maxLength: 9,
  });
  fc.assert(fc.property(fc.oneof(groups.map((list) => list.join(":")), fc.ipV6()), (text) => {
    const url = URL.parse(`http://[${text}]/`);
    const ip = parseIp(text);
    if (ip?.bytes.length === 4) return;
    assert.equal(ip?.text, text.includes(":") ? url?.hostname.slice(1, -1) : undefined);
  }));
});

for (
  const [text, own] of [["127.9.9.9", true], ["128.0.0.1", false], ["::1", true], [
    "::",
    false,
  ]] as const
) {
  Deno.test(`isLoopback() says ${own} of ${text}`, () => {
    const ip = parseIp(text);
    assert.ok(ip !== undefined);
    assert.equal(isLoopback(ip), own);
  });
}

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
