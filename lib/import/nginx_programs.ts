/**
 * Locations that pass requests on: fastcgi_pass, uwsgi_pass, scgi_pass and proxy_pass, with the addresses,
 * the variables and the times that belong to them, as the fields of the kinds.
 */
import type { Plain, PlainMap } from "../draft/table_text.ts";
import { timeOf } from "./nginx_options.ts";
import type { Scope } from "./nginx_scope.ts";
import type { Site } from "./nginx_site.ts";
import type { Directive } from "./nginx_syntax.ts";
import { OWN_VARIABLES, PROXY_FIELDS } from "./nginx_words.ts";

export type Protocol = "fastcgi" | "uwsgi" | "scgi";

/** The addresses behind a name of the configuration; undefined: known only with the request. */
export function addressesOf(name: string, site: Site, scope: Scope): readonly string[] | undefined {
  const text = scope.expand(name);
  if (text === undefined) return undefined;
  const servers = site.upstreams.get(text);
  if (servers !== undefined) return servers.length > 0 ? servers : undefined;
  const address = text.replace(/^(unix:[^:]+):?$/, "$1").replace(/^[a-z]+:\/\/(?=[\w[])/, "");
  return isAddress(address) ? [address] : undefined;
}

function isAddress(text: string): boolean {
  return /^(?:unix:\/\S+|(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?!0+$)\d{1,5})$/.test(text);
}

/** One address as text, several as a list. */
export function oneOrList(addresses: readonly string[]): Plain {
  return addresses.length === 1 ? addresses[0] ?? "" : addresses;
}

/** What the parameters of a location say. */
export interface Variables {
  readonly env: PlainMap;
  /** The program for every request, where one is named outright. */
  readonly script: string | undefined;
  /** The tree that SCRIPT_FILENAME begins with, where it is not the location's own. */
  readonly tree: string | undefined;
}

/** Reads `fastcgi_param` and its like. `root` is DOCUMENT_ROOT where it is known. */
export function variablesOf(scope: Scope, protocol: Protocol, root: string | undefined): Variables {
  const env: Record<string, string> = {};
  let script: string | undefined;
  let tree: string | undefined;
  const known: Record<string, string> = root === undefined
    ? {}
    : { document_root: root, realpath_root: root };
  for (const directive of scope.all(`${protocol}_param`)) {
    const [name = "", value = ""] = directive.args;
    if (name === "SCRIPT_FILENAME") {
      const full = scope.expand(value, known);
      const prefix = scope.expand(value.replace(TREE, ""), known);
      if (full?.startsWith("/")) script = full;
      else if (TREE.test(value) && prefix?.startsWith("/")) tree = prefix;
      else if (!/^\$request_filename$/.test(value) && !TREE.test(value)) {
        scope.verdicts.left(directive, "the script is known only with the request");
        continue;
      }
      scope.verdicts.took(directive, script === undefined ? "root" : "script");
    } else if (isOwn(name, value)) {
      scope.verdicts.moot(directive, "Portico sets it itself");
    } else {
      const text = scope.expand(value, known);
      if (text === undefined) {
        scope.verdicts.left(directive, "its value is known only with the request");
      } else {
        env[name] = text;
        scope.verdicts.took(directive, "env");
      }
    }
  }
  return { env, script, tree };
}

const TREE = /\/?\$(?:fastcgi_script_name|uri|document_uri|script_name)$/;

function isOwn(name: string, value: string): boolean {
  if (/^HTTP_PROXY$/.test(name) || /^HTTP_/.test(name) && /^\$http_\w+$/.test(value)) return true;
  if (!OWN_VARIABLES.has(name)) return false;
  return value.includes("$") || value === "" ||
    /^(?:REDIRECT_STATUS|GATEWAY_INTERFACE)$/.test(name);
}

/** Fields of `uwsgi` and `scgi`; undefined: its address is known only with the request. */
export function closingFields(
  protocol: "uwsgi" | "scgi",
  pass: Directive,
  scope: Scope,
  site: Site,
): PlainMap | undefined {
  const connect = addressesOf(pass.args[0] ?? "", site, scope);
  if (connect === undefined) return undefined;
  const { env } = variablesOf(scope, protocol, undefined);
  scope.verdicts.took(pass, protocol);
  return {
    connect: oneOrList(connect),
    ...modifiers(scope),
    ...filled({ env }),
    ...connectTime(scope, protocol),
  };
}

function modifiers(scope: Scope): PlainMap {
  const found = ["modifier1", "modifier2"].flatMap((name) => {
    const directive = scope.one(`uwsgi_${name}`);
    const value = Number(directive?.args[0]);
    if (directive === undefined || !Number.isInteger(value)) return [];
    scope.verdicts.took(directive, name);
    return [[name, value]];
  });
  return Object.fromEntries(found);
}

/** Without what is empty. */
export function filled(map: Readonly<Record<string, PlainMap>>): PlainMap {
  return Object.fromEntries(
    Object.entries(map).filter(([, value]) => Object.keys(value).length > 0),
  );
}

export function connectTime(scope: Scope, protocol: string): PlainMap {
  const connectTimeout = timeOf(scope, `${protocol}_connect_timeout`, "connectTimeout");
  return connectTimeout === undefined ? {} : { connectTimeout };
}

/** The route's own part of the times. */
export function readTimeOption(scope: Scope, protocol: string): PlainMap {
  const firstByteTimeout = timeOf(scope, `${protocol}_read_timeout`, "firstByteTimeout");
  return firstByteTimeout === undefined ? {} : { firstByteTimeout };
}

interface ProxyTo {
  readonly scheme: string;
  readonly authority: string;
  /** Empty: the request's own path goes on. */
  readonly uri: string;
}

function readProxy(text: string): ProxyTo | undefined {
  const [, scheme = "", authority = "", uri = ""] =
    /^(https?):\/\/(unix:[^:]+(?=:|$)|[^/]+)(?::(?=\/)|:$)?(\/.*)?$/.exec(text) ?? [];
  return scheme === "" ? undefined : { scheme, authority, uri };
}

/** Fields of `proxy`, or why there are none. `path`: the location's prefix; undefined: it has none. */
export function proxyFields(
  pass: Directive,
  { scope, path }: { readonly scope: Scope; readonly path: string | undefined },
  site: Site,
): PlainMap | string {
  const to = readProxy(scope.expand(pass.args[0] ?? "") ?? "");
  if (to === undefined) return "its address is known only with the request";
  const { scheme, authority, uri } = to;
  const prefix = uri.replace(/\/$/, "");
  if (uri !== "" && path === undefined) return "a path is replaced only below a prefix";
  if (path?.endsWith("/") && uri !== "" && !uri.endsWith("/")) {
    return "paths would be joined without a slash between";
  }
  const servers = site.upstreams.get(authority) ?? [authority];
  if (prefix !== "" && servers.some((server) => server.startsWith("unix:"))) {
    return "a path before that of the request needs an origin with a host";
  }
  const origins = servers.map((server) =>
    server.startsWith("unix:") ? server : `${scheme}://${server}${prefix}`
  );
  scope.verdicts.took(pass, "proxy");
  return {
    to: oneOrList(origins),
    ...(uri === "" || path === "/" ? {} : { stripPrefix: true }),
    ...proxyHost(scope),
    ...connectTime(scope, "proxy"),
  };
}

/** What of the request's fields is set anew. */
function proxyHost(scope: Scope): PlainMap {
  let preserves = false;
  for (const directive of scope.all("proxy_set_header")) {
    const [name = "", value = ""] = directive.args;
    const lower = name.toLowerCase();
    if (lower === "host" && /^\$(?:host|http_host|host:\$server_port|server_name)$/.test(value)) {
      preserves = true;
      scope.verdicts.took(directive, "preserveHost");
    } else if (lower === "host" && value === "$proxy_host") {
      scope.verdicts.moot(directive, "so does Portico");
    } else if (PROXY_FIELDS.has(lower)) {
      scope.verdicts.moot(directive, "Portico tells of the client itself, and passes upgrades on");
    } else {
      scope.verdicts.left(directive, "Portico sets no fields of requests");
    }
  }
  return preserves ? { preserveHost: true } : {};
}
