/** Routes that the translation makes of itself: fixed answers, and closed doors. */
import type { Plain, PlainMap } from "../draft/table_text.ts";
import type { Location, Part } from "./nginx_site.ts";
import type { Directive } from "./nginx_syntax.ts";

/** Whose route, and under which path. */
export interface Spot {
  readonly location: Location | undefined;
  readonly path: string;
}

/** A route that answers with nothing but a status. */
export function statusPart(location: Location | undefined, path: string, status: number): Part {
  return { path, key: "respond", handler: { status }, options: {}, location };
}

/** A route for what could not be taken over. */
export function closedPart(directive: Directive, why: string, spot: Spot): Part {
  const { location, path } = spot;
  location?.scope.verdicts.left(directive, `${why}; the route is closed with 501`);
  const body = `Not taken over from nginx: ${directive.file}:${directive.line}\n`;
  return { path, key: "respond", handler: { status: 501, body }, options: {}, location };
}

/** The short form, where nothing else is said. */
export function short(handler: PlainMap, field: string): Plain {
  const value = handler[field];
  return Object.keys(handler).length === 1 && typeof value === "string" ? value : handler;
}
