/**
 * One location as routes: what guards it first, then what it answers with. Where it cannot be said by a
 * route, or where a guard would be lost, the route is closed with 501: no request may reach by mistake what
 * nginx would have kept from it, nor fall through to a location that was not meant for it.
 */
import type { Plain, PlainMap } from "../draft/table_text.ts";
import { optionsOf } from "./nginx_options.ts";
import { closedPart, short, type Spot, statusPart } from "./nginx_part.ts";
import { closingFields, proxyFields, readTimeOption } from "./nginx_programs.ts";
import { returnRedirect, rewriteRedirect } from "./nginx_redirect.ts";
import { fileParts } from "./nginx_file_parts.ts";
import { namedLocation, tryingOf } from "./nginx_files.ts";
import { fastcgiScripts } from "./nginx_scripts.ts";
import type { Scope } from "./nginx_scope.ts";
import type { Location, Part, Site } from "./nginx_site.ts";
import type { Directive } from "./nginx_syntax.ts";

/** The routes of a location, whose own path is `path`. */
export function partsOf(location: Location, site: Site, path: string): readonly Part[] {
  const guarded = guardOf(location, path);
  if (guarded !== undefined) return [guarded];
  const auth = authOf(location);
  return openParts(location, site, path).map((part) => (
    part.key === "redirect" ? part : { ...part, options: { ...part.options, ...auth } }
  ));
}

function openParts(location: Location, site: Site, path: string): readonly Part[] {
  const { scope } = location;
  const returned = scope.own("return").at(0);
  if (returned !== undefined) return [returnPart(returned, { location, site, path })];
  const rewrites = rewriteParts(scope, site, location);
  const passed = passPart(location, site, path);
  if (passed !== undefined) return [...rewrites, passed];
  const named = namedPass(location, site);
  return [
    ...rewrites,
    ...(named === undefined
      ? fileParts(location, site, path)
      : instead(named, location, site, path)),
  ];
}

interface Here extends Spot {
  readonly site: Site;
}

/** Why nobody gets in, or not everybody. */
function guardOf(location: Location, path: string): Part | undefined {
  const { scope, directive } = location;
  const { verdicts } = scope;
  const [internal] = scope.own("internal");
  if (internal !== undefined) {
    verdicts.took(internal, "404 for every request from outside");
    return statusPart(location, path, 404);
  }
  const access = scope.nearest("allow", "deny");
  const rules = access === undefined ? [] : accessRules(scope);
  const [first] = rules;
  if (first?.name === "deny" && first.args[0] === "all") {
    for (const rule of rules) verdicts.took(rule, "403 for every request");
    return statusPart(location, path, 403);
  }
  const denied = rules.find(({ name }) => name === "deny");
  if (denied !== undefined) {
    return closedPart(denied, "Portico lets nobody in by address", { location, path });
  }
  const basic = scope.one("auth_basic");
  if (basic !== undefined && basic.args[0] !== "off" && usersOf(scope) === undefined) {
    return closedPart(basic, "it is not known whose password to ask for", { location, path });
  }
  const asked = ["auth_request", "auth_jwt", "secure_link"].map((name) => scope.one(name))
    .find((found) => found !== undefined && found.args[0] !== "off");
  if (asked !== undefined) return closedPart(asked, "nobody would be asked", { location, path });
  const condition = scope.own("if").find(isGuard);
  if (condition === undefined) return undefined;
  return closedPart(condition, "the condition would not be checked", {
    location,
    path: path || directive.name,
  });
}

/** The file of users, where it is named. */
function usersOf(scope: Scope): string | undefined {
  const file = scope.expand(scope.one("auth_basic_user_file")?.args[0] ?? "");
  return file?.startsWith("/") ? file : undefined;
}

/** `auth` of a location's routes. */
function authOf({ scope }: Location): PlainMap {
  const basic = scope.one("auth_basic");
  const users = scope.one("auth_basic_user_file");
  const file = usersOf(scope);
  if (basic === undefined || users === undefined || file === undefined) return {};
  if (basic.args[0] === "off") return {};
  scope.verdicts.took(basic, "auth");
  scope.verdicts.took(users, "auth; its passwords must be of bcrypt or Argon2: htpasswd -B");
  const realm = scope.expand(basic.args[0] ?? "") ?? "";
  const isRealm = /^[\x20-\x7e]{1,200}$/.test(realm);
  return { auth: { basic: isRealm ? { file, realm } : file } };
}

/** `allow` and `deny` of the nearest block that has either. */
function accessRules(scope: Scope): readonly Directive[] {
  const own = scope.directives.filter(({ name }) => name === "allow" || name === "deny");
  return own.length > 0 || scope.outer === undefined ? own : accessRules(scope.outer);
}

function isGuard({ block = [] }: Directive): boolean {
  return block.some(({ name, args }) =>
    name === "deny" || (name === "return" && /^4\d\d$/.test(args[0] ?? "") && args[0] !== "404")
  );
}

/** `try_files $uri @name` and what `@name` passes on to. */
function namedPass({ scope }: Location, site: Site): Location | undefined {
  const trying = tryingOf(scope);
  const named = trying.type === "named" ? namedLocation(site, trying.name) : undefined;
  const passes = named?.scope.directives.some(({ name }) => name.endsWith("_pass"));
  return passes ? named : undefined;
}

/** All requests go where nginx sends those that name no file: a route does not try two things. */
function instead(named: Location, location: Location, site: Site, path: string): readonly Part[] {
  const tries = location.scope.nearest("try_files");
  if (tries !== undefined) {
    location.scope.verdicts.left(
      tries,
      `all requests go to ${tries.args.at(-1)}: add a static route above for folders of files`,
    );
  }
  // The named location answers in the place of the one that names it.
  const served = { ...named, match: location.match };
  return partsOf(served, site, path).map((part) => ({ ...part, location }));
}

