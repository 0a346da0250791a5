/** A short run of the fuzzer over a whole gateway, from another seed each time. */
import assert from "node:assert/strict";
import { fuzzGateway } from "./fuzz/gateway.ts";

const MS = 8000;

Deno.test("a gateway outlives changed requests and changed replies, and serves on", async () => {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  const end = performance.now() + MS;
  const { requests, replies } = await fuzzGateway(seed, () => performance.now() > end);
  assert.ok(requests > 0 && replies > 0);
});
