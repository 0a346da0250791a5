import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import { ScgiDecoder, ScgiEncoder } from "../../lib/protocol/scgi.ts";
import { cuts, reusingBuffer } from "../support/cuts.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Pairs = readonly (readonly [name: string, value: string])[];

function encode(length: number | undefined, pairs: Pairs, body = ""): Bytes {
  const encoder = new ScgiEncoder();
  encoder.begin(length);
  for (const [name, value] of pairs) encoder.set(name, value);
  encoder.end();
  encoder.append(bytesFromLatin1(body));
  return encoder.take().slice();
}

function decode(chunks: Iterable<Bytes>) {
  const decoder = new ScgiDecoder();
  let read: { contentLength: number; pairs: Pairs } | undefined;
  let body = "";
  for (const chunk of chunks) {
    if (read !== undefined) {
      body += latin1FromBytes(chunk);
      continue;
    }
    const request = decoder.push(chunk);
    if (request === undefined) continue;
    read = { contentLength: request.contentLength, pairs: [...request.variables] };
    body = latin1FromBytes(request.rest);
  }
  return read && { ...read, body };
}

/** The two that the protocol says itself, first and always (S4, S5). */
function own(length: number): Pairs {
  return [["CONTENT_LENGTH", String(length)], ["SCGI", "1"]];
}

Deno.test("ScgiEncoder writes the request that the specification shows (S1-S5)", () => {
  const pairs: Pairs = [["REQUEST_METHOD", "POST"], ["REQUEST_URI", "/deepthought"]];
  const expected = "70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00" +
    "REQUEST_URI\x00/deepthought\x00,What is the answer to life?";
  const bytes = encode(27, pairs, "What is the answer to life?");
  assert.equal(latin1FromBytes(bytes), expected);
  assert.deepEqual(decode([bytes]), {
    contentLength: 27,
    pairs: [...own(27), ...pairs],
    body: "What is the answer to life?",
  });
});

Deno.test("ScgiEncoder says CONTENT_LENGTH also where there is no body (S4)", () => {
  assert.equal(
    latin1FromBytes(encode(undefined, [])),
    "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,",
  );
});

Deno.test("ScgiEncoder writes lengths without leading zeros, however many digits (S2)", () => {
  for (const size of [1, 10, 69, 70, 970, 971, 99_970, 99_971, 2 ** 19]) {
    const bytes = encode(undefined, [["A", "x".repeat(size)]]);
    const [digits = ""] = latin1FromBytes(bytes.subarray(0, 9)).split(":");
    assert.match(digits, /^[1-9]\d*$/);
    assert.equal(bytes.length, digits.length + 1 + Number(digits) + 1);
    assert.equal(decode([bytes])?.pairs[2]?.[1].length, size);
  }
});

Deno.test("ScgiEncoder refuses a NUL, which would begin a variable of somebody's choice (S7)", () => {
  const encoder = new ScgiEncoder();
  encoder.begin(undefined);
  assert.throws(() => encoder.set("HTTP_X", "a\0REMOTE_USER\0root"), RangeError);
  encoder.begin(undefined);
  encoder.end();
  assert.deepEqual(decode([encoder.take()])?.pairs, own(0));
});

Deno.test("ScgiDecoder reads a request alike in every cut, and keeps no chunk", () => {
  const bytes = encode(4, [["A", ""], ["B", "\xe9"]], "body");
  const expected = decode([bytes]);
  assert.equal(expected?.body, "body");
  for (const chunks of cuts(bytes)) {
    assert.deepEqual(decode(reusingBuffer(chunks)), expected);
  }
});

const text = (minLength: number, maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 255 }), { minLength, maxLength })
    .map((codes) => String.fromCharCode(...codes));

Deno.test("ScgiDecoder gives back what ScgiEncoder was told", () => {
  const pairs = fc.uniqueArray(fc.tuple(text(1, 20), text(0, 300)), {
    maxLength: 30,
    selector: ([name]) => name,
  }).filter((pairs) => !pairs.some(([name]) => name === "SCGI" || name === "CONTENT_LENGTH"));
  fc.assert(fc.property(pairs, fc.nat(), text(0, 50), (pairs, length, body) => {
    assert.deepEqual(decode([encode(length, pairs, body)]), {
      contentLength: length,
      pairs: [...own(length), ...pairs],
      body,
    });
  }));
});

/** Requests that break the rules, and what is said of them. */
const FAULTS: Readonly<Record<string, readonly [text: string, failure: string]>> = {
  "no number": ["a24:", "scgi-netstring"],
  "no digits": [":x,", "scgi-netstring"],
  "a sign": ["+24:", "scgi-netstring"],
  "a leading zero (S2)": [netstring("CONTENT_LENGTH\x000\x00SCGI\x001\x00", "0"), "scgi-netstring"],
  "no comma (S2)": ["24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;", "scgi-netstring"],
  "a length past the limit": ["9999999:", "scgi-too-large"],
  "a length without end": ["1".repeat(400), "scgi-too-large"],
  "no CONTENT_LENGTH (S4)": [netstring("SCGI\x001\x00"), "scgi-headers"],
  "CONTENT_LENGTH not first (S4)": [
    netstring("SCGI\x001\x00CONTENT_LENGTH\x000\x00"),
    "scgi-headers",
  ],
  "an empty CONTENT_LENGTH (S4)": [
    netstring("CONTENT_LENGTH\x00\x00SCGI\x001\x00"),
    "scgi-headers",
  ],
  "no SCGI (S5)": [netstring("CONTENT_LENGTH\x000\x00"), "scgi-headers"],
  "another SCGI (S5)": [netstring("CONTENT_LENGTH\x000\x00SCGI\x002\x00"), "scgi-headers"],
  "a name twice (S6)": [
    netstring("CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00\x00A\x00\x00"),
    "scgi-headers",
  ],
  "an empty name (S7)": [
    netstring("CONTENT_LENGTH\x000\x00SCGI\x001\x00\x00x\x00"),
    "scgi-headers",
  ],
  "a name without a value (S3)": [
    netstring("CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00"),
    "scgi-headers",
  ],
  "a value without end (S3)": [
    netstring("CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00b"),
    "scgi-headers",
  ],
  "nothing at all": ["0:,", "scgi-headers"],
};

function netstring(text: string, before = ""): string {
  return `${before}${text.length}:${text},`;
}

Deno.test("ScgiDecoder refuses what breaks the protocol's rules", () => {
  for (const [name, [text, failure]] of Object.entries(FAULTS)) {
    assert.throws(() => decode([bytesFromLatin1(text)]), { failure }, name);
  }
});

Deno.test("ScgiDecoder makes a request or a ProtocolError of any bytes", () => {
  const nearly = fc.array(
    fc.constantFrom("2", "4", ":", ",", "\0", "CONTENT_LENGTH", "SCGI", "0", "1", "x"),
    { maxLength: 20 },
  ).map((words) => bytesFromLatin1(words.join("")));
  const anything = fc.uint8Array({ maxLength: 100 }).map((bytes) => new Uint8Array(bytes));
  fc.assert(fc.property(fc.oneof(nearly, anything), (bytes) => {
    try {
      decode([bytes]);
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
    }
  }));
});
