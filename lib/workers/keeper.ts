/**
 * Keeps, in the main process, the programs that stay (`spawn`, Python, `php`): started once whatever the
 * number of workers, and lent to these.
 *
 * A worker says what it needs; what is started is checked here against the table, so that an application
 * that speaks for its worker can start nothing else.
 */
import type { Place, ServiceLog, ServiceStatus, Shared } from "../handler.ts";
import type { EndpointSource } from "../io/endpoint.ts";
import { programOf, type Spawn, spawnUpstream } from "../io/spawn.ts";
import type { Shares } from "../shares.ts";
import { type Client, Lending } from "./lending.ts";
import type { ToBorrower, ToLender } from "./messages.ts";

export interface KeeperOptions {
  readonly shares: Shares;
  readonly log: ServiceLog;
}

/** What tables allow and where they stand. */
export interface Kept {
  readonly place: Place;
  /** The programs that may be started. */
  readonly programs: ReadonlySet<string>;
}

/** An upstream that is kept, with those who share it. */
class KeptPrograms implements AsyncDisposable {
  readonly lending: Lending;
  readonly #onClose: () => void;

  constructor(source: EndpointSource, onClose: () => void) {
    this.lending = new Lending(source);
    this.#onClose = onClose;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#onClose();
    await this.lending.source[Symbol.asyncDispose]();
  }
}

interface Borrowed {
  readonly client: Client;
  readonly opening: Promise<Shared<KeptPrograms> | undefined>;
  lending: Lending | undefined;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #lendings = new Map<string, Lending>();
  #kept: readonly Kept[] = [];

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** What may be asked for from now on: of the table in place, and of one about to be. */
  allow(...kept: readonly Kept[]): void {
    this.#kept = kept;
  }

  /** How the programs of this name are. */
  status(name: string): ServiceStatus | undefined {
    return this.#lendings.get(name)?.source.status();
  }

  /** A worker's account, for as long as it lives. */
  admit(post: (message: ToBorrower) => void): KeeperClient {
    return new KeeperClient((spawn) => this.#open(spawn), post);
  }

  async #open(spawn: Spawn): Promise<Shared<KeptPrograms>> {
    const kept = this.#kept.find(({ place, programs }) => programs.has(programOf(spawn, place)));
    if (kept === undefined) throw new Error("Cannot start a program that the table does not name");
    const { shares, log } = this.#options;
    const share: Shares["share"] = (key, create) => shares.share(key, create);
    const { identity } = spawn;
    return await shares.share(`kept ${identity}`, async () => {
      const source = await spawnUpstream(spawn, { place: kept.place, log, share });
      const programs = new KeptPrograms(source, () => this.#lendings.delete(identity));
      this.#lendings.set(identity, programs.lending);
      return programs;
    });
  }
}

/** What one worker has borrowed. */
export class KeeperClient {
  readonly #open: (spawn: Spawn) => Promise<Shared<KeptPrograms>>;
  readonly #post: (message: ToBorrower) => void;
  readonly #borrowed = new Map<number, Borrowed>();
  #gone = false;

  constructor(
    open: (spawn: Spawn) => Promise<Shared<KeptPrograms>>,
    post: (message: ToBorrower) => void,
  ) {
    this.#open = open;
    this.#post = post;
  }

  hear(message: ToLender): void {
    const number = message[1];
    if (message[0] === "borrow") return this.#borrow(number, message[2]);
    const borrowed = this.#borrowed.get(number);
    if (borrowed === undefined) return;
    const { client, lending } = borrowed;
    switch (message[0]) {
      case "want":
        return lending?.want(client, message[2]);
      case "used":
        return lending?.used(client, message[2]);
      case "returned":
        return lending?.returned(client, message[2]);
      case "leave":
        return void this.#leave(number, borrowed);
      default:
        message satisfies never;
    }
  }

  /** The worker has ended, with all that it had. */
  async close(): Promise<void> {
    this.#gone = true;
    await Promise.all(Array.from(this.#borrowed, ([number, one]) => this.#leave(number, one)));
  }

  #borrow(number: number, programs: unknown): void {
    const client: Client = {
      lend: (loan) => this.#post(["lend", number, loan]),
      recall: (count) => this.#post(["recall", number, count]),
      withdraw: (id) => this.#post(["withdraw", number, id]),
    };
    // What a worker makes of the table: see spawn.ts.
    const opening = this.#open(programs as Spawn).then((shared) => {
      const borrowed = this.#borrowed.get(number);
      if (borrowed !== undefined && !this.#gone) {
        borrowed.lending = shared.value.lending;
        this.#post(["opened", number, undefined]);
        shared.value.lending.join(client);
      }
      return shared;
    }, (error) => {
      this.#post(["opened", number, error instanceof Error ? error.message : String(error)]);
      return undefined;
    });
    this.#borrowed.set(number, { client, opening, lending: undefined });
  }

  async #leave(number: number, { client, opening, lending }: Borrowed): Promise<void> {
    this.#borrowed.delete(number);
    lending?.leave(client);
    await (await opening)?.[Symbol.asyncDispose]();
  }
}
