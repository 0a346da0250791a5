import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import type { HeaderPair } from "../../lib/exchange.ts";
import { HeadReader, interpretHead } from "../../lib/protocol/cgi_response.ts";
import { bytesFromLatin1 } from "../../lib/protocol/http_fields.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import { cuts, reusingBuffer } from "../support/cuts.ts";

const LIMIT = 64;

type Fields = readonly HeaderPair[];
type Chunks = readonly Uint8Array<ArrayBuffer>[];

/** Reads one reply to its end, as a handler would, through one buffer that each chunk overwrites. */
function readReply(chunks: Chunks, limit = LIMIT): { fields: Fields; body: string } {
  const reader = new HeadReader(limit);
  let fields: Fields | undefined;
  let body = "";
  for (const chunk of reusingBuffer(chunks)) {
    if (fields !== undefined) {
      body += latin1FromBytes(chunk);
      continue;
    }
    const head = reader.push(chunk);
    fields = head?.fields;
    body += latin1FromBytes(head?.rest ?? new Uint8Array(0));
  }
  if (fields === undefined) throw reader.end();
  return { fields, body };
}

/** Reads under every cut; gives what all of them agreed on. */
function readUnderAllCuts(output: string, limit = LIMIT): { fields: Fields; body: string } {
  const bytes = bytesFromLatin1(output);
  const whole = readReply([bytes], limit);
  for (const chunks of cuts(bytes)) assert.deepEqual(readReply(chunks, limit), whole);
  return whole;
}

function faultOf(act: () => unknown): { failure: string; message: string } {
  try {
    act();
  } catch (error) {
    assert(error instanceof ProtocolError, String(error));
    return { failure: error.failure, message: error.message };
  }
  assert.fail("nothing was thrown");
}

/** The fault of a reply, the same under every cut. */
function faultUnderAllCuts(output: string, limit = LIMIT): { failure: string; message: string } {
  const bytes = bytesFromLatin1(output);
  const whole = faultOf(() => readReply([bytes], limit));
  for (const chunks of cuts(bytes)) {
    assert.deepEqual(faultOf(() => readReply(chunks, limit)), whole);
  }
  return whole;
}

