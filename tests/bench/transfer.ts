/** Large bodies: how fast one passes through a server, what CPU it costs, how much memory it grows by. */
import {
  type Contender,
  cpuSeconds,
  currentMemory,
  medianOf,
  note,
  peakMemory,
  type Row,
  withServers,
} from "./harness.ts";

export interface TransferOptions {
  readonly rounds: number;
  readonly bytes: number;
  /** True: the client sends the body; false: it receives it. */
  readonly up: boolean;
}

/** One body at a time through each server; the rate is in MiB per second. */
export async function transfer(
  contenders: readonly Contender[],
  { rounds, bytes, up }: TransferOptions,
): Promise<Row[]> {
  const label = `${bytes / 2 ** 20} MiB ${up ? "up" : "down"}, MiB/s`;
  return await withServers(contenders, async (running) => {
    const rates = new Map<string, number[]>();
    const cpu = new Map<string, number[]>();
    const before = running.map(({ server }) => currentMemory(server.pids()));
    for (let round = 0; round < rounds; round++) {
      note(`${label}, round ${round + 1} of ${rounds}`);
      for (const { contender, server } of running) {
        const cpuBefore = cpuSeconds(server.pids());
        const started = performance.now();
        await curl(server.url, bytes, up);
        const seconds = (performance.now() - started) / 1000;
        push(rates, contender.name, bytes / 2 ** 20 / seconds);
        push(cpu, contender.name, cpuSeconds(server.pids()) - cpuBefore);
      }
    }
    return running.map(({ contender, server }, index): Row => ({
      label,
      contender: contender.name,
      connections: 1,
      rate: medianOf(rates.get(contender.name) ?? []),
      rates: rates.get(contender.name) ?? [],
      p50Ms: 0,
      p99Ms: 0,
      cpuPer1000: medianOf(cpu.get(contender.name) ?? []),
      peakMiB: peakMemory(server.pids()),
      grownMiB: peakMemory(server.pids()) - (before[index] ?? 0),
      errors: 0,
    }));
  });
}

function push(lists: Map<string, number[]>, name: string, value: number): void {
  lists.set(name, [...lists.get(name) ?? [], value]);
}

/** curl as the client: its own cost is the same for all. */
async function curl(url: string, bytes: number, up: boolean): Promise<void> {
  // A file with a hole: it has the length without taking the disk.
  const upload = `file=$(mktemp) && truncate -s ${bytes} "$file" && ` +
    `curl -sS --fail -H 'Expect:' -T "$file" -X POST '${url}'; rm -f "$file"`;
  const download = `curl -sS --fail '${url}' | wc -c`;
  const { success, stdout } = await new Deno.Command("sh", {
    args: ["-c", up ? upload : download],
    stderr: "inherit",
  }).output();
  const counted = Number(new TextDecoder().decode(stdout).trim());
  if (!success || counted !== bytes) throw new Error(`${url}: ${counted} of ${bytes} bytes`);
}
