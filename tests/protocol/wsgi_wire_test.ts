import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientGone, GatewayError, ProtocolError } from "../../lib/errors.ts";
import { ENCODED_SLASH, type FieldReader } from "../../lib/exchange.ts";
import { Lifeline } from "../../lib/lifeline.ts";
import {
  decodeFault,
  decodeHead,
  encodeFault,
  encodeHead,
  parcel,
} from "../../lib/protocol/wsgi_wire.ts";
import { decodeExchange, encodeExchange } from "../../lib/protocol/wsgi_wire_exchange.ts";
import { exchangeOf } from "../support/exchange.ts";

const bytes = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
});

function pairsIn(fields: FieldReader): [string, string][] {
  const pairs: [string, string][] = [];
  fields.forEach((value, name) => pairs.push([name, value]));
  return pairs;
}

Deno.test("decodeExchange() gives what encodeExchange() took", () => {
  const params = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), bytes);
  fc.assert(fc.property(bytes, bytes, params, (path, query, values) => {
    const exchange = exchangeOf({
      id: "id-9",
      method: "M-POST",
      target: `/${path}`,
      path: `/${path}${ENCODED_SLASH}`,
      query,
      headers: new Headers({ "x-a": "1", cookie: "a=b; c=d" }),
      scheme: "https",
      variables: path === "" ? undefined : [["REMOTE_USER", path], ["AUTH_TYPE", "Basic"]],
    });
    const mount = { scriptName: "/m", pathInfo: path, params: values };
    const lifeline = new Lifeline();
    const decoded = decodeExchange(encodeExchange(exchange, mount), lifeline);
    assert.deepEqual({ ...decoded.mount, params: { ...decoded.mount.params } }, {
      ...mount,
      params: { ...values },
    });
    const { headers, fieldList, lifeline: line, ...rest } = decoded.exchange;
    const { headers: sent, withholds: _, lifeline: __, ...told } = exchange;
    assert.deepEqual(rest, { ...told, body: null });
    assert.deepEqual([...headers], [...sent]);
    assert.deepEqual(fieldList && pairsIn(fieldList), [...sent]);
    assert.equal(line, lifeline);
  }));
});

Deno.test("encodeExchange() leaves behind what a client claims falsely", () => {
  const exchange = exchangeOf({
    headers: new Headers({ "x-forwarded-for": "6.6.6.6", "x-b": "2" }),
    withholds: (name) => name === "x-forwarded-for",
  });
  const words = encodeExchange(exchange, { scriptName: "", pathInfo: "/", params: {} });
  assert.deepEqual([...decodeExchange(words, new Lifeline()).exchange.headers], [["x-b", "2"]]);
});

Deno.test("decodeExchange() gives the fields of a name as one, and none that did not come", () => {
  const headers = new Headers([["set-cookie", "a"], ["set-cookie", "b"], ["x", "1"]]);
  const words = encodeExchange(exchangeOf({ headers }), {
    scriptName: "",
    pathInfo: "",
    params: {},
  });
  const { fieldList } = decodeExchange(words, new Lifeline()).exchange;
  const read = ["set-cookie", "x", "y"].map((name) => fieldList?.get(name));
  assert.deepEqual(read, ["a, b", "1", null]);
});

Deno.test("decodeHead() gives what encodeHead() took", () => {
  const plain = {
    type: "reply",
    status: 204,
    headers: [["A", "b"], ["Set-Cookie", "c"], ["Set-Cookie", ""]] satisfies [string, string][],
    contentLength: undefined,
  } as const;
  assert.deepEqual(decodeHead(encodeHead(plain)), plain);
  const full = { ...plain, contentLength: 0, file: { by: "name", value: "/srv/a b" } } as const;
  assert.deepEqual(decodeHead(encodeHead(full)), full);
});

Deno.test("decodeFault() gives what encodeFault() took", () => {
  const error = new GatewayError(503, "queue-full", "full", {
    headers: [["retry-after", "1"]],
    detail: "why",
  });
  const decoded = decodeFault(encodeFault(error));
  assert(decoded instanceof GatewayError);
  assert.deepEqual(
    [decoded.status, decoded.failure, decoded.message, decoded.headers, decoded.detail],
    [503, "queue-full", "full", [["retry-after", "1"]], "why"],
  );
  assert(decodeFault(encodeFault(new ClientGone())) instanceof ClientGone);
});

Deno.test("decodeFault() makes a peer's fault a 502, and anything else the application's 500", () => {
  const peer = decodeFault(encodeFault(new ProtocolError("body-short", "short")));
  assert(peer instanceof GatewayError);
  assert.deepEqual([peer.status, peer.failure], [502, "body-short"]);
  const theirs = decodeFault(encodeFault(new RangeError("theirs")));
  assert(theirs instanceof GatewayError);
  assert.equal(theirs.status, 500);
  assert.match(theirs.message, /^RangeError: theirs\n/);
  assert.match(decodeFault(encodeFault("a string")).message, /^a string$/);
});

Deno.test("parcel() hands over a copy, and never what the application keeps", () => {
  for (const size of [0, 1, 16_383, 16_384, 100_000]) {
    const kept = new Uint8Array(size + 2).fill(7);
    for (const piece of [kept, kept.subarray(1, size + 1)]) {
      const { bytes: sent, transfer } = parcel(piece);
      assert.deepEqual(sent, new Uint8Array(piece));
      const there = structuredClone(sent, transfer === undefined ? {} : { transfer });
      assert.equal(there.buffer.byteLength, piece.length);
      assert.equal(kept.length, size + 2);
    }
  }
});
