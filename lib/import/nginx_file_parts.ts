/**
 * A location that serves files, as routes: a folder, a folder with a page for whatever it has not, or a PHP
 * site. Which of them, `try_files`, `index` and the location that runs the scripts tell together.
 */
import {
  baseOfLocation,
  below,
  type Folder,
  folderOf,
  IS_PHP,
  namedLocation,
  scriptOf,
  staticFields,
  type Trying,
  tryingOf,
} from "./nginx_files.ts";
import { optionsOf } from "./nginx_options.ts";
import { closedPart, short } from "./nginx_part.ts";
import { addressesOf } from "./nginx_programs.ts";
import { escapePath } from "./nginx_regex.ts";
import { phpFields, runnerOf, scriptIndex } from "./nginx_scripts.ts";
import type { Scope } from "./nginx_scope.ts";
import type { Location, Part, Site } from "./nginx_site.ts";

interface Files {
  readonly location: Location;
  readonly site: Site;
  readonly path: string;
  readonly base: string;
  readonly folder: Folder;
}

export function fileParts(location: Location, site: Site, path: string): readonly Part[] {
  const { scope, match, directive } = location;
  if (match.type === "regex" && isOfOuterAlias(location)) return [];
  const base = baseOfLocation(location);
  const folder = match.type === "exact" ? exactFolder(location) : folderOf(scope, base);
  if (folder === undefined) {
    const where = scope.nearest("root", "alias") ?? directive;
    return [closedPart(where, "it is not known where its files lie", { location, path })];
  }
  const files = { location, site, path, base, folder };
  const trying = resolvedTrying(scope, site);
  return trying.type === "fallback" ? fallbackParts(files, trying.uri) : plainParts(files);
}

/** A named location that only rewrites stands for the script that it leads to. */
export function resolvedTrying(scope: Scope, site: Site): Trying {
  const trying = tryingOf(scope);
  if (trying.type !== "named") return trying;
  const named = namedLocation(site, trying.name);
  const rewrites = named?.scope.own("rewrite") ?? [];
  const last = rewrites.at(-1);
  const uri = last && scriptOf(last);
  if (named === undefined || last === undefined || uri === undefined) return { type: "files" };
  named.scope.verdicts.took(named.directive, "as front controller");
  for (const rewrite of rewrites) {
    if (rewrite === last) named.scope.verdicts.took(last, `what names no file goes to ${uri}`);
    else named.scope.verdicts.left(rewrite, "the front controller gets these paths as well");
  }
  return { type: "fallback", uri };
}

function fallbackParts(files: Files, uri: string): readonly Part[] {
  const { location, site, path, base, folder } = files;
  const page = below(uri, base);
  if (!IS_PHP.test(uri)) {
    const tries = location.scope.nearest("try_files") ?? location.directive;
    if (page === undefined) {
      return [closedPart(tries, "the file lies outside of its folder", { location, path })];
    }
    return [staticPart(files, page)];
  }
  const runner = runnerOf(site, uri);
  const pass = runner?.scope.own("fastcgi_pass").at(-1);
  const connect = pass && runner && addressesOf(pass.args[0] ?? "", site, runner.scope);
  if (runner === undefined || connect === undefined) {
    const tries = location.scope.nearest("try_files") ?? location.directive;
    return [closedPart(tries, `nothing runs ${uri}`, { location, path })];
  }
  if (pass !== undefined) runner.scope.verdicts.took(pass, "php");
  const isBelow = page !== undefined;
  const place = isBelow
    ? { root: folder.folder, index: page, ...(folder.isAlias ? {} : { documentRoot: folder.root }) }
    : { root: folder.root, index: uri.slice(1) };
  const { handler, options } = phpFields(runner, { ...place, connect });
  return [{
    // Outside of its folder the whole path is looked for in the whole tree.
    path: isBelow ? path : `${escapePath(base)}/(.*)`,
    key: "php",
    handler,
    options: { ...optionsOf(location.scope), ...options },
    location,
  }];
}

function plainParts(files: Files): readonly Part[] {
  const { location, site, base, folder } = files;
  const script = location.match.type === "prefix" ? scriptIndex(location.scope) : undefined;
  const runner = script === undefined ? undefined : runnerOf(site, `${base}/${script}`);
  const pass = runner?.scope.own("fastcgi_pass").at(-1);
  const connect = pass && runner && addressesOf(pass.args[0] ?? "", site, runner.scope);
  if (script === undefined || runner === undefined || connect === undefined) {
    return [staticPart(files, undefined)];
  }
  const root = folder.isAlias ? folder.folder : folder.root;
  const { handler, options } = phpFields(runner, { root, connect, index: script });
  const php = {
    key: "php",
    handler,
    options: { ...optionsOf(location.scope), ...options },
    location,
  };
  if (folder.isAlias) return [{ ...php, path: files.path }];
  // Folders by their index, whether script or page; files by their names.
  return [{ ...php, path: `${escapePath(base)}/((?:.*/)?)` }, staticPart(files, undefined)];
}

function staticPart({ location, path, folder }: Files, fallback: string | undefined): Part {
  const fields = staticFields(folder, location, fallback ?? folder.file);
  const options = optionsOf(location.scope, true);
  return { path, key: "static", handler: short(fields, "root"), options, location };
}

/** `location = /x { alias /srv/y; }`: one file, whatever its name. */
function exactFolder(location: Location): Folder | undefined {
  const folder = folderOf(location.scope, "");
  if (folder === undefined || !folder.isAlias || location.match.type !== "exact") return folder;
  const at = folder.folder.lastIndexOf("/");
  const root = folder.folder.slice(0, at) || "/";
  return { folder: root, root, isAlias: true, file: folder.folder.slice(at + 1) };
}

/** `location ~ ^/pma/(.+\.css)$ { alias /srv/pma/$1; }` within `location /pma { alias /srv/pma; }`. */
function isOfOuterAlias({ scope, outer, directive }: Location): boolean {
  const own = scope.nearest("root", "alias");
  const around = outer?.scope.nearest("root", "alias");
  if (own === undefined || own.name !== "alias" || around?.name !== "alias") return false;
  const same = own.args[0]?.replace(/\/?\$1$/, "") === around.args[0]?.replace(/\/$/, "");
  if (!same) return false;
  scope.verdicts.took(own, "root");
  scope.verdicts.moot(directive, "the route of its prefix sends these files");
  return true;
}
