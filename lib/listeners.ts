/**
 * The addresses that a table listens on, and how they become those of the next one: what stays is kept,
 * what is new is opened first, and what is gone ends its requests and closes.
 */
import type { TlsOptions } from "./config/table.ts";
import { type Address, formatAddress, type ListenAddress } from "./fields.ts";
import { Listener, type Receiver } from "./io/listener.ts";
import type { NodeLimits } from "./io/node_server.ts";
import type { TlsPair } from "./io/tls_files.ts";

/** What a listener does with requests. */
export type Role = "http" | "https" | "redirect" | "admin";

export interface ListenersOptions {
  receiver(role: Role): Receiver;
  /** How many processes listen on the same TCP addresses, with this one. */
  readonly sharers: number;
  notice(message: string): void;
  /** See {@link Listener}. */
  readonly spare?: string | undefined;
  /** Resolves when no upload is under way, or not waiting any longer: closing a listener fails them. */
  quiet(): Promise<void>;
}

/** Addresses to listen on, and the certificate for those of https. */
export interface Wanted {
  readonly listen: readonly ListenAddress[];
  readonly tls: TlsOptions | undefined;
  /** For the Node-compatible server; undefined: the runtime's own listens. */
  readonly node?: NodeLimits | undefined;
  /** The operator's own. */
  readonly admin?: Address | undefined;
}

interface Place {
  readonly address: ListenAddress;
  readonly role: Role;
  readonly node: NodeLimits | undefined;
}

interface Instead {
  readonly pair: TlsPair | undefined;
  readonly inTheWay: readonly Open[];
  readonly agree: () => Promise<void>;
}

interface Open extends Place {
  readonly listener: Listener;
}

export class Listeners {
  readonly #options: ListenersOptions;
  /** By role and address, as the table has it. */
  #open: ReadonlyMap<string, Open> = new Map();
  #pair: TlsPair | undefined;
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  get urls(): readonly string[] {
    return this.#urlsOf((role) => role !== "admin");
  }

  get adminUrl(): string | undefined {
    return this.#urlsOf((role) => role === "admin")[0];
  }

  #urlsOf(wanted: (role: Role) => boolean): readonly string[] {
    return [...this.#open.values()].filter(({ role }) => wanted(role))
      .map(({ listener }) => listener.url);
  }

  /** Where https is spoken; the first of such addresses. */
  get securePort(): number {
    for (const { role, listener } of this.#open.values()) {
      if (role === "https") return listener.port;
    }
    return 443;
  }

  /**
   * Listens there, and nowhere else; `commit` is called as soon as it does. Rejects before that, with
   * everything as it was, if it cannot, or if `agree`, which is asked last, rejects. An address that is to
   * speak something else is given up first.
   */
  async arrange(
    { listen, tls, node, admin }: Wanted,
    commit = () => {},
    agree = () => Promise.resolve(),
  ): Promise<void> {
    const wanted = keyed({ listen, tls, node, admin });
    const pair = await pairFor([...wanted.values()].map(({ role }) => role), tls);
    const kept = [...this.#open].filter(([key]) => wanted.has(key));
    const gone = [...this.#open].filter(([key]) => !wanted.has(key)).map(([, open]) => open);
    const fresh = [...wanted].filter(([key]) => !this.#open.has(key));
    const inTheWay = gone.filter(({ listener }) =>
      fresh.some(([, { address }]) => listener.isInTheWayOf(address))
    );
    await this.#closeAll(inTheWay);
    const opened = await this.#openInstead(fresh, { pair, inTheWay, agree });
    const all = new Map([...kept, ...opened]);
    this.#open = new Map([...wanted.keys()].flatMap((key) => {
      const open = all.get(key);
      return open === undefined ? [] : [[key, open]];
    }));
    this.#pair = pair;
    commit();
    this.#retire(gone.filter((open) => !inTheWay.includes(open)));
    if (pair !== undefined) await this.#renew(kept.map(([, open]) => open), pair);
  }

