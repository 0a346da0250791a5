import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import {
  decodePairs,
  FCGI_MAX_CONTENT,
  FCGI_PROTOCOL_STATUSES,
  type FcgiRecord,
  type FcgiStream,
} from "../../lib/protocol/fastcgi.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { encodeRecord, FcgiEncoder } from "../../lib/protocol/fastcgi_encoder.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import { cuts, reusingBuffer } from "../support/cuts.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes from hexadecimal, blanks aside. */
function hex(text: string): Bytes {
  return Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
}

function joined(...parts: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A record whose content can be compared when its buffer has changed. */
type Plain = Record<string, unknown> & { readonly type: string };

function plain(record: FcgiRecord): Plain {
  return "content" in record ? { ...record, content: latin1FromBytes(record.content) } : record;
}

function decode(chunks: Iterable<Bytes>): Plain[] {
  const decoder = new FcgiDecoder();
  const records: Plain[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
      records.push(plain(record));
    }
    assert.ok(decoder.drained);
  }
  return records;
}

/** A stream's value does not depend on its cut into records (§3.3): neighbours become one. */
function withStreamsJoined(records: readonly Plain[]): Plain[] {
  const joined: Plain[] = [];
  for (const record of records) {
    const last = joined.at(-1);
    const goesOn = last !== undefined && last.type === record.type && last["id"] === record["id"] &&
      STREAMS.includes(record.type) && last["content"] !== "" && record["content"] !== "";
    if (!goesOn) joined.push({ ...record });
    else joined[joined.length - 1] = { ...last, content: `${last["content"]}${record["content"]}` };
  }
  return joined;
}

const STREAMS: readonly string[] = ["params", "stdin", "stdout", "stderr", "data"];

/** Records and their bytes, both ways. */
const WIRE: readonly [name: string, bytes: string, record: FcgiRecord][] = [
  ["BEGIN_REQUEST of a responder to keep", "01 01 0001 0008 00 00  0001 01 0000000000", {
    type: "begin-request",
    id: 1,
    role: "responder",
    keepConnection: true,
  }],
  ["BEGIN_REQUEST of an authorizer", "01 01 0203 0008 00 00  0002 00 0000000000", {
    type: "begin-request",
    id: 0x203,
    role: "authorizer",
    keepConnection: false,
  }],
  ["BEGIN_REQUEST of a filter", "01 01 ffff 0008 00 00  0003 00 0000000000", {
    type: "begin-request",
    id: 0xffff,
    role: "filter",
    keepConnection: false,
  }],
  ["ABORT_REQUEST", "01 02 0001 0000 00 00", { type: "abort-request", id: 1 }],
  ["END_REQUEST, complete", "01 03 0001 0008 00 00  00000000 00 000000", {
    type: "end-request",
    id: 1,
    appStatus: 0,
    protocolStatus: "request-complete",
  }],
  ["END_REQUEST, no multiplexing", "01 03 0001 0008 00 00  00000000 01 000000", {
    type: "end-request",
    id: 1,
    appStatus: 0,
    protocolStatus: "cant-mpx-conn",
  }],
  ["END_REQUEST, overloaded", "01 03 0001 0008 00 00  00000000 02 000000", {
    type: "end-request",
    id: 1,
    appStatus: 0,
    protocolStatus: "overloaded",
  }],
  ["END_REQUEST, unknown role", "01 03 0001 0008 00 00  00000000 03 000000", {
    type: "end-request",
    id: 1,
    appStatus: 0,
    protocolStatus: "unknown-role",
  }],
  ["END_REQUEST with the largest appStatus", "01 03 0001 0008 00 00  ffffffff 00 000000", {
    type: "end-request",
    id: 1,
    appStatus: 2 ** 32 - 1,
    protocolStatus: "request-complete",
  }],
  ["PARAMS", "01 04 0001 0005 00 00  01 02 41 42 43", stream("params", "\x01\x02ABC")],
  ["the end of PARAMS", "01 04 0001 0000 00 00", stream("params", "")],
  ["STDIN", "01 05 0001 0002 00 00  6869", stream("stdin", "hi")],
  ["STDOUT", "01 06 0001 0002 00 00  6869", stream("stdout", "hi")],
  ["STDERR", "01 07 0001 0002 00 00  6869", stream("stderr", "hi")],
  ["DATA", "01 08 0001 0002 00 00  6869", stream("data", "hi")],
  ["GET_VALUES", "01 09 0000 0010 00 00  0e00 464347495f4d41585f434f4e4e53", {
    type: "get-values",
    content: bytesFromLatin1("\x0e\x00FCGI_MAX_CONNS"),
  }],
  ["GET_VALUES_RESULT", "01 0a 0000 0012 00 00  0f01 464347495f4d5058535f434f4e4e53 30", {
    type: "get-values-result",
    content: bytesFromLatin1("\x0f\x01FCGI_MPXS_CONNS0"),
  }],
  ["UNKNOWN_TYPE", "01 0b 0000 0008 00 00  63 00000000000000", {
    type: "unknown-type",
    unknownType: 0x63,
  }],
];

