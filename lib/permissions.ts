/**
 * The permissions that a table needs of the runtime: gathered from its kinds and its listeners, written
 * as flags. What is printed is what is checked at start, so the one cannot drift from the other. Pure.
 */
import type { Table } from "./config/table.ts";
import { type Address, formatAddress } from "./fields.ts";
import type { Permission, RouteOptions } from "./handler.ts";
import { GUARD_PROGRAM, ownProgram, passwordThreadSource } from "./io/own_program.ts";
import { resolvePath } from "./values.ts";

/** A permission with who asks for it: `server.listen`, or a route by name. */
export interface Need extends Permission {
  readonly who: string;
}

/** What the runtime does if one of these variables is set; they are looked for before it can. */
export const RUNTIME_SWITCHES: Readonly<Record<string, string>> = {
  DENO_SERVE_ADDRESS: "the runtime listens elsewhere than the table says",
  DENO_TRUST_PROXY_HEADERS:
    "the runtime believes clients what address they have, and ends when one claims nonsense",
};

/** Everything that serving this table takes. `configFile` is absolute. */
export function needsOf(table: Table, listen: readonly Address[], configFile: string): Need[] {
  const who = "the gateway";
  const needs: Need[] = [{ who, name: "read", value: configFile, reason: "to read its table" }];
  for (const value of Object.keys(RUNTIME_SWITCHES)) {
    needs.push({ who, name: "env", value, reason: "to see that it is not set", isMains: true });
  }
  const { spoolDir, runDir, workers } = table.server;
  for (const address of listen) needs.push(...listenNeeds(address, workers));
  needs.push(...serverNeeds(table.server), ...adminNeeds(table.admin));
  const place = { folder: table.folder, spoolDir, runDir, workers };
  for (const route of table.routes) {
    const name = `route "${route.name}" (${route.key})`;
    const own = route.kind.permissions(route.fields, place, route.options);
    needs.push(...own.map((permission) => ({ ...permission, who: name })));
    if (spools(route)) needs.push(...spoolNeeds(name, spoolDir));
    for (const folder of Object.values(route.options.sendfile ?? {})) {
      const value = resolvePath(folder, table.folder);
      needs.push({ who: name, name: "read", value, reason: "to send its files (sendfile)" });
    }
    needs.push(...storeNeeds(name, route.options, table.folder));
    needs.push(...authNeeds(name, route.options, table.folder));
    for (const where of route.options.authorize?.connect ?? []) {
      const address = where.transport === "tcp"
        ? where
        : { ...where, path: resolvePath(where.path, table.folder) };
      needs.push(...addressNeeds(name, address, "to ask who may use it (authorize)"));
    }
  }
  return needs;
}

function listenNeeds(address: Address, workers: number): Need[] {
  const who = "server.listen";
  // The port that one worker gets is then asked for by all.
  if (workers > 1 && address.transport === "tcp" && address.port === 0) {
    const value = formatAddress(address).replace(/:0$/, "");
    return [{ who, name: "net", value, reason: "to listen there, on a free port, in all workers" }];
  }
  return addressNeeds(who, address, "to listen there");
}

function serverNeeds(server: Table["server"]): Need[] {
  const { tls, originSecret, accessLogFile, traces, workers } = server;
  const needs: Need[] = [];
  if (accessLogFile !== undefined) {
    const reason = "to write the access log";
    needs.push({ who: "server.accessLogFile", name: "write", value: accessLogFile, reason });
  }
  if (workers > 1) needs.push(...workerNeeds());
  for (const value of tls === undefined ? [] : [tls.cert, tls.key]) {
    needs.push({ who: "server.tls", name: "read", value, reason: "to speak https" });
  }
  if (originSecret !== undefined) {
    const reason = "to know what the CDN sends";
    needs.push({ who: "server.originSecret", name: "env", value: originSecret.env, reason });
  }
  return [...needs, ...tracesNeeds(traces)];
}

