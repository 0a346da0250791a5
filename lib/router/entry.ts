/**
 * Routes as the table files them: one entry for each variant of each route, in file order. An entry's
 * place in that order is its rank; the lowest rank that fits a request wins.
 */
import type { ByteString } from "../exchange.ts";
import type { Outline } from "./outline.ts";
import { parsePattern } from "./pattern.ts";
import { toVariants, type Variant } from "./shape.ts";

/** What of a route decides whether it takes a request. */
export interface RouteKey {
  readonly path: string;
  /** A name, `*.name` for every name that ends so, or undefined for any. */
  readonly host: string | undefined;
  /** Undefined: every method but CONNECT and TRACE. GET brings HEAD. */
  readonly methods: readonly string[] | undefined;
}

/** Undefined: every method but CONNECT and TRACE. */
export type Methods = ReadonlySet<string> | undefined;

export interface Entry extends Variant {
  /** Of the route. */
  readonly index: number;
  /** In lower case. */
  readonly host: string | undefined;
  readonly methods: Methods;
}

/** The entries of a table of routes; throws PatternError on a faulty path. */
export function createEntries(routes: readonly RouteKey[]): readonly Entry[] {
  return routes.flatMap(({ path, host, methods }, index) => {
    const common = { index, host: host?.toLowerCase(), methods: toMethods(methods) };
    return toVariants(parsePattern(path)).map((variant) => ({ ...variant, ...common }));
  });
}

function toMethods(methods: readonly string[] | undefined): Methods {
  if (methods === undefined) return undefined;
  return new Set(methods.includes("GET") ? [...methods, "HEAD"] : methods);
}

/** Whether a route takes a method. CONNECT and TRACE address no resource, so they must be listed. */
export function accepts(methods: Methods, method: string): boolean {
  return methods === undefined ? method !== "CONNECT" && method !== "TRACE" : methods.has(method);
}

/** Whether a route of this `host` takes this host name, both in lower case. */
export function takesHost(host: string | undefined, hostname: string): boolean {
  if (host === undefined) return true;
  if (!host.startsWith("*.")) return host === hostname;
  return hostname.length >= host.length && hostname.endsWith(host.slice(1));
}

/** The one path that fits the outline, if there is only one. */
export function onlyPath({ segments, closed }: Outline): ByteString | undefined {
  return closed && !segments.includes(undefined) ? `/${segments.join("/")}` : undefined;
}
