/** The decoders of upstreams' replies and requests: every one strict, and deaf to how bytes are cut. */
import assert from "node:assert/strict";
import type { HeaderPair } from "../../../lib/exchange.ts";
import { HeadReader, interpretHead } from "../../../lib/protocol/cgi_response.ts";
import { decodePairs, FCGI_TYPES, type FcgiRecord } from "../../../lib/protocol/fastcgi.ts";
import { FcgiDecoder } from "../../../lib/protocol/fastcgi_decoder.ts";
import { encodeRecord, FcgiEncoder } from "../../../lib/protocol/fastcgi_encoder.ts";
import { FcgiSplitter } from "../../../lib/protocol/fastcgi_splitter.ts";
import { BodyFramer } from "../../../lib/protocol/http1_body.ts";
import { CHUNK_TAIL, chunkHead, LAST_CHUNK } from "../../../lib/protocol/http1_chunks.ts";
import { OriginHeadReader } from "../../../lib/protocol/http1_head.ts";
import { interpretOrigin } from "../../../lib/protocol/http1_response.ts";
import { ScgiDecoder, ScgiEncoder } from "../../../lib/protocol/scgi.ts";
import { UwsgiDecoder, UwsgiEncoder } from "../../../lib/protocol/uwsgi.ts";
import { encodeFrame, FrameDecoder, type WebSocketEvent } from "../../../lib/protocol/websocket.ts";
import { decodeHead, encodeHead } from "../../../lib/protocol/wsgi_wire.ts";
import { latin1, latin1Of, type Random } from "./random.ts";
import { assertClean, type Bytes, sameInAnyCut, type Target, told } from "./target.ts";

const LIMIT = 2048;

const HEAD_WORDS = [
  ...["Status: 200 OK\n", "Status: 404\r\n", "Location: /x\n", "Location: http://a/\n", "\n\n"],
  ...[
    "\r\n\r\n",
    "Content-Length: 5\n",
    "Transfer-Encoding: chunked\n",
    "HTTP/1.1 100 Continue\r\n",
  ],
  ...["X-Sendfile: /a\n", "X-Accel-Redirect: /a\n", "X-CGI-A: b\n", "Connection: x\n", " folded\n"],
  ...["Set-Cookie: a=b\n", "Content-Type: text/plain\n", "HTTP/1.0 200 OK\r\n", "Status: 101\n"],
];

function cgiHead(input: Bytes, random: Random): void {
  const whole = sameInAnyCut(input, random, (pieces) => {
    const reader = new HeadReader(LIMIT);
    let rest = "";
    let fields: readonly HeaderPair[] | undefined;
    for (const piece of pieces) {
      const head = fields === undefined ? reader.push(piece) : undefined;
      if (head !== undefined) fields = head.fields;
      rest += fields === undefined ? "" : latin1Of(head?.rest ?? piece);
    }
    return fields === undefined ? reader.end().failure : { fields, rest };
  });
  if (typeof whole === "string") return;
  const reply = told(() => interpretHead(whole.fields));
  if (typeof reply === "string") return;
  if (reply.type === "local-redirect") return assert.match(reply.target, /^\/[\x21-\x7e]*$/);
  assert.ok(reply.status >= 200 && reply.status <= 599);
  assertClean(reply.headers);
  assert.deepEqual(decodeHead(encodeHead(reply)), reply);
}

/** Records as one would compare them: pieces of a stream put together. */
function merged(records: Iterable<FcgiRecord>): unknown[] {
  const list: unknown[] = [];
  let open: { type: string; id: number; text: string } | undefined;
  for (const record of records) {
    if (!("content" in record) || !("id" in record) || record.content.length === 0) {
      open = undefined;
      list.push("content" in record ? { ...record, content: latin1Of(record.content) } : record);
    } else if (open !== undefined && open.type === record.type && open.id === record.id) {
      open.text += latin1Of(record.content);
    } else {
      open = { type: record.type, id: record.id, text: latin1Of(record.content) };
      list.push(open);
    }
  }
  return list;
}

function* recordsOf(pieces: Iterable<Bytes>): Generator<FcgiRecord, void, undefined> {
  const decoder = new FcgiDecoder();
  for (const piece of pieces) {
    decoder.push(piece);
    for (let record = decoder.next(); record !== undefined; record = decoder.next()) yield record;
    assert.ok(decoder.drained);
  }
}

function fastcgi(input: Bytes, random: Random): void {
  const records = sameInAnyCut(input, random, (pieces) => merged(recordsOf(pieces)));
  if (typeof records === "string") return;
  // What is decoded can be encoded, and is the same again.
  for (const record of recordsOf([input])) {
    if (record.type === "unrecognised") continue;
    // These are written pair by pair.
    if (record.type === "get-values" || record.type === "get-values-result") continue;
    if (record.type === "begin-request" && record.role === undefined) continue;
    const again = [...recordsOf([encodeRecord(record).slice()])];
    assert.deepEqual(merged(again), merged([record]));
  }
}

