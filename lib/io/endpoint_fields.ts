/**
 * How the configuration names several endpoints of one upstream (`connect`, `balance`), and what reaching
 * them takes. Pure.
 */
import * as v from "valibot";
import {
  type Address,
  address,
  described,
  fields,
  flag,
  formatAddress,
  oneOrMore,
  optional,
  textOrMap,
  word,
} from "../fields.ts";
import type { Permission, Place } from "../handler.ts";
import { resolvePath } from "../values.ts";

/** An address, and whether it serves only while no other does. */
export interface Target {
  readonly address: Address;
  readonly backup: boolean;
}

const detailed = fields({
  address: described(address, 'Where it listens: "host:port" or "unix:/path".'),
  backup: described(optional(flag), "Whether it serves only while no other is up; default false."),
});

const target = v.union([
  v.pipe(address, v.transform((where): Target => ({ address: where, backup: false }))),
  v.pipe(
    detailed,
    v.transform(({ address, backup = false }): Target => ({ address, backup })),
  ),
], textOrMap);

/** One target or a list of them; always a list in the options. */
export const targets = v.pipe(
  oneOrMore(target),
  v.nonEmpty("Cannot be empty: write an address"),
  v.check(
    (list: Target[]) => list.length === 0 || list.some(({ backup }) => !backup),
    "Cannot have nothing but backups: leave `backup` out of one",
  ),
);

export const balanceField = described(
  optional(word("least-connections", "round-robin")),
  "Which of several addresses gets the next request; default least-connections.",
);

/** The targets in one short line. */
export function describeTargets(list: readonly Target[]): string {
  return list.map(({ address, backup }) => formatAddress(address) + (backup ? " (backup)" : ""))
    .join(", ");
}

/** An address with its socket's path made absolute. */
export function resolveAddress(where: Address, place: Place): Address {
  if (where.transport === "tcp") return where;
  return { transport: "unix", path: resolvePath(where.path, place.folder) };
}

/** A Unix socket takes three grants: the runtime asks for its file and for the connection. */
export function connectPermissions(where: Address, reason: string): Permission[] {
  const net: Permission = { name: "net", value: formatAddress(where), reason };
  if (where.transport === "tcp") return [net];
  return [
    net,
    { name: "read", value: where.path, reason },
    { name: "write", value: where.path, reason },
  ];
}