const REDIRECTS = new Set(["301", "302", "303", "307", "308"]);

/** `return` as a redirect or a fixed answer. */
export function returnPart(directive: Directive, here: Here): Part {
  const { location, site, path } = here;
  const scope = location?.scope ?? site.scope;
  const [first = "", second = ""] = directive.args;
  const target = directive.args.length === 1 && !/^\d+$/.test(first) ? first : second;
  if (REDIRECTS.has(first) || target === first) {
    return redirectPart(
      directive,
      { target, status: REDIRECTS.has(first) ? Number(first) : 302 },
      here,
    );
  }
  const status = Number(first);
  const body = scope.expand(second);
  if (!(status >= 200 && status <= 599) || body === undefined) {
    return closedPart(directive, "the answer is known only with the request", here);
  }
  // 444 has nginx hang up without a word.
  const told = status === 444 ? 404 : status;
  scope.verdicts.took(directive, status === 444 ? "404 in place of hanging up" : "respond");
  const type = scope.one("default_type");
  if (type !== undefined) scope.verdicts.took(type, "Content-Type");
  const headers = type === undefined || body === ""
    ? {}
    : { headers: { "Content-Type": type.args[0] ?? "" } };
  const handler = { status: told, ...(body === "" ? {} : { body }), ...headers };
  return { path, key: "respond", handler, options: optionsOf(scope), location };
}

interface Aim {
  readonly target: string;
  readonly status: number;
}

function redirectPart(directive: Directive, { target, status }: Aim, here: Here): Part {
  const { location, site, path } = here;
  const scope = location?.scope ?? site.scope;
  const known = { host: site.host, scope };
  const isRegex = location?.match.type === "regex";
  const found = isRegex && /\$\d/.test(target)
    ? rewriteRedirect(location.match.source, target, known)
    : returnRedirect(path, target, known);
  if (found === undefined) {
    return closedPart(directive, "the target is known only with the request", here);
  }
  scope.verdicts.took(directive, "redirect, with the query");
  return toPart(found, status, location);
}

function toPart(
  { path, to }: { readonly path: string; readonly to: string },
  status: number,
  location: Location | undefined,
): Part {
  const handler: Plain = status === 308 ? to : { to, status };
  return { path, key: "redirect", handler, options: {}, location };
}

/** `rewrite ... permanent` and `rewrite ... redirect`; others change what nginx looks for next. */
export function rewriteParts(
  scope: Scope,
  site: Site,
  location: Location | undefined,
): readonly Part[] {
  return scope.own("rewrite").flatMap((directive) => {
    const [regex = "", target = "", flag = ""] = directive.args;
    const status = flag === "permanent" ? 301 : 302;
    const leaves = flag === "permanent" || flag === "redirect" || /^https?:\/\//.test(target);
    const found = leaves ? rewriteRedirect(regex, target, { host: site.host, scope }) : undefined;
    if (found === undefined) {
      if (!scope.verdicts.has(directive)) {
        scope.verdicts.left(directive, "only simple redirects are known here");
      }
      return [];
    }
    scope.verdicts.took(directive, "redirect, with the query");
    return [toPart(found, status, location)];
  });
}

const OTHER_PASSES = [
  "grpc_pass",
  "memcached_pass",
  "js_content",
  "perl",
  "content_by_lua_file",
  "dav_methods",
  "stub_status",
  "mp4",
  "flv",
];

/** What passes requests on; undefined: the location serves files. */
function passPart(location: Location, site: Site, path: string): Part | undefined {
  const { scope } = location;
  const other = OTHER_PASSES.map((name) => scope.own(name).at(0))
    .find((found) => found !== undefined);
  if (other !== undefined) {
    return closedPart(other, "Portico has no such kind", { location, path });
  }
  return closingPart(location, site, path) ?? proxyPart(location, site, path) ??
    fastcgiPart(location, site, path);
}

function closingPart(location: Location, site: Site, path: string): Part | undefined {
  const { scope } = location;
  for (const key of ["uwsgi", "scgi"] as const) {
    const pass = scope.own(`${key}_pass`).at(-1);
    if (pass === undefined) continue;
    const handler = closingFields(key, pass, scope, site);
    if (handler === undefined) return closedPart(pass, UNKNOWN, { location, path });
    const options = { ...optionsOf(scope), ...readTimeOption(scope, key) };
    return { path, key, handler: short(handler, "connect"), options, location };
  }
  return undefined;
}

function proxyPart(location: Location, site: Site, path: string): Part | undefined {
  const { scope, match } = location;
  const pass = scope.own("proxy_pass").at(-1);
  if (pass === undefined) return undefined;
  const prefix = match.type === "prefix" ? match.path : undefined;
  const handler = proxyFields(pass, { scope, path: prefix }, site);
  if (typeof handler === "string") return closedPart(pass, handler, { location, path });
  const options = { ...optionsOf(scope), ...readTimeOption(scope, "proxy") };
  return { path, key: "proxy", handler: short(handler, "to"), options, location };
}

function fastcgiPart(location: Location, site: Site, path: string): Part | undefined {
  const pass = location.scope.own("fastcgi_pass").at(-1);
  if (pass === undefined) return undefined;
  const scripts = fastcgiScripts(location, site);
  if (scripts === undefined) return closedPart(pass, UNKNOWN, { location, path });
  const { key, handler, options } = scripts;
  return { path: scripts.path ?? path, key, handler: short(handler, "connect"), options, location };
}

const UNKNOWN = "its address is known only with the request";
