/**
 * The locations of a server block as routes in the order in which the first match serves.
 *
 * nginx takes an exact location, else the longest prefix; unless that one forbids it (`^~`), the first
 * expression that fits wins over it, those within the prefix before those of the block. So: exact paths;
 * then, longest first, the prefixes that come before expressions, with the expressions that count below
 * each; then the block's expressions in their order; then all other prefixes, longest first.
 */
import { resolvedTrying } from "./nginx_file_parts.ts";
import { closedPart } from "./nginx_part.ts";
import { partsOf, returnPart, rewriteParts } from "./nginx_location.ts";
import { escapePath, toPath, type Within } from "./nginx_regex.ts";
import { runnerOf } from "./nginx_scripts.ts";
import { baseOf, type Location, type Match, type Part, type Site } from "./nginx_site.ts";
import { hostCondition } from "./nginx_server.ts";
import type { Directive } from "./nginx_syntax.ts";
import { Scope } from "./nginx_scope.ts";

type Prefix = Location & { readonly match: Extract<Match, { type: "prefix" }> };

/** The routes of a server block. */
export function routesOf(site: Site): readonly Part[] {
  const returned = hostReturn(site) ?? site.scope.own("return").at(0);
  if (returned !== undefined) {
    return [returnPart(returned, { location: undefined, site, path: "/*" })];
  }
  const parts = [...rewriteParts(site.scope, site, undefined), ...orderedParts(site)];
  return withoutRepeats(parts);
}

/** What `if ($host = NAME)` of the block returns for the host of these routes. */
function hostReturn({ scope, routeHost }: Site): Directive | undefined {
  const condition = scope.own("if").find((own) => hostCondition(own) === routeHost);
  if (condition === undefined || routeHost === undefined) return undefined;
  scope.verdicts.took(condition, `host: ${routeHost}`);
  return condition.block?.find(({ name }) => name === "return");
}

function orderedParts(site: Site): readonly Part[] {
  const absorbed = absorbedBy(site);
  const prefixes = prefixesOf(site);
  const regexes = site.locations.filter((location) =>
    location.match.type === "regex" && location !== absorbed
  );
  const outer = regexes.filter(({ outer }) => outer?.match.type !== "prefix");
  const early = prefixes.filter((prefix) => prefix.match.first || isBelowFirst(prefix, prefixes));
  const exact = site.locations.flatMap((location) => exactParts(location, site));
  const first = prefixes.flatMap((prefix) => {
    const within = { prefix: prefix.match.path, except: exceptOf(prefix, prefixes, early) };
    const inner = regexes.filter((regex) => regex.outer === prefix);
    const isEarly = early.includes(prefix);
    const own = isEarly && !prefix.match.first ? [...inner, ...outer] : inner;
    const parts = own.flatMap((regex) => regexParts(regex, site, within));
    return isEarly ? [...parts, ...prefixParts(prefix, site)] : parts;
  });
  const late = prefixes.filter((prefix) => !early.includes(prefix));
  return [
    ...exact,
    ...first,
    ...outer.flatMap((regex) => regexParts(regex, site, undefined)),
    ...late.flatMap((prefix) => prefixParts(prefix, site)),
  ];
}

/** Longest first. A block without `location /` serves what it says itself. */
function prefixesOf(site: Site): readonly Prefix[] {
  const prefixes = site.locations.filter(isPrefix);
  const hasAll = prefixes.some(({ match }) => match.path === "/");
  const serves = site.scope.nearest("root", "try_files") !== undefined;
  const all = hasAll || !serves ? prefixes : [...prefixes, implicit(site)];
  return all.toSorted((a, b) => b.match.path.length - a.match.path.length);
}

function isPrefix(location: Location): location is Prefix {
  return location.match.type === "prefix";
}

function implicit(site: Site): Prefix {
  const line = site.scope.nearest("root", "try_files")?.line ?? 1;
  const file = site.scope.nearest("root", "try_files")?.file ?? "";
  return {
    directive: { name: "server", args: [], file, line, block: [] },
    match: { type: "prefix", path: "/", first: false },
    scope: new Scope([], site.verdicts, site.scope),
    outer: undefined,
  };
}

/** Whether a prefix that comes before expressions would take its requests. */
function isBelowFirst(prefix: Prefix, prefixes: readonly Prefix[]): boolean {
  return prefixes.some(({ match }) =>
    match.first && match.path !== prefix.match.path && prefix.match.path.startsWith(match.path)
  );
}

/** Longer prefixes whose requests nginx would not look for here, and whose routes come later. */
function exceptOf(
  prefix: Prefix,
  prefixes: readonly Prefix[],
  early: readonly Prefix[],
): readonly string[] {
  return prefixes.filter(({ match, outer }) =>
    match.path.length > prefix.match.path.length && match.path.startsWith(prefix.match.path) &&
    outer !== prefix
  ).filter((longer) => !early.includes(longer)).map(({ match }) => match.path);
}

function exactParts(location: Location, site: Site): readonly Part[] {
  const { match, scope, directive } = location;
  if (match.type !== "exact") return [];
  const path = escapePath(match.path);
  scope.verdicts.took(directive, `path: ${path}`);
  return partsOf(location, site, path);
}

function prefixParts(location: Prefix, site: Site): readonly Part[] {
  const { match, scope, directive } = location;
  const path = `${escapePath(baseOf(match.path))}/*`;
  const whole = match.path.endsWith("/") ? "" : ", by whole segments";
  if (directive.name === "location") scope.verdicts.took(directive, `path: ${path}${whole}`);
  const parts = partsOf(location, site, path);
  const slash = needsSlash(location, site, parts) ? [slashPart(location)] : [];
  return [...slash, ...parts];
}

