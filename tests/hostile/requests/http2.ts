/**
 * HTTP/2 (RFC 9113): what a client may not send, what HTTP/1 behind it would misread, and what only wears
 * the server out. The runtime's library judges frames; the gateway what they add up to.
 */
import {
  block,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  opening,
  PADDED,
  PREFACE,
  PRIORITY,
  pseudo,
  request,
  setting,
  TYPES,
  uint32,
} from "../http2_frames.ts";

/**
 * Frames behind the connection's greeting, or with `whole` the connection from its first byte on; the
 * control request follows. `answers` as the reader of frames tells them; `seen` as in a row of HTTP/1.
 */
export type FrameRow = readonly [what: string, sends: string, answers: string, ...seen: string[]];

const field = (name: string, value: string) => request(1, [...pseudo(), [name, value]]);
const get = (replaced: Parameters<typeof pseudo>[0]) => request(1, pseudo(replaced));
const { headers, continuation, settings, ping, window: update, priority, reset, goaway, push } =
  TYPES;
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

export const STREAMS: readonly FrameRow[] = [
  ["a request", request(1), "1:200 +", "GET /x @a.test"],
  [
    "two requests",
    request(1) + request(3, pseudo({ path: "/y" })),
    "1:200 3:200 +",
    "GET /x @a.test",
    "GET /y @a.test",
  ],
  ["a body", opening(1) + data(1, "hello"), "1:200 +", 'POST /x @a.test "hello"'],
  [
    "a body and its length",
    opening(1, ["content-length", "5"]) + data(1, "hello"),
    "1:200 +",
    'POST /x @a.test "hello"',
  ],
  [
    "a body in padded frames",
    opening(1) + frame(0, PADDED | END_STREAM, 1, "\x03hello\0\0\0"),
    "1:200 +",
    'POST /x @a.test "hello"',
  ],
  [
    "a body that is a request",
    opening(1, ["content-length", String(SMUGGLED.length)]) + data(1, SMUGGLED),
    "1:200 +",
    'POST /x @a.test "GET /smuggled HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n"',
  ],
  [
    "a length too short (H2.CL)",
    opening(1, ["content-length", "0"]) + data(1, SMUGGLED),
    "1:reset 1 +",
    "POST /x @a.test",
  ],
  [
    "a length too long (H2.CL)",
    opening(1, ["content-length", "50"]) + data(1, "hello"),
    "1:reset 1 +",
    "POST /x @a.test cut",
  ],
  [
    "a length that is none",
    opening(1, ["content-length", "five"]) + data(1, "hello"),
    "1:reset 1 +",
  ],
  [
    "two lengths",
    opening(1, ["content-length", "5"], ["content-length", "0"]) + data(1, "hello"),
    "1:400 +",
  ],
  [
    "a length and no body",
    request(1, [...pseudo({ method: "POST" }), ["content-length", "5"]]),
    "1:reset 1 +",
  ],
  [
    "GET with a body",
    frame(headers, END_HEADERS, 1, block(pseudo())) + data(1, SMUGGLED),
    "1:200 +",
    "GET /x @a.test",
  ],
  [
    "chunks (H2.TE)",
    opening(1, ["transfer-encoding", "chunked"]) + data(1, `0\r\n\r\n${SMUGGLED}`),
    "1:reset 1 +",
  ],
  [
    "trailers",
    opening(1) + data(1, "hello", 0) + frame(headers, 5, 1, block([["x-trailer", "a"]])),
    "1:200 +",
    'POST /x @a.test "hello"',
  ],
  [
    "trailers with a pseudo-field",
    opening(1) + data(1, "hello", 0) + frame(headers, 5, 1, block([[":path", "/y"]])),
    "1:200 +",
    'POST /x @a.test "hello"',
  ],
  [
    "trailers that do not end the stream",
    opening(1) + data(1, "hello", 0) + frame(headers, END_HEADERS, 1, block([["x-t", "a"]])),
    "1:reset 1 +",
    "POST /x @a.test cut",
  ],
  ["Connection", field("connection", "close"), "1:reset 1 +"],
  ["Keep-Alive", field("keep-alive", "timeout=1"), "1:reset 1 +"],
  ["Proxy-Connection", field("proxy-connection", "close"), "1:reset 1 +"],
  ["Upgrade", field("upgrade", "websocket"), "1:reset 1 +"],
  ["TE of trailers", field("te", "trailers"), "1:200 +", "GET /x @a.test"],
  ["TE of anything else", field("te", "gzip"), "1:reset 1 +"],
  ["Host, the same", field("host", "a.test"), "1:200 +", "GET /x @a.test"],
  ["Host, another", field("host", "b.test"), "1:400 +"],
  [
    "a Host without an authority",
    request(1, [...pseudo({ authority: undefined }), ["host", "a.test"]]),
    "1:200 +",
    "GET /x @a.test",
  ],
  ["neither Host nor authority", get({ authority: undefined }), "1:400 +"],
  ["an empty authority", get({ authority: "" }), "1:reset 1 +"],
  ["an authority with userinfo", get({ authority: "b.test@a.test" }), "1:400 +"],
  ["an authority with a path", get({ authority: "a.test/y" }), "1:reset 1 +"],
  ["an authority with a blank", get({ authority: "a.test b" }), "1:reset 1 +"],
  ["an authority with a query", get({ authority: "a.test?" }), "1:reset 1 +"],
  ["no method", get({ method: undefined }), "1:reset 1 +"],
  ["no path", get({ path: undefined }), "1:reset 1 +"],
  ["an empty path", get({ path: "" }), "1:reset 1 +"],
  ["no scheme", get({ scheme: undefined }), "1:reset 1 +"],
  ["the scheme https", get({ scheme: "https" }), "1:200 +", "GET /x @a.test"],
  ["the scheme ftp", get({ scheme: "ftp" }), "1:400 +"],
  ["a scheme with a host in it", get({ scheme: "http://b.test/?" }), "1:reset 1 +"],
  ["a path without a slash", get({ path: "x" }), "1:200 +", "GET /x @a.test"],
  ["a path of an asterisk", get({ path: "*" }), "1:400 +"],
  ["OPTIONS of an asterisk", get({ method: "OPTIONS", path: "*" }), "1:204 +"],
  ["a path with a blank", get({ path: "/x y" }), "1:reset 1 +"],
  [
    "a path with a request in it",
    get({ path: "/x HTTP/1.1\r\nHost: b.test\r\n\r\nGET /smuggled" }),
    "1:reset 1 +",
  ],
  ["a path with a NUL", get({ path: "/x\0" }), "1:reset 1 +"],
  ["a path with a line feed", get({ path: "/x\ny" }), "1:reset 1 +"],
  ["a path beyond ASCII", get({ path: "/\xe9" }), "goaway 1 closed"],
  ["a path in UTF-8", get({ path: "/\xc3\xa9" }), "1:200 +", "GET /\xc3\xa9 @a.test"],
  ["a path with a fragment", get({ path: "/x#y" }), "1:200 +", "GET /x @a.test"],
  [
    "a path in absolute form",
    get({ path: "http://b.test/x" }),
    "1:200 +",
    "GET /http:/b.test/x @a.test",
  ],
  ["a path of dots", get({ path: "/files/../secret.txt" }), "1:200 +", "GET /secret.txt @a.test"],
  ["an encoded NUL", get({ path: "/%00" }), "1:400 +"],
  ["a path of 10000 bytes", get({ path: `/answer?${"a".repeat(10_000)}` }), "1:200 +"],
  [
    "a method with a line break",
    get({ method: "GET /smuggled HTTP/1.1\r\nX: y" }),
    "goaway 1 closed",
  ],
  ["a method of lower case", get({ method: "get" }), "1:200 +", "get /x @a.test"],
  ["CONNECT", request(1, [[":method", "CONNECT"], [":authority", "a.test:80"]]), "1:reset 2 +"],
  ["CONNECT with a path", get({ method: "CONNECT" }), "1:reset 1 +"],
  [
    "an extended CONNECT",
    request(1, [...pseudo({ method: "CONNECT" }), [":protocol", "websocket"]]),
    "1:reset 1 +",
  ],
  ["TRACE", get({ method: "TRACE" }), "1:405 +"],
  ["a pseudo-field twice", request(1, [...pseudo(), [":path", "/y"]]), "1:reset 1 +"],
  [
    "a pseudo-field behind a field",
    request(1, [[":method", "GET"], ["x-a", "b"], ...pseudo().slice(1)]),
    "1:reset 1 +",
  ],
  ["an unknown pseudo-field", request(1, [...pseudo(), [":what", "x"]]), "goaway 1 closed"],
  ["a response's pseudo-field", request(1, [...pseudo(), [":status", "200"]]), "1:reset 1 +"],
  ["a name in capitals", field("X-A", "b"), "goaway 1 closed"],
  ["a name with a colon", field("x:a", "b"), "goaway 1 closed"],
  ["a name with a blank", field("x a", "b"), "goaway 1 closed"],
  ["a name with a line break", field("x-a: b\r\nhost", "b.test"), "goaway 1 closed"],
  ["an empty name", field("", "b"), "goaway 1 closed"],
  ["a value with a line break", field("x-a", "b\r\ntransfer-encoding: chunked"), "goaway 1 closed"],
  ["a value with a line feed", field("x-a", "b\nx-b: c"), "goaway 1 closed"],
  ["a value with a NUL", field("x-a", "b\0c"), "goaway 1 closed"],
  ["a value with a control character", field("x-a", "b\x01c"), "goaway 1 closed"],
  ["a value with blanks around it", field("x-a", " b "), "1:200 +", "GET /x @a.test x-a:  b "],
  ["a value beyond ASCII", field("x-a", "\xe9"), "1:200 +", "GET /x @a.test x-a: \xe9"],
  ["a name with an underscore", field("x_forwarded_for", "10.0.0.1"), "1:200 +", "GET /x @a.test"],
  ["Proxy (httpoxy)", field("proxy", "http://evil.test"), "1:200 +", "GET /x @a.test"],
  [
    "cookies in crumbs",
    request(1, [...pseudo(), ["cookie", "a=b"], ["cookie", "c=d"]]),
    "1:200 +",
    "GET /x @a.test cookie: a=b; c=d",
  ],
  [
    "fields of 20000 bytes",
    field("x-a", "a".repeat(10_000)) +
    request(3, [...pseudo(), ["x-a", "a".repeat(15_000)], ["x-b", "b".repeat(5000)]]),
    "goaway 6 closed",
  ],
  [
    "four hundred fields",
    request(1, [
      ...pseudo({ path: "/answer" }),
      ...Array.from({ length: 300 }, (_, at): [string, string] => [`x${at}`, ""]),
    ]),
    "1:200 +",
  ],
  ["a reset behind the request", request(1) + frame(reset, 0, 1, uint32(8)), "+", "GET /x @a.test"],
  ["a stream of an even number", request(2), "goaway 1 closed"],
  ["a stream of a lower number", request(5) + request(3), "goaway 1 closed"],
  ["a stream that is used again", request(1) + request(1), "goaway 1 closed"],
  ["data on a stream that nobody opened", data(1, "hello"), "goaway 1 closed"],
  ["data on a stream that is over", request(1) + data(1, "hello"), "goaway 1 closed"],
  [
    "a self-dependent stream",
    frame(headers, 5 | PRIORITY, 1, `${uint32(1)}\x10${block(pseudo())}`),
    "1:reset 1 +",
  ],
  [
    "a window update of nothing on a stream",
    opening(1) + frame(update, 0, 1, uint32(0)),
    "goaway 1 closed",
  ],
  [
    "a window beyond 2^31 - 1 on a stream",
    opening(1) + frame(update, 0, 1, uint32(0x7fffffff)),
    "1:reset 3 +",
    "POST /x @a.test cut",
  ],
];

