/**
 * Locations with fastcgi_pass: which script answers, from SCRIPT_FILENAME, fastcgi_index, the split and the
 * location's own expression; and PHP sites, where files, scripts and a front controller go together.
 */
import type { PlainMap } from "../draft/table_text.ts";
import { folderOf, indexOf, IS_PHP } from "./nginx_files.ts";
import { optionsOf } from "./nginx_options.ts";
import {
  addressesOf,
  connectTime,
  filled,
  oneOrList,
  readTimeOption,
  variablesOf,
} from "./nginx_programs.ts";
import { escapePath } from "./nginx_regex.ts";
import type { Scope } from "./nginx_scope.ts";
import { baseOf, type Location, locationOf, type Part, type Site } from "./nginx_site.ts";

/** A part whose path the location alone may not tell. */
export interface Scripts {
  readonly key: "fastcgi" | "php";
  readonly handler: PlainMap;
  readonly options: PlainMap;
  /** In place of the path that the location's match would give. */
  readonly path?: string;
}

/** `^/git(/.*)$`, `/git/`: a prefix written as an expression. */
const PREFIX_REGEX = /^\^?((?:\/[\w.-]+)+?)(?:\(\/\.\*\)|\/\(\.\*\)|\/\.\*|\(\/\|\$\)|\/)?\$?$/;
/** An alias whose capture stands for what follows a prefix. */
const ALIAS_REGEX = /^\^((?:\/[\w.-]+)+)\/?(?:\(\?:\/\))?\(\/?\.[+*]\??\\\.php\)(?:\(.*\))?\$?$/;

/** Passes requests to a FastCGI application; undefined: its address is known only with the request. */
export function fastcgiScripts(location: Location, site: Site): Scripts | undefined {
  const { scope, match } = location;
  const pass = scope.own("fastcgi_pass").at(-1);
  const connect = pass && addressesOf(pass.args[0] ?? "", site, scope);
  if (pass === undefined || connect === undefined) return undefined;
  const base = match.type === "prefix" ? baseOf(match.path) : "";
  const captured = match.type === "regex" ? aliasBelow(location, match.source) : undefined;
  if (captured !== undefined) {
    scope.verdicts.took(pass, "php, with all that lies below the prefix");
    const { path, root } = captured;
    return { key: "php", path, ...phpFields(location, { root, connect }) };
  }
  const folder = folderOf(scope, base);
  const { env, script, tree } = variablesOf(scope, "fastcgi", folder?.root);
  scope.verdicts.took(pass, "fastcgi");
  const prefix = match.type === "regex" && script !== undefined
    ? PREFIX_REGEX.exec(match.source)?.[1]
    : undefined;
  const root = tree === undefined ? folder?.folder : `${tree}${base}`;
  const isTree = script === undefined && root !== undefined &&
    (hasTree(scope) || match.type === "regex");
  const documentRoot = isTree && base !== "" && !folder?.isAlias
    ? { DOCUMENT_ROOT: tree ?? folder?.root ?? root }
    : {};
  return {
    key: "fastcgi",
    ...(prefix === undefined ? {} : { path: `${escapePath(prefix)}/*` }),
    handler: {
      connect: oneOrList(connect),
      ...(script === undefined ? {} : { script }),
      ...(isTree ? { root, ...indexField(scope), ...splitField(location) } : {}),
      ...filled({ env: { ...documentRoot, ...env } }),
      ...connectTime(scope, "fastcgi"),
    },
    options: { ...optionsOf(scope), ...readTimeOption(scope, "fastcgi") },
  };
}

function hasTree(scope: Scope): boolean {
  return scope.all("fastcgi_param").some(({ args }) => args[0] === "SCRIPT_FILENAME");
}

interface Captured {
  readonly path: string;
  readonly root: string;
}

