/**
 * What programs print as a reply's head, and what the client gets for it (RFC 3875 §6): one table, run
 * against every kind whose programs write bytes. Where servers differ, this is what ours does.
 */
import assert from "node:assert/strict";
import { eventually } from "../support/gateway.ts";
import type { Body, Head } from "../support/client.ts";
import { OK, type Play, say, wait } from "../upstreams/play.ts";
import { linesOf, type Subject, testWithProbe, type Theatre } from "./contract.ts";

interface Row {
  /** All that the program prints. */
  readonly prints: string;
  readonly status: number;
  /** Fields of the answer; undefined: must not be there. */
  readonly fields?: Readonly<Record<string, string | undefined>>;
  /** The body; default: not looked at. */
  readonly body?: string;
  /** The failure in the log, for a 502. */
  readonly failure?: string;
}

const HTML = "Content-Type: text/html\n";

const ANSWERS: Readonly<Record<string, Row>> = {
  "Location with an absolute URL": {
    prints: "Location: http://example.org/x#y\n\n",
    status: 302,
    fields: { location: "http://example.org/x#y" },
  },
  "Location with a relative path": {
    prints: "Location: other\n\n",
    status: 302,
    fields: { location: "other" },
  },
  "Location with a network path": {
    prints: "Location: //example.org/x\n\n",
    status: 302,
    fields: { location: "//example.org/x" },
  },
  "Location with another field": {
    prints: "Set-Cookie: a=1\nLocation: /elsewhere\n\n",
    status: 302,
    fields: { location: "/elsewhere", "set-cookie": "a=1" },
  },
  "Location with a Status": {
    prints: "Status: 301 Gone away\nLocation: /elsewhere\n" + HTML + "\n<p>moved",
    status: 301,
    fields: { location: "/elsewhere", "content-type": "text/html", status: undefined },
    body: "<p>moved",
  },
  "no Content-Type": {
    prints: "X-A: b\n\n<p>",
    status: 200,
    fields: { "content-type": undefined, "x-a": "b" },
    body: "<p>",
  },
  "a Status with a reason of its own": { prints: "Status: 418 Short and stout\n\n", status: 418 },
  "a Status without a reason": { prints: "Status: 404\n" + HTML + "\nno", status: 404, body: "no" },
  "an unknown Status": { prints: "Status: 599 Odd\n\n", status: 599 },
  "an empty Status": { prints: "Status:\n" + HTML + "\nx", status: 200, body: "x" },
  "any case in names": { prints: "STATUS: 201 Made\ncontent-TYPE: a/b\n\n", status: 201 },
  "CRLF lines": {
    prints: "Content-Type: text/plain\r\nX-A: b\r\n\r\nx\r\n",
    status: 200,
    fields: { "content-type": "text/plain", "x-a": "b" },
    body: "x\r\n",
  },
  "a folded field": {
    prints: "X-A: one\n  two\n" + HTML + "\n",
    status: 200,
    fields: { "x-a": "one two" },
  },
  "repeated fields": {
    prints: "Set-Cookie: a=1\nSet-Cookie: b=2\n" + HTML + "\n",
    status: 200,
    fields: { "set-cookie": "a=1|b=2" },
  },
  "bytes beyond ASCII": {
    prints: "X-A: caf\xc3\xa9 \xe9\n\n\xff\xfe",
    status: 200,
    fields: { "x-a": "caf\xc3\xa9 \xe9" },
    body: "\xff\xfe",
  },
  "hop-by-hop fields": {
    prints: "Keep-Alive: 5\nUpgrade: h2c\nTrailer: X\nProxy-Connection: close\n" + HTML + "\nx",
    status: 200,
    fields: {
      "keep-alive": undefined,
      upgrade: undefined,
      trailer: undefined,
      "proxy-connection": undefined,
    },
    body: "x",
  },
  "X-CGI-* fields": {
    prints: "X-CGI-Secret: 1\n" + HTML + "\nx",
    status: 200,
    fields: { "x-cgi-secret": undefined },
  },
  "a status line": { prints: "HTTP/1.1 299 Strange\n" + HTML + "\nx", status: 299, body: "x" },
  "an interim answer first": {
    prints: "Status: 103 Early Hints\nLink: </a>\n\nStatus: 202 OK\n" + HTML + "\nx",
    status: 202,
    fields: { link: undefined, "content-type": "text/html" },
    body: "x",
  },
  "the same Content-Length twice": {
    prints: "Content-Length: 3\nContent-Length: 3\n\nabc",
    status: 200,
    fields: { "content-length": "3" },
    body: "abc",
  },
  "a body that looks like a head": { prints: HTML + "\nA: b\n\nc", status: 200, body: "A: b\n\nc" },
  "text alone": { prints: "Hello, world\n", status: 502, failure: "no-head" },
  "a blank line first": { prints: "\n" + HTML + "\n", status: 502, failure: "no-head" },
  "a head without its blank line": { prints: HTML, status: 502, failure: "head-cut" },
  "a Status that is no number": { prints: "Status: abc\n\n", status: 502, failure: "bad-status" },
  "Status 999": { prints: "Status: 999 X\n\n", status: 502, failure: "bad-status" },
  "Status 99": { prints: "Status: 99\n\n", status: 502, failure: "bad-status" },
  "Status 101": { prints: "Status: 101 Go\n\n", status: 502, failure: "bad-status" },
  "a line without a colon": { prints: HTML + "nonsense\n\n", status: 502, failure: "bad-field" },
  "a space in a name": { prints: HTML + "X A: b\n\n", status: 502, failure: "bad-field" },
  "a space before the colon": { prints: HTML + "X-A : b\n\n", status: 502, failure: "bad-field" },
  "a control character": { prints: HTML + "X-A: a\x01b\n\n", status: 502, failure: "bad-field" },
  "a bare CR in a value": { prints: HTML + "X-A: a\rB: c\n\n", status: 502, failure: "bad-field" },
  "two different Content-Lengths": {
    prints: "Content-Length: 3\nContent-Length: 4\n\nabc",
    status: 502,
    failure: "duplicate-field",
  },
  "two different Content-Types": {
    prints: "Content-Type: a/b\nContent-Type: c/d\n\n",
    status: 502,
    failure: "duplicate-field",
  },
  "a Content-Length that is no number": {
    prints: "Content-Length: abc\n\nabc",
    status: 502,
    failure: "bad-content-length",
  },
  "a Transfer-Encoding": {
    prints: "Transfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n",
    status: 502,
    failure: "transfer-encoding",
  },
  "a head past the limit": {
    prints: `X-A: ${"a".repeat(8200)}\n\n`,
    status: 502,
    failure: "head-too-large",
  },
};