const heads: [what: string, output: string, fields: Fields, body: string][] = [
  ["LF lines", "A: 1\nB: 2\n\nbody", [["A", "1"], ["B", "2"]], "body"],
  ["CRLF lines", "A: 1\r\nB: 2\r\n\r\nbody", [["A", "1"], ["B", "2"]], "body"],
  ["LF then CRLF", "A: 1\nB: 2\r\n\nbody", [["A", "1"], ["B", "2"]], "body"],
  ["CRLF then a bare blank line", "A: 1\r\n\nbody", [["A", "1"]], "body"],
  ["LF then a CRLF blank line", "A: 1\n\r\nbody", [["A", "1"]], "body"],
  ["no body", "A: 1\n\n", [["A", "1"]], ""],
  ["a body of line breaks", "A: 1\n\n\n\r\n\n", [["A", "1"]], "\n\r\n\n"],
  ["a body that looks like a head", "A: 1\n\nB: 2\n\nC", [["A", "1"]], "B: 2\n\nC"],
  ["a body of any bytes", "A: 1\n\n\0\xff\r\n\x07", [["A", "1"]], "\0\xff\r\n\x07"],
  ["no space after the colon", "A:1\n\n", [["A", "1"]], ""],
  ["blanks around the value", "A: \t 1 2\t \n\n", [["A", "1 2"]], ""],
  ["TAB inside the value", "A: 1\t2\n\n", [["A", "1\t2"]], ""],
  ["an empty value", "A:\nB: \t\n\n", [["A", ""], ["B", ""]], ""],
  ["colons in the value", "A: b:c: d\n\n", [["A", "b:c: d"]], ""],
  ["the case of names", "x-FOO: 1\nX-foo: 2\n\n", [["x-FOO", "1"], ["X-foo", "2"]], ""],
  ["order and repetition", "B: 1\nA: 2\nB: 3\n\n", [["B", "1"], ["A", "2"], ["B", "3"]], ""],
  ["every token character", "!#$%&'*+-.^_`|~09Az: 1\n\n", [["!#$%&'*+-.^_`|~09Az", "1"]], ""],
  ["Latin-1 in the value", "A: caf\xe9\n\n", [["A", "caf\xe9"]], ""],
  ["UTF-8 in the value, as bytes", "A: caf\xc3\xa9\n\n", [["A", "caf\xc3\xa9"]], ""],
  ["C1 bytes in the value", "A: \x80\x9f\n\n", [["A", "\x80\x9f"]], ""],
  ["a folded line", "A: 1\n  2\n\n", [["A", "1 2"]], ""],
  ["a line folded by TAB", "A: 1\r\n\t2\r\n\r\n", [["A", "1 2"]], ""],
  ["two folded lines", "A: 1\n 2\n  3 \nB: 4\n\n", [["A", "1 2 3"], ["B", "4"]], ""],
  ["a folded line that looks like a field", "A: 1\n B: 2\n\n", [["A", "1 B: 2"]], ""],
  ["a folded line of blanks", "A: 1\n \t\nB: 2\n\n", [["A", "1"], ["B", "2"]], ""],
  ["a folded line after an empty value", "A:\n 1\n\n", [["A", "1"]], ""],
  [
    "a status line",
    "HTTP/1.1 299 Whatever\nA: 1\n\n",
    [["Status", "299 Whatever"], ["A", "1"]],
    "",
  ],
  ["a status line of HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nb", [["Status", "200 OK"]], "b"],
  ["a status line without a reason", "HTTP/1.1 404\r\n\r\n", [["Status", "404"]], ""],
  ["a status line with an empty reason", "HTTP/1.1 404 \r\n\r\n", [["Status", "404"]], ""],
  ["a status line that is no status", "HTTP/1.1 abc\n\n", [["Status", "abc"]], ""],
  ["a 1xx status line", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nb", [
    ["Status", "200 OK"],
  ], "b"],
  ["a 103 block", "Status: 103\nLink: </a>\n\nA: 1\n\nbody", [["A", "1"]], "body"],
  ["a 103 block, name in lower case", "status: 103 Early\n\nA: 1\n\nbody", [["A", "1"]], "body"],
  ["three 1xx blocks", "Status: 100\n\nStatus: 102\n\nStatus: 103\n\nA: 1\n\n", [["A", "1"]], ""],
  ["a folded line after a 1xx block", "Status: 103\n\nA: 1\n 2\n\n", [["A", "1 2"]], ""],
  ["a status that begins with 1 only", "Status: 1000\n\nb", [["Status", "1000"]], "b"],
  ["another field with such a value", "Foobar: 103\n\nb", [["Foobar", "103"]], "b"],
  ["a head of just the limit", `A: ${"x".repeat(LIMIT - 5)}\n\nbody`, [
    ["A", "x".repeat(LIMIT - 5)],
  ], "body"],
];

for (const [what, output, fields, body] of heads) {
  Deno.test(`HeadReader reads ${what}, however cut (RFC 3875 §6.3)`, () => {
    assert.deepEqual(readUnderAllCuts(output), { fields, body });
  });
}

const x = (count: number) => "x".repeat(count);

