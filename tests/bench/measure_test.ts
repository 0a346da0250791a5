/** The run itself, over servers that are no more than a few lines. */
import assert from "node:assert/strict";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { measureAll, type MeasureOptions } from "./measure.ts";
import type { Contender, Suite, Work } from "./model.ts";
import { configurationsOf } from "./output.ts";
import { cpuSeconds, exactCpuSeconds, peakMiB, resetPeak, residentMiB } from "./processes.ts";

const BYTES = 2 ** 20;
const DOWN: Work = { type: "down", label: "large", path: "/", bytes: BYTES, connections: 1 };
const OPTIONS: MeasureOptions = {
  rounds: 2,
  seconds: 1,
  minutes: 1,
  largeBytes: BYTES,
  leastBytes: BYTES,
  wanted: () => true,
};

/** A server in this process that writes down when it is asked. */
function serverOf(name: string, asked: string[], bytes = BYTES): Contender {
  return {
    name,
    needs: [],
    async start(folder, port) {
      await Deno.writeTextFile(`${folder}/server.conf`, `name ${name}; folder ${folder};\n`);
      const body = new Uint8Array(bytes);
      const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, () => {
        if (asked.at(-1) !== name) asked.push(name);
        return new Response(body);
      });
      return {
        origin: `http://127.0.0.1:${port}`,
        pids: () => [Deno.pid],
        stop: () => server.shutdown(),
      };
    },
  };
}

function suiteOf(contenders: readonly Contender[], works: readonly Work[]): Suite {
  return { name: "test", title: "Test", plan: () => Promise.resolve({ contenders, works }) };
}

testWith(["curl"], "measureAll() asks the servers in turn, round after round", async () => {
  const asked: string[] = [];
  const suite = suiteOf([serverOf("a", asked), serverOf("b", asked)], [DOWN]);
  const { rows, notes } = await measureAll([suite], OPTIONS);
  // The first two are the warming up.
  assert.deepEqual(asked, ["a", "b", "a", "b", "a", "b"]);
  assert.deepEqual(notes, []);
  assert.deepEqual(rows.map(({ contender, errors }) => [contender, errors]), [["a", 0], ["b", 0]]);
  for (const { rounds, value, cpu = -1, peakMiB = 0 } of rows) {
    assert.equal(rounds.length, 2);
    assert.ok(value > 0 && cpu >= 0 && peakMiB > 0);
  }
});

testWith(["curl"], "measureAll() counts a body of another length as an error", async () => {
  const suite = suiteOf([serverOf("short", [], BYTES - 1)], [DOWN]);
  const { rows } = await measureAll([suite], OPTIONS);
  assert.deepEqual(rows.map(({ value, errors }) => [value, errors]), [[0, 2]]);
});

Deno.test("measureAll() leaves out, with a note, what is missing or does not start", async () => {
  const missing = { ...serverOf("missing", []), needs: ["no-such-program"] };
  const failing = { ...serverOf("failing", []), start: () => Promise.reject(new Error("no port")) };
  const broken: Suite = {
    name: "broken",
    title: "Broken",
    plan: () => Promise.reject(new Error("no compiler")),
  };
  const { rows, notes } = await measureAll([broken, suiteOf([missing, failing], [DOWN])], OPTIONS);
  assert.deepEqual(rows, []);
  assert.deepEqual(notes, [
    "broken: everything left out, Error: no compiler",
    "test: missing left out, no no-such-program",
    "test: failing left out, Error: no port",
  ]);
});

Deno.test("measureAll() times starts, and hands out the configurations before they go", async () => {
  const work: Work = { type: "start", label: "start", path: "/", bytes: 5, connections: 1 };
  const kept: string[] = [];
  const { rows } = await measureAll([suiteOf([serverOf("a", [], 5)], [work])], {
    ...OPTIONS,
    keep: async (suite, folder) => {
      kept.push(await configurationsOf(suite, folder));
    },
  });
  assert.deepEqual(rows.map(({ unit, rounds }) => [unit, rounds.length]), [["ms", 5]]);
  assert.ok(kept[0]?.startsWith("=== test/a-0/server.conf\n\nname a; folder $DIR/test/a-0;\n"));
});

Deno.test("configurationsOf() cuts what is the same line over and over, and keeps nothing else", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(`${folder.path}/routes.yaml`, "line\n".repeat(1000));
  await Deno.writeTextFile(`${folder.path}/error.log`, "secret\n");
  const text = await configurationsOf("suite", folder.path);
  assert.equal(text.match(/^line$/gm)?.length, 60);
  assert.ok(text.includes("... and 940 more lines") && !text.includes("secret"));
});

Deno.test("what the kernel counts of this process: CPU time and memory", () => {
  const before = exactCpuSeconds([Deno.pid]);
  resetPeak([Deno.pid]);
  const held = new Uint8Array(2 ** 26).fill(1);
  assert.ok(exactCpuSeconds([Deno.pid]).own > before.own);
  assert.ok(cpuSeconds([Deno.pid]).own > 0);
  const resident = residentMiB([Deno.pid]);
  assert.ok(peakMiB([Deno.pid]) >= resident);
  assert.ok(residentMiB([Deno.pid]) > held.length / 2 ** 20);
  assert.equal(cpuSeconds([2 ** 30]).own, 0);
});
