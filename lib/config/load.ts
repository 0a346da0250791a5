/**
 * The text of routes.yaml → the validated table, or every fault in it. Pure: whoever calls it reads the
 * file, and hands over the registry of kinds, of which those are loaded that the text names.
 *
 * Strategy: the text becomes a tree that knows its places; each part of the tree is checked by its
 * schema; all report faults to one list and go on. Only what is syntactically in doubt ends it early.
 */
import * as v from "valibot";
import { ConfigError, type Fault, formatFault } from "../errors.ts";
import { fields, list, optional } from "../fields.ts";
import { readAdmin } from "./admin.ts";
import { checkStores } from "./cache_stores.ts";
import { check } from "./check.ts";
import { type Kinds, loadKinds, type Registry } from "./kinds.ts";
import { createLocator, type Position, type Report } from "./position.ts";
import { type Draft, readRoute, routeFields } from "./route.ts";
import { type Origin, readServer, serverSchema } from "./server.ts";
import type { RouteConfig, Table } from "./table.ts";
import { itemsOf, type Node, type Slot, slotOf, valueOf } from "./tree.ts";
import { readTree } from "./yaml.ts";

/**
 * Reads a table. `source.file` is what faults print, `source.folder` the absolute folder of the file.
 * Rejects as {@link parseTable} throws.
 */
export async function parseTableBy(
  registry: Registry,
  text: string,
  source: Origin,
): Promise<Table> {
  const reading = readText(text);
  return finish(reading, source, await loadKinds(registry, keysOfRoutes(reading.root)));
}

/**
 * The same, with the kinds at hand.
 * @throws {ConfigError} with all faults, in the order of the file.
 */
export function parseTable(text: string, source: Origin, kinds: Kinds): Table {
  return finish(readText(text), source, kinds);
}

/** A text that was read, and what was found wrong with it. */
interface ReadText {
  readonly root: Node | undefined;
  readonly locate: (offset: number) => Position;
  readonly found: { readonly offset: number; readonly message: string }[];
}

function readText(text: string): ReadText {
  const content = text.replace(/^\ufeff/, "");
  const found: ReadText["found"] = [];
  const root = readTree(content, (offset, message) => found.push({ offset, message }));
  return { root, locate: createLocator(content), found };
}

function keysOfRoutes(root: Node | undefined): ReadonlySet<string> {
  const routes = root && itemsOf(valueOf(root, "routes")?.node);
  const keys = (routes ?? []).flatMap(({ node }) => node.type === "map" ? node.entries : []);
  return new Set(keys.map(({ key }) => key));
}

function finish({ root, locate, found }: ReadText, source: Origin, kinds: Kinds): Table {
  const unread = new Set(found.map(({ offset }) => offset));
  const report = (offset: number, message: string) => {
    // What could not be read is rarely right besides.
    if (!unread.has(offset)) found.push({ offset, message });
  };
  const table = root && readTable(root, source, { kinds, report, locate });
  if (table !== undefined && found.length === 0) return table;
  const faults = found.sort((a, b) => a.offset - b.offset).map(({ offset, message }): Fault => (
    { file: source.file, ...locate(offset), message }
  ));
  // What an alias stands for was checked wherever it is used.
  const seen = new Map(faults.map((fault) => [formatFault(fault), fault]));
  throw new ConfigError([...seen.values()]);
}

const file = fields({
  server: optional(v.unknown()),
  admin: optional(v.unknown()),
  routes: v.pipe(
    list(v.unknown()),
    v.minLength(1, "Cannot be empty: write at least one route"),
  ),
}, (key) => {
  if (Object.hasOwn(serverSchema.entries, key)) return 'write it inside "server"';
  return Object.hasOwn(routeFields, key) ? 'write it in an item of "routes"' : undefined;
});

interface Reading {
  readonly kinds: Kinds;
  readonly report: Report;
  readonly locate: (offset: number) => Position;
}

function readTable(root: Node, source: Origin, reading: Reading): Table {
  const { kinds, report, locate } = reading;
  check(file, slotOf(root), report);
  const server = readServer(valueOf(root, "server"), source, report);
  const { folder } = source;
  const admin = readAdmin(valueOf(root, "admin"), { folder, listen: server.listen, report });
  const context = { kinds, report, maxRequestBody: server.maxRequestBody };
  const slots = itemsOf(valueOf(root, "routes")?.node);
  const drafts = slots.map((slot) => ({ slot, draft: readRoute(slot, context) }));
  const names = nameRoutes(drafts, reading);
  checkStores(drafts, { folder, report, locate });
  const routes = drafts.flatMap(({ slot, draft }, index): RouteConfig[] => {
    const name = names[index];
    if (draft === undefined || name === undefined) return [];
    return [{ ...draft, name, index, ...locate(slot.node.start) }];
  });
  return { file: source.file, folder, server, routes, ...(admin && { admin }) };
}

interface Named {
  readonly slot: Slot;
  readonly draft: Draft | undefined;
}

/** The written names, which must differ; for the others host and path, numbered where need be. */
function nameRoutes(routes: readonly Named[], { report, locate }: Reading): readonly string[] {
  const taken = new Map<string, Slot>();
  for (const { slot } of routes) {
    const name = valueOf(slot.node, "name")?.node;
    if (name?.type !== "scalar" || typeof name.value !== "string") continue;
    const other = taken.get(name.value);
    if (other === undefined) taken.set(name.value, slot);
    else {
      const { line } = locate(other.node.start);
      report(name.start, `Cannot name two routes alike: the one on line ${line} has this name`);
    }
  }
  const uses = new Map<string, number>();
  return routes.map(({ slot, draft }) => {
    if (draft?.name !== undefined) return draft.name;
    const base = `${draft?.host ?? ""}${draft?.path ?? ""}`;
    let name = base;
    do {
      const use = (uses.get(base) ?? 0) + 1;
      uses.set(base, use);
      name = use === 1 ? base : `${base} #${use}`;
    } while (taken.has(name));
    taken.set(name, slot);
    return name;
  });
}
