/** The `admin` section: where the operator looks and acts, and the token that it asks for. */
import * as v from "valibot";
import { described, fields, listenAddress, optional } from "../fields.ts";
import { isLoopback, parseIp } from "../protocol/ip.ts";
import {
  type Address,
  cannotRead,
  formatAddress,
  type ListenAddress,
  MAX_SOCKET_PATH,
  resolvePath,
} from "../values.ts";
import { check } from "./check.ts";
import type { Report } from "./position.ts";
import type { AdminOptions } from "./table.ts";
import { type Slot, valueOf } from "./tree.ts";

const notAVariable = cannotRead("the name of a variable", "letters, digits and _");

export const adminSchema = fields({
  listen: described(
    v.pipe(
      listenAddress,
      v.check(
        ({ scheme }) => scheme !== "https",
        "Cannot speak https there: write an address without https://",
      ),
    ),
    "Where health, metrics and the status page are: a loopback address or a Unix socket; others with a token.",
  ),
  token: described(
    optional(fields({
      env: described(
        v.pipe(v.string(notAVariable), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, notAVariable)),
        "The variable of the gateway's environment that holds the token, or several between spaces.",
      ),
    })),
    "What requests must bring as Authorization: Bearer TOKEN, but for /healthz and /readyz.",
  ),
});

interface Surroundings {
  readonly folder: string;
  /** Where the server listens. */
  readonly listen: readonly ListenAddress[];
  readonly report: Report;
}

/** The options of an `admin` section; undefined if there is none or it is faulty. */
export function readAdmin(
  slot: Slot | undefined,
  { folder, listen: taken, report }: Surroundings,
): AdminOptions | undefined {
  const read = slot && check(adminSchema, slot, report);
  if (slot === undefined || read === undefined) return undefined;
  const { token } = read;
  const listen = placed(read.listen, folder);
  const refuse = (message: string) => {
    report(valueOf(slot.node, "listen")?.node.start ?? slot.key, message);
  };
  if (token === undefined && !isOwn(listen)) {
    refuse("Cannot listen there for everybody: write a loopback address, unix:/path, or a token");
  }
  if (listen.transport === "unix" && sizeOf(listen.path) > MAX_SOCKET_PATH) {
    refuse(`Cannot use a socket's path of ${sizeOf(listen.path)} bytes: write a shorter one`);
  }
  const isFree = listen.transport === "tcp" && listen.port === 0;
  if (!isFree && taken.map(formatAddress).includes(formatAddress(listen))) {
    refuse("Cannot listen there twice: it stands in server.listen too");
  }
  return { listen, ...(token === undefined ? {} : { tokenEnv: token.env }) };
}

function placed(address: ListenAddress, folder: string): Address {
  if (address.transport === "unix") {
    return { transport: "unix", path: resolvePath(address.path, folder) };
  }
  const { hostname, port } = address;
  return { transport: "tcp", hostname, port };
}

/** Whether nobody comes from elsewhere. */
function isOwn(address: Address): boolean {
  if (address.transport === "unix" || address.hostname.toLowerCase() === "localhost") return true;
  const ip = parseIp(address.hostname);
  return ip !== undefined && isLoopback(ip);
}

function sizeOf(path: string): number {
  return new TextEncoder().encode(path).length;
}