function splitter(input: Bytes, random: Random): void {
  sameInAnyCut(input, random, (pieces) => {
    const streams = new Map<number, string>();
    const ends: number[] = [];
    const split = new FcgiSplitter({
      take: (id, bytes) => streams.set(id, (streams.get(id) ?? "") + latin1Of(bytes)),
      ended: (id) => ends.push(id),
    });
    for (const piece of pieces) split.push(piece);
    return { streams: [...streams], ends };
  });
}

function pairs(input: Bytes): void {
  const list = told(() => decodePairs(input));
  if (typeof list === "string") return;
  const encoder = new FcgiEncoder();
  encoder.beginParams(1);
  for (const [name, value] of list) encoder.set(name, value);
  encoder.endParams();
  const bytes = [...recordsOf([encoder.take().slice()])]
    .map((record) => record.type === "params" ? latin1Of(record.content) : "").join("");
  assert.deepEqual(decodePairs(latin1(bytes)), list);
}

function uwsgi(input: Bytes, random: Random): void {
  const whole = sameInAnyCut(input, random, (pieces) => {
    const decoder = new UwsgiDecoder();
    for (const piece of pieces) {
      const request = decoder.push(piece);
      if (request !== undefined) return [...request.variables];
    }
    return undefined;
  });
  if (typeof whole !== "object") return;
  const encoder = new UwsgiEncoder({ modifier1: 0, modifier2: 0, namesScheme: false });
  encoder.begin(undefined, "http");
  for (const [name, value] of whole) encoder.set(name, value);
  encoder.end();
  const again = new UwsgiDecoder().push(encoder.take().slice());
  assert.deepEqual([...again?.variables ?? []], whole);
}

function scgi(input: Bytes, random: Random): void {
  const whole = sameInAnyCut(input, random, (pieces) => {
    const decoder = new ScgiDecoder(LIMIT);
    for (const piece of pieces) {
      const request = decoder.push(piece);
      if (request !== undefined) return { ...request, rest: undefined };
    }
    return undefined;
  });
  if (typeof whole !== "object") return;
  const encoder = new ScgiEncoder();
  encoder.begin(whole.contentLength);
  for (const [name, value] of whole.variables) {
    if (name !== "CONTENT_LENGTH" && name !== "SCGI") encoder.set(name, value);
  }
  encoder.end();
  const again = new ScgiDecoder().push(encoder.take().slice());
  assert.equal(again?.variables.size, whole.variables.size);
}

function origin(input: Bytes, random: Random): void {
  const method = random.pick(["GET", "HEAD", "POST"]);
  sameInAnyCut(input, random, (pieces) => {
    const reader = new OriginHeadReader(LIMIT);
    let body = "";
    let framer: BodyFramer | undefined;
    let reply: ReturnType<typeof interpretOrigin> | undefined;
    for (const piece of pieces) {
      let rest: Bytes | undefined = piece;
      while (framer === undefined && rest !== undefined) {
        const head = reader.push(rest);
        rest = head?.rest;
        if (head === undefined || (head.status < 200 && head.status !== 101)) continue;
        reply = interpretOrigin(head, method);
        framer = new BodyFramer(reply.framing);
      }
      if (framer !== undefined && rest !== undefined) body += latin1Of(framer.push(rest));
    }
    if (reply === undefined || framer === undefined) return reader.end().failure;
    assertClean(reply.headers);
    assert.ok(reply.status === 101 || (reply.status >= 200 && reply.status <= 599));
    const { ended, hasExcess } = framer;
    return { reply, body, ended, hasExcess, whole: framer.end() };
  });
}

function chunks(input: Bytes, random: Random): void {
  const whole = sameInAnyCut(input, random, (pieces) => {
    const framer = new BodyFramer({ type: "chunked" });
    let body = "";
    for (const piece of pieces) body += latin1Of(framer.push(piece));
    return { body, ended: framer.ended, hasExcess: framer.hasExcess };
  });
  if (typeof whole === "string" || whole.body === "") return;
  const data = latin1(whole.body);
  const written = [chunkHead(data.length), data, CHUNK_TAIL, LAST_CHUNK];
  const framer = new BodyFramer({ type: "chunked" });
  assert.equal(written.map((piece) => latin1Of(framer.push(piece.slice()))).join(""), whole.body);
  assert.ok(framer.ended && !framer.hasExcess);
}

