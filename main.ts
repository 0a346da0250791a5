/** Arguments to command: see `main.ts --help`. */
import { runCommandLine } from "./lib/commands/command_line.ts";
import { registry } from "./lib/handlers/mod.ts";

if (import.meta.main) Deno.exit(await runCommandLine(Deno.args, registry));
