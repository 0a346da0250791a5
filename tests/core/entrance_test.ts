import assert from "node:assert/strict";
import { createEntrance, type Secret } from "../../lib/entrance.ts";
import { GatewayError } from "../../lib/errors.ts";
import { createTrust } from "../../lib/protocol/forwarding.ts";

const PEER = { address: "10.0.0.1", port: 4000 };
const OWN = { scheme: "http", authority: "a.test", serverPort: 80 } as const;

function scene(secret?: Secret) {
  const notices: string[] = [];
  const trust = createTrust(["10.0.0.0/8"]);
  const notice = (message: string) => void notices.push(message);
  const entrance = createEntrance({ trust, secret, notice });
  return {
    notices,
    pass: (fields: Record<string, string>) => entrance.resolve(PEER, new Headers(fields), OWN),
  };
}

const CONTESTED = { "x-forwarded-for": "198.51.100.9", forwarded: "for=203.0.113.9" };

Deno.test("createEntrance() passes on what the trust says", () => {
  const { pass, notices } = scene();
  const told = pass({ "x-forwarded-for": "198.51.100.9" });
  assert.equal(told.client.address, "198.51.100.9");
  assert.deepEqual(notices, []);
});

Deno.test("createEntrance() tells of contested fields, and not again within the minute", () => {
  const { pass, notices } = scene();
  for (let times = 0; times < 3; times++) {
    assert.equal(pass(CONTESTED).client.address, "198.51.100.9");
  }
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? "", /contradict each other: X-Forwarded-\* was believed/);
});

Deno.test("createEntrance() asks for the secret first, and hides it", () => {
  const admits = (_: unknown, headers: Headers) => headers.get("x-origin") === "s3cret";
  const { pass, notices } = scene({ field: "x-origin", admits });
  for (const fields of [{}, { "x-origin": "guess" }, CONTESTED]) {
    assert.throws(() => pass(fields), (error: unknown) => {
      assert.ok(error instanceof GatewayError);
      assert.deepEqual([error.status, error.failure], [403, "origin-secret"]);
      return true;
    });
  }
  assert.deepEqual(notices, ["A request without the origin's secret was refused"]);
  const { withholds } = pass({ "x-origin": "s3cret" });
  assert.deepEqual(["x-origin", "forwarded", "accept"].filter(withholds), [
    "x-origin",
    "forwarded",
  ]);
  assert.equal(pass({ "x-origin": "s3cret" }).withholds, withholds);
});
