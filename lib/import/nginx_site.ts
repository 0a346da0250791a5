/**
 * A server block as the rest of the translation sees it: its locations as a tree, each with what holds in
 * it, and nginx's own way to find the location of a path.
 */
import type { Plain, PlainMap } from "../draft/table_text.ts";
import { Scope, type Verdicts } from "./nginx_scope.ts";
import type { Directive } from "./nginx_syntax.ts";

/** Which paths a location takes, in nginx's terms. */
export type Match =
  | { readonly type: "exact"; readonly path: string }
  /** `first`: with `^~`, before all expressions. */
  | { readonly type: "prefix"; readonly path: string; readonly first: boolean }
  | { readonly type: "regex"; readonly source: string; readonly caseless: boolean }
  | { readonly type: "named"; readonly name: string };

export interface Location {
  readonly directive: Directive;
  readonly match: Match;
  readonly scope: Scope;
  readonly outer: Location | undefined;
}

/** Addresses of the servers of an `upstream`. */
export type Upstreams = ReadonlyMap<string, readonly string[]>;

export interface Site {
  readonly scope: Scope;
  /** Nested ones follow the one that they are in. */
  readonly locations: readonly Location[];
  readonly upstreams: Upstreams;
  readonly verdicts: Verdicts;
  /** The host that its requests have, as far as it is known. */
  readonly host: string | undefined;
  /** The host of its routes; undefined: any. */
  readonly routeHost: string | undefined;
}

/** A route in the making. */
export interface Part {
  readonly path: string;
  readonly key: string;
  readonly handler: Plain;
  readonly options: PlainMap;
  readonly location: Location | undefined;
}

/** All locations of a block, each followed by those within it. */
export function collectLocations(scope: Scope, outer?: Location): readonly Location[] {
  return scope.own("location").flatMap((directive) => {
    const inner = new Scope(directive.block ?? [], scope.verdicts, scope);
    const location = { directive, match: readMatch(directive), scope: inner, outer };
    return [location, ...collectLocations(inner, location)];
  });
}

function readMatch({ args }: Directive): Match {
  const [first = "", second] = splitModifier(args);
  switch (second === undefined ? "" : first) {
    case "=":
      return { type: "exact", path: second ?? "" };
    case "^~":
      return { type: "prefix", path: second ?? "", first: true };
    case "~":
    case "~*":
      return { type: "regex", source: second ?? "", caseless: first === "~*" };
    default:
      if (first.startsWith("@")) return { type: "named", name: first };
      return { type: "prefix", path: second ?? first, first: false };
  }
}

/** The modifier may stand right before the path: `=/path`, `~\.php$`. */
function splitModifier(args: readonly string[]): readonly string[] {
  const [first = ""] = args;
  if (args.length > 1) return args;
  const [, modifier, rest] = /^(=|\^~|~\*|~)(.+)$/s.exec(first) ?? [];
  return modifier === undefined || rest === undefined ? args : [modifier, rest];
}

/** The location that nginx would choose for a path that is known before any request. */
export function locationOf(site: Site, path: string): Location | undefined {
  return choose(site.locations, undefined, path);
}

function choose(
  all: readonly Location[],
  outer: Location | undefined,
  path: string,
): Location | undefined {
  const here = all.filter((location) => location.outer === outer);
  const exact = here.find(({ match }) => match.type === "exact" && match.path === path);
  if (exact !== undefined) return exact;
  const prefix = longest(here, path);
  const nested = prefix && choose(all, prefix, path);
  if (nested?.match.type === "regex" || nested?.match.type === "exact") return nested;
  const isFirst = prefix?.match.type === "prefix" && prefix.match.first;
  const found = isFirst ? undefined : here.find(({ match }) => finds(match, path));
  if (found !== undefined) return choose(all, found, path) ?? found;
  return nested ?? prefix;
}

function longest(locations: readonly Location[], path: string): Location | undefined {
  let best: Location | undefined;
  let length = -1;
  for (const location of locations) {
    const { match } = location;
    if (match.type !== "prefix" || !path.startsWith(match.path)) continue;
    if (match.path.length <= length) continue;
    best = location;
    length = match.path.length;
  }
  return best;
}

function finds(match: Match, path: string): boolean {
  if (match.type !== "regex") return false;
  try {
    return new RegExp(match.source.replaceAll("(?P<", "(?<"), match.caseless ? "is" : "s").test(
      path,
    );
  } catch {
    return false;
  }
}

/** The part of a prefix that a route's final `/*` follows. */
export function baseOf(path: string): string {
  return path.replace(/\/+$/, "");
}
