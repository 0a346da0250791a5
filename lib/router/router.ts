/**
 * Finds the route of a request: the first in file order whose host, path and method fit. A route that
 * fits but for its method is passed over; if no later one fits, the answer is 405 with their methods.
 *
 * Whatever depends on the routes alone is computed when the router is created; a match allocates its
 * answer and little else, at a cost that hardly depends on the number of routes.
 */
import type { ByteString, Mount } from "../exchange.ts";
import { createEntries, type RouteKey, takesHost } from "./entry.ts";
import { mountAt } from "./mount.ts";
import { type Search, searchRoot } from "./search.ts";
import { buildTable, methodsOf, rootsFor, routeOf, shapeOf, type Table } from "./table.ts";

export type { RouteKey } from "./entry.ts";

export type Match =
  | { readonly type: "found"; readonly index: number; readonly mount: Mount }
  | { readonly type: "wrong-method"; readonly allow: readonly string[] }
  | { readonly type: "not-found" };

/** Why a route takes a request, or what it fails on; `earlier`: another one takes it first. */
export type Verdict = "found" | "host" | "path" | "method" | "earlier";

export interface Router {
  /** `hostname` in lower case and without port, `path` decoded: both as in an Exchange. */
  match(method: string, hostname: string, path: ByteString): Match;
  /** The verdict on every route, in file order. For people: it is slow. */
  candidates(method: string, hostname: string, path: ByteString): readonly Verdict[];
}

/** What a route without methods is known to take (RFC 9110 §9.3, RFC 5789 §2). */
const USUAL_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const NOT_FOUND: Match = Object.freeze({ type: "not-found" });

/** Creates the router of a table; throws PatternError on a faulty path. */
export function createRouter(routes: readonly RouteKey[]): Router {
  const entries = createEntries(routes);
  const table = buildTable(entries);
  const noRank = entries.length;
  const anyHost = routes.every(({ host }) => host === undefined) ? [table.any] : undefined;
  return {
    match(method, hostname, path) {
      const search: Search = { table, method, path, best: noRank, missed: undefined };
      for (const root of anyHost ?? rootsFor(table, hostname)) searchRoot(search, root);
      if (search.best < noRank) return found(table, search.best, path);
      return search.missed === undefined ? NOT_FOUND : wrongMethod(table, search.missed);
    },
    candidates: (method, hostname, path) => judge(routes, { method, hostname, path }),
  };
}

function found(table: Table, rank: number, path: ByteString): Match {
  return { type: "found", index: routeOf(table, rank), mount: mountAt(shapeOf(table, rank), path) };
}

function wrongMethod(table: Table, missed: readonly number[]): Match {
  const allow = missed.flatMap((rank) => [...methodsOf(table, rank) ?? USUAL_METHODS]);
  return { type: "wrong-method", allow: [...new Set(allow)].sort() };
}

interface Asked {
  readonly method: string;
  readonly hostname: string;
  readonly path: ByteString;
}

/** Asks each route alone, so that a verdict is about that route and rests on the match itself. */
function judge(routes: readonly RouteKey[], asked: Asked): readonly Verdict[] {
  const alone = routes.map((route) => judgeAlone(route, asked));
  const first = alone.indexOf("found");
  return alone.map((verdict, i) => verdict === "found" && i > first ? "earlier" : verdict);
}

function judgeAlone(route: RouteKey, { method, hostname, path }: Asked): Verdict {
  if (!takesHost(route.host?.toLowerCase(), hostname)) return "host";
  const match = createRouter([route]).match(method, hostname, path);
  if (match.type === "found") return "found";
  return match.type === "wrong-method" ? "method" : "path";
}