  /** Closes all but the operator's own. */
  async shutdown(): Promise<void> {
    const serving = [...this.#open.values()].filter(({ role }) => role !== "admin");
    await Promise.all([...this.#leaving, ...serving.map(shut)]);
  }

  /** Closes the operator's own, too. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].filter(({ role }) => role === "admin").map(shut));
  }

  /** Opens what is new; if that fails, opens again what has made room for it. */
  async #openInstead(
    fresh: readonly (readonly [string, Place])[],
    { pair, inTheWay, agree }: Instead,
  ): Promise<[string, Open][]> {
    try {
      const opened = await this.#openAll(fresh, pair);
      await agree().catch(async (error) => {
        await Promise.all(opened.map(([, open]) => shut(open)));
        throw error;
      });
      return opened;
    } catch (error) {
      const lost = [...this.#open].filter(([, open]) => inTheWay.includes(open));
      this.#open = new Map([...this.#open].filter(([, open]) => !inTheWay.includes(open)));
      try {
        this.#open = new Map([...this.#open, ...await this.#openAll(lost, this.#pair)]);
      } catch (worse) {
        this.#options.notice(worse instanceof Error ? worse.message : String(worse));
      }
      throw error;
    }
  }

  async #openAll(
    fresh: readonly (readonly [string, Place])[],
    tls: TlsPair | undefined,
  ): Promise<[string, Open][]> {
    const { receiver, notice, sharers, spare } = this.#options;
    // At the start the addresses have lines of their own.
    const isFirst = this.#open.size === 0;
    const opened: [string, Open][] = [];
    try {
      for (const [key, { address, role, node }] of fresh) {
        const pair = role === "https" ? tls : undefined;
        const receive = receiver(role);
        const common = { address, tls: pair, node, receive };
        const listener = await Listener.open({ ...common, sharers, spare, notice });
        opened.push([key, { address, role, node, listener }]);
        if (!isFirst) notice(`Listening on ${listener.url}`);
      }
    } catch (error) {
      await Promise.all(opened.map(([, open]) => shut(open)));
      throw error;
    }
    return opened;
  }

  async #closeAll(gone: readonly Open[]): Promise<void> {
    if (gone.length === 0) return;
    await this.#options.quiet();
    // Their requests go on; their addresses are free at once.
    for (const open of gone) this.#leave(shut(open));
    await new Promise((resolve) => setTimeout(resolve, GIVE_BACK_MS));
    for (const { listener } of gone) this.#options.notice(`No longer listening on ${listener.url}`);
  }

  #retire(gone: readonly Open[]): void {
    if (gone.length > 0) this.#leave(this.#closeAll(gone));
  }

  async #renew(kept: readonly Open[], pair: TlsPair): Promise<void> {
    const stale = kept.filter(({ role, listener }) => role === "https" && !listener.has(pair));
    if (stale.length === 0) return;
    await this.#options.quiet();
    await Promise.all(stale.map(async ({ listener }) => {
      try {
        await listener.renew(pair);
        this.#options.notice(`A new certificate on ${listener.url}`);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#options.notice(`The certificate stays as it was on ${listener.url}: ${reason}`);
      }
    }));
  }

  #leave(ending: Promise<void>): void {
    const leaving = ending.finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }
}

/** The system takes a moment to give an address back. */
const GIVE_BACK_MS = 50;

function shut({ listener }: Open): Promise<void> {
  return listener.shutdown();
}

/** Free ports may be asked for several times. */
function keyed({ listen, tls, node, admin }: Wanted): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  if (admin !== undefined) {
    places.set(`admin ${formatAddress(admin)}`, {
      address: admin,
      role: "admin",
      node: undefined,
    });
  }
  for (const address of listen) {
    const role = roleOf(address, tls);
    // Other limits take another listener, as another protocol does.
    let key = `${role} ${formatAddress(address)}${node === undefined ? "" : JSON.stringify(node)}`;
    while (places.has(key)) key += "'";
    places.set(key, { address, role, node });
  }
  return places;
}

function roleOf(address: ListenAddress, tls: TlsOptions | undefined): Role {
  if (address.redirects) return "redirect";
  if (address.transport === "unix" || address.scheme === "http") return "http";
  if (tls !== undefined) return "https";
  if (address.scheme === undefined) return "http";
  const where = formatAddress(address);
  throw new Error(`Cannot speak https on ${where}: write server.tls in the table`);
}

async function pairFor(
  roles: readonly Role[],
  tls: TlsOptions | undefined,
): Promise<TlsPair | undefined> {
  if (tls === undefined || !roles.includes("https")) return undefined;
  const { readTlsFiles } = await import("./io/tls_files.ts");
  return await readTlsFiles(tls);
}
