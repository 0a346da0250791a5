/**
 * Locations that serve files: `root`, `alias`, `index`, `try_files` and what belongs to them, as the kinds
 * `static` and `php`. Where nginx asks for a file and hands all else to a script, that is what `php` does.
 */
import type { PlainMap } from "../draft/table_text.ts";
import { cacheControlOf } from "./nginx_options.ts";
import type { Scope } from "./nginx_scope.ts";
import { baseOf, type Location, type Site } from "./nginx_site.ts";
import type { Directive } from "./nginx_syntax.ts";

/** Where nginx looks for files if nobody says where. */
const DEFAULT_ROOT = "/usr/share/nginx";

/** The folder that a location's files lie in, as a route's tree of paths starts there. */
export interface Folder {
  /** What stands for the part of the path that the route's tree begins with. */
  readonly folder: string;
  /** DOCUMENT_ROOT as nginx has it. */
  readonly root: string;
  readonly isAlias: boolean;
  /** The one file that is meant, where it is one. */
  readonly file?: string;
}

/** Below a prefix `base`, or with `base` empty for whole paths; undefined: it is not known. */
export function folderOf(scope: Scope, base: string): Folder | undefined {
  const directive = scope.nearest("root", "alias");
  if (directive === undefined) return undefined;
  const text = scope.expand(directive.args[0] ?? "");
  if (text === undefined) {
    scope.verdicts.left(directive, "the folder is known only with the request");
    return undefined;
  }
  const path = text.startsWith("/") ? text : `${DEFAULT_ROOT}/${text}`;
  const root = path.replace(/\/+$/, "") || "/";
  scope.verdicts.took(directive, "root");
  if (directive.name === "alias") return { folder: root, root, isAlias: true };
  return { folder: `${root === "/" ? "" : root}${base}` || "/", root, isAlias: false };
}

/** What `try_files` comes to. */
export type Trying =
  | { readonly type: "files" }
  /** A file of the tree for all that names nothing. */
  | { readonly type: "fallback"; readonly uri: string }
  | { readonly type: "named"; readonly name: string };

/** Reads the nearest `try_files`, or `if (!-e $request_filename)` with a rewrite, which is an old form. */
export function tryingOf(scope: Scope): Trying {
  const directive = scope.nearest("try_files");
  if (directive !== undefined) return readTryFiles(directive, scope);
  const missing = scope.own("if").find(({ args }) =>
    /^\(!-[ef] \$request_filename\)$/.test(args.join(" ").replace(/\(\s+|\s+\)/g, (s) => s.trim()))
  );
  const rewrite = missing?.block?.find(({ name }) => name === "rewrite");
  const uri = rewrite && scriptOf(rewrite);
  if (missing === undefined || rewrite === undefined || uri === undefined) return { type: "files" };
  scope.verdicts.took(missing, "what names no file");
  scope.verdicts.took(rewrite, `goes to ${uri}`);
  return { type: "fallback", uri };
}

/** The script that a rewrite of everything leads to. */
export function scriptOf({ args }: Directive): string | undefined {
  const [regex = "", target = "", flag] = args;
  if (flag === "redirect" || flag === "permanent") return undefined;
  if (!/^(?:\^|\.|\.\*|\^\/?\(?\.[*+]\)?\$?|\^\(\.\*\)\$|\^\/?.*\(\.\*\)\$)$/.test(regex)) {
    return undefined;
  }
  const [uri = ""] = target.split("?");
  return /^\/[\w./-]+$/.test(uri) ? uri : undefined;
}

function readTryFiles(directive: Directive, scope: Scope): Trying {
  const last = directive.args.at(-1) ?? "";
  const tried = directive.args.slice(0, -1);
  const strange = tried.filter((arg) => !USUAL.test(arg));
  const uri = last.replace(/\?.*$|\$is_args.*$/s, "");
  if (strange.length > 0) {
    scope.verdicts.left(directive, `does not look for ${strange.join(" ")}`);
  }
  if (last.startsWith("@")) return { type: "named", name: last };
  if (/^=404$/.test(last) || USUAL.test(last)) {
    scope.verdicts.took(directive, "files, else 404");
    return { type: "files" };
  }
  if (!/^\/[^$]*$/.test(uri)) {
    scope.verdicts.left(directive, `what names no file is answered with 404, not by ${last}`);
    return { type: "files" };
  }
  scope.verdicts.took(directive, `what names no file goes to ${uri}`);
  return { type: "fallback", uri };
}

const USUAL = /^\$(?:uri|document_uri|fastcgi_script_name|request_filename)\/?$/;

/** Names of `index`, as nginx tries them. */
export function indexOf(scope: Scope): readonly string[] {
  const directive = scope.one("index");
  if (directive === undefined) return ["index.html"];
  scope.verdicts.took(directive, "index");
  return directive.args;
}

export const IS_PHP = /\.(?:php\d?|phtml)$/;

/** Fields of `static`. */
export function staticFields(
  { folder }: Pick<Folder, "folder">,
  location: Location,
  fallback: string | undefined,
): PlainMap {
  const { scope, match } = location;
  const index = indexOf(scope).filter((name) => /^[^/.$][^/$]*$/.test(name) && !IS_PHP.test(name));
  const isTree = match.type === "prefix";
  const isUsual = index.length === 1 && index[0] === "index.html";
  const cacheControl = cacheControlOf(scope);
  return {
    root: folder,
    ...(isUsual || !isTree || index.length === 0 ? {} : { index }),
    ...flagOf(scope, "autoindex", "listing"),
    ...precompressedOf(scope),
    ...(cacheControl === undefined ? {} : { cacheControl }),
    ...(fallback === undefined ? notFoundOf(scope, baseOfLocation(location)) : { fallback }),
  };
}

function flagOf(scope: Scope, name: string, as: string): PlainMap {
  const directive = scope.one(name);
  if (directive === undefined) return {};
  scope.verdicts.took(directive, as);
  return directive.args[0] === "on" ? { [as]: true } : {};
}

function precompressedOf(scope: Scope): PlainMap {
  return {
    ...flagOf(scope, "gzip_static", "precompressed"),
    ...flagOf(scope, "brotli_static", "precompressed"),
  };
}

/** `error_page 404 /404.html` */
function notFoundOf(scope: Scope, base: string): PlainMap {
  const pages = scope.all("error_page").filter(({ args }) => args.slice(0, -1).includes("404"));
  const page = pages.at(-1);
  const file = page?.args.at(-1) ?? "";
  if (page === undefined || page.args.some((arg) => arg.startsWith("="))) return {};
  const own = below(file, base);
  if (own === undefined || !/^[\w./-]+$/.test(own) || IS_PHP.test(own)) return {};
  scope.verdicts.took(
    page,
    `notFound: ${file} of the same folder; other statuses have Portico's page`,
  );
  return { notFound: own };
}

/** A path of the site as one below a prefix; undefined: it lies elsewhere. */
export function below(uri: string, base: string): string | undefined {
  return uri.startsWith(`${base}/`) ? uri.slice(base.length + 1) : undefined;
}

/** The named location that a name stands for. */
export function namedLocation(site: Site, name: string): Location | undefined {
  return site.locations.find(({ match }) => match.type === "named" && match.name === name);
}

/** The prefix that a location's paths begin with; empty: they may begin with anything. */
export function baseOfLocation({ match }: Location): string {
  return match.type === "prefix" ? baseOf(match.path) : "";
}
