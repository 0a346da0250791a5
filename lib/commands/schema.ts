/** `schema`: writes the JSON Schema of routes.yaml, or checks that the committed one is current. */
import { buildJsonSchema } from "../config/json_schema.ts";
import type { Kinds } from "../config/route.ts";

const FILE = new URL("../config/routes.schema.json", import.meta.url);

/** Returns the exit status: 0 fine, 1 the committed schema is stale (`--check`), 2 wrong words. */
export async function schema(args: readonly string[], kinds: Kinds): Promise<number> {
  const [option, ...rest] = args;
  if (rest.length > 0 || (option !== undefined && option !== "--check")) {
    return say("usage: schema [--check]", 2);
  }
  const current = `${JSON.stringify(buildJsonSchema(kinds), undefined, 2)}\n`;
  if (option === undefined) {
    await Deno.writeTextFile(FILE, current);
    return 0;
  }
  const committed = await Deno.readTextFile(FILE).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (committed === current) return 0;
  return say(
    "lib/config/routes.schema.json is not what the kinds say now: run deno task schema",
    1,
  );
}

function say(message: string, status: number): number {
  Deno.stderr.writeSync(new TextEncoder().encode(`${message}\n`));
  return status;
}
