/**
 * Server blocks: which hosts each serves, where they listen, and which of them is left to the front before
 * Portico. Portico tells servers apart by their host alone, and routes are tried in order: those of exact
 * names come first, then those of wildcards, then those of the default server, for all other hosts.
 */
import { collectLocations, type Site, type Upstreams } from "./nginx_site.ts";
import { Scope, type Verdicts } from "./nginx_scope.ts";
import type { Directive } from "./nginx_syntax.ts";

export interface Server {
  readonly directive: Directive;
  readonly scope: Scope;
  /** Names that a route can have as its host. */
  readonly hosts: readonly string[];
  readonly listens: readonly Listen[];
}

interface Listen {
  readonly directive: Directive;
  /** As routes.yaml has it. */
  readonly address: string;
  readonly isTls: boolean;
  readonly isDefault: boolean;
}

export function readServer(directive: Directive, around: Scope): Server {
  const scope = new Scope(directive.block ?? [], around.verdicts, around);
  const listens = scope.own("listen").map(readListen);
  const hosts = scope.own("server_name").flatMap((names) => hostsOf(names, around.verdicts));
  return { directive, scope, hosts: [...new Set(hosts)], listens };
}

function readListen(directive: Directive): Listen {
  const [first = "", ...flags] = directive.args;
  return {
    directive,
    address: addressOf(first),
    isTls: flags.includes("ssl") || flags.includes("quic") || flags.includes("http3"),
    isDefault: flags.includes("default_server") || flags.includes("default"),
  };
}

function addressOf(text: string): string {
  if (text.startsWith("unix:")) return text;
  if (/^\d+$/.test(text)) return `:${text}`;
  const host = /:\d+$/.test(text) && !text.endsWith("]") ? text : `${text}:80`;
  return host.replace(/^\*:/, ":").replace(/^0\.0\.0\.0:/, ":");
}

const HOST = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$|^\[?[0-9a-f:]*:[0-9a-f:.]*\]?$/;

function hostsOf(directive: Directive, verdicts: Verdicts): readonly string[] {
  const lost: string[] = [];
  const hosts = directive.args.flatMap((arg) => {
    const name = arg.toLowerCase();
    // Names that no request has.
    if (name === "_" || name === "" || name === "-") return [];
    if (name.startsWith(".") && HOST.test(name.slice(1))) return [name.slice(1), `*${name}`];
    if (HOST.test(name) && !/(?:^|\.)\d+$/.test(name) || /^\d+(?:\.\d+){3}$/.test(name)) {
      return [name];
    }
    lost.push(arg);
    return [];
  });
  if (lost.length > 0) verdicts.left(directive, `no host of a route can be ${lost.join(" or ")}`);
  else verdicts.took(directive, "host");
  return hosts;
}

/** The servers that are taken over; what a front does in Portico's place is said and left out. */
export function keepServers(servers: readonly Server[]): readonly Server[] {
  const tls = servers.filter(isTlsOnly);
  return servers.filter((server) => {
    if (tls.length === 0 || tls.includes(server) || !isUpgrade(server)) return true;
    const { verdicts } = server.scope;
    const why =
      "who comes by http is sent to https by server.tls.redirect, or by the front before Portico";
    verdicts.moot(server.directive, why);
    for (const directive of allOf(server.scope.directives)) verdicts.moot(directive, why);
    return false;
  });
}

function isTlsOnly({ listens }: Server): boolean {
  return listens.length > 0 && listens.every(({ isTls }) => isTls);
}

/** Whether a server does nothing but to send all requests to https. */
function isUpgrade(server: Server): boolean {
  if (server.listens.some(({ isTls }) => isTls)) return false;
  const all = allOf(server.scope.directives);
  const serves = all.some(({ name }) => /_pass$|^(?:try_files|alias)$/.test(name));
  const returns = all.filter(({ name }) => name === "return" || name === "rewrite");
  const upgrades = returns.filter(({ args }) =>
    args.some((arg) => {
      const [, host = ""] =
        /^https:\/\/([^/$]*|\$\w+?)(?=\$request_uri|\$uri|\/|\$1|$)/.exec(arg) ?? [];
      return host.startsWith("$") || server.hosts.includes(host);
    })
  );
  const rest = returns.filter((directive) => !upgrades.includes(directive));
  return !serves && upgrades.length > 0 && rest.every(({ args }) => args[0] === "404");
}

function allOf(directives: readonly Directive[]): readonly Directive[] {
  return directives.flatMap((directive) => [directive, ...allOf(directive.block ?? [])]);
}

/** The listeners of the table. */
export interface Listening {
  readonly listen: readonly string[];
  readonly tls:
    | { readonly cert: string; readonly key: string; readonly redirect?: string }
    | undefined;
}

