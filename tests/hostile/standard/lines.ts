/** The request line: methods, targets in their four forms, versions; and what is no request. */
import { get, HOST, raw } from "../requests/row.ts";
import { alone, BAD, REFUSED, REFUSED_LAST, type Row, served, servedLast } from "./row.ts";

const X = "GET /x";
/** Garbage may be left without an answer. */
const NO_REQUEST = { answers: /^([45]\d\d|-)$/ };
const WAITING = { answers: /^\?$/ };

/** A row whose request line has no place in HTTP/1.1. */
function refused(section: string, what: string, line: string, ...passes: Row[3][]): Row {
  return [section, what, raw(line, HOST), REFUSED, ...passes];
}

export const LINES: readonly Row[] = [
  ["9112 §3", "a request", get("/x"), served(X)],
  ["9112 §2.2", "an empty line before it", "\r\n" + get("/x"), served(X)],
  [
    "9112 §2.2",
    "lines that end in a line feed alone",
    `${X} HTTP/1.1\n${HOST}\n\n`,
    served(X),
    REFUSED,
  ],
  refused("9112 §2.2", "a bare CR in the request line", "GET /x\rHTTP/1.1", served(X)),
  [
    "9112 §2.2",
    "what is no HTTP at all",
    "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    NO_REQUEST,
  ],
  ["9112 §2.2", "words", "hello there\r\n\r\n", NO_REQUEST],
  ["9112 §3", "half a method", alone("G"), WAITING],
  ["9112 §3", "half a head", alone(`${X} HTTP/1.1\r\n${HOST}\r\n`), WAITING],
  refused("9112 §3", "two blanks", "GET  /x HTTP/1.1", served(X)),
  refused("9112 §3", "a tab for a blank", "GET\t/x HTTP/1.1", served(X)),
  refused("9112 §3", "a blank at the end", "GET /x HTTP/1.1 ", served(X)),
  refused("9112 §3", "a blank in the target", "GET /x y HTTP/1.1", { answers: /^301( \+)?$/ }),
  refused("9112 §3", "no version", "GET /x"),
  refused("9112 §3", "no target", "GET HTTP/1.1"),
  refused("9112 §3", "a method alone", "GET"),
  refused("9112 §3", "no method", " /x HTTP/1.1"),
  [
    "9112 §3",
    "a request line of 8000 bytes",
    get("/" + "a".repeat(7986)),
    served(`GET /${"a".repeat(7986)}`),
  ],
  ["9112 §3", "a target that is too long", get("/" + "a".repeat(200_000)), {
    answers: /^414( \+)?$/,
  }],
];

export const METHODS: readonly Row[] = [
  refused("9110 §9.1", "an unknown method", "BREW /x HTTP/1.1", served("BREW /x")),
  refused("9110 §9.1", "get is not GET", "get /x HTTP/1.1", served("get /x")),
  refused("9110 §5.6.2", "brackets in a method", "G(E)T /x HTTP/1.1"),
  refused("9110 §5.6.2", "an at in a method", "G@T /x HTTP/1.1"),
  refused("9110 §5.6.2", "a control character in a method", "GE\x01T /x HTTP/1.1"),
  refused("9110 §5.6.2", "a NUL in a method", "GE\0T /x HTTP/1.1"),
  ["9110 §9.3.2", "HEAD", raw("HEAD /x HTTP/1.1", HOST), served("HEAD /x")],
  ["9110 §9.3.2", "HEAD for a stream", raw("HEAD /stream HTTP/1.1", HOST), served("HEAD /stream")],
  ["9110 §9.3.2", "HEAD for nothing there", raw("HEAD /nothing HTTP/1.1", HOST), {
    answers: /^204 \+$/,
    seen: ["HEAD /nothing"],
  }],
  ["9110 §8.6", "an answer without content has no length", get("/nothing"), {
    answers: /^204 \+$/,
    seen: ["GET /nothing"],
    text: /^(?!HTTP\/1.1 204[^]*(content-length|transfer-encoding):[^]*HTTP\/1.1 200)/i,
  }],
  ["9110 §6.6.1", "an answer has a date", get("/x"), {
    ...served(X),
    text: /^date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$/im,
  }],
  refused("9110 §9.3.6", "CONNECT with a path", "CONNECT /x HTTP/1.1"),
  refused("9110 §9.3.6", "CONNECT without a port", "CONNECT a.test HTTP/1.1"),
  refused("9110 §9.3.6", "CONNECT with an empty port", "CONNECT a.test: HTTP/1.1"),
  refused("9110 §9.3.6", "CONNECT with a port of words", "CONNECT a.test:http HTTP/1.1"),
  refused("9110 §9.3.6", "CONNECT with port 99999", "CONNECT a.test:99999 HTTP/1.1"),
];

