/** Responses of HTTP/1.1 origins: heads, what they mean, where bodies end; in any cut. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { BodyFramer } from "../../lib/protocol/http1_body.ts";
import {
  CHUNK_TAIL,
  ChunkDecoder,
  chunkHead,
  LAST_CHUNK,
} from "../../lib/protocol/http1_chunks.ts";
import { type OriginHead, OriginHeadReader } from "../../lib/protocol/http1_head.ts";
import { interpretOrigin } from "../../lib/protocol/http1_response.ts";
import { cuts, reusingBuffer } from "../support/cuts.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const bytesOf = (text: string): Bytes => Uint8Array.from(text, (char) => char.charCodeAt(0));
const textOf = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/** Reads a head from chunks; gives it with all that followed it. */
function readHead(chunks: Iterable<Bytes>, limit = 65_536): [OriginHead, string] {
  const reader = new OriginHeadReader(limit);
  let head: OriginHead | undefined;
  let rest = "";
  for (const chunk of chunks) {
    if (head !== undefined) rest += textOf(chunk);
    else {
      head = reader.push(chunk);
      if (head !== undefined) rest += textOf(head.rest);
    }
  }
  if (head === undefined) throw reader.end();
  return [head, rest];
}

function failureOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ProtocolError) return error.failure;
    throw error;
  }
  return "";
}

Deno.test("OriginHeadReader reads a head in any cut", () => {
  const text =
    "HTTP/1.1 404 Not  Found\r\nX-A:b\r\nx-b: \t c d \r\nEmpty:\r\nCaf: \xe9\r\n\r\nrest\r\n\r\n";
  for (const chunks of cuts(bytesOf(text))) {
    const [head, rest] = readHead(reusingBuffer(chunks));
    assert.deepEqual([head.status, head.minor, rest], [404, 1, "rest\r\n\r\n"]);
    assert.deepEqual(head.fields, [["X-A", "b"], ["x-b", "c d"], ["Empty", ""], ["Caf", "\xe9"]]);
  }
});

Deno.test("OriginHeadReader refuses what is not exact, in any cut", () => {
  const rows = [
    ["HTTP/1.1 200 OK\nX: y\n\n", "head-cut"],
    ["HTTP/1.1 200 OK\r\nX: y\n\r\n\r\n", "bad-field"],
    ["HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "bad-field"],
    ["HTTP/1.1 200 OK\r\n X: y\r\n\r\n", "bad-field"],
    ["HTTP/1.1 200 OK\r\nX\r\n\r\n", "bad-field"],
    ["HTTP/1.1 200 OK\r\nX: \x7f\r\n\r\n", "bad-field"],
    ["HTTP/1.1  200 OK\r\n\r\n", "no-head"],
    ["HTTP/1.1 20 OK\r\n\r\n", "no-head"],
    ["HTTP/1.1 099 OK\r\n\r\n", "no-head"],
    ["HTTP/1.1 200OK\r\n\r\n", "no-head"],
    ["HTTP/1.1 200 O\0K\r\n\r\n", "no-head"],
    ["HTTP/1.2 200 OK\r\n\r\n", "no-head"],
    ["http/1.1 200 OK\r\n\r\n", "no-head"],
    ["\r\nHTTP/1.1 200 OK\r\n\r\n", "no-head"],
    ["{", "no-head"],
    ["", "no-output"],
    ["HTTP/1.", "head-cut"],
  ];
  for (const [text = "", failure] of rows) {
    for (const chunks of cuts(bytesOf(text))) {
      assert.equal(failureOf(() => readHead(chunks)), failure, JSON.stringify(text));
    }
  }
});

Deno.test("OriginHeadReader counts interim heads into its limit", () => {
  const interim = bytesOf("HTTP/1.1 103 Early\r\n\r\n");
  const reader = new OriginHeadReader(interim.length * 2);
  assert.equal(reader.push(interim)?.status, 103);
  assert.equal(reader.push(interim)?.status, 103);
  assert.equal(failureOf(() => reader.push(interim)), "head-too-large");
});

Deno.test("OriginHeadReader keeps its limit in any cut", () => {
  fc.assert(fc.property(fc.nat(200), fc.integer({ min: 1, max: 40 }), (length, step) => {
    const head = `HTTP/1.1 200 OK\r\nX: ${"a".repeat(length)}\r\n\r\n`;
    const bytes = bytesOf(head + "body that does not count");
    const chunks: Bytes[] = [];
    for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.slice(at, at + step));
    const failure = failureOf(() => readHead(chunks, 100));
    assert.equal(failure, head.length > 100 ? "head-too-large" : "");
  }));
});

