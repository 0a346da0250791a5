/**
 * What a start costs: `deno run -A tests/bench/start_bench.ts [ROUNDS]`. From the command to the first
 * answer, the processor time that this takes, and the memory held then, of a bare `Deno.serve` and of
 * gateways with tables that need little and much. Taken in turns, with warm caches; medians.
 */
import { runPortico } from "../support/command.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

const BARE = `
  const onListen = ({ port }) => console.log("listening on http://127.0.0.1:" + port);
  Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, () => new Response("hello"));
`;

const TABLES: Readonly<Record<string, string>> = {
  "respond": "{path: /, respond: hello}",
  "cgi": "{path: /, respond: hello}, {path: /program, cgi: /bin/true}",
  "static": "{path: /, respond: hello}, {path: /files/*, static: /usr/share}",
  "php-fpm": "{path: /, respond: hello}, {path: /php/*, fastcgi: 127.0.0.1:9}",
};

interface Start {
  readonly ms: number;
  readonly cpuMs: number;
  readonly mib: number;
}

/** Starts a program that says where it listens, asks it once, ends it. */
async function start(args: readonly string[]): Promise<Start> {
  const began = performance.now();
  const command = new Deno.Command(Deno.execPath(), { args: ["run", ...args], stdout: "piped" });
  await using child = command.spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  let port: string | undefined;
  while (port === undefined) {
    const { done, value } = await lines.read();
    if (done) throw new Error(`It ended: ${said}`);
    said += value;
    port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
  }
  await (await fetch(`http://127.0.0.1:${port}/`)).bytes();
  const ms = performance.now() - began;
  const found = { ms, cpuMs: cpuMs(child.pid), mib: residentMib(child.pid) };
  child.kill("SIGKILL");
  await lines.cancel();
  return found;
}

/** Of all its threads. */
function cpuMs(pid: number): number {
  const threads = [...Deno.readDirSync(`/proc/${pid}/task`)];
  const times = threads.map(({ name }) =>
    Number(Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ")[0])
  );
  return times.reduce((sum, time) => sum + time, 0) / 1e6;
}

function residentMib(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

function median(values: readonly number[]): string {
  return (values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN).toFixed(0);
}

const folder = await Deno.makeTempDir();
try {
  await Deno.writeTextFile(`${folder}/bare.ts`, BARE);
  const contenders = new Map([["bare Deno.serve", ["--allow-net", `${folder}/bare.ts`]]]);
  for (const [name, routes] of Object.entries(TABLES)) {
    const file = `${folder}/${name}.yaml`;
    const server = `server: {listen: "127.0.0.1:0", spoolDir: ${folder}}`;
    await Deno.writeTextFile(file, `${server}\nroutes: [${routes}]\n`);
    const flags = (await runPortico(["flags", "-c", file])).out.trim().split(" ");
    contenders.set(`Portico, ${name}`, [...flags, MAIN, "serve", "-c", file]);
  }
  const starts = new Map([...contenders.keys()].map((name): [string, Start[]] => [name, []]));
  for (let round = 0; round <= Number(Deno.args[0] ?? 20); round++) {
    for (const [name, args] of contenders) {
      const one = await start(args);
      // The first one fills the caches.
      if (round > 0) starts.get(name)?.push(one);
    }
  }
  for (const [name, list] of starts) {
    const ms = median(list.map((one) => one.ms));
    const cpu = median(list.map((one) => one.cpuMs));
    const mib = median(list.map((one) => one.mib));
    // deno-lint-ignore no-console
    console.log(`${name.padEnd(20)} ${ms} ms, ${cpu} ms of processor time, ${mib} MiB`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
