/** Header fields: their grammar, what a gateway takes out, and the connection that they keep or end. */
import { get, HOST, post, raw } from "../requests/row.ts";
import {
  alone,
  BAD,
  type Pass,
  REFUSED,
  REFUSED_LAST,
  type Row,
  served,
  servedLast,
} from "./row.ts";

const X = "GET /x";
const HELLO = 'POST /x "hello"';
const CL = "Content-Length: 5";

/** A field that reaches the application in this form. */
function field(section: string, what: string, line: string, head: RegExp): Row {
  return [section, what, get("/x", line), { ...served(X), head }];
}

/** Not knowing another protocol, the server says that it ends this one (RFC 9112 §9.6). */
function closing(...seen: string[]): Pass {
  return { ...servedLast(...seen), text: /^connection: close\r$/im };
}

function malformed(section: string, what: string, line: string): Row {
  return [section, what, get("/x", line), REFUSED_LAST];
}

export const FIELDS: readonly Row[] = [
  field("9112 §5", "no blank behind the colon", "X-A:b", /^x-a: ?b$/im),
  field("9112 §5", "blanks and tabs around a value", "X-A: \t b \t ", /^x-a: ?b$/im),
  field("9112 §5", "blanks and colons in a value", "X-A: b c: d", /^x-a: ?b c: d$/im),
  field("9110 §5.5", "a tab in a value", "X-A: b\tc", /^x-a: ?b\tc$/im),
  field("9110 §5.5", "bytes above ASCII in a value", "X-A: b\xe9", /^x-a: ?b\xe9$/im),
  ["9110 §5.5", "an empty value", get("/x", "X-A:"), served(X)],
  field("9110 §5.3", "a field in two lines", "X-A: 1\r\nX-A: 2", /^x-a: ?1(, ?|\r\nx-a: ?)2$/im),
  field(
    "9110 §5.6.2",
    "all that a name may hold",
    "!#$%&'*+-.^`|~9z: b",
    /^!#\$%&'\*\+-\.\^`\|~9z: ?b$/im,
  ),
  ["9112 §5.1", "a blank before the colon", get("/x", "X-A : b"), BAD],
  ["9112 §5.1", "a tab before the colon", get("/x", "X-A\t: b"), BAD],
  ["9112 §5.1", "a blank before a length's colon", post("Content-Length : 5", "hello"), BAD],
  [
    "9112 §5.1",
    "a blank before a coding's colon",
    post("Transfer-Encoding : chunked", "0\r\n\r\n"),
    BAD,
  ],
  malformed("9112 §2.2", "a name that is empty", ": b"),
  malformed("9112 §2.2", "a line without a colon", "X-A"),
  malformed("9112 §2.2", "brackets in a name", "X[]: b"),
  malformed("9112 §2.2", "a blank in a name", "X A: b"),
  malformed("9112 §2.2", "quotes in a name", '"X": b'),
  malformed("9112 §2.2", "UTF-8 in a name", "X\xc3\xa9: b"),
  malformed("9112 §2.2", "a control character in a name", "X\x01A: b"),
  malformed("9112 §2.2", "a NUL in a name", "X\0A: b"),
  ["9110 §5.5", "a NUL in a value", get("/x", "X-A: b\0c"), REFUSED, {
    ...served(X),
    head: /^x-a: ?b c$/im,
  }],
  ["9112 §2.2", "a bare CR in a value", get("/x", "X-A: b\rc"), REFUSED, {
    ...served(X),
    head: /^x-a: ?b c$/im,
  }],
  ["9112 §2.2", "a bare CR before a field", get("/x", "X-A: b\r\rX-B: c"), REFUSED, {
    ...served(X),
    head: /^x-a: ?b +x-b: c$/im,
  }],
  ...(["\x01", "\x07", "\x0b", "\x1b", "\x7f"].map((control): Row => [
    "9110 §5.5",
    `${JSON.stringify(control)} in a value`,
    get("/x", `X-A: b${control}c`),
    REFUSED,
    // deno-lint-ignore no-control-regex
    { ...served(X), headless: /[\x01\x07\x0b\x1b\x7f]/ },
  ])),
  ["9112 §5.2", "a folded value", get("/x", "X-A: b\r\n c"), REFUSED, {
    ...served(X),
    head: /^x-a: ?b +c$/im,
  }],
  ["9112 §5.2", "a value folded by a tab", get("/x", "X-A: b\r\n\tc"), REFUSED, {
    ...served(X),
    head: /^x-a: ?b[\t ]+c$/im,
  }],
  [
    "9112 §5.2",
    "a folded coding",
    post("Transfer-Encoding:\r\n chunked", "5\r\nhello\r\n0\r\n\r\n"),
    REFUSED_LAST,
    served(HELLO),
  ],
  [
    "9112 §2.2",
    "a blank before the first field",
    raw("GET /x HTTP/1.1", " X-A: b", HOST),
    REFUSED,
    {
      ...served(X),
      headless: /x-a/i,
    },
  ],
  ["9110 §5.4", "a field of 200 KB", get("/x", `X-A: ${"b".repeat(200_000)}`), {
    answers: /^4\d\d$/,
  }],
  ["9110 §5.4", "20,000 fields", get("/x", ...Array(20_000).fill("X-A: b")), {
    answers: /^4\d\d$/,
  }],
  ["9110 §7.6.1", "a field that Connection names", get("/x", "Connection: x-a", "X-A: b"), {
    ...served(X),
    headless: /^x-a:/im,
  }],
  [
    "9110 §7.6.1",
    "Keep-Alive goes no further",
    get("/x", "Connection: keep-alive", "Keep-Alive: timeout=5"),
    {
      ...served(X),
      headless: /^keep-alive:/im,
    },
  ],
];