const badHeads: [what: string, output: string, failure: string, says: string][] = [
  ["no output", "", "no-output", "no output at all"],
  ["a traceback", "Traceback (most recent call last):\n", "no-head", '"Traceback (most recent'],
  ["text without an end", "Hello", "no-head", 'printed "Hello" before any header'],
  ["one line of text", "Hello\n", "no-head", 'printed "Hello" before any header'],
  ["text and a blank line", "Hello\n\nWorld", "no-head", '"Hello"'],
  ["text with a colon", "Fatal error: x\n\n", "no-head", '"Fatal error: x"'],
  ["HTML", "<html><body>\n", "no-head", '"<html><body>"'],
  ["HTML with a colon", '<a href="http://a">\n\n', "no-head", '"<a href=\\"http://a\\">"'],
  ["a long line of text", `${x(30)} ${x(52)}\n`, "no-head", `"${x(30)} ${x(33)}"`],
  ["text before a head", "debug\nA: 1\n\nbody", "no-head", '"debug"'],
  ["terminal escapes", "\x1b[31mno\n", "no-head", '"\\x1b[31mno"'],
  ["binary", "\0\x01\xff\xfe\n", "no-head", '"\\x00\\x01'],
  ["UTF-8 text", "caf\xc3\xa9\n", "no-head", '"caf\u00e9"'],
  ["a blank line first", "\nA: 1\n\n", "no-head", "line 1 is blank"],
  ["a CRLF blank line first", "\r\nA: 1\n\n", "no-head", "line 1 is blank"],
  ["nothing but a line break", "\n", "no-head", "line 1 is blank"],
  ["nothing but a CR", "\r", "no-head", 'printed ""'],
  ["a blank line after a 1xx block", "Status: 103\n\n\n", "no-head", "line 3 is blank"],
  ["text after a 1xx block", "Status: 103\n\nHello\n\n", "no-head", '"Hello"'],
  ["a folded line first", " A: 1\n\n", "no-head", '" A: 1"'],
  ["no name in the first line", ": 1\n\n", "no-head", '": 1"'],
  ["a status line of HTTP/2", "HTTP/2 200\n\n", "no-head", '"HTTP/2 200"'],
  ["a status line with two spaces wanting", "HTTP/1.1\n\n", "no-head", '"HTTP/1.1"'],
  ["a status line with a TAB", "HTTP/1.1\t200\n\n", "no-head", '"HTTP/1.1\\t200"'],
  ["a status line in lower case", "http/1.1 200\n\n", "no-head", '"http/1.1 200"'],
  ["a half status line", "HTTP/1.", "no-head", '"HTTP/1."'],

  ["a line without a colon", "A: 1\nfoo\n\n", "bad-field", 'line 2, "foo", has no colon'],
  [
    "text where the blank line should be",
    "A: 1\n<p>\n",
    "bad-field",
    'line 2, "<p>", has no colon',
  ],
  ["a space before the colon", "A: 1\nB : 2\n\n", "bad-field", '"B : 2", has a space before the'],
  ["that in the first line", "A : 1\n\n", "bad-field", 'line 1, "A : 1", has a space before the'],
  ["a TAB before the colon", "A\t: 1\n\n", "bad-field", '"A\\t: 1", has a space before the colon'],
  ["a space in a name", "A: 1\nB C: 2\n\n", "bad-field", '"B C: 2", has a name that is no token'],
  ["an empty name", "A: 1\n: 2\n\n", "bad-field", '": 2", has a name that is no token'],
  ["a slash in a name", "A: 1\nB/C: 2\n\n", "bad-field", "has a name that is no token"],
  ["a control character in a name", "A: 1\nB\x01: 2\n\n", "bad-field", '"B\\x01: 2", has a name'],
  ["a byte beyond ASCII in a name", "A: 1\nB\xe9: 2\n\n", "bad-field", "has a name that is no"],
  ["NUL in a value", "A: 1\0\n\n", "bad-field", 'line 1, "A: 1\\x00", holds a control'],
  ["BEL in a value", "A: 1\nB: \x07\n\n", "bad-field", 'line 2, "B: \\x07", holds a control'],
  ["DEL in a value", "A: \x7f\n\n", "bad-field", "holds a control character"],
  ["VT in a value", "A: \x0b\n\n", "bad-field", "holds a control character"],
  ["a bare CR in a value", "A: 1\rB: 2\n\n", "bad-field", '"A: 1\\rB: 2", holds a control'],
  ["two CRs before LF", "A: 1\r\r\n\r\n", "bad-field", "holds a control character"],
  ["a line of one CR more", "A: 1\n\r\r\n", "bad-field", 'line 2, "\\r", has no colon'],
  ["ESC in a folded line", "A: 1\n \x1b\n\n", "bad-field", 'line 2, " \\x1b", holds a control'],
  ["a control character in a status line", "HTTP/1.1 200 \x07\n\n", "bad-field", "holds a control"],
  ["VT at the end of a status line", "HTTP/1.1 200\x0b\n\n", "bad-field", "holds a control"],
  ["a folded line after a status line", "HTTP/1.1 200\n B: 1\n\n", "bad-field", "continues no"],
  ["a status line in second place", "A: 1\nHTTP/1.1 200 OK\n\n", "bad-field", "has no colon"],
  ["two status lines", "HTTP/1.1 200\nHTTP/1.1 200\n\n", "bad-field", "line 2"],
  ["a bad line after a 1xx block", "Status: 103\n\nA: 1\nb\n\n", "bad-field", 'line 4, "b"'],
  ["a bad line before the limit", `A: 1\nb\nC: ${x(80)}\n\n`, "bad-field", 'line 2, "b"'],

  ["an end in the first name and value", "Content-Type: te", "head-cut", "ended in line 1"],
  ["an end after the first line", "A: 1\n", "head-cut", "ended in line 2, before a blank line"],
  ["an end in a later name", "A: 1\nConte", "head-cut", "ended in line 2"],
  ["an end between CR and LF", "A: 1\r\n\r", "head-cut", "ended in line 2"],
  ["an end in a status line", "HTTP/1.1 2", "head-cut", "ended in line 1"],
  ["an end after a 1xx block", "Status: 103\n\n", "head-cut", "ended in line 3"],
  ["an end at the limit", `A: ${x(LIMIT - 3)}`, "head-cut", "ended in line 1"],

  ["a long value", `A: 1\nB: ${x(80)}\n\n`, "head-too-large", "64 bytes, largest field B"],
  ["one byte too many", `A: ${x(LIMIT - 4)}\n\n`, "head-too-large", "largest field A"],
  ["a long value without an end", `A: 1\nB: ${x(90)}`, "head-too-large", "largest field B"],
  ["a long name", `A: 1\n${x(90)}`, "head-too-large", "largest field A"],
  ["many fields", "A: 1\nBB: 22\n".repeat(8), "head-too-large", "largest field BB"],
  ["a long folded value", `A: 1\nB: 2\n ${x(30)}\n ${x(40)}\n\n`, "head-too-large", "field B"],
  ["a long status line", `HTTP/1.1 200 ${x(60)}\n\n`, "head-too-large", "at 64 bytes"],
  ["1xx blocks without end", "Status: 103\n\n".repeat(6), "head-too-large", "at 64 bytes"],
  ["text beyond the limit", x(70), "no-head", `"${x(64)}"`],

  ["101 in a status line", "HTTP/1.1 101 Switching\n\n", "bad-status", "with 101"],
  ["101 as Status", "A: 1\nStatus: 101\n\n", "bad-status", "with 101"],
];