function meaningOf(fields: string, { status = 200, method = "GET", minor = 1 } = {}) {
  const text = `HTTP/1.${minor} ${status} X\r\n${fields.replaceAll("\n", "\r\n")}\r\n\r\n`;
  const [head] = readHead([
    bytesOf(fields === "" ? text.replace("\r\n\r\n\r\n", "\r\n\r\n") : text),
  ]);
  return interpretOrigin(head, method);
}

Deno.test("interpretOrigin() tells where the body ends (RFC 9112 section 6.3)", () => {
  const length = (length: number) => ({ type: "length", length });
  const rows = [
    [meaningOf("Content-Length: 5"), length(5), true],
    [meaningOf("Content-Length: 5", { minor: 0 }), length(5), false],
    [meaningOf("Content-Length: 5\nConnection: Close"), length(5), false],
    [meaningOf("Content-Length: 5\nConnection: x\nConnection: y, close"), length(5), false],
    [meaningOf("Transfer-Encoding: chunked"), { type: "chunked" }, true],
    [meaningOf("X: y"), { type: "close" }, false],
    [meaningOf("Content-Length: 5", { method: "HEAD" }), length(0), true],
    [meaningOf("Transfer-Encoding: chunked", { method: "HEAD" }), length(0), true],
    [meaningOf("X: y", { method: "HEAD" }), length(0), true],
    [meaningOf("Content-Length: 5", { status: 204 }), length(0), true],
    [meaningOf("X: y", { status: 304 }), length(0), true],
    [meaningOf("Content-Length: 0", { status: 205 }), length(0), true],
  ] as const;
  for (const [meaning, framing, persists] of rows) {
    assert.deepEqual([meaning.framing, meaning.persists], [framing, persists]);
  }
});

Deno.test("interpretOrigin() drops the fields that end here", () => {
  const fields = "Connection: x-hop, content-length\nX-Hop: a\nKeep-Alive: b\nUpgrade: c\n" +
    "Proxy-Authenticate: d\nTrailer: e\nX-Accel-Expires: 1\nVia: 1.1 b\nContent-Length: 0\nX-Keep: f";
  assert.deepEqual(meaningOf(fields).headers, [
    ["Via", "1.1 b"],
    ["Content-Length", "0"],
    ["X-Keep", "f"],
  ]);
  assert.deepEqual(meaningOf("X-Accel-Redirect: /f").file, { by: "path", value: "/f" });
  assert.deepEqual(meaningOf("Content-Length: 7\nETag: a", { status: 304 }).headers, [[
    "ETag",
    "a",
  ]]);
});

Deno.test("interpretOrigin() refuses two ways to tell the end", () => {
  const rows = [
    ["Content-Length: 5\nTransfer-Encoding: chunked", "length-and-chunks"],
    ["Transfer-Encoding: identity\nContent-Length: 5", "length-and-chunks"],
    ["Content-Length: 5\nContent-Length: 6", "duplicate-field"],
    ["Content-Length: 5, 6", "bad-content-length"],
    ["Content-Length:", "bad-content-length"],
    ["Content-Length: 0x5", "bad-content-length"],
    ["Transfer-Encoding: identity", "transfer-encoding"],
    ["Transfer-Encoding: chunked, chunked", "transfer-encoding"],
    ["Transfer-Encoding: \x0bchunked", "bad-field"],
  ];
  for (const [fields = "", failure] of rows) {
    assert.equal(failureOf(() => meaningOf(fields)), failure, fields);
    // HEAD does not make it right.
    assert.equal(failureOf(() => meaningOf(fields, { method: "HEAD" })), failure, fields);
  }
});

/** Decodes chunks; gives the data, and what came behind the end. */
function decodeChunks(pieces: Iterable<Bytes>): { data: string; rest: string; ended: boolean } {
  const decoder = new ChunkDecoder();
  let data = "";
  let rest = "";
  for (const piece of pieces) {
    if (decoder.ended) {
      rest += textOf(piece);
      continue;
    }
    // The decoder changes what it is given.
    const own = piece.slice();
    data += textOf(decoder.push(own));
    rest += textOf(piece.subarray(decoder.consumed));
  }
  return { data, rest, ended: decoder.ended };
}