export const CONNECTIONS: readonly Row[] = [
  ["9112 §9.3", "close", get("/x", "Connection: close"), {
    ...servedLast(X),
    text: /^connection: close\r$/im,
  }],
  ["9110 §7.6.1", "CLOSE", get("/x", "Connection: CLOSE"), servedLast(X)],
  ["9110 §7.6.1", "close in a list", get("/x", "Connection: x-a, close"), servedLast(X)],
  [
    "9110 §7.6.1",
    "close in a line of its own",
    get("/x", "Connection: x-a", "Connection: close"),
    servedLast(X),
  ],
  [
    "9112 §9.3",
    "close beside keep-alive",
    get("/x", "Connection: keep-alive, close"),
    servedLast(X),
  ],
  ["9112 §9.3", "keep-alive", get("/x", "Connection: keep-alive"), served(X)],
  [
    "9112 §9.3",
    "keep-alive in HTTP/1.0",
    raw("GET /x HTTP/1.0", HOST, "Connection: keep-alive"),
    served(X),
    servedLast(X),
  ],
  ["9112 §9.3.2", "three requests at once", get("/1") + get("/2") + get("/3"), {
    answers: /^200 200 200 \+$/,
    seen: ["GET /1", "GET /2", "GET /3"],
    text: /GET \/1[^]*GET \/2[^]*GET \/3/,
  }],
  ["9112 §9.3.2", "a body between two requests", get("/1") + post(CL, "hello") + get("/2"), {
    answers: /^200 200 200 \+$/,
    seen: ["GET /1", HELLO, "GET /2"],
  }],
  [
    "9112 §9.6",
    "a request behind the last",
    get("/x", "Connection: close") + get("/y"),
    servedLast(X),
  ],
  ["9110 §10.1.1", "100-continue", post([CL, "Expect: 100-continue"], "hello"), {
    answers: /^(100 )?200 \+$/,
    seen: [HELLO],
  }],
  ["9110 §10.1.1", "100-continue whose body waits", alone(post([CL, "Expect: 100-continue"], "")), {
    answers: /^(100|4\d\d|200) \?$|^[24]\d\d$/,
  }],
  ["9110 §10.1.1", "100-CONTINUE whose body waits", alone(post([CL, "Expect: 100-CONTINUE"], "")), {
    answers: /^(100|4\d\d|200) \?$|^[24]\d\d$/,
  }],
  ["9110 §10.1.1", "100-continue without a body", get("/x", "Expect: 100-continue"), {
    answers: /^(100 )?200 \+$/,
    seen: [X],
  }],
  [
    "9110 §10.1.1",
    "100-continue in HTTP/1.0",
    raw("POST /x HTTP/1.0", HOST, CL, "Expect: 100-continue") + "hello",
    servedLast(HELLO),
  ],
  ["9110 §10.1.1", "another expectation", get("/x", "Expect: wonders"), served(X), {
    answers: /^417( \+)?$/,
  }],
  [
    "9110 §7.8",
    "an upgrade to what nobody knows",
    get("/x", "Connection: upgrade", "Upgrade: wonders"),
    served(X),
    closing(X),
  ],
  [
    "9110 §7.8",
    "an upgrade with a body",
    post([CL, "Connection: upgrade", "Upgrade: wonders"], "hello"),
    served(HELLO),
    closing(HELLO),
  ],
];
