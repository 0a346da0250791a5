import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { withGateway } from "../support/gateway.ts";

function route(fields: unknown): string {
  return `routes: ${JSON.stringify([{ path: "/*", respond: fields }])}\n`;
}

Deno.test("respond: a text is text/plain in UTF-8", async () => {
  await withGateway(route("caf\u00e9"), async ({ port }) => {
    const answer = await ask(port, { target: "/" });
    assert.equal(answer.status, 200);
    assert.equal(answer.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(answer.get("content-length"), "5");
    assert.equal(answer.text, "caf\xc3\xa9");
  });
});

Deno.test("respond: status, headers and body are what the table says, for every method", async () => {
  const headers = { "Content-Type": "text/html", "X-A": "b" };
  await withGateway(route({ status: 503, headers, body: "<p>" }), async ({ port }) => {
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await ask(port, { method, target: "/any/where?x" });
      assert.equal(answer.status, 503);
      assert.deepEqual(answer.all("content-type"), ["text/html"]);
      assert.equal(answer.get("x-a"), "b");
      assert.equal(answer.text, "<p>");
    }
  });
});

Deno.test("respond: HEAD gets no body, but its length", async () => {
  await withGateway(route("hello"), async ({ port, access }) => {
    using client = await Client.send(port, { method: "HEAD", target: "/" });
    const head = await client.head();
    assert.equal(head.get("content-length"), "5");
    assert.ok(await client.closed());
    assert.match(await access(), /"HEAD \/ HTTP\/1\.1" 200 0 /);
  });
});

Deno.test("respond: 204 and 304 have no body", async () => {
  for (const status of [204, 304]) {
    await withGateway(route({ status, body: "not for you" }), async ({ port }) => {
      const answer = await ask(port, { target: "/" });
      assert.equal(answer.status, status);
      assert.equal(answer.text, "");
      assert.equal(answer.get("transfer-encoding"), undefined);
    });
  }
});

Deno.test("respond: an empty text has no Content-Type", async () => {
  await withGateway(route({ status: 404 }), async ({ port }) => {
    const answer = await ask(port, { target: "/" });
    assert.equal(answer.status, 404);
    assert.equal(answer.get("content-type"), undefined);
    assert.equal(answer.get("content-length"), "0");
  });
});

Deno.test("respond: a request's body does no harm", async () => {
  await withGateway(route("fine"), async ({ port }) => {
    const answer = await ask(port, { method: "POST", target: "/", body: "x".repeat(2 ** 20) });
    assert.equal(answer.text, "fine");
  });
});

Deno.test("respond: fields that cannot stand in a response are faults of the table", async () => {
  const odd: [fields: unknown, fault: RegExp][] = [
    [{ headers: { "X A": "b" } }, /X A.*is no field name/],
    [{ headers: { "X-A": "a\u0001b" } }, /cannot stand in a header field/],
    [{ headers: { "X-A": "\u0100" } }, /cannot stand in a header field/],
    [{ status: 199 }, /200/],
    [{ status: 600 }, /599/],
    [{ status: 200.5 }, /whole number/],
  ];
  for (const [fields, fault] of odd) {
    await assert.rejects(withGateway(route(fields), () => Promise.resolve()), fault);
  }
});