Deno.test("ChunkDecoder gives back what was encoded, in any cut", () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(
      fc.array(chunk),
      fc.string(),
      fc.integer({ min: 1, max: 64 }),
      (parts, tail, step) => {
        const rest = tail.replace(/[^\x20-\x7e]/g, "");
        const framed = parts.flatMap((part) => [chunkHead(part.length), part, CHUNK_TAIL]);
        const text = [...framed, LAST_CHUNK].map(textOf).join("") + rest;
        const bytes = bytesOf(text);
        const pieces = [];
        for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.slice(at, at + step));
        assert.deepEqual(decodeChunks(pieces), {
          data: parts.map(textOf).join(""),
          rest,
          ended: true,
        });
        assert.deepEqual(decodeChunks([bytes]).data, parts.map(textOf).join(""));
      },
    ),
  );
});

Deno.test("ChunkDecoder takes extensions, padding and trailers, in every cut", () => {
  const text = '005;a="b"\r\nhello\r\nA  \r\n, world!!!\r\n0;x\r\nX-T: 1\r\nX-U: 2\r\n\r\nrest';
  for (const pieces of cuts(bytesOf(text))) {
    assert.deepEqual(decodeChunks(pieces), { data: "hello, world!!!", rest: "rest", ended: true });
  }
});

Deno.test("ChunkDecoder refuses what is not exact, in every cut", () => {
  const rows = [
    "\r\n",
    "g\r\n",
    "-5\r\n",
    "+5\r\n",
    "0x5\r\n",
    " 5\r\n",
    "5\nhello",
    "5\r\r",
    "5;\0\r\n",
    "5;\nhello",
    "5\r\nhello!\r\n",
    "5\r\nhello\n0",
    "5\r\nhello\r\r",
    "0\r\nX: \x01\r\n\r\n",
    "0\r\nX: y\n\r\n",
    "0\r\nX: y\rz",
    "f".repeat(14),
    `5;${"a".repeat(5000)}`,
    `0\r\n${"X: y\r\n".repeat(4000)}`,
  ];
  for (const text of rows) {
    const bytes = bytesOf(text);
    const ways = text.length < 100 ? [...cuts(bytes)] : [[bytes]];
    for (const pieces of ways) {
      assert.equal(failureOf(() => decodeChunks(pieces)), "bad-chunk", JSON.stringify(text));
    }
  }
});

Deno.test("ChunkDecoder has not ended before the last chunk's blank line", () => {
  const whole = "5\r\nhello\r\n0\r\n\r\n";
  for (let length = 0; length < whole.length; length++) {
    assert.equal(decodeChunks([bytesOf(whole.slice(0, length))]).ended, false);
  }
  assert.equal(decodeChunks([bytesOf(whole)]).ended, true);
});

Deno.test("BodyFramer cuts at the promised length and tells of what is over", () => {
  const framer = new BodyFramer({ type: "length", length: 5 });
  assert.equal(textOf(framer.push(bytesOf("hel"))), "hel");
  assert.deepEqual([framer.ended, framer.end()], [false, false]);
  assert.equal(textOf(framer.push(bytesOf("lo!"))), "lo");
  assert.deepEqual([framer.ended, framer.hasExcess], [true, true]);
});

Deno.test("BodyFramer ends at the connection's end only where nothing else does", () => {
  const open = new BodyFramer({ type: "close" });
  open.push(bytesOf("x"));
  assert.deepEqual([open.ended, open.end(), open.ended], [false, true, true]);
  assert.equal(new BodyFramer({ type: "chunked" }).end(), false);
  const none = new BodyFramer({ type: "length", length: 0 });
  none.push(bytesOf("stray"));
  assert.deepEqual([none.ended, none.hasExcess], [true, true]);
});

Deno.test("OriginHeadReader tells of another protocol, however much of it comes at once", () => {
  const bytes = new TextEncoder().encode(`SSH-2.0 ${"x".repeat(3000)}`);
  for (const size of [1, 100, bytes.length]) {
    const reader = new OriginHeadReader(2048);
    const push = () => {
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.slice(at, at + size));
    };
    assert.throws(push, { failure: "no-head" });
  }
});
