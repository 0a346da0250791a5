/**
 * Which of the runtime's two servers listens, and what only the Node-compatible one can limit: what a
 * connection does before and between requests. Limits that nobody would keep are faults.
 */
import * as v from "valibot";
import { count, described, duration, optional, size } from "../fields.ts";
import type { NodeListenerOptions } from "./table.ts";
import type { Report } from "./position.ts";
import { type Slot, valueOf } from "./tree.ts";

const DEFAULT_HEADER_MS = 20_000;
const DEFAULT_KEEP_ALIVE_MS = 75_000;
const DEFAULT_HEAD = 65_536;

export const listenerFields = {
  listener: described(
    v.optional(v.picklist(["deno", "node"], 'Cannot use that: write "deno" or "node"'), "deno"),
    "What listens: deno, the runtime's fast server, or node, its slower one, which has the limits below.",
  ),
  headerTimeout: described(
    optional(duration),
    "With listener: node. How long a TLS handshake, and how long a request's head may take; default 20s.",
  ),
  keepAliveTimeout: described(
    optional(duration),
    "With listener: node. How long a connection may rest between requests; default 75s.",
  ),
  maxConnections: described(
    optional(count(1)),
    "With listener: node. Connections at once on each address; default: as many as there are descriptors for.",
  ),
  maxRequestHead: described(
    optional(size),
    "With listener: node. The longest head of a request; 431 past it; default 64KiB.",
  ),
};

interface Written {
  readonly listener: "deno" | "node";
  readonly headerTimeout?: number | undefined;
  readonly keepAliveTimeout?: number | undefined;
  readonly maxConnections?: number | undefined;
  readonly maxRequestHead?: number | undefined;
}

const LIMITS = ["headerTimeout", "keepAliveTimeout", "maxConnections", "maxRequestHead"] as const;
/** The parser's own limit on a head is a size that fits 32 bits; nobody needs a longer one than this. */
const MAX_HEAD = 2 ** 24;

/** The limits of the Node-compatible server; undefined: the runtime's own listens. */
export function readListener(
  written: Written,
  slot: Slot | undefined,
  report: Report,
): NodeListenerOptions | undefined {
  const { listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead } = written;
  if (listener === "deno") {
    for (const name of LIMITS) {
      const place = slot && valueOf(slot.node, name);
      if (place === undefined) continue;
      report(place.key, `Cannot keep ${name} by this listener: write "listener: node" too`);
    }
    return undefined;
  }
  for (const name of ["headerTimeout", "keepAliveTimeout", "maxRequestHead"] as const) {
    const place = slot && valueOf(slot.node, name);
    if (written[name] !== 0 || place === undefined) continue;
    report(place.node.start, `Cannot do without ${name}: leave it out for its default`);
  }
  const place = slot && valueOf(slot.node, "maxRequestHead");
  if (maxRequestHead !== undefined && maxRequestHead > MAX_HEAD && place !== undefined) {
    report(place.node.start, "Cannot take a head of that size: write 16MiB or less");
  }
  return {
    headerTimeoutMs: headerTimeout ?? DEFAULT_HEADER_MS,
    keepAliveTimeoutMs: keepAliveTimeout ?? DEFAULT_KEEP_ALIVE_MS,
    maxConnections: maxConnections ?? 0,
    maxRequestHead: maxRequestHead ?? DEFAULT_HEAD,
  };
}
