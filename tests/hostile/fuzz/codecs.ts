/**
 * Coverage-guided fuzzing of the codecs: inputs that reach a part of the sources that none reached before
 * are kept and changed further. All is a function of the seed; a fault tells seed, target and input.
 */
import { Coverage } from "./coverage.ts";
import { latin1, mutate, Random } from "./random.ts";
import type { Bytes, Target } from "./target.ts";
import { TEXT_TARGETS } from "./text_targets.ts";
import { WIRE_TARGETS } from "./wire_targets.ts";

export const TARGETS: readonly Target[] = [...WIRE_TARGETS, ...TEXT_TARGETS];

/** Inputs between two looks at what was reached. */
const BATCH = 48;
/** Of one target before the next has its turn. */
const BATCHES = 5;
const MAX_CORPUS = 600;

export interface Fuzzed {
  readonly inputs: number;
  /** Blocks of the sources that were reached. */
  readonly blocks: number;
  /** Inputs that were kept. */
  readonly kept: number;
}

/** Fuzzes the targets in turn until `isOver`; at least one round. */
export async function fuzzCodecs(
  seed: number,
  isOver: () => boolean,
  targets: readonly Target[] = TARGETS,
): Promise<Fuzzed> {
  await using coverage = await Coverage.start();
  const random = new Random(seed);
  const corpora = targets.map(({ seeds }) => seeds.map(latin1));
  let inputs = 0;
  do {
    for (const [at, target] of targets.entries()) {
      const corpus = corpora[at] ?? [];
      for (let count = 0; count < BATCHES; count++) {
        inputs += BATCH;
        await runBatch(target, corpus, { random, coverage, seed });
      }
    }
  } while (!isOver());
  const kept = corpora.reduce((sum, { length }) => sum + length, 0);
  return { inputs, blocks: coverage.size, kept };
}

interface Run {
  readonly random: Random;
  readonly coverage: Coverage;
  readonly seed: number;
}

async function runBatch(target: Target, corpus: Bytes[], { random, coverage, seed }: Run) {
  const { words } = target;
  const batch = Array.from({ length: BATCH }, () => {
    const changes = { random, words, other: random.pick(corpus) };
    return mutate(random.pick(corpus), changes);
  });
  for (const input of batch) attempt(target, input, seed);
  if (!coverage.hasNew(await coverage.take())) return;
  for (const input of await pioneers(target, batch, coverage)) {
    if (corpus.length < MAX_CORPUS) corpus.push(input);
    else corpus[random.below(corpus.length)] = input;
  }
}

/** Those inputs that go where none has been, found by halves: a look costs more than an input. */
async function pioneers(
  target: Target,
  inputs: readonly Bytes[],
  coverage: Coverage,
): Promise<readonly Bytes[]> {
  for (const input of inputs) attempt(target, input, 0);
  const blocks = await coverage.take();
  if (!coverage.hasNew(blocks)) return [];
  if (inputs.length === 1) {
    coverage.claim(blocks);
    return inputs;
  }
  const middle = inputs.length >> 1;
  return [
    ...await pioneers(target, inputs.slice(0, middle), coverage),
    ...await pioneers(target, inputs.slice(middle), coverage),
  ];
}

/** How long one input may take; a busy machine takes its time, a pattern that explodes takes for ever. */
const MAX_MS = 5000;

/** @throws {Error} that tells how to repeat it. */
export function attempt(target: Target, input: Bytes, seed: number): void {
  const run = () => {
    const began = performance.now();
    try {
      // What a target decides by chance depends on the input alone.
      target.run(input.slice(), new Random(input.length * 31 + (input[0] ?? 0)));
    } catch (error) {
      throw new Error(`${describe(target, input, seed)}\n${stackOf(error)}`, { cause: error });
    }
    return performance.now() - began;
  };
  // A machine that pauses does so once.
  const ms = run() > MAX_MS ? run() : 0;
  if (ms > MAX_MS) {
    throw new Error(`${describe(target, input, seed)}\nit took ${Math.round(ms)} ms`);
  }
}

function describe({ name }: Target, input: Bytes, seed: number): string {
  return `fuzz: ${name}, --seed ${seed}, --target "${name}" --input ${input.toBase64()}`;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
