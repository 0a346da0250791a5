/**
 * The runtime's flags for a worker: what its table takes, but no leave to start what stays, the runtime
 * least of all. Whoever granted the main process more than a table needs has later tables in mind: so each
 * grant is as wide as the main process's own.
 */
import { expressible, type Need } from "../permissions.ts";

const NAMES = ["read", "write", "net", "run", "env", "sys"] as const;

export async function workerFlags(needs: readonly Need[]): Promise<readonly string[]> {
  const whole = await Promise.all(NAMES.map((name) => isGranted({ name })));
  if (whole.every((all) => all) && await isGranted({ name: "ffi" })) return ["--no-prompt", "-A"];
  const flags = ["--no-prompt"];
  for (const [index, name] of NAMES.entries()) {
    if (whole[index]) {
      flags.push(`--allow-${name}`);
      continue;
    }
    const own = needs.filter((need) => need.name === name && need.isMains !== true);
    const values = await Promise.all(own.map((need) => widest(name, expressible(need))));
    if (values.length > 0) flags.push(`--allow-${name}=${[...new Set(values)].join(",")}`);
  }
  return flags;
}

/** The widest grant that the main process has around this value. */
async function widest(name: Need["name"], value: string): Promise<string> {
  if (name === "net") {
    const host = value.replace(/:\d+$/, "");
    const all = !value.startsWith("unix:") && await isGranted({ name, host });
    return all ? host : value;
  }
  if (name !== "read" && name !== "write") return value;
  let path = value;
  for (let end = path.lastIndexOf("/"); end >= 0; end = path.lastIndexOf("/", end - 1)) {
    const folder = path.slice(0, end) || "/";
    if (!await isGranted({ name, path: folder })) break;
    path = folder;
    if (end === 0) break;
  }
  return path;
}

async function isGranted(descriptor: Deno.PermissionDescriptor): Promise<boolean> {
  return (await Deno.permissions.query(descriptor)).state === "granted";
}
