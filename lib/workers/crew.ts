/**
 * The workers of a gateway (`server.workers`), each a whole gateway in a process of its own; the system
 * shares out connections among them. The main process serves nothing but the operator: it starts them,
 * replaces those that end, keeps the programs that they use, and gives orders to all alike. A reload has
 * two phases, so that all serve the new table or none.
 */
import type { Table } from "../config/table.ts";
import { placeOf } from "../generation.ts";
import type { Shared } from "../handler.ts";
import type { Guard } from "../io/guard.ts";
import { shareGuard } from "../io/spawn.ts";
import { Listeners } from "../listeners.ts";
import type { PurgeOrder } from "../observe/admin.ts";
import type { Log } from "../observe/log.ts";
import type { Report } from "../observe/report.ts";
import type { Need } from "../permissions.ts";
import { Shares } from "../shares.ts";
import type { ListenAddress } from "../values.ts";
import { CrewAdministration } from "./crew_administration.ts";
import { workerFlags } from "./flags.ts";
import { Keeper, type Kept } from "./keeper.ts";
import type { Member } from "./member.ts";
import type { Order, Source } from "./messages.ts";
import { type Beginning, Place } from "./place.ts";
import { Ports } from "./ports.ts";

/** What a worker may take beyond the drain time: its requests are cut then, and have to end. */
const CUT_MS = 8000;

export interface Wanted {
  readonly source: Source;
  readonly table: Table;
  readonly listen: readonly ListenAddress[];
  /** What serving the table takes. */
  readonly needs: readonly Need[];
}

export interface CrewOptions {
  readonly log: Log;
  /** Errors of the main process that nobody caught. */
  readonly contained: { readonly count: number };
  /** Whole lines of a worker's log. */
  write(stream: "out" | "err", bytes: Uint8Array<ArrayBuffer>): void;
}

export class Crew {
  readonly administration: CrewAdministration;
  readonly #options: CrewOptions;
  readonly #ports = new Ports();
  readonly #keeper: Keeper;
  readonly #guard: Shared<Guard>;
  readonly #listeners: Listeners;
  readonly #places: readonly Place[];
  #table: Table;
  #beginning: Beginning;
  #kept: Kept;
  #addresses: readonly string[] = [];

