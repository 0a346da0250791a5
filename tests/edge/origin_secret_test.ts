import assert from "node:assert/strict";
import { openOriginSecret } from "../../lib/io/origin_secret.ts";
import { ask } from "../support/client.ts";
import { TESTS, withGateway } from "../support/gateway.ts";

const ENV = "PORTICO_TEST_ORIGIN_SECRET";
const SECRET = "correct-horse-battery";
const NEXT = "another-horse-battery";

async function withSecret(value: string, body: () => Promise<void>): Promise<void> {
  Deno.env.set(ENV, value);
  try {
    await body();
  } finally {
    Deno.env.delete(ENV);
  }
}

const PEER = { address: "198.51.100.9", port: 4000 };

Deno.test("openOriginSecret() admits whoever knows one of the secrets", () =>
  withSecret(` ${SECRET}\n${NEXT} `, () => {
    const { field, admits } = openOriginSecret({ header: "X-Origin", env: ENV, except: [] });
    assert.equal(field, "x-origin");
    const knows = (value?: string) =>
      admits(PEER, new Headers(value === undefined ? {} : { "X-Origin": value }));
    assert.deepEqual([SECRET, NEXT].map(knows), [true, true]);
    const wrong = [
      undefined,
      ...["", SECRET.slice(1), SECRET + "x", SECRET + SECRET, SECRET.toUpperCase()],
      ...[`${SECRET} ${NEXT}`, `${SECRET}, ${SECRET}`],
    ];
    for (const value of wrong) assert.equal(knows(value), false, value);
    return Promise.resolve();
  }));

Deno.test("openOriginSecret() asks nothing of excepted peers", () =>
  withSecret(SECRET, () => {
    const except = ["10.0.0.0/8", "unix"];
    const { admits } = openOriginSecret({ header: "X-Origin", env: ENV, except });
    const admitted = (address: string, port: number) => admits({ address, port }, new Headers());
    assert.equal(admitted("10.1.2.3", 5), true);
    assert.equal(admitted("::ffff:10.1.2.3", 5), true);
    assert.equal(admitted("unix:", 0), true);
    assert.equal(admitted("11.1.2.3", 5), false);
    return Promise.resolve();
  }));

Deno.test("openOriginSecret() refuses to start without a secret worth the name", async () => {
  const open = () => openOriginSecret({ header: "X-Origin", env: ENV, except: [] });
  assert.throws(open, { message: `Cannot know the origin's secret: set the variable ${ENV}` });
  await withSecret("short", () => {
    const message = `Cannot use a secret of fewer than 16 characters in ${ENV}`;
    assert.throws(open, { message });
    return Promise.resolve();
  });
});

Deno.test("a server answers 403 without the origin's secret, and shows it to nobody", () =>
  withSecret(SECRET, async () => {
    const table = `server:
  originSecret: {header: X-Origin-Secret, env: ${ENV}}
routes:
  - {path: /text, respond: hi}
  - {path: /env, cgi: ${TESTS}/apps/cgi/environ.sh}
`;
    await withGateway(table, async ({ port, access, log }) => {
      for (const target of ["/text", "/env", "/nowhere", "*"]) {
        const method = target === "*" ? "OPTIONS" : "GET";
        assert.equal((await ask(port, { method, target })).status, 403, target);
        const headers = { "X-Origin-Secret": "guess" };
        assert.equal((await ask(port, { method, target, headers })).status, 403, target);
      }
      const headers = { "x-origin-secret": SECRET };
      assert.equal((await ask(port, { target: "/text", headers })).text, "hi");
      const { text } = await ask(port, { target: "/env", headers: { ...headers, "X-Other": "1" } });
      assert.match(text, /HTTP_X_OTHER/);
      assert.doesNotMatch(text, /ORIGIN_SECRET/);
      assert.equal((await ask(port, { method: "OPTIONS", target: "*", headers })).status, 204);
      assert.doesNotMatch(await access() + await log(), new RegExp(SECRET));
    });
  }));
