/** What a reader must know of the machine: its cores, its kernel, which versions took part. */
import { loadavg, totalmem } from "node:os";
import { which } from "../support/needs.ts";
import { phpFpm } from "../support/peers.ts";
import type { Machine } from "./model.ts";

/** How each program tells its version, and where in what it says. */
const VERSIONS: Readonly<Record<string, { readonly args: readonly string[]; at: RegExp }>> = {
  nginx: { args: ["-v"], at: /nginx\/([\d.]+)/ },
  lighttpd: { args: ["-v"], at: /lighttpd\/([\d.]+)/ },
  apache2: { args: ["-v"], at: /Apache\/([\d.]+)/ },
  caddy: { args: ["version"], at: /v?([\d.]+)/ },
  gunicorn: { args: ["--version"], at: /version ([\d.]+)/ },
  uwsgi: { args: ["--version"], at: /([\d.]+)/ },
  [phpFpm()]: { args: ["-v"], at: /PHP ([\d.]+)/ },
  python3: { args: ["--version"], at: /Python ([\d.]+)/ },
  wrk: { args: ["--version"], at: /wrk \S*?([\d.]+)/ },
  curl: { args: ["--version"], at: /curl ([\d.]+)/ },
};

export function describeMachine(): Machine {
  const info = Deno.readTextFileSync("/proc/cpuinfo");
  return {
    cpu: /^model name\s*:\s*(.+)$/m.exec(info)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memoryGiB: totalmem() / 2 ** 30,
    kernel: `Linux ${Deno.osRelease()}`,
    loadBefore: loadavg()[0] ?? 0,
    versions: { Deno: Deno.version.deno, ...peers() },
  };
}

function peers(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, { args, at }] of Object.entries(VERSIONS)) {
    const program = which(name);
    if (program === undefined) continue;
    // Some end with an error, some say it on the error stream.
    const { stdout, stderr } = new Deno.Command(program, { args: [...args] }).outputSync();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    found[name] = at.exec(said)?.[1] ?? "?";
  }
  return found;
}
