import assert from "node:assert/strict";
import fc from "fast-check";
import * as v from "valibot";
import {
  address,
  command,
  count,
  dictionary,
  duration,
  environment,
  fields,
  flag,
  formatAddress,
  list,
  listenAddress,
  literal,
  oneOrMore,
  optional,
  parseAddress,
  parseDuration,
  parseSize,
  quote,
  size,
  text,
  variableNames,
  word,
} from "../../lib/fields.ts";
import { nearest, resolvePath } from "../../lib/values.ts";

/** What the schema makes of the input, or its messages. */
function read(schema: v.GenericSchema, input: unknown): unknown {
  const result = v.safeParse(schema, input);
  return result.success ? result.output : result.issues.map(({ message }) => message);
}

Deno.test("parseDuration() reads every unit, with fractions, and nothing else", () => {
  const good = {
    "500ms": 500,
    "30s": 30_000,
    "1.5s": 1500,
    "2m": 120_000,
    "1h": 3_600_000,
    "0s": 0,
  };
  for (const [text, ms] of Object.entries(good)) assert.equal(parseDuration(text), ms, text);
  const bad = [
    "",
    "30",
    "s",
    "-1s",
    "1 s",
    "1S",
    ".5s",
    "1.s",
    "1e3s",
    "1s ",
    "1s2m",
    "Infinitys",
    "٣s",
  ];
  for (const text of bad) assert.equal(parseDuration(text), undefined, text);
});

Deno.test("parseSize() reads bytes and binary units, up to what a number counts exactly", () => {
  const good = { "0": 0, "10": 10, "10B": 10, "64KiB": 65_536, "16MiB": 2 ** 24, "1GiB": 2 ** 30 };
  for (const [text, bytes] of Object.entries(good)) assert.equal(parseSize(text), bytes, text);
  const bad = [
    "",
    "KiB",
    "1.5MiB",
    "-1",
    "1KB",
    "1kib",
    "1 KiB",
    "9007199254740992",
    "99999999999GiB",
  ];
  for (const text of bad) assert.equal(parseSize(text), undefined, text);
});

Deno.test("parseAddress() reads names, IP addresses, every interface and Unix sockets", () => {
  const tcp = (hostname: string, port: number) => ({ transport: "tcp", hostname, port });
  assert.deepEqual(parseAddress("localhost:80"), tcp("localhost", 80));
  assert.deepEqual(parseAddress("php_fpm:9000"), tcp("php_fpm", 9000));
  assert.deepEqual(parseAddress("127.0.0.1:65535"), tcp("127.0.0.1", 65_535));
  assert.deepEqual(parseAddress("[2001:db8::1]:0"), tcp("2001:db8::1", 0));
  assert.deepEqual(parseAddress(":8080"), tcp("0.0.0.0", 8080));
  assert.deepEqual(parseAddress("unix:/run/a b.sock"), {
    transport: "unix",
    path: "/run/a b.sock",
  });
});

