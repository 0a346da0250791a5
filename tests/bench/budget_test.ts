/** The time box. */
import assert from "node:assert/strict";
import { roundsThatFit, secondsARound } from "./budget.ts";
import type { Contender, Work } from "./model.ts";

Deno.test("roundsThatFit() gives one round at least and what is wanted at most", () => {
  assert.equal(roundsThatFit(3, 100, 10), 3);
  assert.equal(roundsThatFit(3, 25, 10), 2);
  assert.equal(roundsThatFit(3, 5, 10), 1);
  assert.equal(roundsThatFit(3, -60, 10), 1);
  assert.equal(roundsThatFit(3, 5, 0), 3);
});

const NOBODY = { needs: [], start: () => Promise.reject(new Error("not started")) };

function contender(name: string): Contender {
  return { name, ...NOBODY };
}

Deno.test("secondsARound() counts each contender at the works that it takes part in", () => {
  const work: Work = { type: "rate", label: "hello", path: "/", connections: 1, bytes: 1 };
  const contenders = [contender("a"), contender("b")];
  const all = secondsARound({ contenders, works: [work, work] }, 2);
  const one = secondsARound({ contenders, works: [{ ...work, among: (name) => name === "a" }] }, 2);
  assert.ok(all >= 8 && all === 4 * one);
});

Deno.test("secondsARound() takes large bodies to last the longer the larger they are", () => {
  const seconds = (bytes: number) => {
    const work: Work = { type: "down", label: "large", path: "/", connections: 1, bytes };
    return secondsARound({ contenders: [contender("a")], works: [work] }, 2);
  };
  assert.ok(seconds(2 ** 30) - seconds(2 ** 29) > 0.5);
});
