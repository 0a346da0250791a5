/**
 * The TCP addresses that all workers listen on. The system lets them share an address, and would let
 * anybody else of the same user in as well: so each new address is first listened on alone, which also
 * tells what a free port (0) becomes.
 */
import { cannotListen } from "../io/listener.ts";
import { formatAddress, type ListenAddress } from "../values.ts";

export interface Settled {
  readonly listen: readonly ListenAddress[];
  keep(): void;
}

export class Ports {
  /** Addresses as they are written, and what they have become. */
  #settled: ReadonlyMap<string, ListenAddress> = new Map();

  /**
   * The same addresses with their ports, and `keep`, to be called when they are listened on.
   * @throws {Error} where somebody else listens, or nobody may.
   */
  settle(listen: readonly ListenAddress[]): Settled {
    const settled = new Map<string, ListenAddress>();
    const ours = new Set(Array.from(this.#settled.values(), portOf));
    const tried: Deno.Listener[] = [];
    try {
      for (const address of listen) {
        let key = formatAddress(address);
        while (settled.has(key)) key += "'";
        const known = this.#settled.get(key);
        settled.set(
          key,
          known === undefined ? tryOut(address, ours, tried) : withPort(address, known),
        );
      }
    } finally {
      for (const one of tried) one.close();
    }
    return { listen: [...settled.values()], keep: () => this.#settled = settled };
  }
}

/** What is written of an address, such as its scheme, may have changed; the port has not. */
function withPort(address: ListenAddress, known: ListenAddress): ListenAddress {
  if (address.transport === "unix" || known.transport === "unix") return address;
  return { ...address, port: known.port };
}

function tryOut(
  address: ListenAddress,
  ours: ReadonlySet<number>,
  tried: Deno.Listener[],
): ListenAddress {
  // Where we listen already, at another address of the same port, this would fail on ourselves.
  if (address.transport === "unix" || address.port !== 0 && ours.has(address.port)) return address;
  const { hostname, port } = address;
  try {
    const listener = Deno.listen({ hostname, port });
    tried.push(listener);
    return { ...address, port: listener.addr.port };
  } catch (error) {
    throw cannotListen(address, error);
  }
}

function portOf(address: ListenAddress): number {
  return address.transport === "tcp" ? address.port : 0;
}
