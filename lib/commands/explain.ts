/**
 * `explain [METHOD] URL`: which route a request would take and why, and everything that the application
 * would receive. Runs nothing. The request goes the gateway's own way: it is received, matched and
 * explained by the same code that would serve it.
 */
import type { Table } from "../config/table.ts";
import { ConfigError, GatewayError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import { formatAddress } from "../fields.ts";
import { placeOf } from "../generation.ts";
import type { Explanation, RouteOptions } from "../handler.ts";
import { Lifeline } from "../lifeline.ts";
import { textOf } from "../protocol/latin1.ts";
import { createTrust } from "../protocol/forwarding.ts";
import { receive } from "../receive.ts";
import { createRouter, type Verdict } from "../router/router.ts";
import { type Look, lookAlong } from "./looks.ts";
import { FINE, type Invocation, loadTable, print, styled, UsageError } from "./command.ts";

/** What explaining a request came to. */
interface Explained {
  readonly method: string;
  readonly url: string;
  readonly status?: number;
  readonly reason: string;
  /** The routes that were tried and did not match, in order, and what kept each from it. */
  readonly passedOver?: readonly PassedOver[];
  readonly route?: { readonly index: number; readonly name: string; readonly path: string };
  readonly kind?: string;
  readonly target?: string;
  readonly scriptName?: string;
  readonly pathInfo?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly environ?: Readonly<Record<string, string>>;
  readonly notes?: readonly string[];
  /** What lies on the disk along the path. */
  readonly looks?: readonly Look[];
}

interface PassedOver {
  readonly index: number;
  readonly name: string;
  readonly because: "host" | "path" | "method";
}

export async function explain(invocation: Invocation): Promise<number> {
  const question = readQuestion(invocation);
  const table = await loadTable(invocation);
  const verdict = await judge(table, question, invocation.headers);
  if (invocation.json) print(JSON.stringify(verdict, null, 2));
  else printVerdict(verdict);
  return FINE;
}

interface Asked {
  readonly method: string;
  readonly url: string;
}

/** `[METHOD] URL`; the URL may be a bare path. */
function readQuestion({ operands }: Invocation): Asked {
  const [first, second, ...rest] = operands;
  if (first === undefined || rest.length > 0) {
    throw new UsageError("explain takes a URL, or a method and a URL: explain GET /git/x");
  }
  const method = second === undefined ? "GET" : first;
  const url = second ?? first;
  if (!/^(\/|https?:\/\/)/.test(url)) {
    throw new UsageError(`Cannot read "${url}" as a URL: write /path or http://host/path`);
  }
  return { method, url };
}

async function judge(table: Table, asked: Asked, headers: readonly string[]): Promise<Explained> {
  let exchange: Exchange;
  try {
    exchange = receiveQuestion(table, asked, headers);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { ...asked, status: error.status, reason: error.message };
  }
  const router = createRouter(table.routes);
  const { hostname } = exchange;
  const passedOver = losersOf(table, router.candidates(exchange.method, hostname, exchange.path));
  const match = router.match(exchange.method, hostname, exchange.path);
  if (match.type === "not-found") {
    return { ...asked, status: 404, reason: "No route matches", passedOver };
  }
  if (match.type === "wrong-method") {
    const reason = `Routes match the path, but take only ${match.allow.join(", ")}`;
    return { ...asked, status: 405, reason, passedOver };
  }
  const route = table.routes[match.index];
  if (route === undefined) throw new ConfigError([]);
  const { mount } = match;
  const { kind, fields, options, key, name, path, index } = route;
  const told = await kind.explain(fields, {
    place: placeOf(table),
    route: options,
    exchange,
    mount,
  });
  return {
    ...asked,
    reason: `Route ${index} "${name}" in line ${route.line} is the first that matches`,
    passedOver,
    route: { index, name, path },
    kind: key,
    ...plain({ ...told, notes: [...told.notes, ...notesOf(options)] }),
    params: texts(mount.params),
    looks: lookAlong({ key, fields, route: options, mount, folder: table.folder }),
  };
}

/** What comes before any kind. */
function notesOf({ auth, authorize }: RouteOptions): readonly string[] {
  const notes: string[] = [];
  if (auth !== undefined) {
    notes.push(
      `asks for the password of a user in ${auth.basic.file} first; AUTH_TYPE and REMOTE_USER join ` +
        "the environ, and Authorization is withheld",
    );
  }
  if (authorize !== undefined) {
    const where = authorize.connect.map(formatAddress).join(", ");
    notes.push(
      `asks the FastCGI authorizer at ${where} first; its Variable-* fields join the environ`,
    );
  }
  return notes;
}

/** The routes that were tried before the one that serves. */
function losersOf(table: Table, verdicts: readonly Verdict[]): PassedOver[] {
  const winner = verdicts.indexOf("found");
  const tried = winner === -1 ? verdicts : verdicts.slice(0, winner);
  return tried.flatMap((because, index) => {
    if (because === "found" || because === "earlier") return [];
    return [{ index, name: table.routes[index]?.name ?? "", because }];
  });
}

/** The question as a request that came in. */
function receiveQuestion(table: Table, { method, url }: Asked, lines: readonly string[]): Exchange {
  const headers = new Headers();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([^:]+):(.*)$/.exec(line) ?? [];
    try {
      headers.append(name, value);
    } catch {
      throw new UsageError(`Cannot read "${line}" as a field: write 'Name: value'`);
    }
  }
  const [own] = table.server.listen;
  const port = own?.transport === "tcp" ? own.port : 0;
  const authority = headers.get("host") ?? (port === 0 ? "localhost" : `localhost:${port}`);
  const full = url.startsWith("/") ? `http://${authority}${url}` : url;
  const scheme = full.startsWith("https:") ? "https" : "http";
  // Every client but a made-up one sends it.
  if (!headers.has("host")) headers.set("host", /^https?:\/\/([^/?#]*)/.exec(full)?.[1] ?? "");
  const request = new Proxy(new Request("http://localhost/", { headers }), {
    // `Request` would rewrite the URL and refuse CONNECT; the real one comes as it was sent.
    get: (target, property) => {
      if (property === "url") return full;
      if (property === "method") return method;
      return Reflect.get(target, property, target);
    },
  });
  const local = { address: "127.0.0.1", port };
  const peer = { address: "127.0.0.1", port: 0 };
  const trust = createTrust(table.server.trustedProxies, table.server.clientIpHeader);
  return receive(request, { peer, local, scheme }, trust, {
    id: "explain",
    lifeline: new Lifeline(),
  });
}

/** Bytes become text for people. */
function plain(told: Explanation) {
  return {
    ...told,
    scriptName: textOf(told.scriptName),
    pathInfo: textOf(told.pathInfo),
    environ: texts(told.environ),
  };
}

function texts(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, textOf(value)]));
}