export const TARGETS: readonly Row[] = [
  ["9112 §3.2.1", "a query", get("/x?a=b&c"), served("GET /x?a=b&c")],
  ["9112 §3.2.2", "absolute form", get("http://a.test/x"), served(X)],
  ["9112 §3.2.2", "absolute form, and a Host to ignore", get("http://b.test/x"), {
    ...served(X),
    head: /^host: b\.test$/im,
  }],
  ["9110 §4.2.3", "absolute form, the scheme in capitals", get("HTTP://a.test/x"), served(X)],
  ["9110 §4.2.3", "absolute form, the host in capitals", get("http://A.TEST/x"), served(X)],
  ["9110 §4.2.3", "absolute form without a path", get("http://a.test"), served("GET /")],
  [
    "9110 §4.2.3",
    "absolute form without a path, with a query",
    get("http://a.test?q=/y"),
    served("GET /?q=/y"),
  ],
  ["9110 §4.2.1", "absolute form without a host", get("http:///x"), REFUSED],
  ["9110 §4.2.4", "absolute form with a password", get("http://u:p@a.test/x"), REFUSED],
  ["9110 §7.4", "https in absolute form, without TLS", get("https://a.test/x"), REFUSED],
  refused("9112 §3.2.1", "a target without a slash", "GET x HTTP/1.1"),
  refused("9112 §3.2.1", "a query alone", "GET ?x HTTP/1.1"),
  refused("9112 §3.2.1", "a fragment", "GET /x#y HTTP/1.1"),
  refused("9112 §3.2.3", "authority form with GET", "GET a.test:80 HTTP/1.1"),
  refused("9112 §3.2.4", "an asterisk with GET", "GET * HTTP/1.1"),
  ["9112 §3.2.4", "an asterisk with OPTIONS", raw("OPTIONS * HTTP/1.1", HOST), {
    answers: /^(2\d\d|405|501) \+$/,
  }, served("OPTIONS *")],
  refused("3986 §3.3", "a control character in the target", "GET /x\x01y HTTP/1.1"),
  refused("3986 §3.3", "DEL in the target", "GET /x\x7fy HTTP/1.1"),
  refused("3986 §3.3", "a NUL in the target", "GET /x\0y HTTP/1.1"),
  refused("3986 §3.3", "angle brackets in the target", "GET /<x> HTTP/1.1"),
  refused("3986 §3.3", "UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1"),
  refused("3986 §2.1", "an escape of other letters", "GET /%zz HTTP/1.1"),
  refused("3986 §2.1", "an escape without an end", "GET /x% HTTP/1.1"),
];

export const VERSIONS: readonly Row[] = [
  ["9110 §2.5", "HTTP/1.2 is 1.1 and more", raw("GET /x HTTP/1.2", HOST), served(X)],
  ["9110 §15.6.6", "HTTP/2.0", raw("GET /x HTTP/2.0", HOST), REFUSED_LAST],
  ["9110 §15.6.6", "HTTP/9.9", raw("GET /x HTTP/9.9", HOST), REFUSED_LAST],
  ["9110 §15.6.6", "HTTP/0.9", raw("GET /x HTTP/0.9", HOST), REFUSED_LAST],
  refused("9112 §2.3", "HTTP/1.10", "GET /x HTTP/1.10"),
  refused("9112 §2.3", "HTTP/01.1", "GET /x HTTP/01.1"),
  refused("9112 §2.3", "HTTP/1", "GET /x HTTP/1"),
  refused("9112 §2.3", "a comma in the version", "GET /x HTTP/1,1"),
  refused("9112 §2.3", "http/1.1 is not HTTP/1.1", "GET /x http/1.1"),
  ["9112 §9.3", "HTTP/1.0 ends the connection", raw("GET /x HTTP/1.0", HOST), servedLast(X)],
  ["9112 §6.1", "HTTP/1.0 gets no chunks", raw("GET /stream HTTP/1.0", HOST), {
    answers: /^200( cut)?$/,
    seen: ["GET /stream"],
    text: /^(?![^]*transfer-encoding)[^]*GET \/stream$/i,
  }],
];

export const HOSTS: readonly Row[] = [
  ["9112 §3.2", "no Host", raw("GET /x HTTP/1.1"), BAD],
  ["9112 §3.2", "two Hosts", get("/x", "Host: b.test"), BAD],
  ["9112 §3.2", "the same Host twice", get("/x", HOST), BAD],
  ...[
    ["a list", "a.test, b.test"],
    ["a blank", "a test"],
    ["a path", "a.test/x"],
    ["a question mark", "a.test?x"],
    ["a user's name", "u@a.test"],
    ["a port of words", "a.test:http"],
    ["a bracket that is not closed", "[::1"],
    ["an IPv6 address that is none", "[::g]"],
    ["Latin-1", "\xe9.test"],
    ["quotes", '"a.test"'],
  ].map((
    [what, host],
  ): Row => ["9112 §3.2", `Host: ${what}`, raw("GET /x HTTP/1.1", `Host: ${host}`), BAD]),
  ...[
    ["a port", "a.test:8080"],
    ["an empty port", "a.test:"],
    ["capitals", "A.TEST"],
    ["an underscore", "a_b.test"],
    ["an IPv4 address", "127.0.0.1"],
    ["an IPv6 address", "[::1]:80"],
    ["blanks and tabs around it", "\t a.test \t"],
  ].map(([what, host]): Row => [
    "9110 §7.2",
    `Host: ${what}`,
    raw("GET /x HTTP/1.1", `Host: ${host}`),
    served(X),
  ]),
];