for (const [what, output, failure, says] of badHeads) {
  Deno.test(`HeadReader refuses ${what} as ${failure}, however cut (RFC 3875 §6.3)`, () => {
    const fault = faultUnderAllCuts(output);
    assert.equal(fault.failure, failure, fault.message);
    assert(fault.message.includes(says), fault.message);
  });
}

Deno.test("HeadReader gives the body as a view of the chunk, not a copy", () => {
  const chunk = bytesFromLatin1("A: 1\n\nbody");
  const head = new HeadReader(LIMIT).push(chunk);
  assert.equal(head?.rest.buffer, chunk.buffer);
  assert.equal(head.rest.byteOffset, 6);
});

Deno.test("HeadReader gives a view of the last chunk when the head came in pieces", () => {
  const reader = new HeadReader(LIMIT);
  assert.equal(reader.push(bytesFromLatin1("A: 1\r\nB: ")), undefined);
  const chunk = bytesFromLatin1("2\r\n\r\nbody");
  const head = reader.push(chunk);
  assert.deepEqual(head?.fields, [["A", "1"], ["B", "2"]]);
  assert.equal(head.rest.buffer, chunk.buffer);
  assert.equal(latin1FromBytes(head.rest), "body");
});

Deno.test("HeadReader reads at an offset of a larger buffer", () => {
  const buffer = bytesFromLatin1("junk\n\nA: 1\n\nbody");
  const head = new HeadReader(LIMIT).push(buffer.subarray(6));
  assert.deepEqual(head?.fields, [["A", "1"]]);
  assert.equal(latin1FromBytes(head.rest), "body");
});

