/**
 * What of a location becomes an option of its route: limits, times, methods, response fields. And nginx's
 * own spelling of times and sizes.
 */
import type { PlainMap } from "../draft/table_text.ts";
import type { Scope } from "./nginx_scope.ts";
import type { Directive } from "./nginx_syntax.ts";

const SECONDS: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  M: 2_592_000,
  y: 31_536_000,
};

/** `60`, `5m`, `1h 30m` in seconds; undefined: it is no time. */
export function readTime(text: string): number | undefined {
  const compact = text.replaceAll(" ", "");
  if (!/^(?:\d+(?:ms|[smhdwMy])?)+$/.test(compact)) return undefined;
  let total = 0;
  for (const [, number, unit = "s"] of compact.matchAll(/(\d+)(ms|[smhdwMy])?/g)) {
    total += Number(number) * (SECONDS[unit] ?? 1);
  }
  return total;
}

/** Seconds as routes.yaml has them. */
export function writeTime(seconds: number): string {
  return Number.isInteger(seconds) ? `${seconds}s` : `${Math.round(seconds * 1000)}ms`;
}

/** `10m`, `8k`, `0` as routes.yaml has it; undefined: it is no size. */
export function readSize(text: string): string | undefined {
  const [, number, unit = ""] = /^(\d{1,12})([kmg]?)$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  // nginx has no limit then; here one has to be named.
  if (Number(number) === 0) return "1048576GiB";
  const units: Readonly<Record<string, string>> = { "": "B", k: "KiB", m: "MiB", g: "GiB" };
  return `${Number(number)}${units[unit.toLowerCase()]}`;
}

const LONGEST_TIMER = 2 ** 31 / 1000;

/** A time of the nearest directive of that name. */
export function timeOf(scope: Scope, name: string, as: string): string | undefined {
  const directive = scope.one(name);
  if (directive === undefined) return undefined;
  const seconds = readTime(directive.args.join(""));
  if (seconds === undefined || seconds === 0 || seconds >= LONGEST_TIMER) {
    scope.verdicts.left(directive, "it is no time that Portico takes");
    return undefined;
  }
  scope.verdicts.took(directive, as);
  return writeTime(seconds);
}

/** Options of any route. `cached`: the kind has its own field for Cache-Control. */
export function optionsOf(scope: Scope, cached = false): PlainMap {
  return {
    ...methodsOf(scope),
    ...bodyLimit(scope),
    ...headersOf(scope, cached),
  };
}

function bodyLimit(scope: Scope): PlainMap {
  const directive = scope.one("client_max_body_size");
  if (directive === undefined) return {};
  const size = readSize(directive.args[0] ?? "");
  if (size === undefined) scope.verdicts.left(directive, "it is no size");
  else scope.verdicts.took(directive, `maxRequestBody: ${size}`);
  return size === undefined ? {} : { maxRequestBody: size };
}

/** `limit_except GET { deny all; }` */
function methodsOf(scope: Scope): PlainMap {
  const directive = scope.own("limit_except").at(-1);
  if (directive === undefined) return {};
  const inner = directive.block?.map(({ name, args }) => `${name} ${args.join(" ")}`).join();
  if (inner !== "deny all") {
    scope.verdicts.left(directive, "only limit_except with deny all is known here");
    return {};
  }
  for (const denied of directive.block ?? []) scope.verdicts.took(denied, "answers 405");
  scope.verdicts.took(directive, "methods; others are answered with 405");
  return { methods: [...new Set(directive.args.map((method) => method.toUpperCase()))] };
}

const FRAMING = /^(?:connection|content-length|transfer-encoding|keep-alive|te|trailer|upgrade)$/i;
const PROXY = /^proxy-/i;

function headersOf(scope: Scope, cached: boolean): PlainMap {
  const set: Record<string, string[]> = {};
  for (const directive of scope.all("add_header")) {
    const [name = "", value = "", always] = directive.args;
    if (cached && isCacheControl(name)) continue;
    const text = scope.expand(value);
    if (text === undefined || text === "" || !isField(name, text)) {
      scope.verdicts.left(directive, "its value is known only with the request, or it is no field");
      continue;
    }
    const known = Object.keys(set).find((other) => other.toLowerCase() === name.toLowerCase());
    (set[known ?? name] ??= []).push(text);
    const when = always === "always" ? "" : ", on every answer";
    scope.verdicts.took(directive, `headers: set${when}`);
  }
  const caching = cached ? undefined : cacheControlOf(scope);
  if (caching !== undefined) set["Cache-Control"] = [caching];
  const pairs = Object.entries(set).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] ?? "" : values,
  ]);
  const remove = hiddenOf(scope);
  if (pairs.length === 0 && remove.length === 0) return {};
  return {
    headers: {
      ...(pairs.length === 0 ? {} : { set: Object.fromEntries(pairs) }),
      ...(remove.length === 0 ? {} : { remove }),
    },
  };
}

const HIDES = ["fastcgi_hide_header", "proxy_hide_header", "uwsgi_hide_header", "scgi_hide_header"];

/** Fields of programs that no client shall see. */
function hiddenOf(scope: Scope): readonly string[] {
  const names = HIDES.flatMap((name) => scope.all(name)).flatMap((directive) => {
    const [name = ""] = directive.args;
    if (!isField(name, "")) return [];
    scope.verdicts.took(directive, "headers: remove");
    return [name];
  });
  return [...new Set(names)];
}

function isField(name: string, value: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !FRAMING.test(name) && !PROXY.test(name) &&
    /^[\x20-\x7e]*$/.test(value);
}

function isCacheControl(name: string): boolean {
  return name.toLowerCase() === "cache-control";
}

/** What `expires` and `add_header Cache-Control` come to together. */
export function cacheControlOf(scope: Scope): string | undefined {
  const parts: string[] = [];
  const expires = scope.one("expires");
  const value = expires && expiresValue(expires);
  if (expires !== undefined) {
    if (value === undefined) scope.verdicts.left(expires, "only a time from now is known here");
    else {scope.verdicts.took(
        expires,
        value === "" ? "nothing is added" : `Cache-Control: ${value}`,
      );}
    if (value) parts.push(value);
  }
  for (const directive of scope.all("add_header")) {
    const [name = "", text = ""] = directive.args;
    if (!isCacheControl(name) || text.includes("$") || !isField(name, text)) continue;
    scope.verdicts.took(directive, "Cache-Control");
    if (text !== "") parts.push(text);
  }
  return parts.length === 0 ? undefined : parts.join(", ");
}

function expiresValue({ args }: Directive): string | undefined {
  const [text = ""] = args;
  if (args.length !== 1) return undefined;
  if (text === "off") return "";
  if (text === "epoch" || text.startsWith("-")) return "no-cache";
  if (text === "max") return "max-age=315360000";
  const seconds = readTime(text.replace(/^\+/, ""));
  return seconds === undefined ? undefined : `max-age=${Math.round(seconds)}`;
}
