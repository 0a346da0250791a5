import assert from "node:assert/strict";
import type { Again, HeaderPair } from "../../lib/exchange.ts";
import { readyResponse, wholeResponse } from "../../lib/response.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

async function told(response: Response) {
  return { status: response.status, headers: [...response.headers], body: await response.text() };
}

const FIELDS: readonly HeaderPair[] = [
  ["Content-Type", "text/plain"],
  ["Set-Cookie", "a=1"],
  ["Set-Cookie", "b=2"],
];
const HEADERS = [["content-type", "text/plain"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]];

Deno.test("wholeResponse() makes the same of what goes out again and of what does not", async () => {
  const bodies = ["a", "a", "a", "b", "a", "é", "\u{1f600}", ""].map(bytesOf);
  for (const again of [undefined, {}]) {
    for (const status of [200, 404]) {
      for (const body of bodies) {
        for (let round = 0; round < 3; round++) {
          const expected = { status, headers: HEADERS, body: new TextDecoder().decode(body) };
          assert.deepEqual(await told(wholeResponse(status, FIELDS, body, again)), expected);
        }
      }
    }
  }
});

Deno.test("wholeResponse() gives each client a response of its own", async () => {
  const again: Again = {};
  const body = bytesOf("same");
  const responses = Array.from({ length: 4 }, () => wholeResponse(200, FIELDS, body, again));
  responses[2]?.headers.set("content-type", "changed");
  for (const at of [3, 1, 0]) {
    const response = responses[at];
    assert.ok(response !== undefined);
    assert.deepEqual(await told(response), { status: 200, headers: HEADERS, body: "same" });
  }
});

Deno.test("wholeResponse() goes on when more goes out again than is kept", async () => {
  const all = Array.from({ length: 600 }, (_, at) => {
    const fields: readonly HeaderPair[] = [["content-type", "text/plain"], ["x-at", `${at}`]];
    return { fields, body: bytesOf(`${at}`), again: {} };
  });
  for (const { fields, body, again } of [...all, ...all, ...all.toReversed()]) {
    const response = wholeResponse(200, fields, body, again);
    assert.equal(response.headers.get("x-at"), await response.text());
  }
});

Deno.test("wholeResponse() is not misled by a list of fields or bytes that are others", async () => {
  const again: Again = {};
  const [a, b] = [bytesOf("a"), bytesOf("b")];
  const others: readonly HeaderPair[] = [["content-type", "text/html"]];
  for (let round = 0; round < 3; round++) {
    for (const [fields, body] of [[FIELDS, a], [FIELDS, a], [others, a], [others, b]] as const) {
      const response = wholeResponse(200, fields, body, again);
      assert.equal(response.headers.get("content-type"), fields[0]?.[1]);
      assert.equal(await response.text(), new TextDecoder().decode(body));
    }
  }
});

Deno.test("readyResponse() adds fields, but for a length that is told anyway", () => {
  const of = (length: string) =>
    readyResponse([...FIELDS, ["Content-Length", length]], new Response(bytesOf("abc")), 3);
  assert.deepEqual([...of("3").headers], HEADERS);
  assert.equal(of("4").headers.get("content-length"), "4");
});