Deno.test("HeadReader quotes at most 80 bytes of foreign output", () => {
  const fault = faultUnderAllCuts(`no header ${x(200)}\n`, 4096);
  assert.equal(fault.message.length < 180, true, fault.message);
  assert(fault.message.includes(`"no header ${x(70)}"...`), fault.message);
});

Deno.test("HeadReader takes a megabyte in single bytes in linear time", () => {
  const chunk = bytesFromLatin1("x");
  const reader = new HeadReader(2 ** 20 + 16);
  assert.equal(reader.push(bytesFromLatin1("A: ")), undefined);
  const start = performance.now();
  for (let at = 0; at < 2 ** 20; at++) assert.equal(reader.push(chunk), undefined);
  const head = reader.push(bytesFromLatin1("\n\n"));
  assert.equal(head?.fields[0]?.[1].length, 2 ** 20);
  assert(performance.now() - start < 10_000);
});

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/)
  .filter((name) => name.toLowerCase() !== "status");
const value = fc.stringMatching(/^([\x21-\x7e\x80-\xff]([\t -~\x80-\xff]{0,12}[!-~\x80-\xff])?)?$/);
const fieldList = fc.array(fc.tuple(token, value), { minLength: 1, maxLength: 6 });
const body = fc.uint8Array({ maxLength: 24 }).map((bytes) => latin1FromBytes(bytes));
const lineEnds = fc.infiniteStream(fc.constantFrom("\n", "\r\n"));

Deno.test("HeadReader gives back what was written, whatever the line ends and the cut (RFC 3875 §7.2)", () => {
  fc.assert(
    fc.property(fieldList, body, lineEnds, (fields, body, ends) => {
      const lines = [...fields.map(([name, value]) => `${name}: ${value}`), ""];
      const output = lines.map((line) => line + ends.next().value).join("") + body;
      assert.deepEqual(readUnderAllCuts(output, 4096), { fields, body });
    }),
    { numRuns: 60 },
  );
});

Deno.test("HeadReader agrees with itself under every cut of arbitrary bytes", () => {
  const piece = fc.constantFrom(
    "A",
    "Status",
    ":",
    ": ",
    "103",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "\0",
  );
  const output = fc.array(fc.oneof(piece, body), { maxLength: 24 }).map((parts) => parts.join(""));
  fc.assert(fc.property(output, (output) => {
    let fails = false;
    try {
      readReply([bytesFromLatin1(output)]);
    } catch {
      fails = true;
    }
    if (fails) faultUnderAllCuts(output);
    else readUnderAllCuts(output);
  }));
});

Deno.test("HeadReader and interpretHead() give a Response nothing that it refuses (RFC 3875 §6.3.4)", () => {
  const text = fc.uint8Array({ maxLength: 40 }).map((bytes) =>
    `A: 1\nB: ${latin1FromBytes(bytes)}\n\n`
  );
  fc.assert(fc.property(text, (output) => {
    let reply;
    try {
      reply = interpretHead(readReply([bytesFromLatin1(output)]).fields);
    } catch (error) {
      assert(error instanceof ProtocolError);
      return;
    }
    assert(reply.type === "reply");
    const response = new Response(null, {
      status: reply.status,
      headers: reply.headers.map(([name, value]): [string, string] => [name, value]),
    });
    // deno-lint-ignore no-control-regex
    for (const [, value] of response.headers) assert.match(value, /^[^\x00-\x08\x0a-\x1f\x7f]*$/);
  }));
});

/** Status, fields as `Name: value`, promised length; what all replies below are checked by. */
type Expected = [status: number, headers: string[], contentLength?: number];

