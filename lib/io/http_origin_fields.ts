/**
 * How the configuration names HTTP origins and the connections to them, and what reaching them takes. Pure.
 */
import * as v from "valibot";
import { cannotRead, count, described, duration, fields, flag, optional } from "../fields.ts";
import { formatAddress, parseAddress, textOrMap } from "../fields.ts";
import type { Permission, Place } from "../handler.ts";
import { MAX_SOCKET_PATH } from "../values.ts";
import { connectPermissions, resolveAddress } from "./endpoint_fields.ts";
import type { Origin } from "./http_origin.ts";

const ORIGIN =
  /^(?:https?:\/\/(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?!0+(?:\/|$))\d{1,5})?(?:\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?|unix:.+)$/;

const notAnOrigin = cannotRead(
  "an origin",
  '"http://host:port", "https://host" or "unix:/path", perhaps with a path behind the host',
);

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Reads `http://host:port/prefix` or `unix:/path`; undefined if the text is neither. */
export function parseOrigin(text: string): Origin | undefined {
  if (!ORIGIN.test(text)) return undefined;
  if (text.startsWith("unix:")) {
    const address = parseAddress(text);
    if (address === undefined) return undefined;
    return { name: text, address, secure: false, host: "localhost", prefix: "", backup: false };
  }
  const [, scheme = "", host = "", path = ""] = /^(https?):\/\/([^/]+)(.*)$/.exec(text) ?? [];
  const hasPort = /:\d+$/.test(host);
  const address = parseAddress(hasPort ? host : `${host}:${DEFAULT_PORTS[scheme]}`);
  const prefix = path.replace(/\/+$/, "");
  // What is written is sent: neither a dot segment nor half an escape.
  if (address === undefined || /\/\.{0,2}(?:\/|$)|%(?![0-9A-Fa-f]{2})/.test(prefix)) {
    return undefined;
  }
  return {
    name: text,
    address,
    secure: scheme === "https",
    host: host.toLowerCase(),
    prefix,
    backup: false,
  };
}

const origin = v.pipe(
  v.string(notAnOrigin),
  v.regex(ORIGIN, notAnOrigin),
  v.examples(["http://127.0.0.1:3000", "https://app.example.org/v2", "unix:/run/app.sock"]),
  v.rawTransform<string, Origin>(({ dataset, addIssue, NEVER }) => {
    const parsed = parseOrigin(dataset.value);
    if (parsed === undefined) {
      addIssue({ message: notAnOrigin });
      return NEVER;
    }
    const { address } = parsed;
    if (address.transport === "tcp") return parsed;
    const bytes = new TextEncoder().encode(address.path).length;
    if (bytes <= MAX_SOCKET_PATH) return parsed;
    addIssue({
      message:
        `Cannot use a socket's path of ${bytes} bytes: write one of ${MAX_SOCKET_PATH} or fewer`,
    });
    return NEVER;
  }),
);

const detailed = fields({
  address: described(origin, 'Where it is: "http://host:port", "https://host" or "unix:/path".'),
  backup: described(optional(flag), "Whether it serves only while no other is up; default false."),
});

const target = v.union([
  origin,
  v.pipe(detailed, v.transform(({ address, backup = false }): Origin => ({ ...address, backup }))),
], textOrMap);

/** One origin or a list of them; always a list in the options. */
export const origins = v.pipe(
  v.union(
    [v.array(target), v.pipe(target, v.transform((one) => [one]))],
    // About the first faulty item of a list, else about the one item.
    (issue) => issue.issues?.at(Array.isArray(issue.input) ? 0 : -1)?.message ?? notAnOrigin(issue),
  ),
  v.nonEmpty("Cannot be empty: write an origin"),
  v.check(
    (list: Origin[]) => list.length === 0 || list.some(({ backup }) => !backup),
    "Cannot have nothing but backups: leave `backup` out of one",
  ),
);

export const DEFAULT_MAX = 128;
export const DEFAULT_IDLE = 64;
export const DEFAULT_QUEUE = 1024;
/** Servers that close connections at rest do so after 5 s and more (Node, Apache): we are first. */
export const DEFAULT_IDLE_MS = 4000;

export const originPool = fields({
  max: described(
    optional(count(1)),
    `Connections at once, all origins together; default ${DEFAULT_MAX}.`,
  ),
  maxIdle: described(
    optional(count(0)),
    `Connections kept while idle; default ${DEFAULT_IDLE}. 0: one connection a request.`,
  ),
  idleTimeout: described(
    optional(duration),
    "How long one is kept idle; default 4s, less than the origin's own time.",
  ),
  queue: described(
    optional(count(0)),
    `Requests that may wait; 503 past it. Default ${DEFAULT_QUEUE}.`,
  ),
  queueTimeout: described(optional(duration), "How long one may wait; 503 past it. Default 30s."),
});

/** The origins in one short line. */
export function describeOrigins(list: readonly Origin[]): string {
  return list.map(({ name, backup }) => name + (backup ? " (backup)" : "")).join(", ");
}

/** The origin with its socket's path made absolute. */
export function resolveOrigin(origin: Origin, place: Place): Origin {
  return { ...origin, address: resolveAddress(origin.address, place) };
}

export function originPermissions(list: readonly Origin[], place: Place): Permission[] {
  return list.flatMap((origin) =>
    connectPermissions(resolveAddress(origin.address, place), "to connect to the origin")
  );
}

/** `http://host:port` as the origin's own responses name it. */
export function originBase({ secure, host, address }: Origin): string {
  if (address.transport === "unix") return `http://${host}`;
  const port = formatAddress(address).endsWith(`:${secure ? 443 : 80}`);
  return `${secure ? "https" : "http"}://${port ? host.replace(/:\d+$/, "") : host}`;
}
