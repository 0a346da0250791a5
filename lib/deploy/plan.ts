/**
 * What of a table matters to whoever runs the gateway: how it is started, where it listens, what it writes,
 * how long it takes to stop. The forms of a unit are written from this alone. Pure.
 */
import type { Table } from "../config/table.ts";
import { flagsLine, type Need } from "../permissions.ts";
import { type Address, resolvePath } from "../values.ts";

/** How this Portico was started. */
export interface Installed {
  /** The runtime, or the compiled binary. */
  readonly executable: string;
  /** The gateway's main.ts; undefined: the binary is it. */
  readonly main: string | undefined;
  /** The version of the runtime. */
  readonly version: string;
}

export interface Plan {
  readonly installed: Installed;
  /** Absolute. */
  readonly configFile: string;
  readonly folder: string;
  /** Flags of the runtime, a word each. */
  readonly flags: readonly string[];
  readonly listen: readonly Address[];
  /** Words for `--listen`, where it listens elsewhere than the table says. */
  readonly overrides: readonly string[];
  /** Where probes can ask how it is, if anywhere but at home. */
  readonly admin: Address | undefined;
  /** Files and folders that it writes. */
  readonly writes: readonly string[];
  /** Files and folders that it reads. */
  readonly reads: readonly string[];
  /** Programs that it starts; `*` is any. */
  readonly runs: readonly string[];
  readonly drainSeconds: number;
  /** Whether programs run as users of their own. */
  readonly changesUser: boolean;
  /** Where FastCGI applications are connected to, with the trees of their scripts. */
  readonly fastcgi: readonly Connected[];
}

export interface Connected {
  readonly address: string;
  readonly roots: readonly string[];
}

export interface Facts {
  readonly installed: Installed;
  readonly configFile: string;
  readonly listen: readonly Address[];
  readonly overrides: readonly string[];
  readonly needs: readonly Need[];
}

export function planOf(table: Table, facts: Facts): Plan {
  const { installed, configFile, listen, overrides, needs } = facts;
  const valuesOf = (name: Need["name"]) =>
    [...new Set(needs.filter((need) => need.name === name).map(({ value }) => value))].toSorted();
  return {
    installed,
    configFile,
    folder: table.folder,
    flags: splitWords(flagsLine(needs)),
    listen,
    overrides,
    admin: table.admin?.listen,
    writes: valuesOf("write").filter((path) => path.startsWith("/")),
    reads: valuesOf("read").filter((path) => path.startsWith("/")),
    runs: valuesOf("run"),
    drainSeconds: Math.ceil((table.server.drainDelayMs + table.server.drainTimeoutMs) / 1000),
    changesUser: table.routes.some(({ fields }) => namesUser(fields)),
    fastcgi: connectedOf(table, needs),
  };
}

/** The words of a line whose quoted words are quoted as {@link flagsLine} does. */
export function splitWords(line: string): readonly string[] {
  const words = line.match(/(?:'[^']*'|\\'|[^\s'\\])+/g) ?? [];
  return words.map((word) => word.replace(/'([^']*)'|\\(')/g, (_, inner?: string) => inner ?? "'"));
}

/** The words that start it. */
export function commandOf({ installed, flags, configFile, overrides }: Plan): readonly string[] {
  const { executable, main } = installed;
  const start = main === undefined ? [executable] : [executable, "run", ...flags, main];
  const listen = overrides.flatMap((where) => ["--listen", where]);
  return [...start, "serve", "--config", configFile, ...listen];
}

/** Stopping takes the drain, and then what programs take to end. */
export function stopSeconds({ drainSeconds }: Plan): number {
  return drainSeconds + 10;
}

/** The ports that it listens on. */
export function portsOf({ listen }: Plan): readonly number[] {
  const ports = listen.flatMap((address) => address.transport === "tcp" ? [address.port] : []);
  return [...new Set(ports)];
}

export function isLoopback(address: Address): boolean {
  return address.transport === "tcp" && /^(?:127\.|::1$|localhost$)/.test(address.hostname);
}

function namesUser(fields: unknown): boolean {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return false;
  return Object.entries(fields).some(([key, value]) =>
    value !== undefined &&
    (key === "user" || key === "group" || (key === "spawn" && namesUser(value)))
  );
}

/** FastCGI applications that run by themselves, with the trees of the routes that reach them. */
function connectedOf(
  { routes, folder, server }: Table,
  needs: readonly Need[],
): readonly Connected[] {
  const found = new Map<string, Set<string>>();
  for (const { name, key, fields } of routes) {
    if (key !== "fastcgi" && key !== "php") continue;
    const own = needs.filter((need) =>
      need.who === `route "${name}" (${key})` && need.name === "net"
    )
      .filter(({ value }) => !value.startsWith(`unix:${server.runDir}/`));
    const root: unknown = Reflect.get(Object(fields), "root");
    for (const { value } of own) {
      const roots = found.get(value) ?? new Set();
      if (typeof root === "string") roots.add(resolvePath(root, folder));
      found.set(value, roots);
    }
  }
  return [...found].map(([address, roots]) => ({ address, roots: [...roots] }));
}
