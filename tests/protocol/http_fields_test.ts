import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { ENCODED_SLASH } from "../../lib/exchange.ts";
import {
  bytesFromLatin1,
  checkedField,
  forbidsBody,
  HOP_BY_HOP,
  isFieldValue,
  isHopByHop,
  isToken,
  quoteBytes,
  tokenEnd,
  valueEnd,
} from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";

const anyByteString = fc.uint8Array({ maxLength: 64 })
  .map((bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

Deno.test("isToken() agrees with RFC 9110's tchar for every character up to U+0200", () => {
  for (let code = 0; code <= 0x200; code++) {
    const char = String.fromCharCode(code);
    assert.equal(isToken(char), /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(char), `U+${code}`);
    assert.equal(isToken(`X${char}Y`), isToken(char), `U+${code} inside`);
  }
});

Deno.test("isToken() refuses the empty name", () => {
  assert.equal(isToken(""), false);
});

Deno.test("isFieldValue() lets through TAB and bytes from SP up, but not DEL", () => {
  for (let code = 0; code <= 0x200; code++) {
    const fit = code === 9 || (code >= 32 && code !== 127 && code <= 255);
    assert.equal(isFieldValue(`a${String.fromCharCode(code)}`), fit, `U+${code}`);
  }
  assert.equal(isFieldValue(""), true);
});

Deno.test("isFieldValue() lets nothing through that a Headers object refuses", () => {
  fc.assert(fc.property(anyByteString, (value) => {
    if (isFieldValue(value)) new Headers([["x", value]]);
  }));
});

Deno.test("tokenEnd() and valueEnd() stop at the first foreign character or at the end given", () => {
  assert.equal(tokenEnd("ab:cd", 0, 5), 2);
  assert.equal(tokenEnd("abcd", 1, 3), 3);
  assert.equal(tokenEnd(":", 0, 1), 0);
  assert.equal(valueEnd("a b\tc\x07d", 0, 7), 5);
  assert.equal(valueEnd("abc", 3, 3), 3);
});

Deno.test("checkedField() gives a clean field back as it is", () => {
  assert.deepEqual(checkedField("X-Cafe", "caf\xe9\t1"), ["X-Cafe", "caf\xe9\t1"]);
});

for (
  const [name, value, quoted] of [
    ["", "a", '""'],
    ["X Foo", "a", '"X Foo"'],
    ["X-Foo:", "a", '"X-Foo:"'],
    ["X\n", "a", '"X\\n"'],
    ["X-Foo", "a\r\nSet-Cookie: b", '"a\\r\\nSet-Cookie: b"'],
    ["X-Foo", "\x07", '"\\x07"'],
    ["X-Foo", "\x00", '"\\x00"'],
    ["X-Foo", "\u0100", '"\u0100"'],
    ["X-Foo", "\u{1f600}", '"\u{1f600}"'],
  ] as const
) {
  Deno.test(`checkedField() refuses ${JSON.stringify(`${name}: ${value}`)}`, () => {
    assert.throws(() => checkedField(name, value), (error) => {
      assert(error instanceof ProtocolError);
      assert.equal(error.failure, "bad-field");
      assert(error.message.includes(quoted), error.message);
      return true;
    });
  });
}

Deno.test("isHopByHop() knows the fields that end at this hop, and no end-to-end field", () => {
  for (const name of HOP_BY_HOP) assert.equal(isHopByHop(name), true, name);
  for (const name of ["content-length", "www-authenticate", "via", "set-cookie", "constructor"]) {
    assert.equal(isHopByHop(name), false, name);
  }
});

Deno.test("forbidsBody() holds for 204, 205 and 304 alone", () => {
  const found = Array.from({ length: 400 }, (_, at) => at + 200).filter(forbidsBody);
  assert.deepEqual(found, [204, 205, 304]);
});

Deno.test("forbidsBody() agrees with the runtime's Response", () => {
  for (let status = 200; status < 600; status++) {
    let refused = false;
    try {
      new Response("", { status });
    } catch {
      refused = true;
    }
    assert.equal(forbidsBody(status), refused, String(status));
  }
});

Deno.test("latin1FromBytes() and bytesFromLatin1() are inverse for all bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const text = latin1FromBytes(bytes);
    assert.equal(text.length, bytes.length);
    assert.deepEqual(bytesFromLatin1(text), Uint8Array.from(bytes));
  }));
});

for (
  const [what, bytes] of [
    ["every byte", Uint8Array.from({ length: 256 }, (_, at) => at)],
    [
      "the C1 range, which windows-1252 renames",
      Uint8Array.from({ length: 32 }, (_, at) => 128 + at),
    ],
    ["a byte order mark", Uint8Array.from([0xef, 0xbb, 0xbf, ...new Uint8Array(20).fill(65)])],
    ["UTF-8 text", new TextEncoder().encode("gr\u00fc\u00dfe, \u{1f600} and \ufffd")],
    ["lone bytes that UTF-8 replaces one by one", new Uint8Array(40).fill(0xe9)],
  ] as const
) {
  Deno.test(`latin1FromBytes() maps each byte to its own code unit: ${what}`, () => {
    assert.deepEqual(Array.from(latin1FromBytes(bytes), (c) => c.charCodeAt(0)), Array.from(bytes));
  });
}

Deno.test("bytesFromLatin1() refuses what is no byte, an encoded slash before all", () => {
  for (const text of [ENCODED_SLASH, "a\u20acb", "\u{1f600}"]) {
    assert.throws(() => bytesFromLatin1(text), RangeError);
  }
});

for (
  const [bytes, quoted] of [
    ["plain", '"plain"'],
    ['a"b\\c', '"a\\"b\\\\c"'],
    ["a\tb\r\n\0\x1b[31m\x7f", '"a\\tb\\r\\n\\x00\\x1b[31m\\x7f"'],
    ["caf\xc3\xa9", '"caf\u00e9"'],
    ["\xe9t\xe9", '"\ufffdt\ufffd"'],
    ["\xc2\x9b31m", '"\\x9b31m"'],
    ["\xe2\x80\xae\xe2\x80\xa8", '"\\u{202e}\\u{2028}"'],
    ["x".repeat(81), `"${"x".repeat(80)}"...`],
    ["x".repeat(80), `"${"x".repeat(80)}"`],
    ["", '""'],
  ] as const
) {
  Deno.test(`quoteBytes() writes ${JSON.stringify(bytes.slice(0, 20))} fit for a terminal`, () => {
    assert.equal(quoteBytes(bytes), quoted);
  });
}

Deno.test("quoteBytes() never lets a control character through", () => {
  fc.assert(fc.property(anyByteString, (bytes) => {
    assert.match(quoteBytes(bytes), /^[^\p{Cc}\p{Zl}\p{Zp}]*$/u);
  }));
});