Deno.test("parseAddress() refuses ports and IP addresses that do not exist", () => {
  const bad = [
    "",
    "80",
    "localhost",
    "localhost:",
    "localhost:65536",
    "localhost:-1",
    "::1:80",
    "[::1]",
  ];
  const worse = [
    "[1::2::3]:80",
    "[]:80",
    "256.1.1.1:80",
    "1.2.3.4.5:80",
    "a b:80",
    "http://a:80",
    "a/b:80",
  ];
  for (const text of [...bad, ...worse, "unix:", "unix:/a\0b", "user@host:80"]) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

Deno.test("formatAddress() is the inverse of parseAddress()", () => {
  const tcp = fc.record({
    transport: fc.constant("tcp" as const),
    hostname: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom("localhost", "a-b.example.org")),
    port: fc.nat({ max: 65_535 }),
  });
  const unix = fc.record({
    transport: fc.constant("unix" as const),
    path: fc.stringMatching(/^\/[!-~]{1,40}$/),
  });
  fc.assert(
    fc.property(fc.oneof(tcp, unix), (address) => {
      assert.deepEqual(parseAddress(formatAddress(address)), { ...address });
    }),
  );
});

Deno.test("resolvePath() starts from the folder and resolves dot segments, never above the root", () => {
  assert.equal(resolvePath("a.sh", "/srv/app"), "/srv/app/a.sh");
  assert.equal(resolvePath("./a/../b//c/", "/srv/app/"), "/srv/app/b/c");
  assert.equal(resolvePath("/etc/./x", "/srv/app"), "/etc/x");
  assert.equal(resolvePath("../../../../x", "/srv/app"), "/x");
  assert.equal(resolvePath(".", "/"), "/");
});

Deno.test("nearest() finds slips of the pen, swapped letters and other styles", () => {
  const known = ["timeout", "maxRequestBody", "host", "name"];
  const meant = {
    tiemout: "timeout",
    Timeout: "timeout",
    timout: "timeout",
    max_request_body: "maxRequestBody",
    "max-request-body": "maxRequestBody",
    hsot: "host",
    hosts: "host",
    nam: "name",
  };
  for (const [written, name] of Object.entries(meant)) assert.equal(nearest(written, known), name);
});

Deno.test("nearest() does not guess when too much differs", () => {
  for (const word of ["", "x", "port", "cache", "timer", "a".repeat(10_000)]) {
    assert.equal(nearest(word, ["timeout", "host", "env"]), undefined, word);
  }
  assert.equal(nearest("host", []), undefined);
});

Deno.test("quote() names collections, cuts long text and shows what is invisible", () => {
  assert.equal(quote("soon"), '"soon"');
  assert.equal(quote(5), "5");
  assert.equal(quote(null), "an empty value");
  assert.equal(quote([1]), "a list");
  assert.equal(quote({}), "a map");
  assert.equal(quote("x".repeat(100)), `"${"x".repeat(79)}…"`);
  assert.equal(quote('a"\n\u001b[31m\u009b\u202e'), '"a\\"\\n\\u001b[31m\\u{9b}\\u{202e}"');
});

Deno.test("duration, size and addresses say what was read and what would be right", () => {
  assert.equal(read(duration, "30s"), 30_000);
  assert.equal(read(size, 4096), 4096);
  assert.equal(read(size, "4KiB"), 4096);
  assert.deepEqual(read(listenAddress, ":0"), { transport: "tcp", hostname: "0.0.0.0", port: 0 });
  assert.deepEqual(read(duration, "soon"), [
    'Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  ]);
  assert.deepEqual(read(size, true), [
    "Cannot read true as a size: write a number of bytes, 64KiB, 16MiB or 1GiB",
  ]);
  assert.deepEqual(read(address, ":9000"), [
    'Cannot read ":9000" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  ]);
});

Deno.test("duration refuses what a timer would not keep", () => {
  assert.equal(read(duration, "596h"), 596 * 3_600_000);
  assert.deepEqual(read(duration, "597h"), ["Cannot wait that long: write 596h or less"]);
});

Deno.test("address refuses a socket's path that the system would cut, counted in bytes", () => {
  assert.deepEqual(read(address, `unix:/${"x".repeat(106)}`), {
    transport: "unix",
    path: `/${"x".repeat(106)}`,
  });
  assert.deepEqual(read(address, `unix:/${"é".repeat(54)}`), [
    "Cannot use a socket's path of 109 bytes: write one of 107 or fewer",
  ]);
});

Deno.test("text tells how to write as text what YAML takes for something else", () => {
  assert.equal(read(text, "5"), "5");
  assert.deepEqual(read(text, 5), ['Cannot read 5 as text: write "5", in quotes']);
  assert.deepEqual(read(text, false), ['Cannot read false as text: write "false", in quotes']);
  assert.deepEqual(read(text, []), ["Cannot read a list as text: write a string"]);
  assert.deepEqual(read(text, "a\0"), ["Cannot hold a NUL character: remove it"]);
});

Deno.test("literal takes the spelling of numbers and switches", () => {
  assert.deepEqual([read(literal, 5), read(literal, true), read(literal, "x")], ["5", "true", "x"]);
});

Deno.test("count, flag and word take nothing near them", () => {
  assert.equal(read(count(0), 0), 0);
  for (const input of [0, 1.5, "1", NaN, null]) assert.ok(Array.isArray(read(count(1), input)));
  assert.deepEqual(read(flag, "true"), ['Cannot read "true" as a switch: write true or false']);
  assert.deepEqual(read(word("a", "b"), "c"), ['Cannot read "c" as a choice: write a or b']);
});

Deno.test("oneOrMore always gives a list, and speaks of the item that is wrong", () => {
  const schema = oneOrMore(duration);
  assert.deepEqual(read(schema, "1s"), [1000]);
  assert.deepEqual(read(schema, ["1s", "2s"]), [1000, 2000]);
  assert.deepEqual(read(schema, []), []);
  assert.deepEqual(read(schema, "x"), [
    'Cannot read "x" as a duration: write 500ms, 30s, 2m or 1h',
  ]);
});

Deno.test("command splits a string at spaces and keeps the words of a list", () => {
  assert.deepEqual(read(command, " php-cgi  -b x "), ["php-cgi", "-b", "x"]);
  assert.deepEqual(read(command, ["a b", 1, true, ""]), ["a b", "1", "true", ""]);
  for (const input of ["", "  ", [], [""]]) {
    assert.deepEqual(read(command, input), ["Cannot be empty: name a program"]);
  }
  assert.deepEqual(read(command, ["a", "\0"]), ["Cannot hold a NUL character: remove it"]);
  assert.deepEqual(read(command, {}), [
    "Cannot read a map as a command: write [program, argument] or one string",
  ]);
});

Deno.test("environment takes names of variables and literal values", () => {
  assert.deepEqual(read(environment, { A_1: "x", B: 2, C: false }), {
    A_1: "x",
    B: "2",
    C: "false",
  });
  assert.deepEqual(read(environment, { "A-B": "x", B: "\0" }), [
    'Cannot read "A-B" as the name of a variable: write letters, digits and _',
    "Cannot hold a NUL character: remove it",
  ]);
  assert.deepEqual(read(environment, []), ["Cannot read a list as a map: write NAME: value"]);
  assert.deepEqual(read(variableNames, ["PATH", "1"]), [
    'Cannot read "1" as the name of a variable: write letters, digits and _',
  ]);
});

Deno.test("dictionary refuses the names that would be dropped or reach a prototype", () => {
  const input: unknown = JSON.parse('{"__proto__": "a", "constructor": "b", "prototype": "c"}');
  assert.deepEqual(read(dictionary(v.string(), v.string()), input), [
    'Cannot use "__proto__" as a name: write another',
    'Cannot use "constructor" as a name: write another',
    'Cannot use "prototype" as a name: write another',
  ]);
});

Deno.test("fields reports every unknown and every missing key", () => {
  const schema = fields({ script: text, root: text, timeout: optional(duration) });
  assert.deepEqual(read(schema, { tiemout: 1, zzz: 2 }), [
    'Missing key "script": write it here',
    'Missing key "root": write it here',
    'Unknown key "tiemout": did you mean "timeout"?',
    'Unknown key "zzz": the keys here are script, root, timeout',
  ]);
});

Deno.test("fields takes maps alone, with or without a prototype", () => {
  const schema = fields({ a: optional(flag) });
  assert.deepEqual(read(schema, Object.assign(Object.create(null), { a: true })), { a: true });
  for (const [input, shown] of [[[], "a list"], ["x", '"x"'], [null, "an empty value"]] as const) {
    const message = `Cannot read ${shown} as a map of fields: write field: value`;
    assert.deepEqual(read(schema, input), [message]);
  }
});

Deno.test("fields does not take a member of every object for a known key", () => {
  const input: unknown = JSON.parse('{"__proto__": {"a": true}, "toString": 1}');
  assert.deepEqual(read(fields({ a: optional(flag) }), input), [
    'Unknown key "__proto__": the keys here are a',
    'Unknown key "toString": the keys here are a',
  ]);
});

Deno.test("fields asks the hint first", () => {
  const schema = fields(
    { a: optional(flag) },
    (key, map) => key === "b" ? `try ${map.b}` : undefined,
  );
  assert.deepEqual(read(schema, { b: 1, c: 2 }), [
    'Unknown key "b": try 1',
    'Unknown key "c": the keys here are a',
  ]);
});

Deno.test("list speaks of each item", () => {
  assert.deepEqual(read(list(flag), [true, 1, "x"]), [
    "Cannot read 1 as a switch: write true or false",
    'Cannot read "x" as a switch: write true or false',
  ]);
});