const replies: [what: string, head: string, expected: Expected][] = [
  ["200 without a Status", "Content-Type: text/plain", [200, ["Content-Type: text/plain"]]],
  ["no Content-Type", "X-A: 1", [200, ["X-A: 1"]]],
  ["a status with a reason", "Status: 404 Not Found", [404, []]],
  ["a status without a reason", "Status: 404", [404, []]],
  ["a status with an empty reason", "Status: 404 ", [404, []]],
  ["the least status", "Status: 200", [200, []]],
  ["the greatest status", "Status: 599 Odd", [599, []]],
  ["an unknown status", "Status: 299", [299, []]],
  ["Status in any case", "STATUS: 404\nX-A: 1", [404, ["X-A: 1"]]],
  ["an empty Status as none", "Status:\nX-A: 1", [200, ["X-A: 1"]]],
  ["a Status said twice", "Status: 404 Not Found\nStatus: 404 Gone Away", [404, []]],
  ["a status line and the same Status", "HTTP/1.1 404 Not Found\nStatus: 404", [404, []]],
  ["a status line", "HTTP/1.1 299 Whatever", [299, []]],

  ["a client redirect", "Location: http://a/b", [302, ["Location: http://a/b"]]],
  ["a client redirect with a fragment", "Location: http://a/#b", [302, ["Location: http://a/#b"]]],
  ["a relative redirect", "Location: other", [302, ["Location: other"]]],
  ["a redirect to a query", "Location: ?a=b", [302, ["Location: ?a=b"]]],
  ["a redirect to another host", "Location: //a/b", [302, ["Location: //a/b"]]],
  ["a path with a fragment as the client's", "Location: /a#b", [302, ["Location: /a#b"]]],
  ["a path with a Status", "Status: 301\nLocation: /a", [301, ["Location: /a"]]],
  ["a path with Status 200", "Status: 200\nLocation: /a", [200, ["Location: /a"]]],
  ["Status 201 with a Location", "Status: 201 Created\nLocation: /a", [201, ["Location: /a"]]],
  ["a redirect with a document", "Location: http://a/\nContent-Type: text/html", [
    302,
    ["Location: http://a/", "Content-Type: text/html"],
  ]],
  ["a path with a document", "Content-Type: text/html\nLocation: /a", [
    302,
    ["Content-Type: text/html", "Location: /a"],
  ]],
  ["a path with a cookie", "Set-Cookie: a=b\nLocation: /a", [
    302,
    ["Set-Cookie: a=b", "Location: /a"],
  ]],
  ["an empty Location as none", "Location:\nX-A: 1", [200, ["X-A: 1"]]],
  ["a Location said twice", "Status: 301\nLocation: /a\nlocation: /a", [301, ["Location: /a"]]],

  ["Content-Length", "Content-Length: 10", [200, ["Content-Length: 10"], 10]],
  ["Content-Length 0", "Content-Length: 0", [200, ["Content-Length: 0"], 0]],
  ["an empty Content-Length as none", "Content-Length:\nX-A: 1", [200, ["X-A: 1"]]],
  ["a Content-Length said twice", "Content-Length: 5\ncontent-length: 5", [
    200,
    ["Content-Length: 5"],
    5,
  ]],
  ["a Content-Length with a zero before it", "Content-Length: 5\nContent-Length: 05", [
    200,
    ["Content-Length: 5"],
    5,
  ]],
  ["204 without Content-Length", "Status: 204\nContent-Length: 5\nX-A: 1", [204, ["X-A: 1"]]],
  ["205 without Content-Length", "Content-Length: 0\nStatus: 205", [205, []]],
  ["304 without Content-Length", "Status: 304\ncontent-length: 5\nETag: x", [304, ["ETag: x"]]],
  ["404 with Content-Length", "Status: 404\nContent-Length: 5", [404, ["Content-Length: 5"], 5]],
  ["a Content-Type said twice", "Content-Type: a/b\nContent-type: a/b", [
    200,
    ["Content-Type: a/b"],
  ]],
  ["an empty Content-Type as none", "Content-Type:\nX-A: 1", [200, ["X-A: 1"]]],

  ["Set-Cookie each on its own", "Set-Cookie: a=1\nSet-Cookie: b=2\nset-cookie: a=1", [
    200,
    ["Set-Cookie: a=1", "Set-Cookie: b=2", "set-cookie: a=1"],
  ]],
  ["other fields repeated, in order", "Vary: a\nX-A: 1\nVary: b", [
    200,
    ["Vary: a", "X-A: 1", "Vary: b"],
  ]],
  ["Date and Server", "Date: now\nServer: me", [200, ["Date: now", "Server: me"]]],
  ["an empty field of no meaning", "X-A:\nVary:", [200, ["X-A: ", "Vary: "]]],
  ["no Connection", "Connection: close\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Keep-Alive", "keep-alive: timeout=5\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Proxy-Connection", "Proxy-Connection: close\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Upgrade", "UPGRADE: h2c\nX-A: 1", [200, ["X-A: 1"]]],
  ["no TE", "TE: trailers\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Trailer", "Trailer: Expires\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Proxy-Authenticate", "Proxy-Authenticate: Basic\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Proxy-Authorization", "Proxy-Authorization: x\nX-A: 1", [200, ["X-A: 1"]]],
  ["no Proxy-Authentication-Info", "Proxy-Authentication-Info: x\nX-A: 1", [200, ["X-A: 1"]]],
  ["no HTTP2-Settings", "HTTP2-Settings: x\nX-A: 1", [200, ["X-A: 1"]]],
  ["no X-CGI extensions", "X-CGI-Foo: 1\nx-cgi-: 2\nX-A: 1", [200, ["X-A: 1"]]],
  ["fields that only look alike", "X-CGI: 1\nX-CGIFoo: 2\nUpgraded: 3\nTEE: 4\nStates: 5", [
    200,
    ["X-CGI: 1", "X-CGIFoo: 2", "Upgraded: 3", "TEE: 4", "States: 5"],
  ]],
  ["WWW-Authenticate and Proxy-Status", "WWW-Authenticate: Basic\nProxy-Status: a", [
    200,
    ["WWW-Authenticate: Basic", "Proxy-Status: a"],
  ]],
  ["a name of 38 letters", `${"L".repeat(38)}: 1`, [200, [`${"L".repeat(38)}: 1`]]],
  ["an empty Transfer-Encoding as none", "Transfer-Encoding:\nX-A: 1", [200, ["X-A: 1"]]],
];

