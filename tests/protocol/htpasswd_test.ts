import assert from "node:assert/strict";
import fc from "fast-check";
import { basicChallenge, parseBasic } from "../../lib/protocol/basic_credentials.ts";
import { parseHtpasswd } from "../../lib/protocol/htpasswd.ts";
import { withholding } from "../../lib/protocol/withhold.ts";

const BCRYPT = "$2y$05$t1UU0MOY0mhyqzZzIELZJ.L2CPfIPwvGkzOHeLvFPRaHIVpP.mhYe";
const ARGON2 =
  "$argon2id$v=19$m=64,t=2,p=2$c2l4dGVlbiBieXRlcyBvZg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

Deno.test("parseHtpasswd() reads users, past comments, blanks and further fields", () => {
  const text =
    `\ufeff# staff\r\nann:${BCRYPT}\r\n\n  \nj\u00f6rg:${ARGON2}:J\u00f6rg\nb b:${BCRYPT} `;
  assert.deepEqual([...parseHtpasswd(text)], [
    ["ann", BCRYPT],
    ["j\xc3\xb6rg", ARGON2],
    ["b b", BCRYPT],
  ]);
});

const FAULTS: Readonly<Record<string, string>> = {
  "": "it names no user",
  "# nobody\n": "it names no user",
  ann: "line 1: there is no name before a colon",
  [`:${BCRYPT}`]: "line 1: there is no name before a colon",
  [`a\tb:${BCRYPT}`]: "line 1: the name holds a control character",
  [`ann:${BCRYPT}\nann:${BCRYPT}`]: 'line 2: the user "ann" stands there already',
  "ann:": "line 1: an empty hash cannot be used: make another with: htpasswd -B",
  "ann:$apr1$abc$def": "line 1: an MD5 hash cannot be used: make another with: htpasswd -B",
  "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=":
    "line 1: a SHA-1 hash cannot be used: make another with: htpasswd -B",
  "ann:$6$salt$hash": "line 1: a SHA-2 crypt hash cannot be used: make another with: htpasswd -B",
  "ann:secret":
    "line 1: a password in the clear, or a hash of another kind, cannot be used: make another with: htpasswd -B",
  [`ann:${BCRYPT}x`]:
    "line 1: a malformed bcrypt hash cannot be used: make another with: htpasswd -B",
  [`ann:${BCRYPT.replace("$05$", "$15$")}`]:
    "line 1: the cost of the bcrypt hash is 15: write one of 4 to 14",
  [`ann:${BCRYPT.replace("$05$", "$03$")}`]:
    "line 1: the cost of the bcrypt hash is 3: write one of 4 to 14",
  [`ann:${ARGON2.replace("m=64", "m=600000")}`]:
    "line 1: the Argon2 hash takes more than 524288 KiB",
  [`ann:${ARGON2.replace("t=2", "t=99")}`]:
    "line 1: the Argon2 hash takes 99 passes: write 1 to 64",
  [`ann:${ARGON2.replace("p=2", "p=9")}`]:
    "line 1: the Argon2 hash has an impossible number of lanes",
  [`ann:${ARGON2.replace("v=19", "v=16")}`]:
    "line 1: a malformed Argon2 hash, or one of another version, cannot be used: make another with: htpasswd -B",
  ["ann:x\nbob:"]:
    "line 1: a password in the clear, or a hash of another kind, cannot be used: make another with: htpasswd -B; " +
    "line 2: an empty hash cannot be used: make another with: htpasswd -B",
};

for (const [text, message] of Object.entries(FAULTS)) {
  Deno.test(`parseHtpasswd() refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(() => parseHtpasswd(text), { message });
  });
}

function field(text: string): string {
  return `Basic ${btoa(text)}`;
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes && String.fromCharCode(...bytes);
}

Deno.test("parseBasic() takes name and password apart at the first colon", () => {
  for (const scheme of ["Basic", "basic", "BASIC"]) {
    const read = parseBasic(`${scheme}  ${btoa("ann:a:b")} `);
    assert.deepEqual([read?.user, textOf(read?.password)], ["ann", "a:b"]);
  }
  const empty = parseBasic(field("ann:"));
  assert.deepEqual([empty?.user, empty?.password.length], ["ann", 0]);
});

Deno.test("parseBasic() refuses everything else", () => {
  const wrong = [
    null,
    ...["", "Basic", "Basic ", "Bearer abc", `Digest ${btoa("a:b")}`, "Basic a", "Basic ====="],
    ...["Basic YTpi YTpi", "Basic YTpi, Basic YTpi", field("ann"), field(":b"), field("a\x00:b")],
    ...[field("a:b\n"), field("a\x7f:b"), field("a:" + "x".repeat(4096))],
  ];
  for (const value of wrong) assert.equal(parseBasic(value), undefined, String(value));
});

Deno.test("parseBasic() gives back whatever was encoded", () => {
  const bytes = fc.string({
    unit: fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
    maxLength: 200,
  });
  fc.assert(fc.property(bytes, bytes, (name, password) => {
    const user = name.replaceAll(":", "") + "u";
    const read = parseBasic(field(`${user}:${password}`));
    assert.deepEqual([read?.user, textOf(read?.password)], [user, password]);
  }));
});

Deno.test("basicChallenge() quotes the realm", () => {
  assert.equal(basicChallenge('a "b" \\'), 'Basic realm="a \\"b\\" \\\\", charset="UTF-8"');
});

Deno.test("withholding() adds one field, and makes each sum once", () => {
  const some = (name: string) => name === "a";
  const add = withholding("b");
  assert.deepEqual(["a", "b", "c"].filter(add(some)), ["a", "b"]);
  assert.equal(add(some), add(some));
  assert.notEqual(add(some), add(() => false));
});
