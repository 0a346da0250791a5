import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { withGateway } from "../support/gateway.ts";

/** The Location that a route answers a target with. */
async function locations(
  path: string,
  redirect: unknown,
  expected: Readonly<Record<string, string>>,
): Promise<void> {
  const table = `routes: ${JSON.stringify([{ path, redirect }])}\n`;
  await withGateway(table, async ({ port }) => {
    for (const [target, location] of Object.entries(expected)) {
      const answer = await ask(port, { target });
      assert.equal(answer.status, 308, target);
      assert.equal(answer.get("location"), location, target);
      assert.equal(answer.text, "");
    }
  });
}

Deno.test("redirect: sends to a path or an absolute URL, and keeps the query", async () => {
  await locations("/old", "/new", { "/old": "/new", "/old?a=%20&b": "/new?a=%20&b" });
  await locations("/old", "https://example.org/x", { "/old?q": "https://example.org/x?q" });
});

Deno.test("redirect: a query of its own stands alone", async () => {
  await locations("/old", "/new?fixed=1", { "/old?q=1": "/new?fixed=1" });
});

Deno.test("redirect: `*` stands for what the final /* took", async () => {
  await locations("/old/*", "/new/*", {
    "/old/a/b": "/new/a/b",
    "/old/a%20b": "/new/a%20b",
    "/old/caf%C3%A9": "/new/caf%C3%A9",
    "/old/%E9": "/new/%E9",
    "/old/a%3Fb%23c": "/new/a%3Fb%23c",
    "/old/a/": "/new/a/",
    "/old": "/new/",
    "/old/x?q": "/new/x?q",
  });
});

Deno.test("redirect: `:name` stands for a group of the route's path", async () => {
  await locations("/users/:id/:page", "/people/:page/of/:id", {
    "/users/7/home": "/people/home/of/7",
    "/users/a%20b/c%3Fd": "/people/c%3Fd/of/a%20b",
  });
});

Deno.test("redirect: no client can send another one to a site of its choice", async () => {
  await locations("/*", "/*", {
    "//evil.example/x": "/evil.example/x",
    "/%2F/evil.example": "/evil.example",
    "/%2Fevil.example": "/evil.example",
    "/..//evil.example": "/evil.example",
    "/\\evil.example": "/%5Cevil.example",
    "/%5Cevil.example": "/%5Cevil.example",
    "/a%0D%0ASet-Cookie:x": "/a%0D%0ASet-Cookie:x",
  });
  await locations("/:to", "/:to", { "/%2Fevil.example": "/evil.example" });
  await locations("/go/*", "https://example.org/*", { "/go/%40evil": "https://example.org/@evil" });
});

Deno.test("redirect: the status is what the table says", async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const redirect = { to: "/new", status };
    const table = `routes: ${JSON.stringify([{ path: "/old", redirect }])}\n`;
    await withGateway(table, async ({ port }) => {
      const answer = await ask(port, { method: "POST", target: "/old", body: "x" });
      assert.equal(answer.status, status);
    });
  }
});

Deno.test("redirect: what is no target, or no redirect, is a fault of the table", async () => {
  const odd: [redirect: unknown, fault: RegExp][] = [
    ["new", /write \/path or an absolute URL/],
    ["/a b", /write \/path or an absolute URL/],
    ["/a\r\nX: y", /write \/path or an absolute URL/],
    [{ to: "/x", status: 304 }, /301, 302, 303, 307 or 308/],
  ];
  for (const [redirect, fault] of odd) {
    const table = `routes: ${JSON.stringify([{ path: "/old", redirect }])}\n`;
    await assert.rejects(withGateway(table, () => Promise.resolve()), fault);
  }
});