function stream(type: FcgiStream, content: string): FcgiRecord {
  return { type, id: 1, content: bytesFromLatin1(content) };
}

Deno.test("FcgiDecoder and encodeRecord() agree on every row, both ways", () => {
  for (const [name, bytes, record] of WIRE) {
    assert.equal(encodeRecord(record).toHex(), hex(bytes).toHex(), name);
    assert.deepEqual(decode([hex(bytes)]), [plain(record)], name);
  }
});

Deno.test("FcgiDecoder reads each record alike in every cut", () => {
  for (const [name, bytes, record] of WIRE) {
    for (const chunks of cuts(hex(bytes))) {
      const records = withStreamsJoined(decode(reusingBuffer(chunks)));
      assert.deepEqual(records, [plain(record)], name);
    }
  }
});

Deno.test("FcgiDecoder skips padding of any record, in every cut", () => {
  // §3.3: padding may hold anything.
  const all = joined(
    hex("01 06 0001 0003 05 00 616263 ffffffffff"),
    hex("01 06 0001 0000 02 00 0101"),
    hex("01 03 0001 0008 03 00 00000000 00 000000 010101"),
    hex("01 07 0001 0001 00 00 78"),
  );
  for (const chunks of cuts(all)) {
    assert.deepEqual(withStreamsJoined(decode(reusingBuffer(chunks))), [
      plain(stream("stdout", "abc")),
      plain(stream("stdout", "")),
      { type: "end-request", id: 1, appStatus: 0, protocolStatus: "request-complete" },
      plain(stream("stderr", "x")),
    ]);
  }
});

Deno.test("FcgiDecoder ignores what is reserved", () => {
  assert.deepEqual(decode([hex("01 06 0001 0001 00 ff 78")]), [plain(stream("stdout", "x"))]);
  const begin = hex("01 01 0001 0008 00 00  0001 ff ffffffffff");
  const [record] = decode([begin]);
  assert.equal(record?.["keepConnection"], true);
});

Deno.test("FcgiDecoder hands records of unknown types over by number", () => {
  for (const [type, number] of [["00", 0], ["0c", 12], ["63", 99], ["ff", 255]] as const) {
    const bytes = joined(hex(`01 ${type} 0007 0003 01 00 616263 00`), hex("01 02 0001 0000 00 00"));
    for (const chunks of cuts(bytes)) {
      const [first, second] = decode(chunks);
      assert.deepEqual(first, { type: "unrecognised", number, id: 7 });
      assert.equal(second?.type, "abort-request");
    }
  }
});

Deno.test("FcgiDecoder reads a role it does not know as none", () => {
  for (const role of ["0000", "0004", "ffff"]) {
    const [record] = decode([hex(`01 01 0001 0008 00 00 ${role} 00 0000000000`)]);
    assert.equal(record?.["role"], undefined);
  }
});

Deno.test("FcgiDecoder refuses what is no FastCGI 1.0", () => {
  const broken: readonly [bytes: string, failure: string][] = [
    ["00 06 0001 0000 00 00", "fcgi-version"],
    ["02 06 0001 0000 00 00", "fcgi-version"],
    ["48 54 54 50 2f 31 2e 31", "fcgi-version"],
    ["01 03 0001 0008 00 00 00000000 04 000000", "fcgi-record"],
    ["01 03 0001 0007 00 00 00000000 00 0000", "fcgi-record"],
    ["01 01 0001 0000 00 00", "fcgi-record"],
    ["01 0b 0000 0001 00 00 63", "fcgi-record"],
  ];
  for (const [bytes, failure] of broken) {
    for (const chunks of cuts(hex(bytes))) {
      assert.throws(
        () => decode(chunks),
        (error) => error instanceof ProtocolError && error.failure === failure,
      );
    }
  }
});

