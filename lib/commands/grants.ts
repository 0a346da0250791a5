/** Compares what a table needs with what the runtime grants, before the first request would find out. */
import { expressible, type Need } from "../permissions.ts";

/** One line for each missing permission, with who needs it and why; empty if nothing is missing. */
export async function missingGrants(needs: readonly Need[]): Promise<string[]> {
  const missing: string[] = [];
  for (const need of needs) {
    if ((await Deno.permissions.query(descriptorOf(need))).state === "granted") continue;
    const value = expressible(need);
    const flag = value === "*" ? `--allow-${need.name}` : `--allow-${need.name}=${value}`;
    missing.push(`  ${flag}  ${need.who} needs it ${need.reason}`);
  }
  if (missing.length === 0) return [];
  return [
    "portico: permissions are missing (`flags` prints all that this table needs):",
    ...new Set(missing),
  ];
}

function descriptorOf({ name, value }: Need): Deno.PermissionDescriptor {
  if (value === "*") return { name };
  switch (name) {
    case "read":
    case "write":
      return { name, path: value };
    case "net":
      return { name, host: value };
    case "run":
      return { name, command: value };
    case "env":
      return { name, variable: value };
    case "sys":
      return { name };
    default:
      return name satisfies never;
  }
}
