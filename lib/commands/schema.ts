/**
 * `deno task schema`: writes the JSON Schema of routes.yaml, or with `--check` tells whether the committed
 * one is what the kinds say now. For developers; not a word of the command line.
 */
import { buildJsonSchema } from "../config/json_schema.ts";
import { type Kinds, loadKinds } from "../config/kinds.ts";
import { complain, FAULTY, FINE, MISUSED } from "./command.ts";

const FILE = new URL("../config/routes.schema.json", import.meta.url);

/** Returns the exit status. */
export async function schema(args: readonly string[], kinds: Kinds): Promise<number> {
  const checks = args[0] === "--check";
  if (args.length > (checks ? 1 : 0)) {
    complain("usage: deno task schema [--check]");
    return MISUSED;
  }
  const current = formatSchema(kinds);
  if (!checks) {
    await Deno.writeTextFile(FILE, current);
    return FINE;
  }
  if (current === await readCommitted()) return FINE;
  complain("lib/config/routes.schema.json is not what the kinds say now: run deno task schema");
  return FAULTY;
}

/** The schema's text as it is committed. */
export function formatSchema(kinds: Kinds): string {
  return `${JSON.stringify(buildJsonSchema(kinds), undefined, 2)}\n`;
}

async function readCommitted(): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(FILE);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

if (import.meta.main) {
  const { registry } = await import("../handlers/mod.ts");
  Deno.exit(await schema(Deno.args, await loadKinds(registry)));
}