Deno.test("FcgiDecoder knows when it stands between two records", () => {
  const bytes = hex("01 06 0001 0002 02 00 6869 0000");
  const decoder = new FcgiDecoder();
  assert.ok(decoder.atBorder);
  for (let at = 0; at < bytes.length; at++) {
    decoder.push(bytes.slice(at, at + 1));
    while (decoder.next() !== undefined);
    assert.equal(decoder.atBorder, at === bytes.length - 1, `after byte ${at}`);
  }
});

Deno.test("FcgiDecoder hands out content in place, without a copy", () => {
  const bytes = hex("01 06 0001 0002 00 00 6869");
  const decoder = new FcgiDecoder();
  decoder.push(bytes);
  const record = decoder.next();
  assert.ok(record?.type === "stdout");
  assert.equal(record.content.buffer, bytes.buffer);
  assert.equal(record.content.byteOffset, 8);
});

Deno.test("decodePairs() reads both forms of lengths, for names and for values", () => {
  const rows: readonly [bytes: string, name: string, value: string][] = [
    ["00 00", "", ""],
    ["01 00 61", "a", ""],
    ["01 01 61 62", "a", "b"],
    ["80000001 01 61 62", "a", "b"],
    ["01 80000001 61 62", "a", "b"],
    [`7f 00 ${"61".repeat(127)}`, "a".repeat(127), ""],
    [`80000080 00 ${"61".repeat(128)}`, "a".repeat(128), ""],
    [`01 80000080 61 ${"ff".repeat(128)}`, "a", "\xff".repeat(128)],
  ];
  for (const [bytes, name, value] of rows) {
    assert.deepEqual(decodePairs(hex(bytes)), [[name, value]], bytes.slice(0, 20));
  }
  assert.deepEqual(decodePairs(new Uint8Array(0)), []);
});

Deno.test("decodePairs() refuses bytes that end inside a pair", () => {
  const cut = ["01", "01 01 61", "80", "800000", "80000001", "01 ffffffff 61 62", "ffffffff 00 61"];
  for (const bytes of cut) {
    assert.throws(
      () => decodePairs(hex(bytes)),
      (error) => error instanceof ProtocolError && error.failure === "fcgi-pairs",
      bytes,
    );
  }
});

Deno.test("FcgiEncoder writes the shorter length where it does, and the longer where it must", () => {
  const encoder = new FcgiEncoder();
  encoder.pair("a".repeat(127), "b".repeat(128));
  const bytes = encoder.take();
  assert.equal(bytes.subarray(0, 5).toHex(), "7f80000080");
  assert.equal(bytes.length, 5 + 255);
});

Deno.test("FcgiEncoder sends BEGIN, PARAMS and STDIN as one piece of bytes", () => {
  const encoder = new FcgiEncoder();
  encoder.beginRequest(1, "responder", true);
  encoder.beginParams(1);
  encoder.set("A", "1");
  encoder.append(hex("01 01 42 32"));
  encoder.endParams();
  encoder.stream("stdin", 1, bytesFromLatin1("body"));
  encoder.endStream("stdin", 1);
  assert.deepEqual(decode([encoder.take()]), [
    { type: "begin-request", id: 1, role: "responder", keepConnection: true },
    plain(stream("params", "\x01\x01A1\x01\x01B2")),
    plain(stream("params", "")),
    plain(stream("stdin", "body")),
    plain(stream("stdin", "")),
  ]);
  assert.equal(encoder.take().length, 0);
});

Deno.test("FcgiEncoder ends PARAMS once when there are none", () => {
  const encoder = new FcgiEncoder();
  encoder.beginParams(1);
  encoder.endParams();
  assert.equal(encoder.take().toHex(), "0104000100000000");
});

Deno.test("FcgiEncoder cuts PARAMS and streams that outgrow a record, and loses nothing", () => {
  for (const size of [FCGI_MAX_CONTENT - 9, FCGI_MAX_CONTENT - 6, 70_000, 3 * FCGI_MAX_CONTENT]) {
    const encoder = new FcgiEncoder();
    encoder.beginRequest(7, "responder", false);
    encoder.beginParams(7);
    encoder.set("A", "x".repeat(size));
    encoder.set("AFTER", "1");
    encoder.endParams();
    encoder.stream("stdin", 7, new Uint8Array(size).fill(97));
    const [begin, params, end, stdin, ...rest] = withStreamsJoined(decode([encoder.take()]));
    assert.equal(begin?.type, "begin-request");
    assert.deepEqual(decodePairs(bytesFromLatin1(String(params?.["content"]))), [
      ["A", "x".repeat(size)],
      ["AFTER", "1"],
    ]);
    assert.deepEqual(end, { type: "params", id: 7, content: "" });
    assert.equal(String(stdin?.["content"]).length, size);
    assert.equal(rest.length, 0);
  }
});

