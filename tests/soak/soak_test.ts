/** The soak, for as long as there is time for in every run of the tests: `deno task soak` is for longer. */
import assert from "node:assert/strict";
import { testWith } from "../support/needs.ts";
import { phpFpm } from "../support/peers.ts";
import { UWSGI } from "../upstreams/uwsgi_server.ts";
import { soak } from "./run.ts";
import { type Sample, slopeOf } from "./meter.ts";
import { Weather } from "./tally.ts";

testWith(
  ["perl", "php-cgi", phpFpm(), "python3", ...UWSGI],
  "every kind at once, through restarts and reloads, answers each request with its own reply",
  async () => {
    const { lines, faults } = await soak({
      seconds: 18,
      warmUpSeconds: 3,
      clients: 8,
      pauseMs: 40,
      disturbEveryMs: 1700,
      judgesMemory: false,
      tell: () => {},
    });
    assert.deepEqual(faults, [], lines.join("\n"));
  },
);

Deno.test("slopeOf() finds what goes up, whatever noise there is", () => {
  const samples = Array.from({ length: 121 }, (_, at): Sample => ({
    seconds: at,
    bytes: 1000 + 10 * at + (at % 2 === 0 ? 500 : -500),
    descriptors: 0,
    children: 0,
  }));
  assert.ok(Math.abs(slopeOf(samples) - 600) < 10, String(slopeOf(samples)));
  assert.equal(slopeOf(samples.slice(0, 1)), 0);
});

Deno.test("Weather excuses what met a storm, and nothing else", async () => {
  const weather = new Weather();
  const begun = performance.now();
  const { promise, resolve } = Promise.withResolvers<void>();
  assert.equal(weather.excuses("fpm", begun), false);
  const storm = weather.storm("fpm", () => promise);
  assert.deepEqual(
    ["fpm", "uwsgi", undefined].map((group) => weather.excuses(group, begun)),
    [true, false, false],
  );
  resolve();
  await storm;
  assert.equal(weather.excuses("fpm", begun), true);
  assert.equal(weather.excuses("fpm", performance.now() + 10_000), false);
});
