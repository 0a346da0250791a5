/**
 * Redirects: nginx's `return` with an address and `rewrite` with `redirect` or `permanent`, as a path with
 * named groups and a target that uses them. What the target says of the request beyond its path and query
 * cannot be said by a route.
 */
import { escapePath, isPattern } from "./nginx_regex.ts";
import type { Scope } from "./nginx_scope.ts";

export interface Redirect {
  readonly path: string;
  readonly to: string;
}

/** A path that was taken apart, and what stands for each of its parts in a target. */
interface Taken {
  readonly path: string;
  /** By the number of nginx's capture. */
  readonly groups: ReadonlyMap<number, Placeholder>;
  /** What stands for the whole path: a prefix, and `*` where a final wildcard follows. */
  readonly whole: string | undefined;
}

interface Placeholder {
  readonly text: string;
  /** Whether nginx's capture has the slash that stands before ours. */
  readonly withSlash: boolean;
}

/** What of the request a server block knows before any comes. */
export interface Known {
  /** The host, where only one is served. */
  readonly host: string | undefined;
  readonly scope: Scope;
}

const ANY: Taken = {
  path: "/*",
  whole: "/*",
  groups: new Map([[1, { text: "*", withSlash: false }]]),
};
const ANY_WITH_SLASH: Taken = {
  ...ANY,
  groups: new Map([[1, { text: "*", withSlash: true }]]),
};

/** `rewrite REGEX TARGET`; undefined: it cannot be said by a route. */
export function rewriteRedirect(regex: string, target: string, known: Known): Redirect | undefined {
  const taken = takeApart(regex);
  // A question mark at the end only keeps nginx from appending the query.
  return taken && toRedirect(taken, target.replace(/\?$/, ""), known);
}

/** `return URL` in a location whose path is already a route's. */
export function returnRedirect(path: string, target: string, known: Known): Redirect | undefined {
  const isPrefix = path.endsWith("/*");
  const isLiteral = /^[^:*?+(){}\\]*\*?$/.test(path);
  const whole = isLiteral && (isPrefix || !path.includes("*")) ? path : undefined;
  return toRedirect({ path, whole, groups: new Map() }, target, known);
}

function takeApart(regex: string): Taken | undefined {
  if (/^(?:\^|\.\*|\^\.\*\$?|\^\/|\^\/\?|\^\/\.\*\$?)$/.test(regex)) return ANY;
  if (/^(?:\^)?\/\(\.\*\)\$?$/.test(regex) || /^\^\/\?\(\.\*\)\$?$/.test(regex)) return ANY;
  if (/^\^?\(\.[*+]\)\$?$/.test(regex)) return ANY_WITH_SLASH;
  if (!regex.startsWith("^/")) return undefined;
  const [, body = "", end] = /^\^(.*?)(\$?)$/s.exec(regex) ?? [];
  return takeSegments(body, end === "$");
}

const PART = /\((?!\?)((?:\[[^\]()]*\]|\\.|[^()\\])*)\)|\\([^A-Za-z0-9])|([\w/~@,=&;!-])/gy;

/** Literal text and groups in turn; undefined: the expression is more than that. */
function takeSegments(regex: string, closed: boolean): Taken | undefined {
  const optional = /\/\?$/.test(regex);
  const body = optional ? regex.slice(0, -2) : regex;
  const groups = new Map<number, Placeholder>();
  let path = "";
  let whole: string | undefined = "";
  let at = 0;
  for (const [token, group, escaped, char] of body.matchAll(PART)) {
    at += token.length;
    if (group === undefined) {
      const text = escaped ?? char ?? "";
      path += escapePath(text);
      if (whole !== undefined) whole += text;
      continue;
    }
    const number = groups.size + 1;
    whole = undefined;
    const isLast = at === body.length && path.endsWith("/") && !optional;
    if (isLast && /^\.[*+]$/.test(group)) {
      groups.set(number, { text: "*", withSlash: false });
      path += "*";
    } else {
      groups.set(number, { text: `:g${number}`, withSlash: false });
      path += `:g${number}(${group.replaceAll("\\-", "-")})`;
    }
  }
  if (at !== body.length || path === "") return undefined;
  const ended = close(path, { closed, optional });
  return isPattern(ended) ? { path: ended, groups, whole: closed ? whole : undefined } : undefined;
}

/** Without `$` anything may follow. */
function close(path: string, { closed, optional }: Record<"closed" | "optional", boolean>): string {
  if (path.endsWith("*")) return path;
  if (!closed) return path.endsWith("/") ? `${path}*` : `${path}(.*)`;
  return optional ? `${path}{/}?` : path;
}

function toRedirect(taken: Taken, target: string, known: Known): Redirect | undefined {
  const plain = withoutQuery(target);
  const { host } = known;
  const named = plain.replace(/^\$scheme:\/\/\$(?:host|http_host|server_name)(?=[/$])/, "")
    .replace(/^\$scheme:/, "http:");
  const captured = fillGroups(named, taken);
  const hosts: Record<string, string> = host === undefined
    ? {}
    : { host, http_host: host, server_name: host };
  const to = captured && known.scope.expand(captured, hosts);
  if (to === undefined || !/^(?:\/(?!\/)|https?:\/\/)[\x21-\x7e]*$/.test(to)) return undefined;
  return { path: taken.path, to };
}

/** The query goes along by itself. */
function withoutQuery(target: string): string {
  return target.replace(/\$is_args\$(?:args|query_string)$|\?\$(?:args|query_string)$/, "");
}

const CAPTURE = /(\/?)\$(?:\{(\w+)\}|(\d|[A-Za-z_]\w*))(?=(.?))/g;
const WHOLE = new Set(["request_uri", "uri", "document_uri"]);

/** Captures and the whole path as placeholders; other variables stay. */
function fillGroups(target: string, { groups, whole }: Taken): string | undefined {
  let fails = false;
  const filled = target.replace(
    CAPTURE,
    (token, slash: string, braced: string | undefined, bare: string | undefined, next: string) => {
      const name = braced ?? bare ?? "";
      if (WHOLE.has(name)) {
        fails ||= whole === undefined || (next !== "" && whole.endsWith("*"));
        return `${whole}`;
      }
      if (!/^\d$/.test(name)) return token;
      const group = groups.get(Number(name));
      const isStar = group?.text === "*";
      fails ||= group === undefined || (isStar ? next !== "" : /\w/.test(next));
      const before = group?.withSlash ? "/" : slash;
      return `${before}${group?.text ?? ""}`;
    },
  );
  return fails ? undefined : filled;
}
