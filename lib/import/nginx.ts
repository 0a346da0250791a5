/**
 * `import nginx`: a configuration of nginx becomes a routes.yaml, and every line of it a word on what became
 * of it. Pure: whoever calls it reads the files.
 *
 * Strategy: the text becomes directives; what is in effect in each block is looked up through the blocks
 * around it; each location becomes routes; nginx's way to choose a location becomes their order. A ledger
 * keeps what became of each directive.
 */
import { type DraftRoute, type PlainMap, writeTable } from "../draft/table_text.ts";
import { followIncludes, type ReadIncluded } from "./nginx_include.ts";
import { routesOf } from "./nginx_order.ts";
import { Scope, show, type Verdict, Verdicts } from "./nginx_scope.ts";
import { keepServers, type Listening, listenOf, readServer, sitesOf } from "./nginx_server.ts";
import type { Part, Site, Upstreams } from "./nginx_site.ts";
import { type Directive, parseNginx } from "./nginx_syntax.ts";
import { MOOT } from "./nginx_words.ts";

export interface Translation {
  /** The text of routes.yaml; undefined: there is no route in it. */
  readonly table: string | undefined;
  /** What became of each directive, in the order of the files. */
  readonly report: readonly string[];
}

/**
 * Translates a file.
 * @throws {ConfigError} at what is not nginx's language.
 */
export function translateNginx(text: string, file: string, read: ReadIncluded): Translation {
  const verdicts = new Verdicts();
  const top = followIncludes(parseNginx(text, file), read, verdicts);
  judgeMoot(top, verdicts);
  const http = top.find(({ name, block }) => name === "http" && block !== undefined);
  const around = new Scope([...top, ...http?.block ?? []], verdicts);
  if (http !== undefined) verdicts.took(http, "the servers in it");
  const all = serversOf(around, top);
  const servers = keepServers(all);
  const listening = listenOf(servers, all.filter((server) => !servers.includes(server)));
  const sites = sitesOf(servers, upstreamsOf(around));
  const seen = new Set<Directive["args"]>();
  const told = (directives: readonly Directive[]) => tellAll(directives, verdicts, true, seen);
  const routes = sites.flatMap((site) => routesOf(site).map((part) => ({ site, part })));
  const server = serverFields(around, listening);
  const drafts = routes.map(({ site, part }) => toRoute(site, part, told));
  const comments = [
    `Taken over from ${file} by portico import nginx. Each comment says what became of a line; what`,
    "is not needed is told on standard error alone. Check it, and compare: portico check, portico explain.",
    "",
    ...told(withoutLocations(top)),
  ];
  return {
    table: drafts.length === 0 ? undefined : writeTable({ comments, server, routes: drafts }),
    report: tellAll(top, verdicts, false, new Set()),
  };
}

/** A file of locations alone stands for the inside of a server block. */
function serversOf(around: Scope, top: readonly Directive[]) {
  const blocks = around.own("server").filter(({ block }) => block !== undefined);
  const servers = blocks.map((directive) => readServer(directive, around));
  if (servers.length > 0 || !top.some(({ name }) => name === "location")) return servers;
  const [{ file, line } = { file: "", line: 1 }] = top;
  return [
    readServer(
      { name: "server", args: [], file, line, block: top },
      new Scope([], around.verdicts),
    ),
  ];
}

function upstreamsOf(around: Scope): Upstreams {
  const { verdicts } = around;
  return new Map(
    around.own("upstream").map(({ args, block = [], ...rest }) => {
      verdicts.took({ args, block, ...rest }, "connect");
      const servers = block.filter(({ name }) => name === "server").flatMap((server) => {
        const [address = "", ...flags] = server.args;
        if (flags.includes("down") || flags.includes("backup")) {
          verdicts.left(server, "Portico knows no spare servers");
          return [];
        }
        if (flags.length > 0) verdicts.left(server, `taken over without ${flags.join(" ")}`);
        else verdicts.took(server, "connect");
        return [/^unix:|:\d+$/.test(address) ? address : `${address}:80`];
      });
      return [args[0] ?? "", servers] as const;
    }),
  );
}

function serverFields(around: Scope, { listen, tls }: Listening): PlainMap {
  const scopes = [
    around,
    ...around.own("server").map(({ block = [] }) => new Scope(block, around.verdicts)),
  ];
  const proxies = scopes.flatMap((scope) => scope.own("set_real_ip_from"));
  const trusted = proxies.map((directive) => {
    around.verdicts.took(directive, "server.trustedProxies");
    return (directive.args[0] ?? "").replace(/^unix:$/, "unix");
  });
  const logs = scopes.flatMap((scope) => scope.own("access_log"));
  const isOff = logs.length > 0 && logs.every(({ args }) => args[0] === "off");
  for (const directive of logs) {
    if (isOff) around.verdicts.took(directive, "server.accessLog");
    else around.verdicts.moot(directive, "Portico's log goes to standard output: server.accessLog");
  }
  return {
    ...(listen.length === 0 ? {} : { listen: listen.length === 1 ? listen[0] ?? "" : listen }),
    ...(tls === undefined ? {} : { tls }),
    ...(trusted.length === 0 ? {} : { trustedProxies: [...new Set(trusted)] }),
    ...(isOff ? { accessLog: "off" } : {}),
  };
}

type Tell = (directives: readonly Directive[]) => readonly string[];

function toRoute(
  site: Site,
  { path, key, handler, options, location }: Part,
  tell: Tell,
): DraftRoute {
  const host = site.routeHost === undefined ? {} : { host: site.routeHost };
  const comments = location === undefined ? [] : tell([{
    ...location.directive,
    block: withoutLocations(location.directive.block ?? []),
  }]);
  return { comments, fields: { path, ...host, ...options, [key]: handler } };
}

/** Locations are told of beside their routes. */
function withoutLocations(directives: readonly Directive[]): readonly Directive[] {
  return directives.flatMap((directive) => {
    if (directive.name === "location" && !directive.args.some((arg) => arg.startsWith("@"))) {
      return [];
    }
    const { block } = directive;
    return block === undefined ? [directive] : [{ ...directive, block: withoutLocations(block) }];
  });
}

/** Blocks whose directives are told of one by one. */
const OPENED = new Set(["http", "server", "location", "upstream", "if", "limit_except"]);
const WORDS = { took: "taken over", moot: "not needed", left: "NOT taken over" };

/** A line for each directive that was not told of yet; comments leave out what is not needed. */
function tellAll(
  directives: readonly Directive[],
  verdicts: Verdicts,
  isComment: boolean,
  seen: Set<Directive["args"]>,
): readonly string[] {
  return directives.flatMap((directive): readonly string[] => {
    const verdict = verdicts.of(directive);
    const { args, name, block = [] } = directive;
    const isNew = !seen.has(args);
    seen.add(args);
    const isSaid = isNew && (!isComment || verdict.type !== "moot");
    const isOpen = OPENED.has(name) && (verdict.type !== "moot" || name === "server") &&
      !(name === "if" && verdict.type === "left");
    return [
      ...(isSaid ? [tell(verdict)] : []),
      ...(isOpen ? tellAll(block, verdicts, isComment, seen) : []),
    ];
  });
}

function tell({ directive, type, message }: Verdict): string {
  return `${directive.file}:${directive.line}: ${WORDS[type]}: ${show(directive)} (${message})`;
}

function judgeMoot(directives: readonly Directive[], verdicts: Verdicts): void {
  for (const directive of directives) {
    const reason = MOOT.get(directive.name);
    if (reason !== undefined) verdicts.moot(directive, reason);
    judgeMoot(directive.block ?? [], verdicts);
  }
}
