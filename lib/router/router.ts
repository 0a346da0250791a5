/**
 * Finds the route of a request: the first in file order whose host, path and method fit. A route that
 * fits but for its method is passed over; if no later one fits, the answer is 405 with their methods.
 *
 * Whatever depends on the routes alone is computed when the router is created; a match then allocates
 * its answer and little else, at a cost that hardly depends on the number of routes.
 */
import type { ByteString, Mount } from "../exchange.ts";
import { createEntries, type Entry, type RouteKey } from "./entry.ts";
import { createHosts, tableOf, tablesFor, takesHost } from "./hosts.ts";
import { mountAt } from "./mount.ts";
import { createSearch, insert, searchTable, type Table } from "./table.ts";

export type { RouteKey } from "./entry.ts";

export type Match =
  | { readonly type: "found"; readonly index: number; readonly mount: Mount }
  | { readonly type: "wrong-method"; readonly allow: readonly string[] }
  | { readonly type: "not-found" };

/** Why a route takes a request, or what it fails on; `earlier`: another one takes it first. */
export type Verdict = "found" | "host" | "path" | "method" | "earlier";

export interface Router {
  /** `hostname` is in lower case and without port, `path` decoded: both as in an Exchange. */
  match(method: string, hostname: string, path: ByteString): Match;
  /** The verdict on every route, in file order. For people: it is slow. */
  candidates(method: string, hostname: string, path: ByteString): readonly Verdict[];
}

/** What a route without methods is known to take (RFC 9110 §9.3, RFC 5789). */
const USUAL_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const NOT_FOUND: Match = Object.freeze({ type: "not-found" });

/** Creates the router of a table; throws PatternError on a faulty path. */
export function createRouter(routes: readonly RouteKey[]): Router {
  const hosts = createHosts();
  for (const entry of createEntries(routes)) {
    insert(tableOf(hosts, routes[entry.index]?.host), entry);
  }
  const known = new Map<string, readonly Table[]>();
  for (const name of hosts.exact.keys()) known.set(name, tablesFor(hosts, name));
  const others = hosts.suffixes.size === 0 ? [hosts.any] : undefined;
  return {
    match(method, hostname, path) {
      const tables = known.get(hostname) ?? others ?? tablesFor(hosts, hostname);
      return findFirst(tables, method, path);
    },
    candidates: (method, hostname, path) => judge(routes, { method, hostname, path }),
  };
}

function findFirst(tables: readonly Table[], method: string, path: ByteString): Match {
  const search = createSearch(method, path);
  for (let i = 0; i < tables.length; i++) {
    const table = tables[i];
    if (table !== undefined && table.lowest < search.bound) searchTable(table, search);
  }
  const { best, missed } = search;
  if (best !== undefined) {
    return { type: "found", index: best.index, mount: best.mount ?? mountAt(best.shape, path) };
  }
  return missed === undefined ? NOT_FOUND : { type: "wrong-method", allow: allowed(missed) };
}

function allowed(missed: readonly Entry[]): readonly string[] {
  return [...new Set(missed.flatMap(({ methods }) => [...methods ?? USUAL_METHODS]))].sort();
}

interface Asked {
  readonly method: string;
  readonly hostname: string;
  readonly path: ByteString;
}

/** Asks each route alone, so that the answer rests on nothing but the match itself. */
function judge(routes: readonly RouteKey[], asked: Asked): readonly Verdict[] {
  let taken = false;
  return routes.map((route) => {
    const alone = judgeAlone(route, asked);
    if (alone !== "found") return alone;
    if (taken) return "earlier";
    taken = true;
    return "found";
  });
}

function judgeAlone(route: RouteKey, { method, hostname, path }: Asked): Verdict {
  if (!takesHost(route.host, hostname)) return "host";
  const match = createRouter([route]).match(method, hostname, path);
  if (match.type === "found") return "found";
  return match.type === "wrong-method" ? "method" : "path";
}
