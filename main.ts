/** Arguments to command: see `main.ts --help`. */
import "./lib/commands/first_modules.ts";
import { runCommandLine } from "./lib/commands/command_line.ts";
import { registry } from "./lib/handlers/mod.ts";
import { WORKER } from "./lib/io/own_program.ts";

if (import.meta.main) Deno.exit(await run(Deno.args));

async function run(args: readonly string[]): Promise<number> {
  if (args[0] !== WORKER) return await runCommandLine(args, registry);
  const { work } = await import("./lib/workers/entry.ts");
  return await work(registry);
}
