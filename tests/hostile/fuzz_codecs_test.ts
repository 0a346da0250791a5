/** A short run of the fuzzer over the codecs, from another seed each time; `deno task fuzz` goes on. */
import assert from "node:assert/strict";
import { attempt, fuzzCodecs, TARGETS } from "./fuzz/codecs.ts";
import { latin1, mutate, Random } from "./fuzz/random.ts";

const INPUTS = 250;

Deno.test("random changes make the same of a seed, and another of another", () => {
  const from = latin1("GET / HTTP/1.1\r\n");
  const some = (seed: number) => {
    const random = new Random(seed);
    return Array.from(
      { length: 50 },
      () => mutate(from, { random, words: ["x"], other: from }).toHex(),
    );
  };
  assert.deepEqual(some(7), some(7));
  assert.notDeepEqual(some(7), some(8));
});

Deno.test(`${TARGETS.length} codecs hold what they promise for ${INPUTS} changed inputs each`, () => {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  const random = new Random(seed);
  for (const target of TARGETS) {
    const seeds = target.seeds.map(latin1);
    for (const input of seeds) attempt(target, input, seed);
    for (let count = 0; count < INPUTS; count++) {
      const changes = { random, words: target.words, other: random.pick(seeds) };
      attempt(target, mutate(random.pick(seeds), changes), seed);
    }
  }
});

Deno.test("the fuzzer is guided by what inputs reach", async () => {
  const targets = TARGETS.filter(({ name }) => name === "ranges");
  const seed = 1;
  const { inputs, blocks, kept } = await fuzzCodecs(seed, () => true, targets);
  assert.ok(inputs > 0 && blocks > 5);
  assert.ok(kept > (targets[0]?.seeds.length ?? 0), `${kept} inputs were kept`);
});
