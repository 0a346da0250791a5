/**
 * A location's regular expression as the path of a route. nginx looks for it anywhere in the path; a route's
 * pattern takes the whole path. Most expressions say where they begin and end, and become a pattern that
 * people can read; for the rest a look behind at the path's first slash says the same.
 *
 * Spec: PCRE as nginx uses it on one side, URLPattern's groups on the other: ASCII, no captures inside.
 */
import { parsePattern, PatternError } from "../router/pattern.ts";

/** Where else an expression is bound to: below a prefix, but not below some that are longer. */
export interface Within {
  readonly prefix: string;
  readonly except: readonly string[];
}

/** A path that takes what the expression finds; undefined: it cannot be said. */
export function toPath(regex: string, caseless: boolean, within?: Within): string | undefined {
  const inner = regex.replace(/^\(\?i\)/, "");
  const source = normalise(inner);
  if (source === undefined) return undefined;
  const wholes = splitAlternatives(source).map(toWhole);
  const whole = wholes.every((one) => one !== undefined)
    ? wholes.join("|")
    : `(?<=(?=.*?(?:${source}))/).*`;
  const folds = caseless || inner !== regex;
  const path = assemble(folds && /[A-Za-z]/.test(whole) ? `(?i:${whole})` : whole, within);
  return isPattern(path) ? path : undefined;
}

function assemble(whole: string, within: Within | undefined): string {
  const prefix = within?.prefix.replace(/^\/|\/$/g, "") ?? "";
  const except = (within?.except ?? []).map((other) => `(?!${segments(other)})`).join("");
  if (prefix === "" && except === "") {
    return LITERAL.test(whole) ? `/${whole.replaceAll("\\", "")}` : `/(${whole})`;
  }
  if (except === "" && /^(?:\(\?i:)?\.\*/.test(whole) && !/\|(?![^(]*\))/.test(whole)) {
    return `/${escapePath(prefix)}/(${whole})`;
  }
  const below = prefix === "" ? "" : `(?=${segments(prefix)})`;
  return `/(${except}${below}(?:${whole}))`;
}

const LITERAL = /^(?:[\w/-]|\\\.)+$/;

/** A prefix by whole segments, at the path's first one. */
function segments(prefix: string): string {
  const name = prefix.replace(/^\/|\/$/g, "").replace(/[^\w/-]/g, "\\$&");
  return `${name}(?:/|$)`;
}

/** Literal text of a path, as a pattern. */
export function escapePath(text: string): string {
  return text.replace(/[\\:*?+(){}]/g, "\\$&").replaceAll("%", "%25");
}

/** One alternative as what must stand behind the path's first slash; undefined: it cannot be told so. */
function toWhole(source: string): string | undefined {
  const { lead, rest } = cutStart(source);
  if (lead === undefined) return undefined;
  const [body, tail] = cutEnd(rest);
  return hasAnchor(body) ? undefined : lead + body + tail;
}

interface Start {
  readonly lead: string | undefined;
  readonly rest: string;
}

function cutStart(source: string): Start {
  const start = (lead: string | undefined, rest: string): Start => ({ lead, rest });
  const anchored = source.startsWith("^");
  const body = anchored ? source.slice(1) : source;
  if (body.startsWith("/") && !/^\/[?*+{]/.test(body)) {
    return start(anchored ? "" : "(?:.*/)?", body.slice(1));
  }
  const border = /^\(\?:(?:\^\|\/|\/\|\^)\)/.exec(source)?.[0] ?? "";
  if (border !== "" && IS_NAME.test(source.slice(border.length))) {
    return start("(?:.*/)?", source.slice(border.length));
  }
  // Anything before what cannot be the first slash itself; what else is anchored needs the slash.
  const rest = body.replace(/^\.[*+](?!\?)/, "");
  const isFree = !anchored || rest !== body;
  return start(isFree && IS_NAME.test(rest) ? ".*" : undefined, rest);
}

/** Begins with a character that is no slash, and that is there. */
const IS_NAME = /^(?:\w|\\[^\w\s/]|\[\^\/\])(?![?*{])/;

function cutEnd(rest: string): readonly [string, string] {
  const border = /\(\?:(?:\/\|\$|\$\|\/)\)$/.exec(rest);
  if (border !== null) return [rest.slice(0, border.index), "(?:/.*)?"];
  if (/(?<!\\)(?:\\\\)*\$$/.test(rest)) return [rest.slice(0, -1), ""];
  return [rest, rest.endsWith(".*") ? "" : ".*"];
}

function hasAnchor(source: string): boolean {
  return /[$^]/.test(source.replace(/\\.|\[\^?(?:\\.|[^\]\\])*\]/gs, ""));
}

/** Where `|` stands outside of all brackets. */
function splitAlternatives(source: string): readonly string[] {
  const found: string[] = [];
  let depth = 0;
  let from = 0;
  for (const { 0: token, index } of source.matchAll(/\\.|\[\^?(?:\\.|[^\]\\])*\]|[()|]/gs)) {
    if (token === "(") depth++;
    else if (token === ")") depth--;
    else if (token === "|" && depth === 0) {
      found.push(source.slice(from, index));
      from = index + 1;
    }
  }
  return [...found, source.slice(from)];
}

const TOKEN = /\(\?P?<[A-Za-z_]\w*>|\(\?[:=!]|\(\?.?|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^]/g;

/** PCRE as an expression of the runtime (flag u), without captures; undefined: it says more than that. */
function normalise(regex: string): string | undefined {
  let source = "";
  for (const [token] of regex.matchAll(TOKEN)) {
    const translated = translate(token);
    if (translated === undefined) return undefined;
    source += translated;
  }
  try {
    new RegExp(source, "su");
    return source;
  } catch {
    return undefined;
  }
}

function translate(token: string): string | undefined {
  if (!/^[\x20-\x7e]+$/.test(token)) return undefined;
  if (token === "(" || /^\(\?P?</.test(token)) return "(?:";
  if (token.startsWith("(?")) return /^\(\?[:=!]$/.test(token) ? token : undefined;
  if (token.startsWith("\\")) return translateEscape(token);
  if (token.startsWith("[")) return translateClass(token);
  return token;
}

function translateEscape(token: string): string | undefined {
  const char = token[1] ?? "";
  if (/[dDwWsSb]/.test(char)) return token;
  if (/[A-Za-z0-9]/.test(char)) return undefined;
  return /[\^$\\.*+?()[\]{}|]/.test(char) ? token : char;
}

/** A class; brackets in it are escaped, for whoever counts them. */
function translateClass(token: string): string | undefined {
  if (/\[:|^\[\^?\]/.test(token) || /\\[A-Za-z0-9]/.test(token.replace(/\\[dDwWsS]/g, ""))) {
    return undefined;
  }
  const [, not = "", body = ""] = /^\[(\^?)(.*)\]$/s.exec(token) ?? [];
  const escaped = body.replace(/\\(.)|[()[{}|]/gs, (char, after?: string) => {
    if (after === undefined) return `\\${char}`;
    return /[\^$\\.*+?()[\]{}|\-dDwWsS]/.test(after) ? char : after;
  });
  return `[${not}${escaped}]`;
}

/** Whether a route takes it as its path. */
export function isPattern(path: string): boolean {
  try {
    parsePattern(path);
    return true;
  } catch (error) {
    if (error instanceof PatternError) return false;
    throw error;
  }
}
