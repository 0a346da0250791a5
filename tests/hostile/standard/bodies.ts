/**
 * Where a body ends. What follows it must be read as the next request, or not at all; a request that stands
 * inside a body must not be read as one.
 */
import { chunked, get, HOST, post, raw } from "../requests/row.ts";
import {
  BAD_LAST,
  NOT_WHOLE,
  type Pass,
  REFUSED,
  REFUSED_LAST,
  type Row,
  served,
  servedLast,
} from "./row.ts";

const HELLO = 'POST /x "hello"';
const CHUNKS = "5\r\nhello\r\n0\r\n\r\n";
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
/** A length larger than any: an error, or a wait for all of it. */
const TOO_LARGE: Pass = { answers: /^(4\d\d( \?)?|\?)$/ };

/** What is no length leaves no way to go on (§6.3). */
function badLength(what: string, ...values: string[]): Row {
  return [
    "9112 §6.3",
    what,
    post(values.map((value) => `Content-Length: ${value}`), "hello"),
    BAD_LAST,
  ];
}

export const LENGTHS: readonly Row[] = [
  ["9112 §6.2", "a length", post("Content-Length: 5", "hello"), served(HELLO)],
  [
    "9112 §6.2",
    "a length with leading zeros",
    post("Content-Length: 0005", "hello"),
    served(HELLO),
  ],
  ["9112 §6.2", "a length of nothing", post("Content-Length: 0", ""), served("POST /x")],
  ["9112 §6.3", "no length is an empty body", post([], ""), served("POST /x")],
  ["9112 §5.1", "names in any case", post("cOnTeNt-LeNgTh: 5", "hello"), served(HELLO)],
  [
    "9112 §6.3",
    "GET with a body",
    get("/x", "Content-Length: 5") + "hello",
    served('GET /x "hello"'),
    served("GET /x"),
    REFUSED,
  ],
  [
    "9112 §6.3",
    "a request inside a body",
    post(`Content-Length: ${SMUGGLED.length}`, SMUGGLED),
    served(`POST /x ${JSON.stringify(SMUGGLED)}`),
  ],
  ["9112 §8", "a body that is not all there", post("Content-Length: 500", "hello"), NOT_WHOLE],
  badLength("a negative length", "-5"),
  badLength("a length with a plus", "+5"),
  badLength("a length in hexadecimal", "0x5"),
  badLength("a length with a fraction", "5.0"),
  badLength("a length with an exponent", "5e0"),
  badLength("a length of words", "five"),
  badLength("a length and a blank and another", "5 5"),
  badLength("a length and a semicolon", "5;"),
  badLength("an empty length", ""),
  badLength("two lengths", "5", "6"),
  badLength("two lengths in one line", "5, 6"),
  [
    "9112 §6.3",
    "the same length twice",
    post(["Content-Length: 5", "Content-Length: 5"], "hello"),
    BAD_LAST,
    served(HELLO),
  ],
  [
    "9112 §6.3",
    "the same length twice in one line",
    post("Content-Length: 5, 5", "hello"),
    BAD_LAST,
    served(HELLO),
  ],
  [
    "9110 §8.6",
    "a length of 2^64 + 5",
    post("Content-Length: 18446744073709551621", "hello"),
    TOO_LARGE,
  ],
  [
    "9110 §8.6",
    "a length of 2^32 + 5 beyond 2^64",
    post("Content-Length: 79228162514264337593543950341", "hello"),
    TOO_LARGE,
  ],
  [
    "9110 §8.6",
    "a length of 2^63",
    post("Content-Length: 9223372036854775808", "hello"),
    TOO_LARGE,
  ],
];

/** A coding that is not known to end the body where it ends. */
function badCoding(what: string, ...values: string[]): Row {
  const fields = values.map((value) => `Transfer-Encoding: ${value}`);
  return ["9112 §6.3", what, post(fields, CHUNKS), REFUSED_LAST];
}

