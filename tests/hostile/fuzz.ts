/**
 * `deno task fuzz [--minutes N] [--seed N] [codecs|gateway]`: throws changed bytes at every codec and at a
 * whole gateway until the time is up, and tells each time that something did not hold. The same seed does the
 * same again; `--target NAME --input BASE64` runs one input of one codec.
 */
import { parseArgs } from "node:util";
import { attempt, fuzzCodecs, TARGETS } from "./fuzz/codecs.ts";
import { fuzzGateway } from "./fuzz/gateway.ts";

/** How long each of the two has its turn. */
const TURN_MS = 60_000;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string" },
    target: { type: "string" },
    input: { type: "string" },
  },
});

const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

/** Gives the number of findings. */
async function main(): Promise<number> {
  const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  const target = TARGETS.find(({ name }) => name === values.target);
  if (target !== undefined) {
    attempt(target, Uint8Array.fromBase64(values.input ?? ""), seed);
    say("holds");
    return 0;
  }
  let findings = 0;
  const end = performance.now() + Number(values.minutes) * 60_000;
  const which = positionals.length === 0 ? ["codecs", "gateway"] : positionals;
  for (let turn = seed; performance.now() < end; turn = turn + 100_003 >>> 0) {
    for (const part of which) {
      const turnEnd = Math.min(end, performance.now() + TURN_MS);
      const isOver = () => performance.now() > turnEnd;
      const fuzz = part === "gateway" ? fuzzGateway : fuzzCodecs;
      say(`${new Date().toISOString()} ${part} --seed ${turn}`);
      try {
        say(JSON.stringify(await fuzz(turn, isOver)));
      } catch (error) {
        findings++;
        say(`FOUND: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  say(`${findings} findings`);
  return findings;
}

Deno.exit(await main() === 0 ? 0 : 1);