const PASSES = new Set(["fastcgi", "uwsgi", "scgi", "proxy"]);

/** nginx sends `/x` on to `/x/` itself where a program takes what is below. */
function needsSlash({ match }: Prefix, site: Site, parts: readonly Part[]): boolean {
  const bare = baseOf(match.path);
  const isTaken = site.locations.some((other) =>
    (other.match.type === "exact" || other.match.type === "prefix") && other.match.path === bare
  );
  return bare !== "" && match.path.endsWith("/") && !isTaken &&
    parts.some(({ key }) => PASSES.has(key));
}

function slashPart(location: Prefix): Part {
  const bare = baseOf(location.match.path);
  const handler = { to: encodeURI(`${bare}/`), status: 301 };
  return { path: escapePath(bare), key: "redirect", handler, options: {}, location };
}

function regexParts(location: Location, site: Site, within: Within | undefined): readonly Part[] {
  const { match, scope, directive } = location;
  if (match.type !== "regex") return [];
  const bound = within?.prefix === "/" && within.except.length === 0 ? undefined : within;
  if (bound !== undefined && !match.caseless && isElsewhere(match.source, bound)) return [];
  // An expression that begins with the prefix is bound to it already.
  const isOwn = bound !== undefined && !match.caseless && isBound(match.source, bound);
  const own = isOwn ? undefined : bound;
  const path = toPath(match.source, match.caseless, own);
  if (path === undefined) {
    const place = bound === undefined ? "/*" : `${escapePath(baseOf(bound.prefix))}/*`;
    return [closedPart(directive, "its expression cannot be a path", { location, path: place })];
  }
  scope.verdicts.took(directive, `path: ${path}`);
  const parts = partsOf(location, site, path);
  // One that stands for a prefix of its own has its place among those that count everywhere.
  const belongs = (part: Part) =>
    part.path === path || part.path.startsWith(escapePath(baseOf(prefix)));
  const prefix = bound?.prefix ?? "";
  return bound === undefined ? parts : parts.filter(belongs);
}

/** Whether an expression begins with names that are not the prefix's. */
function isElsewhere(source: string, { prefix }: Within): boolean {
  const [, start = ""] = /^\^(\/[\w/-]*)/.exec(source) ?? [];
  const base = baseOf(prefix);
  return start !== "" && !source.includes("|^") && !/^\^\/[\w/-]*[?*]/.test(source) &&
    !start.startsWith(base) && !base.startsWith(start);
}

function isBound(source: string, { prefix, except }: Within): boolean {
  const start = `^${baseOf(prefix)}/`.replaceAll(".", "\\.");
  return except.length === 0 && source.startsWith(start) && !source.includes("|^");
}

/** The location of all scripts that the site's one php route runs as well. */
function absorbedBy(site: Site): Location | undefined {
  const root = prefixesOf(site).find(({ match }) => match.path === "/");
  if (root === undefined) return undefined;
  const trying = resolvedTrying(root.scope, site);
  const script = trying.type === "fallback" ? trying.uri : "/index.php";
  const parts = partsOf(root, site, "/*");
  const runner = runnerOf(site, script);
  const isSite = parts.some(({ key, path }) => key === "php" && path === "/*");
  if (!isSite || runner?.match.type !== "regex" || runner.outer !== undefined) return undefined;
  const { match: { source }, scope, directive } = runner;
  const isForAll = /\\\.\(?(?:\?:)?php/.test(source) && !/^\^\/\w/.test(source);
  const isOpen = !["internal", "deny", "auth_basic", "auth_request"].some((name) =>
    scope.one(name)
  );
  const folder = scope.nearest("root", "alias") === root.scope.nearest("root", "alias");
  if (!isForAll || !isOpen || !folder || sendsScripts(site, { root, runner })) return undefined;
  scope.verdicts.took(
    directive,
    "part of the php route; a script that does not exist goes to the front controller",
  );
  return runner;
}

/**
 * Whether some other location would send as files what nginx has run: then the location of all scripts
 * needs a route of its own before it, or sources would be given away.
 */
function sendsScripts(
  site: Site,
  { root, runner }: { readonly root: Location; readonly runner: Location },
): boolean {
  const after = site.locations.slice(site.locations.indexOf(runner) + 1);
  return site.locations.some((location) => {
    const { match } = location;
    if (location === root || location === runner) return false;
    if (match.type === "prefix") return !match.first && isStatic(location, site);
    if (match.type !== "regex" || !after.includes(location)) return false;
    return !OTHER_SUFFIX.test(match.source) && isStatic(location, site);
  });
}

/** Ends with a suffix, or one of several, none of them a script's. */
const OTHER_SUFFIX = /\\\.(?:(?!ph)\w+|\((?:\?:)?(?!ph)[\w?]+(?:\|(?!ph)[\w?]+)*\))\$$/i;

function isStatic(location: Location, site: Site): boolean {
  return partsOf(location, site, "/*").some(({ key }) => key === "static");
}

/** Of routes with one path the first serves, unless it takes some methods only. */
function withoutRepeats(parts: readonly Part[]): readonly Part[] {
  const seen = new Set<string>();
  return parts.filter(({ path, options }) => {
    if (seen.has(path)) return false;
    if (!("methods" in options)) seen.add(path);
    return true;
  });
}
