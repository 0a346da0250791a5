/**
 * The benchmark harness: real servers side by side on free loopback ports, the same work for each in the
 * same run, alternating over several rounds, medians and ratios. Absolute figures of a shared machine mean
 * little; a ratio to a peer measured in the same minute means something.
 */
import { which } from "../support/needs.ts";

/** A server that takes part. */
export interface Contender {
  readonly name: string;
  /** Programs it needs; left out, by name, where one is missing. */
  readonly needs: readonly string[];
  /** Starts it in a folder of its own on a given port. */
  start(folder: string, port: number): Promise<Running>;
}

export interface Running {
  /** Where the load goes. */
  readonly url: string;
  /** The server's own processes (not the application's), for CPU time and memory. */
  readonly pids: () => readonly number[];
  stop(): Promise<void>;
}

export interface Work {
  readonly connections: number;
  readonly seconds: number;
  /** What is asked for, where a suite asks for several things. */
  readonly label?: string;
}

/** One wrk run. */
interface Sample {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** CPU seconds of the server per 1,000 requests. */
  readonly cpu: number;
  readonly errors: number;
}

export interface Row {
  readonly label: string;
  readonly contender: string;
  readonly connections: number;
  /** Requests per second: median and all rounds. */
  readonly rate: number;
  readonly rates: readonly number[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuPer1000: number;
  readonly peakMiB: number;
  /** How much the peak lies above the memory before the work. */
  readonly grownMiB?: number;
  readonly errors: number;
}

export interface Options {
  readonly rounds: number;
  readonly work: readonly Work[];
}

/** A contender that has been started. */
export interface Entrant {
  readonly contender: Contender;
  readonly server: Running;
}

/** Runs all contenders against all work; the first contender is what ratios refer to. */
export function compare(
  contenders: readonly Contender[],
  { rounds, work }: Options,
): Promise<Row[]> {
  return withServers(contenders, async (running) => {
    const rows: Row[] = [];
    for (const load of work) rows.push(...await measure(running, load, rounds));
    return rows;
  });
}

/** Starts the contenders whose programs are there, lets `body` use them, and stops them. */
export async function withServers<T>(
  contenders: readonly Contender[],
  body: (running: readonly Entrant[]) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  const running: Entrant[] = [];
  try {
    for (const contender of contenders) {
      if (!contender.needs.every((name) => which(name))) {
        note(`${contender.name}: left out, a program is missing`);
        continue;
      }
      const own = `${folder}/${running.length}`;
      await Deno.mkdir(own, { mode: 0o755 });
      const server = await contender.start(own, freePort());
      running.push({ contender, server });
      await answers(server.url, contender.name);
    }
    return await body(running);
  } finally {
    for (const { server } of running) await server.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

async function measure(
  running: readonly Entrant[],
  work: Work,
  rounds: number,
): Promise<Row[]> {
  const samples = new Map<string, Sample[]>();
  for (let round = 0; round < rounds; round++) {
    note(`${work.connections} connections, round ${round + 1} of ${rounds}`);
    for (const { contender, server } of running) {
      const list = samples.get(contender.name) ?? [];
      list.push(await load(server, work));
      samples.set(contender.name, list);
    }
  }
  return running.map(({ contender, server }) => {
    const list = samples.get(contender.name) ?? [];
    const median = (pick: (sample: Sample) => number) => medianOf(list.map(pick));
    return {
      label: work.label ?? "hello",
      contender: contender.name,
      connections: work.connections,
      rate: median((sample) => sample.rate),
      rates: list.map((sample) => Math.round(sample.rate)),
      p50Ms: median((sample) => sample.p50),
      p99Ms: median((sample) => sample.p99),
      cpuPer1000: median((sample) => sample.cpu),
      peakMiB: peakMemory(server.pids()),
      errors: list.reduce((sum, sample) => sum + sample.errors, 0),
    };
  });
}

/** Drives one server with wrk for a while. */
async function load(server: Running, work: Work): Promise<Sample> {
  const before = cpuSeconds(server.pids());
  const output = await new Deno.Command("wrk", {
    args: [
      "-t1",
      `-c${work.connections}`,
      `-d${work.seconds}s`,
      "--latency",
      server.url,
    ],
  }).output();
  const text = new TextDecoder().decode(output.stdout);
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const requests = number(/(\d+) requests in/);
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    text,
  );
  const failed = socketErrors?.slice(1).reduce((sum, count) => sum + Number(count), 0) ?? 0;
  return {
    rate: number(/Requests\/sec:\s+([\d.]+)/),
    p50: milliseconds(/50%\s+([\d.]+\w+)/.exec(text)?.[1]),
    p99: milliseconds(/99%\s+([\d.]+\w+)/.exec(text)?.[1]),
    cpu: requests === 0 ? 0 : (cpuSeconds(server.pids()) - before) * 1000 / requests,
    errors: failed + number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

function milliseconds(text = "0ms"): number {
  const value = parseFloat(text);
  if (text.endsWith("us")) return value / 1000;
  return text.endsWith("ms") ? value : value * 1000;
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** User and system time so far, from the kernel's hundredths of a second. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return ticks / 100;
}

export function peakMemory(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    kib += Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return kib / 1024;
}

/** Resident memory now, in MiB. */
export function currentMemory(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    kib += Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return kib / 1024;
}

function read(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch {
    return "";
  }
}

/** A process and all that descend from it. */
export function processTree(root: number): number[] {
  const children = read(`/proc/${root}/task/${root}/children`).trim().split(" ").filter(Boolean);
  return [root, ...children.flatMap((child) => processTree(Number(child)))];
}

/** A port that was free a moment ago. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function answers(url: string, name: string): Promise<void> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    try {
      const response = await fetch(url);
      await response.body?.cancel();
      if (response.ok) return;
      throw new Error(`status ${response.status}`);
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error(`${name} does not answer at ${url}: ${error}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A child that is a server, ended by its own signal. */
export function launch(program: string, args: readonly string[], cwd?: string): Running["stop"] & {
  readonly pid: number;
} {
  const child = new Deno.Command(which(program) ?? program, {
    args: [...args],
    ...(cwd === undefined ? {} : { cwd }),
    stdin: "null",
    stdout: "null",
    // Not inherited: whoever reads our output would wait for every process of every peer.
    stderr: "null",
  }).spawn();
  const stop = async () => {
    // Some masters leave their workers behind.
    for (const pid of processTree(child.pid).reverse()) {
      try {
        Deno.kill(pid, "SIGTERM");
      } catch {
        // Gone already.
      }
    }
    await child.status;
  };
  return Object.assign(stop, { pid: child.pid });
}

export function note(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`# ${line}\n`));
}

/** Rows as a table; a ratio is to the first contender of the same work. */
export function table(title: string, rows: readonly Row[]): string {
  const headings = [
    "work",
    "conns",
    "server",
    "rate",
    "ratio",
    "p50 ms",
    "p99 ms",
    "cpu s/1k",
    "MiB",
  ];
  const cells = rows.map((row) => {
    const base = rows.find(({ label, connections }) =>
      label === row.label && connections === row.connections
    );
    const grown = row.grownMiB === undefined ? "" : ` (+${row.grownMiB.toFixed(0)})`;
    return [
      row.label,
      String(row.connections),
      row.errors === 0 ? row.contender : `${row.contender} (${row.errors} errors)`,
      row.rate.toFixed(0),
      (row.rate / (base?.rate ?? row.rate)).toFixed(2),
      row.p50Ms.toFixed(2),
      row.p99Ms.toFixed(2),
      row.cpuPer1000.toFixed(3),
      row.peakMiB.toFixed(0) + grown,
    ];
  });
  const line = (row: readonly string[]) => `| ${row.join(" | ")} |`;
  return [
    `## ${title}`,
    "",
    line(headings),
    line(headings.map(() => "---")),
    ...cells.map(line),
    "",
  ]
    .join("\n");
}
