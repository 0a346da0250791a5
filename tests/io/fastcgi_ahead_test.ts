import assert from "node:assert/strict";
import fc from "fast-check";
import { Ahead } from "../../lib/io/fastcgi_ahead.ts";
import { type FcgiRequest, isEarly } from "../../lib/io/fastcgi_request.ts";
import { Lifeline } from "../../lib/lifeline.ts";
import { exchangeOf } from "../support/exchange.ts";
import { bodyOf } from "../support/wsgi_call.ts";

interface Way {
  closed: boolean;
  close(): void;
}

function connection(): Way {
  return {
    closed: false,
    close: function () {
      this.closed = true;
    },
  };
}

/** A process that has answered `times` requests within `tookMs` each, at `0`. */
function proven(max: number, tookMs: number, times = 100): Ahead<Way> {
  const ahead = new Ahead<Way>(max);
  for (let index = 0; index < times; index++) {
    ahead.begin(-tookMs);
    ahead.end(0);
  }
  return ahead;
}

function put(ahead: Ahead<Way>): Way {
  const one = connection();
  ahead.put({ connection: one, lifeline: new Lifeline() });
  return one;
}

Deno.test("Ahead takes nothing for a process that has not shown that it is quick", () => {
  const ahead = proven(3, 0.1, 10);
  ahead.begin(0);
  assert.equal(ahead.hasRoom(0), false);
});

Deno.test("Ahead takes as many as there may be, behind a request that is under way", () => {
  const ahead = proven(3, 0.1);
  assert.equal(ahead.hasRoom(0), false, "nobody is to be waited for");
  ahead.begin(0);
  for (let index = 0; index < 3; index++) {
    assert.equal(ahead.hasRoom(0.1), true);
    put(ahead);
  }
  assert.equal(ahead.hasRoom(0.1), false);
  assert.equal(ahead.length, 3);
});

Deno.test("Ahead takes the fewer, the longer each takes", () => {
  for (const [tookMs, count] of [[0.4, 3], [0.6, 3], [0.9, 2], [1.5, 1], [2.5, 0]] as const) {
    const ahead = proven(3, tookMs);
    ahead.begin(0);
    while (ahead.hasRoom(0)) put(ahead);
    assert.equal(ahead.length, count, `${tookMs} ms each`);
  }
});

Deno.test("Ahead takes nothing behind a request that has taken long already", () => {
  const ahead = proven(3, 0.1);
  ahead.begin(0);
  assert.equal(ahead.hasRoom(1.9), true);
  assert.equal(ahead.hasRoom(2.1), false);
});

Deno.test("Ahead trusts a process again some time after a slow request", () => {
  const ahead = proven(3, 0.1);
  ahead.begin(0);
  ahead.end(2000);
  ahead.begin(2000);
  assert.equal(ahead.hasRoom(2000), false);
  for (let index = 0; index < 100; index++) {
    ahead.end(2000.1);
    ahead.begin(2000);
  }
  assert.equal(ahead.hasRoom(2000), true);
});

Deno.test("Ahead.look() tells a request that was there at the last look from another", () => {
  const ahead = proven(3, 0.1);
  ahead.begin(0);
  assert.equal(ahead.look(), false);
  assert.equal(ahead.look(), true);
  ahead.end(1);
  ahead.begin(1);
  assert.equal(ahead.look(), false);
});

Deno.test("Ahead calls nobody who was taken back", () => {
  const ahead = new Ahead<Way>(3);
  const early = put(ahead);
  ahead.takeBack();
  assert.equal(early.closed, true);
  assert.equal(ahead.next(), undefined);
  assert.equal(ahead.length, 1, "it is yet to be removed");
  const late = put(ahead);
  assert.equal(ahead.next()?.connection, late);
});

Deno.test("Ahead calls in the order of coming, past those that have left", () => {
  const orders = fc.array(fc.constantFrom("put", "next", "leave"), { maxLength: 60 });
  fc.assert(fc.property(orders, (steps) => {
    const ahead = new Ahead<Way>(Infinity);
    const model: Way[] = [];
    for (const step of steps) {
      if (step === "put") model.push(put(ahead));
      else if (step === "next") assert.equal(ahead.next()?.connection, model.shift());
      else {
        const [left] = model.splice(Math.floor(model.length / 2), 1);
        if (left !== undefined) assert.equal(ahead.remove(left)?.connection, left);
        else assert.equal(ahead.remove(connection()), undefined);
      }
      assert.equal(ahead.length, model.length);
    }
  }));
});

Deno.test("isEarly() wants a request that does no harm and has no body", () => {
  const request = (method: string, body: FcgiRequest["body"] = null): FcgiRequest => {
    const log = { program() {}, notice() {} };
    const exchange = exchangeOf({ method });
    return { exchange, role: "responder", body, maxReplyHead: 1000, log, writeParams() {} };
  };
  for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get"]) {
    assert.equal(isEarly(request(method)), method === "GET" || method === "HEAD", method);
    assert.equal(isEarly(request(method, bodyOf([]))), false, method);
  }
});
