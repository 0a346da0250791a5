/** `deno task soak --minutes N`: all kinds at once, for long, with everything that happens to a gateway. */
import { parseArgs } from "node:util";
import { soak } from "./run.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "5" },
    clients: { type: "string", default: "16" },
    pause: { type: "string", default: "60" },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new RangeError(`Cannot soak for ${values.minutes} minutes`);
const tell = (line: string) =>
  Deno.stdout.writeSync(new TextEncoder().encode(`${new Date().toISOString()} ${line}\n`));
const { lines, faults } = await soak({
  seconds: 60 * minutes,
  warmUpSeconds: Math.min(60, 12 * minutes),
  clients: Number(values.clients),
  pauseMs: Number(values.pause),
  disturbEveryMs: 5000,
  // Before that memory is still finding its level.
  judgesMemory: minutes >= 10,
  tell,
});
for (const line of lines) tell(line);
for (const fault of faults) tell(`FAULT ${fault}`);
tell(faults.length === 0 ? "all is well" : "the soak failed");
Deno.exit(faults.length === 0 ? 0 : 1);
