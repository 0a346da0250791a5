/**
 * Whether a name and a password are those of a user. Passwords are slow to check on purpose, so what was
 * right is remembered for a minute, under a digest that is good in this process alone; what is being
 * checked is not checked twice; and how many wait is bounded, for each client and in all.
 */
import { GatewayError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";
import type { Credentials } from "../protocol/basic_credentials.ts";
import type { Users } from "../protocol/htpasswd.ts";
import type { PasswordThread } from "./password_thread.ts";

const REMEMBERED_MS = 60_000;
const MAX_REMEMBERED = 1024;
const MAX_WAITING = 64;
const MAX_WAITING_OF_ONE = 4;

interface Remembered {
  readonly hash: string;
  readonly until: number;
}

export class PasswordChecker {
  readonly #thread: PasswordThread;
  readonly #salt = crypto.getRandomValues(new Uint8Array(32));
  readonly #remembered = new Map<string, Remembered>();
  readonly #running = new Map<string, Promise<boolean>>();
  /** Questions under way by client. */
  readonly #waiting = new Map<string, number>();

  constructor(thread: PasswordThread) {
    this.#thread = thread;
  }

  /**
   * Judges credentials that came from this address.
   * @throws {GatewayError} 429 `too-many-logins` or 503 `logins-busy`.
   */
  async admits(users: Users, credentials: Credentials, from: string): Promise<boolean> {
    const { user, password } = credentials;
    if (password.length === 0) return false;
    const hash = users.get(user);
    const key = await this.#digest(user, password);
    const known = this.#remembered.get(key);
    if (known !== undefined && known.hash === hash && known.until > performance.now()) return true;
    // Somebody unknown takes as long: against somebody's hash, for nothing.
    const against = hash ?? first(users);
    const running = this.#running.get(key + against) ??
      this.#check(key, { against, password, from });
    return await running && hash !== undefined;
  }

  #check(
    key: string,
    { against, password, from }: {
      readonly against: string;
      readonly password: Uint8Array<ArrayBuffer>;
      readonly from: string;
    },
  ): Promise<boolean> {
    const waiting = this.#waiting.get(from) ?? 0;
    if (waiting >= MAX_WAITING_OF_ONE) throw tooMany(429, "too-many-logins", from);
    if (this.#thread.length >= MAX_WAITING) throw tooMany(503, "logins-busy", "everybody");
    this.#waiting.set(from, waiting + 1);
    const checking = this.#ask(key, against, password).finally(() => {
      this.#running.delete(key + against);
      const left = (this.#waiting.get(from) ?? 1) - 1;
      if (left === 0) this.#waiting.delete(from);
      else this.#waiting.set(from, left);
    });
    this.#running.set(key + against, checking);
    return checking;
  }

  async #ask(key: string, hash: string, password: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const fits = await this.#thread.ask({ hash, password });
    if (fits) this.#remember(key, hash);
    return fits;
  }

  /** A remembered hash is only good for the user who has it, which is looked up anew each time. */
  #remember(key: string, hash: string): void {
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, { hash, until: performance.now() + REMEMBERED_MS });
  }

  async #digest(user: ByteString, password: Uint8Array): Promise<string> {
    const name = Uint8Array.from(user, (char) => char.charCodeAt(0));
    // Neither name nor password holds a NUL.
    const parts = [this.#salt, name, new Uint8Array(1), password];
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  }
}

function first(users: Users): string {
  for (const hash of users.values()) return hash;
  throw new Error("There are no users");
}

function tooMany(status: number, failure: string, from: string): GatewayError {
  return new GatewayError(status, failure, `Too many passwords of ${from} wait to be checked`, {
    headers: [["retry-after", "1"]],
  });
}
