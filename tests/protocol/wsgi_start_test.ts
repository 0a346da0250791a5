import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../../lib/errors.ts";
import { HOP_BY_HOP } from "../../lib/protocol/http_fields.ts";
import type { Application, FieldPair } from "../../lib/protocol/wsgi.ts";
import { checkedHead } from "../../lib/protocol/wsgi_head.ts";
import { answerOf, bytes, pieces, PLAIN, sourceOf, Stage, textOf } from "../support/wsgi_call.ts";

/** The rule that a head breaks; undefined if it is fine. */
function broken(status: unknown, headers: unknown): string | undefined {
  try {
    checkedHead(status, headers);
    return undefined;
  } catch (error) {
    assert(error instanceof GatewayError);
    assert.equal(error.status, 500, "an application's own fault");
    assert.match(error.message, /\(PEP 3333, "[^"]+"\)$/);
    return error.failure;
  }
}

const START = 'PEP 3333 "The start_response() Callable"';

Deno.test(`checkedHead() takes statuses as "200 OK" (${START})`, () => {
  assert.equal(checkedHead("200 OK", []).status, 200);
  assert.equal(checkedHead("404 Not Found", []).status, 404);
  assert.equal(checkedHead("599 Odd, caf\xe9", []).status, 599);
  assert.equal(checkedHead("200 ", []).status, 200);
});

Deno.test(`checkedHead() refuses statuses that are none (${START})`, () => {
  const wrong = [
    200,
    undefined,
    "",
    "200",
    "OK",
    "2000 OK",
    "20x OK",
    " 200 OK",
    "200\tOK",
    "200 OK\r\n",
    "200 O\nK",
    "200 O\0K",
    "200 caf\u0113",
  ];
  for (const status of wrong) assert.equal(broken(status, []), "wsgi-status", String(status));
});

Deno.test(`checkedHead() refuses statuses that cannot be sent (${START})`, () => {
  for (const status of ["100 Continue", "199 Odd", "600 Odd", "999 Odd", "000 Nought"]) {
    assert.equal(broken(status, []), "wsgi-status", status);
  }
});

Deno.test(`checkedHead() wants a real array of pairs of strings (${START})`, () => {
  for (const headers of [undefined, null, {}, new Map([["a", "b"]]), new Headers(), "a: b"]) {
    assert.equal(broken("200 OK", headers), "wsgi-headers");
  }
  for (const pair of ["ab", ["a"], ["a", "b", "c"], { 0: "a", 1: "b" }, ["a", 1], [1, "a"], null]) {
    assert.equal(broken("200 OK", [pair]), "wsgi-headers");
  }
});

Deno.test(`checkedHead() refuses names that are no tokens (${START})`, () => {
  for (const name of ["", "a b", "a:", "a\n", "caf\xe9", "a\0"]) {
    assert.equal(broken("200 OK", [[name, "x"]]), "wsgi-field", JSON.stringify(name));
  }
});

Deno.test(`checkedHead() refuses a field named Status (${START})`, () => {
  assert.equal(broken("200 OK", [["STATUS", "200 OK"]]), "wsgi-field");
});

Deno.test(`checkedHead() refuses every control character in a value (${START})`, () => {
  for (let code = 0; code <= 0x102; code++) {
    const fit = code >= 0x20 && code !== 0x7f && code <= 0xff;
    const rule = broken("200 OK", [["X", `a${String.fromCharCode(code)}b`]]);
    assert.equal(rule, fit ? undefined : "wsgi-field", `U+${code}`);
  }
});

Deno.test('checkedHead() refuses hop-by-hop fields (PEP 3333 "Other HTTP Features")', () => {
  for (const name of HOP_BY_HOP) {
    assert.equal(broken("200 OK", [[name.toUpperCase(), "x"]]), "wsgi-hop-by-hop", name);
  }
});

Deno.test('checkedHead() reads Content-Length (PEP 3333 "Handling the Content-Length Header")', () => {
  const { contentLength, headers } = checkedHead("200 OK", [["content-length", "12"]]);
  assert.equal(contentLength, 12);
  assert.deepEqual(headers, [["content-length", "12"]]);
  for (const value of ["", "-1", "+1", "1.5", "0x1", "1e3", "5, 5", "99999999999999999999"]) {
    assert.equal(broken("200 OK", [["Content-Length", value]]), "wsgi-content-length", value);
  }
  const twice = [["Content-Length", "5"], ["content-length", "5"]];
  assert.equal(broken("200 OK", twice), "wsgi-content-length");
});

Deno.test("checkedHead() drops Content-Length where there is no body (RFC 9110 §8.6)", () => {
  for (const status of ["204 No Content", "205 Reset Content", "304 Not Modified"]) {
    const head = checkedHead(status, [["Content-Length", "5"], ["ETag", '"a"']]);
    assert.deepEqual(head.headers, [["ETag", '"a"']]);
    assert.equal(head.contentLength, undefined);
  }
});

Deno.test("checkedHead() keeps order, case and repeated fields", () => {
  const fields: FieldPair[] = [["Set-Cookie", "a=1"], ["X-B", ""], ["set-cookie", "b=2"]];
  assert.deepEqual(checkedHead("200 OK", fields).headers, fields);
});

Deno.test("checkedHead() copies the fields: the application may change its list afterwards", () => {
  const fields: [string, string][] = [["X", "a"]];
  const { headers } = checkedHead("200 OK", fields);
  fields[0]![1] = "evil\r\n";
  fields.push(["Y", "b"]);
  assert.deepEqual(headers, [["X", "a"]]);
});

Deno.test("checkedHead() never lets a control character through, whatever it is given", () => {
  const text = fc.string({ unit: "binary", maxLength: 12 });
  fc.assert(fc.property(text, fc.array(fc.tuple(text, text)), (status, fields) => {
    try {
      const head = checkedHead(status, fields);
      for (const part of head.headers.flat()) assert.doesNotMatch(part, /[^\x20-\x7e\x80-\xff]/);
      assert(head.status >= 200 && head.status <= 599);
    } catch (error) {
      assert(error instanceof GatewayError);
    }
  }));
});

/** What an application was refused, as the error that it would be answered with. */
async function faultOf(application: Application): Promise<GatewayError> {
  const error = await answerOf(application).then(() => undefined, (reason: unknown) => reason);
  assert(error instanceof GatewayError, String(error));
  return error;
}

Deno.test(`start_response() checks at once, where the application can react (${START})`, async () => {
  const answer = await answerOf((_environ, start) => {
    assert.throws(() => start("200 OK", [["Connection", "close"]]), { failure: "wsgi-hop-by-hop" });
    start("500 Oops", PLAIN, new Error("bad field"));
    return pieces("sorry");
  });
  assert.equal(answer.head.status, 500);
});

Deno.test(`start_response() refuses a second call without excInfo (${START})`, async () => {
  const fault = await faultOf((_environ, start) => {
    start("200 OK", PLAIN);
    start("201 Created", PLAIN);
    return [];
  });
  assert.equal(fault.failure, "wsgi-started-twice");
  assert.equal(fault.status, 500);
});

Deno.test(`start_response() refuses a second call even if the first threw (${START})`, async () => {
  const fault = await faultOf((_environ, start) => {
    assert.throws(() => start("OK", PLAIN));
    start("200 OK", PLAIN, null);
    return [];
  });
  assert.equal(fault.failure, "wsgi-started-twice");
});

Deno.test(`start_response() with excInfo replaces a head that was not sent (${START})`, async () => {
  const answer = await answerOf((_environ, start) => {
    start("200 OK", [["X-First", "1"]]);
    start("503 Busy", PLAIN, new Error("database"));
    return pieces("later");
  });
  assert.equal(answer.head.status, 503);
  assert.deepEqual(answer.head.headers, PLAIN);
});

Deno.test(`start_response() with excInfo replaces it also after empty pieces (${START})`, async () => {
  const answer = await answerOf(function* (_environ, start) {
    start("200 OK", PLAIN);
    yield bytes("");
    start("500 Oops", PLAIN, new Error("late"));
    yield bytes("oops");
  });
  assert.equal(answer.head.status, 500);
  assert.equal(await textOf(answer), "oops");
});

Deno.test(`start_response() with excInfo throws that error once the head is sent (${START})`, async () => {
  const cause = new Error("disk full");
  const stage = new Stage();
  const answer = await stage.run(function* (_environ, start) {
    start("200 OK", PLAIN);
    yield bytes("so far");
    start("500 Oops", PLAIN, cause);
    yield bytes("never");
  });
  const source = sourceOf(answer);
  await source.read();
  const failure = await source.read().then(() => undefined, (error: unknown) => error);
  assert(failure instanceof GatewayError);
  assert.equal(failure.failure, "application-error");
  assert.equal(failure.cause, cause);
});

Deno.test(`start_response() takes excInfo in the first call as well (${START})`, async () => {
  const answer = await answerOf((_environ, start) => {
    start("500 Oops", PLAIN, new Error("at once"));
    return pieces("x");
  });
  assert.equal(answer.head.status, 500);
});

Deno.test(`start_response() wants an Error as excInfo (${START})`, async () => {
  const fault = await faultOf((_environ, start) => {
    start("200 OK", PLAIN);
    start("500 Oops", PLAIN, "text" as unknown as Error);
    return [];
  });
  assert.equal(fault.failure, "wsgi-exc-info");
});

Deno.test(`start_response() may wait until the first iteration (${START})`, async () => {
  const answer = await answerOf(function* (_environ, start) {
    start("202 Accepted", PLAIN);
    yield bytes("ok");
  });
  assert.equal(answer.head.status, 202);
});

Deno.test(`a response that was never started is the application's fault (${START})`, async () => {
  assert.equal((await faultOf(() => pieces("x"))).failure, "wsgi-not-started");
  assert.equal((await faultOf(() => [])).failure, "wsgi-not-started");
  const late: Application = function* () {
    yield bytes("x");
  };
  assert.equal((await faultOf(late)).failure, "wsgi-not-started");
});

Deno.test(`nothing of the head is sent before there is a piece to send (${START})`, async () => {
  let asked = 0;
  const answer = await answerOf(function* (_environ, start) {
    start("200 OK", [["X-Try", "1"]]);
    for (; asked < 3; asked++) yield bytes("");
    yield bytes("now");
  });
  assert.equal(asked, 3);
  assert.deepEqual(answer.head.headers, [["X-Try", "1"]]);
});