export function testHeads(subject: Subject): void {
  testWithProbe(
    subject,
    "answers to each head as the table says (RFC 3875 §6.2, §6.3)",
    async (theatre) => {
      for (const [name, row] of Object.entries(ANSWERS)) {
        check(name, row, await theatre.ask([say(row.prints)]));
        if (row.failure !== undefined) await checkLogged(name, row.failure, theatre);
      }
      await eventually(() => theatre.running() === 0);
    },
    { route: { maxReplyHead: "8KiB" } },
  );

  testWithProbe(subject, "a head may come in any pieces (RFC 3875 §6.2)", async (theatre) => {
    const slowly: Play = [
      say("Content-Ty"),
      wait(0.03),
      say("pe: text/plain\r"),
      wait(0.03),
      say("\nX-A: b\r\n\r"),
      wait(0.03),
      say("\nbo"),
      wait(0.03),
      say("dy"),
    ];
    const answer = await theatre.ask(slowly);
    assert.equal(answer.get("x-a"), "b");
    assert.equal(answer.text, "body");
    const bytewise = [..."Status: 201 Made\n\nok"].map((char) => say(char));
    assert.equal((await theatre.ask(bytewise)).status, 201);
  });

  testWithProbe(subject, "dev: a page quotes what was printed for a head", async (theatre) => {
    const answer = await theatre.ask([say("Fatal error, <b>oops</b> in line 3\n")]);
    assert.equal(answer.status, 502);
    assert.match(answer.text, /oops/);
    assert.match(answer.get("content-type") ?? "", /^text\/plain/);
  }, { server: { dev: true } });

  testWithProbe(
    subject,
    "a Date of the program's stands alone (RFC 3875 §6.3.4)",
    async (theatre) => {
      const date = "Sun, 06 Nov 1994 08:49:37 GMT";
      assert.deepEqual((await theatre.ask([say(`Date: ${date}\n\n`)])).all("date"), [date]);
      assert.equal((await theatre.ask([OK])).all("date").length, 1);
    },
  );
}

function check(name: string, row: Row, answer: Head & Body): void {
  assert.equal(answer.status, row.status, `${name}: ${answer.text}`);
  assert.ok(answer.whole, name);
  if (row.body !== undefined) assert.equal(answer.text, row.body, name);
  for (const [field, expected] of Object.entries(row.fields ?? {})) {
    const values = answer.all(field);
    assert.equal(values.length === 0 ? undefined : values.join("|"), expected, `${name}: ${field}`);
  }
}

async function checkLogged(name: string, failure: string, theatre: Theatre): Promise<void> {
  const lines = await linesOf(theatre.gateway.log());
  assert.equal(lines.filter((line) => line.failure !== undefined).at(-1)?.failure, failure, name);
}
