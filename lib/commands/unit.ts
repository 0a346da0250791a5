/**
 * `unit systemd|docker|compose|k8s`: prints how to run the gateway for a table as a service, with what the
 * table needs and no more. Writes nothing.
 */
import type { Table } from "../config/table.ts";
import { composeFile } from "../deploy/compose.ts";
import { dockerfile } from "../deploy/docker.ts";
import { manifest } from "../deploy/kubernetes.ts";
import { isLoopback, type Plan, planOf } from "../deploy/plan.ts";
import { systemdUnit } from "../deploy/systemd.ts";
import { formatAddress, type ListenAddress } from "../fields.ts";
import { needsOf } from "../permissions.ts";
import {
  complain,
  configPath,
  FAULTY,
  FINE,
  type Invocation,
  listenOf,
  loadTable,
  print,
  UsageError,
} from "./command.ts";

interface Form {
  readonly write: (plan: Plan) => string;
  /** In a container loopback is its own: whoever maps its port has to reach it. */
  readonly opens: boolean;
}

const FORMS: ReadonlyMap<string, Form> = new Map<string, Form>([
  ["systemd", { write: systemdUnit, opens: false }],
  ["docker", { write: dockerfile, opens: true }],
  ["compose", { write: composeFile, opens: true }],
  ["k8s", { write: manifest, opens: true }],
]);

export async function unit(invocation: Invocation): Promise<number> {
  const [name = "", ...rest] = invocation.operands;
  const form = FORMS.get(name);
  if (form === undefined || rest.length > 0) {
    throw new UsageError(`unit takes one of ${[...FORMS.keys()].join(", ")}: unit systemd`);
  }
  const table = await loadTable(invocation);
  const own = listenOf(invocation, table);
  const isMoved = form.opens && own.some(isLoopback);
  const listen = isMoved ? own.map(opened) : own;
  if (form.opens && !listen.some(({ transport }) => transport === "tcp")) {
    complain(
      "portico: a container is reached by a port: write a listen address with one, or use --listen",
    );
    return FAULTY;
  }
  const overrides = isMoved || invocation.listen.length > 0 ? listen.map(written) : [];
  print(form.write(planFor(table, { invocation, listen, overrides })).trimEnd());
  return FINE;
}

interface Where {
  readonly invocation: Invocation;
  readonly listen: readonly ListenAddress[];
  readonly overrides: readonly string[];
}

function planFor(table: Table, { invocation, listen, overrides }: Where): Plan {
  const configFile = configPath(invocation);
  const needs = needsOf(table, listen, configFile);
  const installed = {
    executable: Deno.execPath(),
    main: Deno.build.standalone ? undefined : new URL("../../main.ts", import.meta.url).pathname,
    version: Deno.version.deno,
  };
  return planOf(table, { installed, configFile, listen, overrides, needs });
}

function opened(address: ListenAddress): ListenAddress {
  return isLoopback(address) && address.transport === "tcp"
    ? { ...address, hostname: "0.0.0.0" }
    : address;
}

function written(address: ListenAddress): string {
  const { scheme } = address;
  return `${scheme === undefined || address.transport === "unix" ? "" : `${scheme}://`}${
    formatAddress(address)
  }`;
}