export const CONNECTIONS: readonly FrameRow[] = [
  ["no frame", "", "+"],
  ["a ping", frame(ping, 0, 0, "12345678"), "+"],
  ["a frame of an unknown type", frame(99, 255, 0, "what"), "+"],
  ["unknown settings", frame(settings, 0, 0, setting(99, 1)), "+"],
  ["a thousand pings", frame(ping, 0, 0, "12345678").repeat(1000), "+"],
  ["a thousand settings", frame(settings, 0, 0).repeat(1000), "+"],
  [
    "a thousand empty data frames",
    opening(1) + data(1, "", 0).repeat(1000) + data(1, ""),
    "1:200 +",
    "POST /x @a.test",
  ],
  ["a thousand priorities", frame(priority, 0, 1, `${uint32(3)}\x10`).repeat(1000), "+"],
  ["a thousand windows of one byte", frame(update, 0, 0, uint32(1)).repeat(1000), "+"],
  [
    "three hundred requests taken back at once (rapid reset)",
    Array.from(
      { length: 300 },
      (_, at) =>
        request(2 * at + 1, pseudo({ path: "/answer" })) + frame(reset, 0, 2 * at + 1, uint32(8)),
    )
      .join(""),
    "goaway 11 closed",
  ],
  ["data on stream 0", data(0, "hello"), "goaway 1 closed"],
  ["headers on stream 0", request(0), "goaway 1 closed"],
  ["a reset on stream 0", frame(reset, 0, 0, uint32(8)), "goaway 1 closed"],
  ["a reset of a stream that nobody opened", frame(reset, 0, 1, uint32(8)), "goaway 1 closed"],
  ["a reset of three bytes", request(1) + frame(reset, 0, 1, "abc"), "goaway 1 closed"],
  ["settings on a stream", frame(settings, 0, 1), "goaway 1 closed"],
  ["settings of five bytes", frame(settings, 0, 0, "12345"), "goaway 1 closed"],
  [
    "an acknowledgement with settings in it",
    frame(settings, 1, 0, setting(1, 0)),
    "goaway 1 closed",
  ],
  ["a window of 2^31", frame(settings, 0, 0, setting(4, 0x80000000)), "goaway 1 closed"],
  ["a frame size of 100", frame(settings, 0, 0, setting(5, 100)), "goaway 1 closed"],
  ["a push setting of 2", frame(settings, 0, 0, setting(2, 2)), "goaway 1 closed"],
  ["a ping of four bytes", frame(ping, 0, 0, "1234"), "goaway 1 closed"],
  ["a ping on a stream", frame(ping, 0, 1, "12345678"), "goaway 1 closed"],
  ["a window update of nothing", frame(update, 0, 0, uint32(0)), "goaway 1 closed"],
  ["a window beyond 2^31 - 1", frame(update, 0, 0, uint32(0x7fffffff)), "goaway 3 closed"],
  ["a window update of three bytes", frame(update, 0, 0, "abc"), "goaway 1 closed"],
  [
    "a push from a client",
    frame(push, END_HEADERS, 1, uint32(2) + block(pseudo())),
    "goaway 1 closed",
  ],
  ["a priority of four bytes", frame(priority, 0, 1, "1234"), "goaway 1 closed"],
  ["a farewell", frame(goaway, 0, 0, uint32(0) + uint32(0)), "goaway 0 +"],
  ["a frame larger than allowed", frame(TYPES.data, 0, 1, "a".repeat(16_385)), "goaway 6 closed"],
  [
    "padding longer than the frame",
    opening(1) + frame(0, PADDED | END_STREAM, 1, "\xffhello"),
    "goaway 1 closed",
  ],
  [
    "a padded frame without a length",
    opening(1) + frame(0, PADDED | END_STREAM, 1, ""),
    "goaway 1 closed",
  ],
  [
    "a header block cut in two",
    frame(headers, END_STREAM, 1, block(pseudo()).slice(0, 9)) +
    frame(continuation, END_HEADERS, 1, block(pseudo()).slice(9)),
    "1:200 +",
    "GET /x @a.test",
  ],
  [
    "a frame within a header block",
    frame(headers, END_STREAM, 1, block(pseudo())) + frame(ping, 0, 0, "12345678"),
    "goaway 1 closed",
  ],
  [
    "another stream's headers within a header block",
    frame(headers, END_STREAM, 1, block(pseudo())) + request(3),
    "goaway 1 closed",
  ],
  [
    "a continuation of nothing",
    frame(continuation, END_HEADERS, 1, block(pseudo())),
    "goaway 1 closed",
  ],
  [
    "a continuation of another stream",
    frame(headers, END_STREAM, 1, block(pseudo())) + frame(continuation, END_HEADERS, 3, ""),
    "goaway 1 closed",
  ],
  [
    "a thousand empty continuations (flood)",
    frame(headers, END_STREAM, 1, block(pseudo())) + frame(continuation, 0, 1, "").repeat(1000) +
    frame(continuation, END_HEADERS, 1, ""),
    "goaway 11 closed",
  ],
  [
    "endless continuations (flood)",
    frame(headers, END_STREAM, 1, block(pseudo())) +
    frame(continuation, 0, 1, block([["x-a", "a".repeat(8000)]])).repeat(40),
    "goaway 11 closed",
  ],
  ["a header block that is cut", frame(headers, 5, 1, "\x00\x05ab"), "goaway 1 closed"],
  ["an index beyond the table", frame(headers, 5, 1, "\xff\xff\x7f"), "goaway 1 closed"],
  ["index 0", frame(headers, 5, 1, "\x80"), "goaway 1 closed"],
  [
    "an index without an end",
    frame(headers, 5, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    "goaway 1 closed",
  ],
  [
    "a table larger than allowed",
    frame(headers, 5, 1, `\x3f\xff\xff\xff\x7f${block(pseudo())}`),
    "goaway 1 closed",
  ],
  ["a bad Huffman code", frame(headers, 5, 1, `\x00\x84\xff\xff\xff\xff\x01a`), "goaway 1 closed"],
  [
    "a table that blows a small block up (HPACK bomb)",
    frame(
      headers,
      5,
      1,
      `${block(pseudo({ path: "/answer" }))}\x40\x01a\x7f\xa1\x1e${"a".repeat(4000)}${
        "\xbe".repeat(2000)
      }`,
    ),
    "1:431 +",
  ],
  ["HTTP/1 in the midst", "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n", "goaway 6 closed"],
  ["zeros", "\0".repeat(90), "goaway 1 closed"],
];

/** Connections from their first byte on. */
export const BEGINNINGS: readonly FrameRow[] = [
  ["the greeting twice", PREFACE + frame(settings, 0, 0) + PREFACE, "goaway 6 closed"],
  ["another frame than settings first", PREFACE + frame(ping, 0, 0, "12345678"), "+"],
  ["a request first", PREFACE + request(1), "1:200 +", "GET /x @a.test"],
  [
    "half a greeting, then HTTP/1",
    "PRI * HTTP/2.0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "HTTP/1.1 400",
  ],
  ["a greeting of HTTP/2.1", PREFACE.replace("2.0", "2.1") + frame(settings, 0, 0), "HTTP/1.1 400"],
  [
    "a greeting of line feeds",
    PREFACE.replaceAll("\r", "") + frame(settings, 0, 0),
    "HTTP/1.1 400",
  ],
  [
    "a greeting in the second place",
    `GET /one HTTP/1.1\r\nHost: a.test\r\n\r\n${PREFACE}${frame(settings, 0, 0)}`,
    "HTTP/1.1 200",
    "GET /one @a.test",
  ],
];
