/**
 * Variables by which the runtime itself would be turned into something else: it heeds them before any of
 * our code sees a request, so a gateway with one of them set does not start.
 */
import { RUNTIME_SWITCHES } from "../permissions.ts";

/** One line for each that is set; empty if none is. Asks for no more than `flags` grants. */
export function dangerousSwitches(): string[] {
  return Object.entries(RUNTIME_SWITCHES)
    .filter(([name]) => Deno.env.has(name))
    .map(([name, what]) => `portico: ${name} is set: by it ${what}. Unset it`);
}
