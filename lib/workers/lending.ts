/**
 * The programs of one upstream, shared out among workers. A place at a program belongs to one worker at a
 * time, so that no request waits behind another's at a program that takes one at a time; places go to
 * where requests wait, and are asked back from others for it, who give idle ones first.
 */
import type { Loan } from "../lender.ts";
import type { Endpoint, EndpointSink, EndpointSource } from "../io/endpoint.ts";
import type { Usage } from "./messages.ts";

/** A worker's end of it. */
export interface Client {
  lend(loan: Loan): void;
  recall(count: number): void;
  withdraw(id: number): void;
}

/** How long places stay at least where they were lent, while others wait as well: each move costs. */
const TURN_MS = 20;

interface Held {
  readonly loan: Loan;
  readonly endpoint: Endpoint;
  readonly since: number;
  /** Begun and not ended, as far as it was told. */
  busy: number;
}

class Account {
  readonly held = new Map<number, Held>();
  waiting = 0;
  /** Places that it was asked for and has not returned yet. */
  owed = 0;
  /** The number of its last loan: who had one long ago comes first. */
  lentAt = 0;
  #askedAt = -Infinity;

  constructor(readonly client: Client) {}

  get places(): number {
    let sum = 0;
    for (const { loan } of this.held.values()) sum += loan.count;
    return sum;
  }

  /** Places without a request, as far as it was told. */
  get idle(): number {
    let idle = this.places;
    for (const { busy } of this.held.values()) idle -= busy;
    return idle;
  }

  /** Whether it can be asked for another's sake: one with requests waiting gives until both have as many. */
  mayGive(other: Account, now: number): boolean {
    if (this.places <= this.owed) return false;
    if (this.waiting === 0) return true;
    if (this.places <= other.places) return false;
    for (const { since } of this.held.values()) if (now - since < TURN_MS) return false;
    return true;
  }

  recall(count: number, now: number): void {
    this.owed += count;
    this.#askedAt = now;
    this.client.recall(count);
  }

  owedLately(now: number): number {
    return now - this.#askedAt < 2 * TURN_MS ? this.owed : 0;
  }
}

interface Stock {
  free: number;
  /** Resolves when all of its places are back: it leaves. */
  emptied: (() => void) | undefined;
}

export class Lending implements EndpointSink {
  readonly #source: EndpointSource;
  readonly #accounts = new Map<Client, Account>();
  readonly #stock = new Map<Endpoint, Stock>();
  #lastLoan = 0;
  #later: ReturnType<typeof setTimeout> | undefined;

  constructor(source: EndpointSource) {
    this.#source = source;
    source.attach(this);
  }

  get source(): EndpointSource {
    return this.#source;
  }

  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#accounts.values()) sum += waiting;
    return sum;
  }

  add(endpoint: Endpoint): void {
    this.#stock.set(endpoint, { free: endpoint.max, emptied: undefined });
    this.#shareOut();
  }

  async remove(endpoint: Endpoint): Promise<void> {
    const stock = this.#stock.get(endpoint);
    if (stock === undefined) return;
    const emptied = Promise.withResolvers<void>();
    stock.emptied = emptied.resolve;
    for (const { client, held } of this.#accounts.values()) {
      for (const one of held.values()) {
        if (one.endpoint === endpoint) client.withdraw(one.loan.id);
      }
    }
    if (stock.free === endpoint.max) emptied.resolve();
    await emptied.promise;
    this.#stock.delete(endpoint);
  }

  join(client: Client): void {
    this.#accounts.set(client, new Account(client));
    this.#shareOut();
  }

  /** What it held is free at once: it uses none of it any more, or has ended. */
  leave(client: Client): void {
    const account = this.#accounts.get(client);
    this.#accounts.delete(client);
    clearTimeout(this.#later);
    this.#later = undefined;
    for (const held of account?.held.values() ?? []) this.#free(held);
    this.#shareOut();
  }

  want(client: Client, waiting: number): void {
    const account = this.#accounts.get(client);
    if (account === undefined) return;
    account.waiting = waiting;
    this.#shareOut();
  }

  used(client: Client, uses: readonly Usage[]): void {
    const account = this.#accounts.get(client);
    for (const [id, begun, ended] of uses) {
      const held = account?.held.get(id);
      if (held === undefined) continue;
      held.busy += begun - ended;
      for (let i = 0; i < begun; i++) held.endpoint.usage?.begin();
      for (let i = 0; i < ended; i++) held.endpoint.usage?.end();
    }
  }

  returned(client: Client, id: number): void {
    const account = this.#accounts.get(client);
    const held = account?.held.get(id);
    if (account === undefined || held === undefined) return;
    account.held.delete(id);
    account.owed = Math.max(0, account.owed - held.loan.count);
    this.#free(held);
    this.#shareOut();
  }

  #free({ endpoint, loan, busy }: Held): void {
    for (let i = 0; i < busy; i++) endpoint.usage?.end();
    const stock = this.#stock.get(endpoint);
    if (stock === undefined) return;
    stock.free += loan.count;
    if (stock.free === endpoint.max) stock.emptied?.();
  }

  #shareOut(): void {
    if (this.#accounts.size === 0) return;
    for (const [endpoint, stock] of this.#stock) {
      while (stock.free > 0 && stock.emptied === undefined) this.#lend(endpoint, stock);
    }
    for (const account of this.#accounts.values()) {
      if (account.waiting > 0) this.#makeRoomFor(account);
    }
  }

  /** To who waits; else evenly, for what may come. */
  #lend(endpoint: Endpoint, stock: Stock): void {
    const all = [...this.#accounts.values()]
      .sort((a, b) => a.places - b.places || a.lentAt - b.lentAt);
    const account = all.find(({ waiting }) => waiting > 0) ?? all[0];
    if (account === undefined) return;
    const wanted = account.waiting > 0
      ? account.waiting
      : Math.ceil(stock.free / this.#accounts.size);
    const count = Math.min(wanted, stock.free);
    stock.free -= count;
    // What it gets now need not be asked for again before it says that it waits still.
    account.waiting = Math.max(0, account.waiting - count);
    const { address } = endpoint;
    const socket = address.transport === "unix" ? address.path : "";
    const loan = { id: ++this.#lastLoan, socket, count };
    account.lentAt = loan.id;
    account.held.set(loan.id, { loan, endpoint, since: performance.now(), busy: 0 });
    account.client.lend(loan);
  }

  /** Asks another for places, and for more programs. */
  #makeRoomFor(account: Account): void {
    this.#source.grow();
    // Who was asked but is busy may take long: then somebody else is asked, too.
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      this.#shareOut();
    }, TURN_MS);
    const now = performance.now();
    let owed = 0;
    for (const other of this.#accounts.values()) owed += other.owedLately(now);
    const missing = account.waiting - owed;
    const [lender] = [...this.#accounts.values()]
      .filter((other) => other !== account && other.mayGive(account, now))
      .sort((a, b) => a.waiting - b.waiting || b.idle - a.idle || b.places - a.places);
    if (lender === undefined || missing <= 0) return;
    const most = lender.waiting > 0 ? 1 : lender.places - lender.owed;
    lender.recall(Math.min(missing, most), now);
  }
}