function websocket(input: Bytes, random: Random): void {
  const tell = (event: WebSocketEvent) =>
    "data" in event ? { ...event, data: latin1Of(event.data) } : event;
  const events = sameInAnyCut(input, random, (pieces) => {
    const decoder = new FrameDecoder(LIMIT);
    const all: unknown[] = [];
    for (const piece of pieces) all.push(...decoder.push(piece).map(tell));
    return all;
  });
  if (typeof events === "string") return;
  const mask = Uint8Array.of(1, 2, 3, 4);
  const frame = encodeFrame("binary", input, mask);
  const payload = frame.subarray(frame.length - input.length);
  assert.deepEqual(payload.map((byte, at) => byte ^ (mask[at & 3] ?? 0)), input);
}

const record = (type: number, content: string, id = 1) =>
  String.fromCharCode(1, type, 0, id, content.length >> 8, content.length & 255, 0, 0) + content;
const OUT = record(FCGI_TYPES.stdout, "Content-Type: text/plain\n\nhello");
const END = record(FCGI_TYPES["end-request"], "\0".repeat(8));
const RECORDS = [
  OUT + END,
  `${OUT}${record(6, "")}${END}`,
  record(7, "oh") + OUT + END,
  record(1, "\0\x01\x01\0\0\0\0\0") + record(4, "\x01\x01ab") + record(4, "") + record(5, "x"),
  record(10, "\x0f\x01FCGI_MPXS_CONNS0", 0) + record(11, "\x63\0\0\0\0\0\0\0", 0) + record(2, ""),
];
const HEADERS = ["\x01\x06\0\x01", "\x01\x03\0\x01\0\x08\0\0", "\x01\x07\0\x02", "\0\x08", "\xff"];
const ANSWER = "HTTP/1.1 200 OK\r\n";

export const WIRE_TARGETS: readonly Target[] = [
  {
    name: "head of a program's reply",
    run: cgiHead,
    words: HEAD_WORDS,
    seeds: [
      "Content-Type: text/plain\n\nhello",
      "Status: 404 Not Found\r\nContent-Type: a/b\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
      "Location: /elsewhere?x\n\n",
      "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\nbody",
      "Status: 100\n\nContent-Length: 5\nX-Sendfile: /etc/passwd\n\nhello",
    ],
  },
  { name: "FastCGI records", run: fastcgi, words: HEADERS, seeds: RECORDS },
  { name: "FastCGI records by request", run: splitter, words: HEADERS, seeds: RECORDS },
  {
    name: "FastCGI name-value pairs",
    run: pairs,
    words: ["\x80\0\0\x80", "\xff\xff\xff\xff", "\x01\0"],
    seeds: ["\x01\x01ab\x02\x00xy", `\x01\x80\0\0\x80a${"v".repeat(128)}`],
  },
  {
    name: "uwsgi packet",
    run: uwsgi,
    words: ["\xff\xff", "\0\0", "\x01\0a"],
    seeds: ["\0\x08\0\0\x01\0a\x03\0bcd", "\x05\x00\x00\x01", "\0\x0a\0\0\x03\0ABC\x03\0xyzbody"],
  },
  {
    name: "SCGI request",
    run: scgi,
    words: ["CONTENT_LENGTH\x000\0", "SCGI\x001\0", "24:", ",", "\0"],
    seeds: [
      "24:CONTENT_LENGTH\x000\0SCGI\x001\0,",
      "28:CONTENT_LENGTH\x003\0SCGI\x001\0A\0b\0,abc",
    ],
  },
  {
    name: "response of an HTTP origin",
    run: origin,
    words: [
      ...["HTTP/1.1 ", "HTTP/1.0 ", "\r\n\r\n", "Content-Length: 5\r\n", "Connection: close\r\n"],
      ...[
        "Transfer-Encoding: chunked\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "100 Continue\r\n",
        ", 5",
      ],
    ],
    seeds: [
      `${ANSWER}Content-Length: 5\r\n\r\nhello`,
      `${ANSWER}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      `HTTP/1.1 100 Continue\r\n\r\n${ANSWER}Connection: X-A, close\r\nX-A: b\r\n\r\nhello`,
      'HTTP/1.0 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n',
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x00",
    ],
  },
  {
    name: "chunked body",
    run: chunks,
    words: ["0\r\n", "5\r\nhello\r\n", "\r\n", ";a=b", "ffffffffffff", "X-T: a\r\n", "\n"],
    seeds: [
      "5\r\nhello\r\n0\r\n\r\n",
      "5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: a\r\n\r\nmore",
    ],
  },
  {
    name: "WebSocket frames",
    run: websocket,
    words: [
      "\x81\x00",
      "\x88\x02\x03\xe8",
      "\x89\x00",
      "\x00\x01",
      "\x82\x7e",
      "\x80\x00",
      "\x01\x01a",
    ],
    seeds: [
      "\x81\x02hi\x89\x01p\x01\x02th\x80\x02en\x88\x02\x03\xe8",
      `\x82\x7e\x00\x80${"x".repeat(128)}`,
    ],
  },
];
