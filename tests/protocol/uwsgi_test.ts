import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError, ProtocolError } from "../../lib/errors.ts";
import { ByteWriter } from "../../lib/protocol/byte_writer.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import {
  decodeUwsgiVars,
  UWSGI_MAX_VARS,
  UwsgiDecoder,
  UwsgiEncoder,
  type UwsgiOptions,
} from "../../lib/protocol/uwsgi.ts";
import { cuts, reusingBuffer } from "../support/cuts.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Pairs = readonly (readonly [name: string, value: string])[];

const PLAIN: UwsgiOptions = { modifier1: 0, modifier2: 0, namesScheme: false };

interface Request {
  readonly options?: UwsgiOptions;
  readonly length?: number;
  readonly pairs?: Pairs;
  readonly body?: string;
}

function encode({ options = PLAIN, length, pairs = [], body = "" }: Request): Bytes {
  const encoder = new UwsgiEncoder(options);
  encoder.begin(length, "http");
  for (const [name, value] of pairs) encoder.set(name, value);
  encoder.end();
  encoder.append(bytesFromLatin1(body));
  return encoder.take().slice();
}

/** What a server makes of the chunks; the body is all that follows the packet. */
function decode(chunks: Iterable<Bytes>) {
  const decoder = new UwsgiDecoder();
  let read: { modifiers: [number, number]; pairs: Pairs } | undefined;
  let body = "";
  for (const chunk of chunks) {
    if (read !== undefined) {
      body += latin1FromBytes(chunk);
      continue;
    }
    const request = decoder.push(chunk);
    if (request === undefined) continue;
    const { modifier1, modifier2, variables, rest } = request;
    read = { modifiers: [modifier1, modifier2], pairs: [...variables] };
    body = latin1FromBytes(rest);
  }
  return read && { ...read, body };
}

/** Requests and their bytes (CONFORMANCE U1-U3). */
const WIRE: readonly [name: string, request: Request, hex: string][] = [
  ["an empty packet", {}, "00 0000 00"],
  [
    "modifiers",
    { options: { modifier1: 14, modifier2: 3, namesScheme: false } },
    "0e 0000 03",
  ],
  ["one variable", { pairs: [["A", "bc"]] }, "00 0700 00  0100 41 0200 6263"],
  ["an empty value", { pairs: [["A", ""]] }, "00 0500 00  0100 41 0000"],
  ["bytes beyond ASCII", { pairs: [["A", "\xe9\xff"]] }, "00 0700 00  0100 41 0200 e9ff"],
  [
    "a size of two bytes",
    { pairs: [["A", "b".repeat(300)]] },
    `00 3101 00  0100 41 2c01 ${"62".repeat(300)}`,
  ],
  [
    "a body, which the size does not count",
    { length: 2, body: "hi" },
    `00 1300 00  0e00 ${latin1Hex("CONTENT_LENGTH")} 0100 32  6869`,
  ],
  [
    "the scheme",
    { options: { ...PLAIN, namesScheme: true } },
    `00 1400 00  0c00 ${latin1Hex("UWSGI_SCHEME")} 0400 ${latin1Hex("http")}`,
  ],
];

function latin1Hex(text: string): string {
  return bytesFromLatin1(text).toHex();
}

Deno.test("UwsgiEncoder writes each request as the protocol has it", () => {
  for (const [name, request, hex] of WIRE) {
    assert.equal(encode(request).toHex(), hex.replaceAll(" ", ""), name);
  }
});

Deno.test("UwsgiDecoder reads each request alike in every cut, and keeps no chunk", () => {
  for (const [name, request] of WIRE) {
    const bytes = encode(request);
    const expected = decode([bytes]);
    assert.deepEqual(expected?.body, request.body ?? "", name);
    for (const chunks of cuts(bytes)) {
      assert.deepEqual(decode(reusingBuffer(chunks)), expected, name);
    }
  }
});

const byteString = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Array.from(bytes, (b) => String.fromCharCode(b)))
    .map((chars) => chars.join(""));

Deno.test("UwsgiDecoder gives back what UwsgiEncoder was told", () => {
  const pairs = fc.uniqueArray(fc.tuple(byteString(40), byteString(400)), {
    maxLength: 40,
    selector: ([name]) => name,
  });
  const byte = fc.nat(255);
  fc.assert(fc.property(pairs, byte, byte, byteString(50), (pairs, one, two, body) => {
    const options = { modifier1: one, modifier2: two, namesScheme: false };
    const read = decode([encode({ options, pairs, body })]);
    assert.deepEqual(read, { modifiers: [one, two], pairs, body });
  }));
});

Deno.test("UwsgiDecoder makes a request or a ProtocolError of any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      decode([new Uint8Array(bytes)]);
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
    }
  }));
});

Deno.test("decodeUwsgiVars() refuses a variable that passes the packet's end", () => {
  for (const hex of ["01", "0200", "020041", "010041", "01004101", "010041020041", "ffff"]) {
    assert.throws(() => [...decodeUwsgiVars(Uint8Array.fromHex(hex))], { failure: "uwsgi-vars" });
  }
});

Deno.test("UwsgiEncoder takes 65,535 bytes of variables and refuses one more, by name", () => {
  const most: Pairs = [["SMALL", "x"], ["COOKIE", "y".repeat(UWSGI_MAX_VARS - 10 - 10)]];
  assert.equal(encode({ pairs: most }).length, 4 + UWSGI_MAX_VARS);
  assert.deepEqual(decode([encode({ pairs: most })])?.pairs, most);
  assert.throws(() => encode({ pairs: [...most, ["", ""]] }), (error) => {
    assert.ok(error instanceof GatewayError);
    assert.deepEqual([error.status, error.failure], [502, "uwsgi-too-large"]);
    assert.match(error.message, /they take 65539, of which COOKIE has 65515$/);
    return true;
  });
});

Deno.test("UwsgiEncoder refuses a value that its size cannot tell, and serves the next request", () => {
  const encoder = new UwsgiEncoder(PLAIN);
  encoder.begin(undefined, "http");
  assert.throws(() => encoder.set("HTTP_COOKIE", "x".repeat(65_536)), {
    failure: "uwsgi-too-large",
    message: /HTTP_COOKIE alone has 65536 bytes$/,
  });
  encoder.begin(undefined, "http");
  encoder.set("A", "b");
  encoder.end();
  assert.deepEqual(decode([encoder.take()])?.pairs, [["A", "b"]]);
});

Deno.test("ByteWriter refuses text that is no byte string: cut down, U+0100 would be a NUL", () => {
  const writer = new ByteWriter();
  assert.throws(() => writer.text("a\u0100b"), RangeError);
});
