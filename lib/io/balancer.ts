/**
 * Which of several endpoints gets the next request: by their load or in turn, past those that are down,
 * and to the backups only when nobody else is up. It knows nothing of any protocol.
 *
 * Health is passive: who uses an endpoint tells how that went. One that fails several times in a row is
 * left out for a second, then gets a single request to show that it is back; each time it fails to, it is
 * left out twice as long. When all are down, the one whose turn comes first is tried all the same: a
 * guess that nobody answers is worse than an attempt.
 */
import type { UpstreamStatus } from "../handler.ts";

export type Balance = "least-connections" | "round-robin";

/** What a member was given, and what came of it; for monitors. */
export class Tally {
  requests = 0;
  failures = 0;
}

/** One of those that share the load. Members are told apart by identity. */
export interface Member {
  /** For log lines. */
  readonly name: string;
  /** Serves only while no other is up. */
  readonly backup: boolean;
  /** Whether it can take another request now. */
  readonly hasRoom: boolean;
  /** The less it has, the sooner its turn comes. */
  readonly load: number;
  readonly tally: Tally;
}

export interface HealthOptions {
  /** Failures in a row after which a member is left out. */
  readonly failures: number;
  /** How long it is left out at first, and at most. */
  readonly backOffMs: number;
  readonly maxBackOffMs: number;
}

export interface BalancerOptions {
  readonly balance: Balance;
  readonly health: HealthOptions;
  /** A clock in milliseconds that never goes back. */
  readonly now: () => number;
  /** Told when a member goes down and when it is back. */
  readonly notice?: ((message: string) => void) | undefined;
}

/** How members fare that nobody looks after. */
export const HEALTH: HealthOptions = { failures: 3, backOffMs: 1000, maxBackOffMs: 30_000 };

interface Health {
  failures: number;
  /** When the first of the failures in a row was. */
  failingSince: number;
  /** When it may be tried again; undefined: it is up. */
  downUntil: number | undefined;
  backOffMs: number;
  /** Its one request is out. */
  onTrial: boolean;
}

export class Balancer<M extends Member> {
  readonly #options: BalancerOptions;
  readonly #members: M[] = [];
  readonly #health = new Map<M, Health>();
  #turn = 0;
  /** How many are down: nearly always none, and then nobody's health is asked for. */
  #down = 0;

  constructor(options: BalancerOptions) {
    this.#options = options;
  }

  get members(): readonly M[] {
    return this.#members;
  }

  add(member: M): void {
    this.#members.push(member);
    this.#health.set(member, healthy());
  }

  remove(member: M): void {
    const index = this.#members.indexOf(member);
    if (index < 0) return;
    this.#members.splice(index, 1);
    if (this.#isDown(member)) this.#down--;
    this.#health.delete(member);
    if (index < this.#turn) this.#turn--;
  }

  /** Who gets the next request; undefined: nobody has room, or all were `tried`. */
  pick(tried?: ReadonlySet<M>): M | undefined {
    const [first] = this.#members;
    // With one member there is nothing to choose, whatever its health.
    if (this.#members.length === 1 && first !== undefined) {
      return first.hasRoom && !tried?.has(first) ? first : undefined;
    }
    for (let backup = false;; backup = true) {
      const picked = this.#pickAmong(backup, tried);
      // Someone is up, but full: better to wait than to burden the backups.
      if (picked !== undefined) return picked ?? undefined;
      if (backup) return this.#soonest(tried);
    }
  }

  /** The member answered. */
  succeeded(member: M): void {
    const health = this.#health.get(member);
    if (health === undefined || health.failures === 0) return;
    if (health.downUntil !== undefined) {
      this.#down--;
      this.#options.notice?.(`${member.name} is back`);
    }
    this.#health.set(member, healthy());
  }

  /** The member could not be reached, or broke off before it answered. */
  failed(member: M, reason: string): void {
    member.tally.failures++;
    const health = this.#health.get(member);
    if (health === undefined) return;
    const now = this.#options.now();
    const { failures, backOffMs, maxBackOffMs } = this.#options.health;
    if (health.failures === 0) health.failingSince = now;
    health.failures++;
    if (health.downUntil === undefined) {
      if (health.failures < failures) return;
      health.backOffMs = backOffMs;
      this.#down++;
      const message = `${member.name} is down after ${health.failures} failures: ${reason}`;
      this.#options.notice?.(message);
    } else if (health.onTrial) {
      health.backOffMs = Math.min(health.backOffMs * 2, maxBackOffMs);
    } else {
      // A request from before, or one that had no other choice: it tells nothing new.
      return;
    }
    health.onTrial = false;
    health.downUntil = now + health.backOffMs;
  }

  /** How all of them fare. */
  status(): readonly UpstreamStatus[] {
    return this.#members.map((member) => {
      const { name, tally: { requests, failures } } = member;
      return { name, up: !this.#isDown(member), requests, failures };
    });
  }

  /** Since when the member has failed without an answer in between; undefined: it does not fail. */
  failingSince(member: M): number | undefined {
    const health = this.#health.get(member);
    return health === undefined || health.failures === 0 ? undefined : health.failingSince;
  }

  /** Of those that are backups, or of those that are not: null: some are up, but none has room. */
  #pickAmong(backup: boolean, tried: ReadonlySet<M> | undefined): M | null | undefined {
    const due = this.#down === 0 ? undefined : this.#due(backup, this.#options.now(), tried);
    if (due !== undefined) return due;
    const free = this.#free(backup, tried);
    return free === "full" ? null : free;
  }

  #isDown(member: M): boolean {
    return this.#down > 0 && this.#health.get(member)?.downUntil !== undefined;
  }

  /** One that has been left out long enough. Should its request be lost, another is due in time. */
  #due(backup: boolean, now: number, tried: ReadonlySet<M> | undefined): M | undefined {
    for (const [member, health] of this.#health) {
      if (member.backup !== backup || health.downUntil === undefined) continue;
      if (health.downUntil > now || !member.hasRoom || tried?.has(member)) continue;
      health.onTrial = true;
      health.downUntil = now + health.backOffMs;
      return member;
    }
    return undefined;
  }

  /** The next that is up and has room; "full": some are up, but none has. */
  #free(backup: boolean, tried: ReadonlySet<M> | undefined): M | "full" | undefined {
    const { balance } = this.#options;
    const count = this.#members.length;
    let best: M | undefined;
    let full = false;
    for (let step = 0; step < count; step++) {
      const index = balance === "round-robin" ? (this.#turn + step) % count : step;
      const member = this.#members[index];
      if (member === undefined || member.backup !== backup) continue;
      if (this.#isDown(member) || tried?.has(member)) continue;
      if (!member.hasRoom) full = true;
      else if (balance === "round-robin") {
        this.#turn = index + 1;
        return member;
      } else if (best === undefined || member.load < best.load) best = member;
    }
    return best ?? (full ? "full" : undefined);
  }

  /** All are down: the one that would be tried first anyway. */
  #soonest(tried: ReadonlySet<M> | undefined): M | undefined {
    let best: M | undefined;
    let soonest = Infinity;
    for (const [member, { downUntil = Infinity }] of this.#health) {
      if (downUntil >= soonest || !member.hasRoom || tried?.has(member)) continue;
      best = member;
      soonest = downUntil;
    }
    return best;
  }
}

function healthy(): Health {
  return {
    failures: 0,
    failingSince: 0,
    downUntil: undefined,
    backOffMs: 0,
    onTrial: false,
  };
}
