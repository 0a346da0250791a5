import assert from "node:assert/strict";
import fc from "fast-check";
import { FCGI_PROTOCOL_STATUSES, type FcgiRecord } from "../../lib/protocol/fastcgi.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { encodeRecord } from "../../lib/protocol/fastcgi_encoder.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { joined } from "../../lib/protocol/joined.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import { wholeReply } from "../../lib/protocol/fastcgi_whole.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const COMPLETE = { appStatus: 0, protocolStatus: "request-complete" } as const;

function stdout(text: string, id = 1): Bytes {
  return encodeRecord({ type: "stdout", id, content: bytesFromLatin1(text) });
}

function end(
  id = 1,
  how: Pick<FcgiRecord & { type: "end-request" }, keyof typeof COMPLETE> = COMPLETE,
) {
  return encodeRecord({ type: "end-request", id, ...how });
}

/** Fills a record up, as applications do to have the next one begin at an even place. */
function padded(record: Bytes, padding: number): Bytes {
  const bytes = joined([record, new Uint8Array(padding)]);
  bytes[6] = padding;
  return bytes;
}

function textOf(...records: Bytes[]): string | undefined {
  const whole = wholeReply(joined(records), 1);
  return whole && latin1FromBytes(whole);
}

Deno.test("wholeReply() gives STDOUT, with the stream's end or without, and with padding", () => {
  assert.equal(textOf(stdout("hello"), stdout(""), end()), "hello");
  assert.equal(textOf(stdout("hello"), end()), "hello");
  assert.equal(textOf(padded(stdout("hello"), 3), stdout(""), end()), "hello");
  assert.equal(textOf(padded(stdout("hello"), 255), end()), "hello");
});

Deno.test("wholeReply() leaves whatever else there is to the decoder", () => {
  const stderr = encodeRecord({ type: "stderr", id: 1, content: bytesFromLatin1("oh") });
  assert.equal(textOf(stdout("a"), stdout("b"), end()), undefined);
  assert.equal(textOf(stderr, stdout("a"), end()), undefined);
  assert.equal(textOf(stdout("a"), stderr, end()), undefined);
  assert.equal(textOf(stdout("a", 2), end()), undefined);
  assert.equal(textOf(stdout("a"), stdout("", 2), end()), undefined);
  assert.equal(textOf(stdout("a"), end(2)), undefined);
  assert.equal(textOf(stdout("a"), end(), end()), undefined);
  assert.equal(textOf(end()), undefined);
  assert.equal(textOf(stdout("a"), end(1, { ...COMPLETE, appStatus: 1 })), undefined);
  assert.equal(textOf(stdout("a"), end(1, { ...COMPLETE, appStatus: 2 ** 31 })), undefined);
  for (const protocolStatus of FCGI_PROTOCOL_STATUSES.slice(1)) {
    assert.equal(textOf(stdout("a"), end(1, { ...COMPLETE, protocolStatus })), undefined);
  }
});

Deno.test("wholeReply() takes no part of a reply for all of it", () => {
  const bytes = joined([padded(stdout("hello"), 3), stdout(""), end()]);
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(wholeReply(bytes.subarray(0, length), 1), undefined, `${length} bytes`);
  }
});

/** The content of STDOUT if that, and the end of a request that went well, is all there is. */
function decoded(bytes: Bytes): string | undefined {
  const decoder = new FcgiDecoder();
  decoder.push(bytes);
  let text = "";
  let last: FcgiRecord | undefined;
  for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
    assert.notEqual(last?.type, "end-request");
    if (record.type === "stdout" && record.id === 1) text += latin1FromBytes(record.content);
    else assert.equal(record.type, "end-request");
    last = record;
  }
  assert.deepEqual(last, { type: "end-request", id: 1, ...COMPLETE });
  assert.ok(decoder.atBorder);
  return text;
}

Deno.test("wholeReply() says what the decoder says, of any bytes that it takes", () => {
  const small = fc.integer({ min: 0, max: 1 });
  const spots = fc.array(fc.tuple(fc.nat(60), fc.oneof(small, fc.nat(255))), { maxLength: 2 });
  const any = fc.tuple(
    fc.string({ maxLength: 12, unit: "grapheme-ascii" }),
    fc.nat(9),
    fc.boolean(),
    spots,
  );
  fc.assert(
    fc.property(any, ([text, padding, isEnded, spots]) => {
      const ends = isEnded ? [stdout("")] : [];
      const bytes = joined([padded(stdout(text || "x"), padding), ...ends, end()]);
      assert.equal(textOf(bytes), text || "x");
      // Whatever is changed about them.
      for (const [at, byte] of spots) if (at < bytes.length) bytes[at] = byte;
      const whole = wholeReply(bytes, 1);
      if (whole !== undefined) assert.equal(latin1FromBytes(whole), decoded(bytes));
    }),
    { numRuns: 2000 },
  );
});