/** `location ~ ^/pma/(.+\.php)$ { alias /usr/share/phpmyadmin/$1; }` */
function aliasBelow({ scope, outer }: Location, source: string): Captured | undefined {
  const alias = scope.nearest("alias");
  const root = scope.nearest("root", "alias");
  if (alias === undefined || root !== alias) return undefined;
  const [, prefix] = ALIAS_REGEX.exec(source) ?? [];
  const [text = ""] = alias.args;
  const [, folder] = /^(\/[^$]*?)\/?(?:\$1)?$/.exec(text) ?? [];
  const outerPath = outer?.match.type === "prefix" ? baseOf(outer.match.path) : undefined;
  // Below a prefix with an alias, an expression without one means the same tree.
  const base = prefix ?? (text.includes("$") ? undefined : outerPath);
  if (base === undefined || folder === undefined) return undefined;
  scope.verdicts.took(alias, "root");
  return { path: `${escapePath(base)}/*`, root: folder };
}

function indexField(scope: Scope): PlainMap {
  const directive = scope.one("fastcgi_index");
  const [name = "index.php"] = directive?.args ?? [];
  if (directive !== undefined) scope.verdicts.took(directive, "index");
  return name === "index.php" ? {} : { index: name };
}

/** Suffixes of scripts, from the location's expression and from fastcgi_split_path_info. */
function splitField({ scope, match }: Location): PlainMap {
  const directive = scope.one("fastcgi_split_path_info");
  const sources = [directive?.args[0], match.type === "regex" ? match.source : undefined];
  const suffixes = sources.flatMap((source) => source === undefined ? [] : suffixesIn(source));
  if (directive !== undefined) {
    const [first] = suffixesIn(directive.args[0] ?? "");
    if (first === undefined) scope.verdicts.left(directive, "only a suffix is known as a border");
    else scope.verdicts.took(directive, `split: ${first}`);
  }
  const split = [...new Set(suffixes)];
  const isUsual = split.length === 0 || (split.length === 1 && split[0] === ".php");
  return isUsual ? {} : { split };
}

function suffixesIn(source: string): readonly string[] {
  const [, one, many = ""] = /\\\.(?:([a-z]\w*)|\((?:\?:)?([a-z][\w|?]*)\))/i.exec(source) ?? [];
  if (one !== undefined) return [`.${one}`];
  if (many.includes("?")) return [];
  return many.split("|").filter((name) => name !== "").map((name) => `.${name}`);
}

export interface PhpPlace {
  readonly root: string;
  readonly connect: readonly string[];
  readonly index?: string;
  /** Where it differs from `root`. */
  readonly documentRoot?: string;
}

/** Fields of `php`, with the parameters of the location that runs the scripts. */
export function phpFields(
  { scope }: Pick<Location, "scope">,
  place: PhpPlace,
): Pick<Part, "options"> & { readonly handler: PlainMap } {
  const { root, connect, index = "index.php", documentRoot = root } = place;
  const { env } = variablesOf(scope, "fastcgi", documentRoot);
  const own = documentRoot === root ? {} : { DOCUMENT_ROOT: documentRoot };
  indexField(scope);
  noteSplit(scope);
  return {
    handler: {
      root,
      connect: oneOrList(connect),
      ...(index === "index.php" ? {} : { index }),
      ...filled({ env: { ...own, ...env } }),
      ...connectTime(scope, "fastcgi"),
    },
    options: { ...optionsOf(scope), ...readTimeOption(scope, "fastcgi") },
  };
}

function noteSplit(scope: Scope): void {
  const directive = scope.one("fastcgi_split_path_info");
  if (directive !== undefined) {
    scope.verdicts.moot(directive, "the file along the path is the script");
  }
  const missing = scope.own("if").filter(({ args }) => /^\(!-[ef]$/.test(args[0] ?? ""));
  for (const condition of missing) scope.verdicts.moot(condition, "only files that exist are run");
  const tries = scope.own("try_files").at(-1);
  if (tries !== undefined) scope.verdicts.moot(tries, "only files that exist are run");
}

/** The location that runs a script of the site; undefined: none passes it to FastCGI. */
export function runnerOf(site: Site, uri: string): Location | undefined {
  const location = locationOf(site, uri);
  return location !== undefined && location.scope.own("fastcgi_pass").length > 0
    ? location
    : undefined;
}

/** The first script among the names of `index`. */
export function scriptIndex(scope: Scope): string | undefined {
  return indexOf(scope).find((name) => IS_PHP.test(name) && !name.includes("/"));
}