Deno.test("FcgiEncoder keeps values of any bytes", () => {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
  const encoder = new FcgiEncoder();
  encoder.pair("ALL", all);
  assert.deepEqual(decodePairs(encoder.take()), [["ALL", all]]);
});

Deno.test("encodeRecord() cannot make up a record of unrecognised type", () => {
  assert.throws(() => encodeRecord({ type: "unrecognised", number: 42, id: 1 }), TypeError);
});

const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(bytes));
const anyId = fc.integer({ min: 1, max: 0xffff });
const latin1Text = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => latin1FromBytes(new Uint8Array(bytes)));
const anyPairs = fc.array(fc.tuple(latin1Text(200), latin1Text(200)), { maxLength: 5 });

const anyRecord: fc.Arbitrary<FcgiRecord> = fc.oneof(
  fc.record({
    type: fc.constant("begin-request" as const),
    id: anyId,
    role: fc.constantFrom("responder" as const, "authorizer" as const, "filter" as const),
    keepConnection: fc.boolean(),
  }),
  fc.record({ type: fc.constant("abort-request" as const), id: anyId }),
  fc.record({
    type: fc.constant("end-request" as const),
    id: anyId,
    appStatus: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    protocolStatus: fc.constantFrom(...FCGI_PROTOCOL_STATUSES),
  }),
  fc.record({
    type: fc.constantFrom(...["params", "stdin", "stdout", "stderr", "data"] as const),
    id: anyId,
    content: anyBytes,
  }),
  fc.record({
    type: fc.constantFrom("get-values" as const, "get-values-result" as const),
    content: anyPairs.map(encodePairs),
  }),
  fc.record({
    type: fc.constant("unknown-type" as const),
    unknownType: fc.integer({ min: 0, max: 255 }),
  }),
);

function encodePairs(pairs: readonly (readonly [string, string])[]): Bytes {
  const encoder = new FcgiEncoder();
  for (const [name, value] of pairs) encoder.pair(name, value);
  return encoder.take().slice();
}

/** Cuts bytes at the given places, taken as fractions of the whole. */
function cutAt(bytes: Bytes, places: readonly number[]): Bytes[] {
  const ends = [...places.map((place) => Math.floor(place * bytes.length)), bytes.length]
    .sort((a, b) => a - b);
  return ends.map((end, index) => bytes.slice(ends[index - 1] ?? 0, end));
}

const anyPlaces = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

Deno.test("encoding and decoding again is identity, for any records in any cut", () => {
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 8 }), anyPlaces, (records, places) => {
      const bytes = joined(...records.map((record) => encodeRecord(record).slice()));
      const decoded = decode(reusingBuffer(cutAt(bytes, places)));
      assert.deepEqual(withStreamsJoined(decoded), withStreamsJoined(records.map(plain)));
    }),
    { numRuns: 300 },
  );
});

Deno.test("encoding pairs and decoding them again is identity", () => {
  const pairs = fc.array(fc.tuple(latin1Text(400), latin1Text(400)), { maxLength: 20 });
  fc.assert(
    fc.property(pairs, (pairs) => assert.deepEqual(decodePairs(encodePairs(pairs)), pairs)),
  );
});

Deno.test("FcgiDecoder gives the same for any bytes in any cut, or fails alike", () => {
  const outcome = (chunks: Iterable<Bytes>): unknown => {
    try {
      return withStreamsJoined(decode(chunks));
    } catch (error) {
      return error instanceof ProtocolError ? error.message : error;
    }
  };
  // Most bytes are no record at all: these begin as one.
  const nearly = fc.tuple(fc.integer({ min: 0, max: 13 }), anyBytes)
    .map(([type, bytes]) => joined(new Uint8Array([1, type]), bytes));
  fc.assert(
    fc.property(nearly, anyPlaces, (bytes, places) => {
      assert.deepEqual(outcome(reusingBuffer(cutAt(bytes, places))), outcome([bytes]));
    }),
    { numRuns: 300 },
  );
});
