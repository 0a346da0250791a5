/** What the page knows of a route: a link that makes it answer, and what then happens. */
import type { RouteView } from "../protocol/wsgi.ts";

/** A path that meets the route; undefined where none can be guessed or followed from here. */
export function linkOf(route: RouteView): string | undefined {
  const { methods = ["GET"], host, path } = route;
  if (host !== undefined || !methods.includes("GET")) return undefined;
  const filled = path.replace(/\/\*$/, "/hello").replace(/:\w+(?![\w(*?+])/g, "hello");
  // What is left of URLPattern's syntax takes more than a guess.
  return /[:(){}*?+\\]/.test(filled) ? undefined : encodeURI(filled);
}

const ANSWERS: Readonly<Record<string, string>> = {
  wsgi: "An application inside the server, called for each request.",
  cgi: "A program, started for each request.",
  fastcgi: "A program that stays, and takes one request after another.",
  respond: "A fixed text from the table.",
  redirect: "The browser is sent elsewhere.",
};

/** One sentence on how a kind answers. */
export function answerOf(route: RouteView): string | undefined {
  if (isTicks(route)) return "An application whose answer never ends: see below.";
  return Object.hasOwn(ANSWERS, route.kind) ? ANSWERS[route.kind] : undefined;
}

/** Whether the route serves the ticking stream, `ticks.ts`. */
export function isTicks(route: RouteView): boolean {
  return route.kind === "wsgi" && /(^|\/)ticks\.ts(:\w+)?$/.test(route.target);
}