/** Where Portico listens; `left` are the servers that only lead to https. */
export function listenOf(servers: readonly Server[], left: readonly Server[]): Listening {
  const listens = servers.flatMap((server) =>
    server.listens.map((listen) => ({ ...listen, server }))
  );
  const pair = listens.some(({ isTls }) => isTls) ? certificateOf(servers) : undefined;
  const addresses = new Set<string>();
  const plain = new Set(listens.map(({ address }) => address));
  for (const { directive, address, isTls, server } of listens) {
    const { verdicts } = server.scope;
    const both = address.replace(/^\[::\]/, "");
    if (isTls && pair === undefined) verdicts.moot(directive, FRONT);
    else if (!isUsable(address)) {
      verdicts.left(directive, "it is no address that Portico listens on");
    } else if (both !== address && plain.has(both)) {
      verdicts.left(directive, `for IPv6 beside IPv4 write "${address}" in place of "${both}"`);
    } else {
      verdicts.took(directive, "server.listen");
      addresses.add(pair === undefined || isTls ? address : `http://${address}`);
    }
  }
  const redirect = left.flatMap(({ listens }) => listens).find(({ address }) =>
    isUsable(address) && !address.startsWith("unix:") && !addresses.has(`http://${address}`)
  );
  if (pair === undefined) return { listen: [...addresses], tls: undefined };
  if (redirect === undefined) return { listen: [...addresses], tls: pair };
  return { listen: [...addresses], tls: { ...pair, redirect: redirect.address } };
}

const FRONT = "TLS ends at the front before Portico";

/** The one certificate of all servers; undefined: there are several, or none is named outright. */
function certificateOf(servers: readonly Server[]): { cert: string; key: string } | undefined {
  const pairs = servers.filter(({ listens }) => listens.some(({ isTls }) => isTls)).map(
    ({ scope }) => {
      const [cert, key] = ["ssl_certificate", "ssl_certificate_key"].map((name) => scope.one(name));
      return { scope, cert, key };
    },
  );
  const nameOf = ({ scope, cert, key }: typeof pairs[number]) =>
    [cert, key].map((one) => scope.expand(one?.args[0] ?? "") || "$").join(" ");
  const [first] = pairs;
  const names = new Set(pairs.map(nameOf));
  const [name = "$"] = names;
  if (first === undefined || names.size !== 1 || name.includes("$")) return undefined;
  for (const { scope, cert, key } of pairs) {
    if (cert !== undefined) scope.verdicts.took(cert, "server.tls");
    if (key !== undefined) scope.verdicts.took(key, "server.tls");
  }
  const [cert = "", key = ""] = name.split(" ").map((path) =>
    path.startsWith("/") ? path : `/etc/nginx/${path}`
  );
  return { cert, key };
}

function isUsable(address: string): boolean {
  return /^(?:unix:\/\S+|(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):\d{1,5})$/.test(address);
}

/** Each server with each of its hosts, in the order in which routes are tried. */
export function sitesOf(servers: readonly Server[], upstreams: Upstreams): readonly Site[] {
  const first = servers.find(({ listens }) => listens.some(({ isDefault }) => isDefault)) ??
    servers[0];
  const entries = servers.flatMap((server) => {
    const all: { readonly server: Server; readonly host: string | undefined }[] = server.hosts.map(
      (host) => ({ server, host }),
    );
    if (server !== first && all.length === 0) refuse(server);
    else {server.scope.verdicts.took(
        server.directive,
        server === first ? "all other hosts" : "host",
      );}
    noteSchemes(server);
    if (server !== first) return all;
    const apart = server.scope.own("if").map(hostCondition);
    return [...all.filter(({ host }) => apart.includes(host)), { server, host: undefined }];
  });
  const order = (host: string | undefined) =>
    host === undefined ? Infinity : host.startsWith("*") ? 1000 - host.length : 0;
  return entries.toSorted((a, b) => order(a.host) - order(b.host)).map((
    { server, host },
  ): Site => ({
    scope: server.scope,
    locations: collectLocations(server.scope),
    upstreams,
    verdicts: server.scope.verdicts,
    host: host ?? (server.hosts.length === 1 ? server.hosts[0] : undefined),
    routeHost: host,
  }));
}

/** The host that an `if` with a return is for: `if ($host = www.example.org) { return 301 ...; }`. */
export function hostCondition({ args, block = [] }: Directive): string | undefined {
  const text = args.join(" ").replace(/^\(\s*|\s*\)$/g, "");
  const [, quoted, bare] = /^\$(?:http_)?host ==? (?:"([^"]+)"|([^\s"]+))$/.exec(text) ?? [];
  const host = (quoted ?? bare)?.toLowerCase();
  return host !== undefined && HOST.test(host) && block[0]?.name === "return" ? host : undefined;
}

/** `if ($scheme = http)`: the front's business. */
function noteSchemes({ scope }: Server): void {
  for (const condition of scope.own("if")) {
    if (!/^\(\s*\$(?:scheme|https|server_port)\s/.test(condition.args.join(" "))) continue;
    scope.verdicts.moot(condition, "the front before Portico leads from http to https");
  }
}

function refuse({ scope, directive }: Server): void {
  const why = "Portico tells servers apart by host alone: give this one a table of its own";
  scope.verdicts.left(directive, why);
  for (const inner of allOf(scope.directives)) scope.verdicts.left(inner, "as its server");
}