  private constructor(wanted: Wanted, options: CrewOptions, tools: Tools) {
    const { table, source, listen } = wanted;
    this.#options = options;
    this.#table = table;
    this.#kept = keptOf(wanted);
    this.#keeper = tools.keeper;
    this.#guard = tools.guard;
    this.#beginning = { order: { source, listen }, flags: [], stallTimeoutMs: 0 };
    this.#places = this.#furnish(table.server.workers);
    const administration = new CrewAdministration(this, table, options.contained);
    this.administration = administration;
    this.#listeners = new Listeners({
      sharers: 1,
      spare: source.path,
      receiver: () => (request, { local }) => administration.answer(request, local.port === 0),
      notice: (message) => options.log.notice(message),
      quiet: () => Promise.resolve(),
    });
  }

  /** Starts all workers; rejects, with everything closed again, if one cannot serve. */
  static async start(wanted: Wanted, options: CrewOptions): Promise<Crew> {
    const { log } = options;
    const shares = new Shares();
    const share: Shares["share"] = (key, create) => shares.share(key, create);
    const guard = await shareGuard({ log, share });
    const crew = new Crew(wanted, options, { keeper: new Keeper({ shares, log }), guard });
    try {
      await crew.#start(wanted);
      return crew;
    } catch (error) {
      await crew.stop();
      throw error;
    }
  }

  /** Where they listen, ports settled. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get adminUrl(): string | undefined {
    return this.#listeners.adminUrl;
  }

  get places(): readonly Place[] {
    return this.#places;
  }

  get keeper(): Keeper {
    return this.#keeper;
  }

  /** All workers serve by the new table from now on; rejects, with the old one in place, if one cannot. */
  async reload(wanted: Wanted): Promise<void> {
    const { table } = wanted;
    const { length } = this.#places;
    if (table.server.workers !== length) {
      this.#options.log.notice(`server.workers stays ${length} until Portico is started again`);
    }
    const { beginning, keep } = await this.#settle(wanted);
    const resume = await this.#pause();
    const kept = keptOf(wanted);
    try {
      await Promise.all(this.#living().map((member) => member.look()));
      this.#keeper.allow(this.#kept, kept);
      let members: readonly Member[] = [];
      await this.#listeners.arrange(adminOf(table), () => {
        // Whoever ends from here on is replaced by one that serves the new table.
        this.#beginning = beginning;
        this.#table = table;
        this.#kept = kept;
        keep();
      }, async () => {
        members = await this.#prepare(beginning.order);
      });
      this.administration.table = table;
      this.#options.log.format = table.server.accessLog;
      await Promise.allSettled(members.map((member) => member.commit()));
      for (const member of members) member.stallTimeoutMs = table.server.stallTimeoutMs;
    } finally {
      this.#keeper.allow(this.#kept);
      resume();
    }
  }

  /** Log files were moved away. */
  reopen(): void {
    for (const member of this.#living()) member.reopen();
  }

  async purge(order: PurgeOrder): Promise<number> {
    const purged = await Promise.all(this.#places.map((place) => place.purge(order)));
    return purged.reduce((sum, one) => sum + one, 0);
  }

  async reports(): Promise<Report[]> {
    const reports = await Promise.all(this.#places.map((place) => place.report()));
    return reports.filter((report) => report !== undefined);
  }

  async stop(): Promise<void> {
    this.administration.stopping = true;
    const { drainTimeoutMs, drainDelayMs } = this.#table.server;
    const within = drainDelayMs + drainTimeoutMs + CUT_MS;
    await Promise.all(this.#places.map((place) => place.stop(within)));
    this.administration.close();
    await this.#listeners.close();
    await this.#guard[Symbol.asyncDispose]();
  }

  async #start(wanted: Wanted): Promise<void> {
    const { beginning, keep } = await this.#settle(wanted);
    this.#beginning = beginning;
    keep();
    this.#keeper.allow(this.#kept);
    const started = await Promise.allSettled(this.#places.map((place) => place.start()));
    for (const result of started) if (result.status === "rejected") throw result.reason;
    const [first] = started;
    if (first?.status === "fulfilled") this.#addresses = first.value;
    await this.#listeners.arrange(adminOf(wanted.table));
  }

  #furnish(of: number): readonly Place[] {
    const { log, write } = this.#options;
    const options = {
      keeper: this.#keeper,
      guard: this.#guard.value,
      beginning: () => this.#beginning,
      notice: (message: string) => log.notice(message),
      write,
      buried: (report: Report) => this.administration.bury(report),
    };
    return Array.from({ length: of }, (_, index) => new Place({ index, of }, options));
  }

  /** Those that can carry it out, which is all that live; rejects, with none about to, if one cannot. */
  async #prepare(order: Order): Promise<readonly Member[]> {
    const asked = this.#places.flatMap((place) => {
      const { member } = place;
      if (member === undefined || !member.serves) return [];
      return [{ member, answer: member.prepare(place.own(order)) }];
    });
    const answers = await Promise.allSettled(asked.map(({ answer }) => answer));
    const members = asked.map(({ member }) => member);
    const failed = answers.find((result) => result.status === "rejected");
    if (failed === undefined) return members;
    const able = members.filter((_, i) => answers[i]?.status === "fulfilled");
    await Promise.all(able.map((member) => member.abandon()));
    throw failed.reason;
  }

  #living(): readonly Member[] {
    return this.#places.flatMap(({ member }) => member?.serves ? [member] : []);
  }

  /** Waits for those that are starting, and lets none start until it is told to. */
  async #pause(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const place of this.#places) place.hold(promise);
    await Promise.all(this.#places.map(({ member }) => member?.ready.catch(() => {})));
    return resolve;
  }

  async #settle({ source, table, listen, needs }: Wanted): Promise<Next> {
    if (!listen.some(({ transport }) => transport === "tcp")) {
      throw new Error(
        "Cannot share out a Unix socket among workers (server.workers): listen on a TCP address too",
      );
    }
    const settled = this.#ports.settle(listen);
    const order = { source, listen: settled.listen };
    const { stallTimeoutMs } = table.server;
    return {
      beginning: { order, flags: await workerFlags(needs), stallTimeoutMs },
      keep: settled.keep,
    };
  }
}

interface Tools {
  readonly keeper: Keeper;
  readonly guard: Shared<Guard>;
}

interface Next {
  readonly beginning: Beginning;
  /** To be called when it is carried out. */
  keep(): void;
}

function keptOf({ table, needs }: Wanted): Kept {
  const programs = needs.filter(({ name, isMains, who }) =>
    name === "run" && isMains === true && who !== "server.workers"
  );
  return { place: placeOf(table), programs: new Set(programs.map(({ value }) => value)) };
}

/** Of the listeners the operator's own alone. */
function adminOf({ admin }: Table) {
  return { listen: [], tls: undefined, admin: admin?.listen };
}