export const CODINGS: readonly Row[] = [
  ["9112 §7", "the coding in any case", post("TRANSFER-ENCODING: ChUnKeD", CHUNKS), served(HELLO)],
  [
    "9110 §5.6.1",
    "empty elements before the coding",
    post("Transfer-Encoding: , ,chunked", CHUNKS),
    served(HELLO),
  ],
  badCoding("a coding that nobody knows", "wonders"),
  badCoding("identity", "identity"),
  badCoding("xchunked", "xchunked"),
  badCoding("chunked and more", "chunked, wonders"),
  badCoding("chunked, then gzip", "chunked, gzip"),
  badCoding("chunked, then identity", "chunked, identity"),
  badCoding("chunked twice", "chunked, chunked"),
  badCoding("chunked in two lines", "chunked", "chunked"),
  badCoding("chunked, then identity in a line of its own", "chunked", "identity"),
  badCoding("chunked with a parameter", "chunked;q=1"),
  badCoding("chunked in quotes", '"chunked"'),
  badCoding("chunked behind a vertical tab", "\x0bchunked"),
  badCoding("chunked and a NUL", "chunked\0"),
  badCoding("an empty coding", ""),
  [
    "9112 §6.1",
    "an unknown coding, then chunked",
    post("Transfer-Encoding: wonders, chunked", CHUNKS),
    REFUSED,
  ],
  ["9112 §6.1", "gzip, then chunked", post("Transfer-Encoding: gzip, chunked", CHUNKS), REFUSED, {
    ...served(HELLO),
    head: /^transfer-encoding: ?gzip/im,
  }],
  [
    "9112 §6.1",
    "a length beside chunks",
    post(["Content-Length: 5", "Transfer-Encoding: chunked"], CHUNKS),
    REFUSED_LAST,
    servedLast(HELLO),
  ],
  [
    "9112 §6.1",
    "a length behind chunks",
    post(["Transfer-Encoding: chunked", "Content-Length: 5"], CHUNKS),
    REFUSED_LAST,
    servedLast(HELLO),
  ],
  [
    "9112 §6.1",
    "a request behind no chunks, within a length",
    post(
      [`Content-Length: ${5 + SMUGGLED.length}`, "Transfer-Encoding: chunked"],
      "0\r\n\r\n" + SMUGGLED,
    ),
    REFUSED_LAST,
    servedLast("POST /x"),
  ],
  [
    "9112 §6.1",
    "chunks in HTTP/1.0",
    raw("POST /x HTTP/1.0", HOST, "Transfer-Encoding: chunked") + CHUNKS,
    REFUSED_LAST,
    servedLast(HELLO),
  ],
  [
    "9112 §6.1",
    "chunks in HTTP/1.0 that is kept alive",
    raw(
      "POST /x HTTP/1.0",
      HOST,
      "Connection: keep-alive",
      "Transfer-Encoding: chunked",
    ) + CHUNKS,
    REFUSED_LAST,
    servedLast(HELLO),
  ],
];

function goodChunks(what: string, data: string, body = "hello"): Row {
  return ["9112 §7.1", what, chunked(data), served(`POST /x ${JSON.stringify(body)}`)];
}

function badChunks(what: string, data: string): Row {
  return ["9112 §7.1", what, chunked(data), NOT_WHOLE];
}

export const CHUNK_ROWS: readonly Row[] = [
  goodChunks("a chunk", CHUNKS),
  goodChunks("chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
  goodChunks("a size in capitals", "A\r\nhellohello\r\n0\r\n\r\n", "hellohello"),
  goodChunks("leading zeros", "00000005\r\nhello\r\n000\r\n\r\n"),
  ["9112 §7.1", "no chunk but the last", chunked("0\r\n\r\n"), served("POST /x")],
  ["9112 §7.1.1", "an extension", chunked("5;a\r\nhello\r\n0\r\n\r\n"), served(HELLO)],
  [
    "9112 §7.1.1",
    "an extension with a value",
    chunked("5;a=b;c=d\r\nhello\r\n0;e\r\n\r\n"),
    served(HELLO),
  ],
  [
    "9112 §7.1.1",
    "an extension in quotes",
    chunked('5;a="b;c"\r\nhello\r\n0\r\n\r\n'),
    served(HELLO),
  ],
  [
    "9112 §7.1.1",
    "blanks around an extension",
    chunked("5 ; a = b\r\nhello\r\n0\r\n\r\n"),
    served(HELLO),
  ],
  badChunks("no size", "\r\nhello\r\n0\r\n\r\n"),
  badChunks("an extension without a size", ";a\r\nhello\r\n0\r\n\r\n"),
  badChunks("a size of other letters", "g\r\nhello\r\n0\r\n\r\n"),
  badChunks("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
  badChunks("a size with a plus", "+5\r\nhello\r\n0\r\n\r\n"),
  badChunks("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
  badChunks("a blank before a size", " 5\r\nhello\r\n0\r\n\r\n"),
  badChunks("a blank within a size", "0 5\r\nhello\r\n0\r\n\r\n"),
  badChunks("a size of 2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
  badChunks("a size of 2^64 - 1", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
  badChunks(
    "a size of 2^32 + 5 beyond 2^64",
    "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
  ),
  badChunks("nothing behind a chunk's data", "5\r\nhello0\r\n\r\n"),
  badChunks("other bytes behind a chunk's data", "5\r\nhelloXX0\r\n\r\n"),
  badChunks("more data than its size", "3\r\nhello\r\n0\r\n\r\n"),
  badChunks("a line feed alone behind a size", "5\nhello\r\n0\r\n\r\n"),
  badChunks("a line feed alone behind an extension", "5;a\nhello\r\n0\r\n\r\n"),
  badChunks("a line feed alone behind data", "5\r\nhello\n0\r\n\r\n"),
  badChunks("a CR alone behind a size", "5\rhello\r\n0\r\n\r\n"),
  badChunks("a NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n"),
  ["9112 §7.1.2", "a trailer", chunked("5\r\nhello\r\n0\r\nX-T: a\r\n\r\n"), served(HELLO)],
  [
    "9112 §7.1.2",
    "trailers that would be a head",
    chunked(
      "5\r\nhello\r\n0\r\nHost: b.test\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
    ),
    { ...served(HELLO), head: /^host: a\.test$/im },
    NOT_WHOLE,
  ],
  [
    "9112 §7.1.2",
    "a trailer without a colon",
    chunked("5\r\nhello\r\n0\r\nX-T\r\n\r\n"),
    NOT_WHOLE,
  ],
  ["9112 §7.1.2", "a trailer without a name", chunked("5\r\nhello\r\n0\r\n: a\r\n\r\n"), NOT_WHOLE],
];
