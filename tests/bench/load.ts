/**
 * One sample: wrk for small things, curl for large bodies, a stopwatch for a start. Both are other
 * people's programs, each in a process of its own, and cost the same whatever they ask.
 */
import { freePort } from "../support/peers.ts";
import type { Contender, Running, Sample, Work } from "./model.ts";
import { cpuSeconds, exactCpuSeconds } from "./processes.ts";
import { parseWrk } from "./wrk_output.ts";

export interface LoadOptions {
  readonly seconds: number;
  /** The file that uploads send. */
  readonly upload: string;
  /** What goes through in a sample of large bodies, by as many as it takes. */
  readonly leastBytes: number;
}

export async function sample(
  server: Running,
  work: Work,
  options: LoadOptions,
): Promise<Sample> {
  const before = cpuOf(server);
  const drive = work.type === "rate" ? requests : transfer;
  const { count, ...figures } = await drive(server.origin + work.path, work, options);
  const after = cpuOf(server);
  const thousands = work.type === "rate" ? count / 1000 : count;
  return {
    ...figures,
    ...(count === 0 ? {} : { cpu: (after.server - before.server) / thousands }),
    ...(count === 0 || after.upstream === 0
      ? {}
      : { upstreamCpu: (after.upstream - before.upstream) / thousands }),
  };
}

/** A program that a server has started and buried is the application's share. */
function cpuOf(server: Running): { server: number; upstream: number } {
  const own = cpuSeconds(server.pids());
  const upstream = exactCpuSeconds(server.upstream?.() ?? []);
  return { server: own.own, upstream: own.children + upstream.own + upstream.children };
}

type Driven = Sample & { readonly count: number };

async function requests(url: string, work: Work, { seconds }: LoadOptions): Promise<Driven> {
  const { stdout } = await new Deno.Command("wrk", {
    args: ["-t1", `-c${work.connections}`, `-d${seconds}s`, "--latency", url],
    stderr: "null",
  }).output();
  const { rate, ...figures } = parseWrk(new TextDecoder().decode(stdout));
  return { value: rate, ...figures };
}

/** One body after the other; each program of ours that takes one answers with its length. */
async function transfer(
  url: string,
  work: Work,
  { upload, leastBytes }: LoadOptions,
): Promise<Driven> {
  const args = work.type === "up"
    ? ["-H", "Expect:", "-T", upload, "-X", "POST", url]
    : ["-o", "/dev/null", "-w", "%{size_download}\n", url];
  const count = Math.max(1, Math.ceil(leastBytes / work.bytes));
  const started = performance.now();
  const { success, stdout } = await new Deno.Command("curl", {
    args: ["-sS", "--fail", "--max-time", "60", ...Array(count).fill(args).flat()],
    stderr: "null",
  }).output();
  const seconds = (performance.now() - started) / 1000;
  const arrived = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
  const whole = success && arrived.length === count &&
    arrived.every((bytes) => bytes === work.bytes);
  return whole
    ? { value: count * work.bytes / 2 ** 20 / seconds, errors: 0, count }
    : { value: 0, errors: 1, count: 0 };
}

/** How long a server takes from its command to its first answer. */
export async function startUp(contender: Contender, folder: string, work: Work): Promise<Sample> {
  await Deno.mkdir(folder, { mode: 0o755 });
  const started = performance.now();
  const server = await contender.start(folder, freePort());
  try {
    await answers(server, work, 1);
    return { value: performance.now() - started, errors: 0 };
  } finally {
    await server.stop();
  }
}

const PATIENCE_MS = 15_000;

/** Waits for the first good answer, which must be as long as all others' are; for large bodies, for any. */
export async function answers(server: Running, work: Work, everyMs = 50): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  const small = work.type === "rate" || work.type === "start";
  const url = server.origin + (small ? work.path : "/");
  for (;;) {
    const wrong = await ask(url, small ? work.bytes : undefined);
    if (wrong === undefined) return;
    if (performance.now() > deadline) throw new Error(`${url}: ${wrong}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** What is wrong with the answer, if anything is. */
async function ask(url: string, bytes: number | undefined): Promise<string | undefined> {
  try {
    const response = await fetch(url);
    const { byteLength } = await response.bytes();
    if (bytes === undefined) return undefined;
    if (!response.ok) return `status ${response.status}`;
    return byteLength === bytes ? undefined : `${byteLength} bytes rather than ${bytes}`;
  } catch (error) {
    return String(error);
  }
}
