import assert from "node:assert/strict";
import type { HeaderPair } from "../../lib/exchange.ts";
import { expectAgain, readyResponse, wholeResponse } from "../../lib/response.ts";

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

Deno.test("wholeResponse() makes the same of fields that were announced and of others", async () => {
  const announced = [...FIELDS];
  expectAgain(announced);
  const bodies = ["a", "a", "a", "b", "a", "é", "\u{1f600}", ""].map(bytesOf);
  for (const fields of [FIELDS, announced]) {
    for (const status of [200, 404]) {
      for (const body of bodies) {
        for (let round = 0; round < 3; round++) {
          const expected = { status, headers: HEADERS, body: new TextDecoder().decode(body) };
          assert.deepEqual(await told(wholeResponse(status, fields, body)), expected);
        }
      }
    }
  }
});

Deno.test("wholeResponse() gives each client a response of its own", async () => {
  const fields = [...FIELDS];
  expectAgain(fields);
  const body = bytesOf("same");
  const responses = Array.from({ length: 4 }, () => wholeResponse(200, fields, body));
  responses[2]?.headers.set("content-type", "changed");
  for (const at of [3, 1, 0]) {
    const response = responses[at];
    assert.ok(response !== undefined);
    assert.deepEqual(await told(response), { status: 200, headers: HEADERS, body: "same" });
  }
});

Deno.test("wholeResponse() goes on when more is announced than is kept", async () => {
  const all = Array.from({ length: 600 }, (_, at) => {
    const fields: readonly HeaderPair[] = [["content-type", "text/plain"], ["x-at", `${at}`]];
    expectAgain(fields);
    return { fields, body: bytesOf(`${at}`) };
  });
  for (const { fields, body } of [...all, ...all, ...all.toReversed()]) {
    const response = wholeResponse(200, fields, body);
    assert.equal(response.headers.get("x-at"), await response.text());
  }
});

Deno.test("readyResponse() adds fields, but for a length that is told anyway", () => {
  const of = (length: string) =>
    readyResponse([...FIELDS, ["Content-Length", length]], new Response(bytesOf("abc")), 3);
  assert.deepEqual([...of("3").headers], HEADERS);
  assert.equal(of("4").headers.get("content-length"), "4");
});