const WHY_NOT: Readonly<Record<PassedOver["because"], string>> = {
  host: "its host is another",
  path: "its path does not match",
  method: "it does not take the method",
};

/** A long table has many routes of other paths: the first few tell enough. */
const MOST_PASSED_OVER = 20;

function printPassedOver(routes: readonly PassedOver[]): void {
  for (const { index, name, because } of routes.slice(0, MOST_PASSED_OVER)) {
    print(styled("dim", `  not ${index} "${name}": ${WHY_NOT[because]}`));
  }
  const more = routes.length - MOST_PASSED_OVER;
  if (more > 0) print(styled("dim", `  nor ${more} more`));
}

function printVerdict(verdict: Explained): void {
  const { method, url, status, reason, kind, target, notes = [], environ = {} } = verdict;
  print(`${styled("bold", `${method} ${url}`)}`);
  print(status === undefined ? reason : styled("red", `Answers ${status}: ${reason}`));
  printPassedOver(verdict.passedOver ?? []);
  if (kind === undefined) return;
  print(`${kind} ${target ?? ""}`.trimEnd());
  print(`SCRIPT_NAME=${verdict.scriptName ?? ""}  PATH_INFO=${verdict.pathInfo ?? ""}`);
  for (const note of notes) print(styled("yellow", note));
  for (const { path, is, real } of verdict.looks ?? []) {
    print(styled("dim", `  ${is.padEnd(9)} ${path}${real === undefined ? "" : ` -> ${real}`}`));
  }
  const names = Object.keys(environ).sort();
  if (names.length > 0) print("");
  for (const name of names) print(`${styled("dim", `${name}=`)}${environ[name]}`);
}
