/**
 * Suites become rows: all contenders of a suite run side by side, and each work goes round them in turn
 * (A B C A B C), so that a slow moment of the machine falls on all. Absolute figures of a shared machine
 * mean little; a ratio to a peer measured in the same minute means something.
 */
import { which } from "../support/needs.ts";
import { freePort } from "../support/peers.ts";
import { LEAST_BYTES, roundsThatFit, secondsARound, secondsToStart, takesPart } from "./budget.ts";
import { answers, type LoadOptions, sample, startUp } from "./load.ts";
import type { Contender, Entrant, Plan, Row, Sample, Suite, Work } from "./model.ts";
import { note, peakMiB, resetPeak, residentMiB } from "./processes.ts";
import { toRow } from "./rows.ts";

export interface MeasureOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** When the run should end: works get fewer rounds for it, one at least. */
  readonly minutes: number;
  readonly largeBytes: number;
  /** What goes through in a sample of large bodies; 512 MiB by default. */
  readonly leastBytes?: number;
  /** Which works of which suite are wanted. */
  readonly wanted: (suite: string, work: Work) => boolean;
  /** Which contenders take part; all by default. */
  readonly takes?: (suite: string, contender: string) => boolean;
  /** Called with a suite's folder of configurations before it goes. */
  readonly keep?: (suite: string, folder: string) => Promise<void>;
}

export interface Measured {
  readonly rows: readonly Row[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

export async function measureAll(
  suites: readonly Suite[],
  options: MeasureOptions,
): Promise<Measured> {
  // Under /tmp by name: paths of sockets must stay short.
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  try {
    return await new Run(folder, options).all(suites);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Planned extends Plan {
  readonly suite: string;
  readonly folder: string;
}

/** Starts are short, and vary more than rates do. */
const LEAST_STARTS = 5;

class Run {
  readonly #folder: string;
  readonly #options: MeasureOptions;
  readonly #deadline: number;
  readonly #load: LoadOptions;
  readonly #rows: Row[] = [];
  readonly #notes: string[] = [];

  constructor(folder: string, options: MeasureOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#deadline = performance.now() + options.minutes * 60_000;
    const { seconds, leastBytes = LEAST_BYTES } = options;
    this.#load = { seconds, leastBytes, upload: `${folder}/large.body` };
  }

  async all(suites: readonly Suite[]): Promise<Measured> {
    // A file with a hole: it has the length without taking the disk.
    await Deno.writeFile(this.#load.upload, new Uint8Array());
    await Deno.truncate(this.#load.upload, this.#options.largeBytes);
    const plans: Planned[] = [];
    for (const suite of suites) {
      try {
        plans.push(await this.#plan(suite));
      } catch (error) {
        // A compiler is missing, or a library.
        this.#leaveOut(suite.name, "everything", String(error));
      }
    }
    for (const [index, plan] of plans.entries()) {
      if (plan.works.length > 0) await this.#measure(plan, plans.slice(index + 1));
    }
    return { rows: this.#rows, notes: this.#notes };
  }

  async #plan({ name: suite, plan }: Suite): Promise<Planned> {
    const folder = `${this.#folder}/${suite}`;
    await Deno.mkdir(folder, { mode: 0o755 });
    const { contenders, works } = await plan(folder, this.#options);
    const wanted = works.filter((work) => this.#options.wanted(suite, work));
    const taking = contenders
      .filter(({ name }) => this.#options.takes?.(suite, name) ?? true)
      .filter(({ name }) => wanted.some((work) => takesPart(work, name)))
      .filter((contender) => this.#present(suite, contender));
    return { suite, folder, contenders: taking, works: wanted };
  }

  #present(suite: string, { name, needs }: Contender): boolean {
    const missing = needs.filter((program) => which(program) === undefined);
    if (missing.length > 0) this.#leaveOut(suite, name, `no ${missing.join(", ")}`);
    return missing.length === 0;
  }

  #leaveOut(suite: string, name: string, why: string): void {
    const line = `${suite}: ${name} left out, ${why}`;
    this.#notes.push(line);
    note(line);
  }

  /** One plan; those that come later tell how much time it may take. */
  async #measure(plan: Planned, later: readonly Planned[]): Promise<void> {
    const isStart = ({ type }: Work) => type === "start";
    const entrants = plan.works.every(isStart) ? [] : await this.#start(plan);
    try {
      for (const [index, work] of plan.works.entries()) {
        const rounds = this.#rounds([{ ...plan, works: plan.works.slice(index) }, ...later]);
        note(`${plan.suite}, ${work.label}, ${work.connections} connections, ${rounds} rounds`);
        const measured = isStart(work)
          ? await this.#starts(plan, work, Math.max(rounds, LEAST_STARTS))
          : await this.#work(plan, work, { rounds, entrants });
        this.#rows.push(...measured);
      }
    } finally {
      for (const { server } of entrants) await server.stop();
      await this.#options.keep?.(plan.suite, plan.folder);
    }
  }

  /** For the first work of the first plan, if all that is left is to have its share. */
  #rounds(left: readonly Plan[]): number {
    const seconds = (this.#deadline - performance.now()) / 1000 - secondsToStart(left.slice(1));
    const aRound = left.reduce((sum, plan) => sum + secondsARound(plan, this.#options.seconds), 0);
    return roundsThatFit(this.#options.rounds, seconds, aRound);
  }

  async #start(plan: Planned): Promise<readonly Entrant[]> {
    const entrants: Entrant[] = [];
    for (const contender of plan.contenders) {
      const folder = `${plan.folder}/${slugOf(contender.name)}`;
      await Deno.mkdir(folder, { mode: 0o755 });
      let server;
      try {
        server = await contender.start(folder, freePort());
        entrants.push({ contender, server });
        const first = plan.works.find((work) => takesPart(work, contender.name));
        if (first === undefined) continue;
        await answers(server, first);
        // Once for nothing: compilers that compile what is hot shall have done so.
        await sample(server, first, { ...this.#load, seconds: 1 });
      } catch (error) {
        this.#leaveOut(plan.suite, contender.name, String(error));
        if (server !== undefined) await entrants.pop()?.server.stop();
      }
    }
    return entrants;
  }

  async #work(
    { suite }: Planned,
    work: Work,
    { rounds, entrants }: { readonly rounds: number; readonly entrants: readonly Entrant[] },
  ): Promise<Row[]> {
    const taking = entrants.filter(({ contender }) => takesPart(work, contender.name))
      .map(({ contender, server }) => {
        const before = residentMiB(server.pids());
        resetPeak(server.pids());
        return { contender, server, before, samples: new Array<Sample>() };
      });
    for (let round = 0; round < rounds; round++) {
      for (const { server, samples } of taking) {
        samples.push(await sample(server, work, this.#load));
      }
    }
    return taking.map(({ contender, server, before, samples }) => {
      const peak = peakMiB(server.pids());
      const memory = { peakMiB: peak, grownMiB: Math.max(0, peak - before) };
      return toRow({ suite, contender: contender.name, ...memory }, work, samples);
    });
  }

  async #starts({ suite, folder, contenders }: Planned, work: Work, rounds: number) {
    const taking = contenders.map((contender) => ({ contender, samples: new Array<Sample>() }));
    for (let round = 0; round < rounds; round++) {
      for (const { contender, samples } of taking) {
        samples.push(
          await startUp(contender, `${folder}/${slugOf(contender.name)}-${round}`, work),
        );
      }
    }
    return taking.map(({ contender, samples }) =>
      toRow({ suite, contender: contender.name }, work, samples)
    );
  }
}

/** A contender's name as a folder's. */
function slugOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}