function tracesNeeds(traces: Table["server"]["traces"]): Need[] {
  if (traces === undefined) return [];
  const who = "server.traces";
  const { protocol, hostname, port } = new URL(traces.endpoint);
  const value = `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
  const needs: Need[] = [{ who, name: "net", value, reason: "to send spans there" }];
  if (traces.headersEnv === undefined) return needs;
  const reason = "to know what the collector asks for";
  return [...needs, { who, name: "env", value: traces.headersEnv, reason }];
}

/** Whoever may run the runtime may run anything: the main process may, which runs no application. */
function workerNeeds(): Need[] {
  const who = "server.workers";
  const run = (value: string, reason: string): Need => {
    return { who, name: "run", value, reason, isMains: true };
  };
  return [
    run(ownProgram(), "to start the workers"),
    run(GUARD_PROGRAM, "to end the workers should the main process be killed"),
  ];
}

function adminNeeds(admin: Table["admin"]): Need[] {
  if (admin === undefined) return [];
  const { listen, tokenEnv } = admin;
  const needs = addressNeeds("admin.listen", listen, "to listen there")
    .map((need): Need => ({ ...need, isMains: true }));
  if (tokenEnv === undefined) return needs;
  const reason = "to know the token that it asks for";
  return [...needs, { who: "admin.token", name: "env", value: tokenEnv, reason }];
}

function storeNeeds(who: string, { cache }: RouteOptions, folder: string): Need[] {
  if (cache?.store === undefined) return [];
  const value = resolvePath(cache.store.dir, folder);
  const reason = "to keep copies of replies (cache.store)";
  return [{ who, name: "read", value, reason }, { who, name: "write", value, reason }];
}

function authNeeds(who: string, { auth }: RouteOptions, folder: string): Need[] {
  if (auth === undefined) return [];
  const value = resolvePath(auth.basic.file, folder);
  return [
    { who, name: "read", value, reason: "to know its users (auth)" },
    { who, name: "read", value: passwordThreadSource(), reason: "to start what checks passwords" },
  ];
}

/** A Unix socket takes three grants: the runtime asks for its file and for the use of it. */
function addressNeeds(who: string, address: Address, reason: string): Need[] {
  const net: Need = { who, name: "net", value: formatAddress(address), reason };
  if (address.transport === "tcp") return [net];
  return [
    net,
    { who, name: "read", value: address.path, reason },
    { who, name: "write", value: address.path, reason },
  ];
}

function spools({ kind, fields, options }: Table["routes"][number]): boolean {
  const mode = options.requestBody ?? kind.requestBodyOf?.(fields) ?? kind.requestBody;
  return mode === "spool" && options.maxRequestBody > 2 ** 20;
}

function spoolNeeds(who: string, spoolDir: string): Need[] {
  const reason = "to spool request bodies that outgrow memory";
  return [
    { who, name: "read", value: spoolDir, reason },
    { who, name: "write", value: spoolDir, reason },
  ];
}

/** The least flags for these needs, in a stable order, as one line for a shell. */
export function flagsLine(needs: readonly Need[]): string {
  const flags = ["--no-prompt"];
  for (const name of ["read", "write", "net", "run", "env", "sys"] as const) {
    const values = valuesOf(name, needs);
    if (values.includes("*")) flags.push(`--allow-${name}`);
    else if (values.length > 0) {
      flags.push(shellWord(`--allow-${name}=${values.join(",")}`));
    }
  }
  return flags.join(" ");
}

/** What is asked for under one name, each once; without files whose folder is asked for too. */
function valuesOf(name: Need["name"], needs: readonly Need[]): readonly string[] {
  const values = new Set(needs.filter((need) => need.name === name).map(expressible));
  if (name !== "read" && name !== "write") return [...values];
  const folders = [...values].map((value) => value.endsWith("/") ? value : `${value}/`);
  return [...values].filter((value) =>
    !folders.some((folder) => value !== folder && value.startsWith(folder))
  );
}

/**
 * The least that a flag can say of a need. The runtime splits at commas and knows no way to escape them,
 * so a name that holds one is asked for by the nearest folder without, or with all others of its sort.
 */
export function expressible({ name, value }: Permission): string {
  const comma = value.indexOf(",");
  if (comma < 0) return value;
  if (name !== "read" && name !== "write") return "*";
  return value.slice(0, value.lastIndexOf("/", comma)) || "/";
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./\-[\]]+$/.test(word) && !/[[\]]/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