for (const [what, head, [status, headers, contentLength]] of replies) {
  Deno.test(`interpretHead() gives ${what} (RFC 3875 §6.2, §6.3)`, () => {
    const { fields } = readUnderAllCuts(`${head}\n\nbody`, 4096);
    const reply = interpretHead(fields);
    assert(reply.type === "reply");
    assert.equal(reply.status, status);
    assert.deepEqual(reply.headers.map(([name, value]) => `${name}: ${value}`), headers);
    assert.equal(reply.contentLength, contentLength);
  });
}

const localRedirects: [what: string, head: string, target: string][] = [
  ["a path", "Location: /a/b", "/a/b"],
  ["the root", "Location: /", "/"],
  ["a path with a query", "location: /a?b=c&d=%20", "/a?b=c&d=%20"],
  ["a path beside what no client gets", "X-CGI-A: 1\nConnection: close\nLocation: /a", "/a"],
  ["a path beside an empty Status", "Status:\nContent-Type:\nLocation: /a", "/a"],
  ["a path said twice", "Location: /a\nLocation: /a", "/a"],
  ["spaces and TABs, escaped", "Location: /a b\tc", "/a%20b%09c"],
  ["bytes beyond ASCII, escaped", "Location: /caf\xc3\xa9?\xff", "/caf%C3%A9?%FF"],
  ["dot segments, left to the gateway", "Location: /a/../b", "/a/../b"],
  ["a backslash", "Location: /\\a", "/\\a"],
];

for (const [what, head, target] of localRedirects) {
  Deno.test(`interpretHead() gives a local redirect: ${what} (RFC 3875 §6.2.2)`, () => {
    const { fields } = readUnderAllCuts(`${head}\r\n\r\n`, 4096);
    assert.deepEqual(interpretHead(fields), { type: "local-redirect", target });
  });
}

const badReplies: [what: string, head: string, failure: string, says: string][] = [
  ["Status: abc", "Status: abc", "bad-status", '"abc"'],
  ["Status: 99", "Status: 99", "bad-status", '"99"'],
  ["Status: 999", "Status: 999", "bad-status", '"999"'],
  ["Status: 600", "Status: 600", "bad-status", '"600"'],
  ["Status: 2000", "Status: 2000", "bad-status", '"2000"'],
  ["Status: 20", "Status: 20 OK", "bad-status", '"20 OK"'],
  ["Status: 200OK", "Status: 200OK", "bad-status", '"200OK"'],
  ["Status: 200 by TAB", "Status: 200\tOK", "bad-status", '"200\\tOK"'],
  ["Status: 1000", "Status: 1000", "bad-status", '"1000"'],
  ["Status: -200", "Status: -200", "bad-status", '"-200"'],
  ["Status: OK", "Status: OK 200", "bad-status", '"OK 200"'],
  ["a status line without a number", "HTTP/1.1 OK", "bad-status", '"OK"'],
  ["a status line of 999", "HTTP/1.1 999 Odd", "bad-status", '"999 Odd"'],
  ["a bad Status with a Location", "Status: abc\nLocation: /a", "bad-status", '"abc"'],
  ["two Statuses", "Status: 200\nStatus: 404", "duplicate-field", 'Status is both "200" and "404"'],
  ["a status line and another Status", "HTTP/1.1 200\nStatus: 404", "duplicate-field", '"404"'],
  ["two Locations", "Location: /a\nLocation: /b", "duplicate-field", 'both "/a" and "/b"'],
  ["two Content-Types", "Content-Type: a/b\ncontent-type: c/d", "duplicate-field", '"c/d"'],
  ["two Content-Lengths", "Content-Length: 5\nContent-Length: 6", "duplicate-field", '"6"'],
  ["Content-Length: abc", "Content-Length: abc", "bad-content-length", '"abc"'],
  ["Content-Length: -1", "Content-Length: -1", "bad-content-length", '"-1"'],
  ["Content-Length: +1", "Content-Length: +1", "bad-content-length", '"+1"'],
  ["Content-Length: 1.0", "Content-Length: 1.0", "bad-content-length", '"1.0"'],
  ["Content-Length: 0x5", "Content-Length: 0x5", "bad-content-length", '"0x5"'],
  ["Content-Length: 5, 5", "Content-Length: 5, 5", "bad-content-length", '"5, 5"'],
  ["Content-Length: 5 5", "Content-Length: 5 5", "bad-content-length", '"5 5"'],
  ["a Content-Length beyond 2^53", `Content-Length: ${2 ** 53}`, "bad-content-length", "9007"],
  ["a bad Content-Length with 204", "Status: 204\nContent-Length: a", "bad-content-length", '"a"'],
  ["chunked", "Transfer-Encoding: chunked", "transfer-encoding", '"chunked"'],
  ["chunked in lower case", "transfer-encoding: gzip", "transfer-encoding", '"gzip"'],
  ["a local redirect with a bad escape", "Location: /%zz", "bad-location", '"/%zz"'],
  ["a local redirect with NUL", "Location: /a%00", "bad-location", '"/a%00"'],
];

for (const [what, head, failure, says] of badReplies) {
  Deno.test(`interpretHead() refuses ${what} as ${failure} (RFC 3875 §6.3)`, () => {
    const { fields } = readUnderAllCuts(`${head}\n\nbody`, 4096);
    const fault = faultOf(() => interpretHead(fields));
    assert.equal(fault.failure, failure, fault.message);
    assert(fault.message.includes(says), fault.message);
  });
}

Deno.test("interpretHead() leaves the list that it was given as it was", () => {
  const fields: Fields = Object.freeze([["Status", "204"], ["Content-Length", "5"], ["A", "1"]]);
  interpretHead(fields);
  assert.deepEqual(fields, [["Status", "204"], ["Content-Length", "5"], ["A", "1"]]);
});

Deno.test("interpretHead() passes every field that it gives no meaning to (RFC 3875 §6.3.4)", () => {
  const names = ["status", "location", "content-type", "content-length", "transfer-encoding"];
  const plain = fieldList.filter((fields) =>
    fields.every(([name]) =>
      !names.includes(name.toLowerCase()) && !/^(x-cgi-.*|te|trailer|upgrade)$/i.test(name)
    )
  );
  fc.assert(fc.property(plain, (fields) => {
    const reply = { type: "reply", status: 200, headers: fields, contentLength: undefined };
    assert.deepEqual(interpretHead(fields), reply);
  }));
});
