/**
 * Basic authentication before a route of any kind serves (`auth`): a wrapper around its service. Programs
 * learn who it is from AUTH_TYPE and REMOTE_USER, and never see the password (RFC 3875 §4.1.1, §4.1.11).
 *
 * Source: RFC 7617; RFC 9110 §11.
 */
import { GatewayError } from "../errors.ts";
import { derived, type Exchange, type HeaderPair } from "../exchange.ts";
import type { BasicAuthOptions, Context, Service, ServiceLog, Shared } from "../handler.ts";
import { basicChallenge, parseBasic } from "../protocol/basic_credentials.ts";
import { parseHtpasswd, type Users } from "../protocol/htpasswd.ts";
import { withholding } from "../protocol/withhold.ts";
import { resolvePath } from "../values.ts";
import { PasswordChecker } from "./password_checker.ts";
import { PasswordThread } from "./password_thread.ts";

/** How soon a changed file is noticed. */
const LOOK_MS = 1000;

/** The users of a file as it is now. */
class UserFile {
  readonly #path: string;
  readonly #log: ServiceLog;
  #users: Users;
  #version: string;
  #lookedAt = performance.now();
  #looking: Promise<void> | undefined;

  private constructor(path: string, log: ServiceLog, users: Users, version: string) {
    this.#path = path;
    this.#log = log;
    this.#users = users;
    this.#version = version;
  }

  static async open(path: string, log: ServiceLog): Promise<UserFile> {
    const version = await versionOf(path);
    return new UserFile(path, log, await readUsers(path), version);
  }

  async users(): Promise<Users> {
    if (performance.now() - this.#lookedAt >= LOOK_MS) {
      this.#looking ??= this.#look().finally(() => this.#looking = undefined);
      await this.#looking;
    }
    return this.#users;
  }

  /** A faulty file changes nothing, as with the table. */
  async #look(): Promise<void> {
    try {
      const version = await versionOf(this.#path);
      if (version === this.#version) return;
      // Also of a faulty one: it is complained of once.
      this.#version = version;
      this.#users = await readUsers(this.#path);
      this.#log.notice(`Read ${this.#path} again: ${this.#users.size} users`);
    } catch (error) {
      this.#log.notice(`The users stay as they were: ${messageOf(error)}`);
    } finally {
      this.#lookedAt = performance.now();
    }
  }
}

/** What changes with the file, whether it is written over or replaced. */
async function versionOf(path: string): Promise<string> {
  const missing = (error: unknown) => new Error(`Cannot find ${path}`, { cause: error });
  try {
    const { mtime, size, ino } = await Deno.stat(path);
    return `${mtime?.getTime()} ${size} ${ino}`;
  } catch (error) {
    throw error instanceof Deno.errors.NotFound ? missing(error) : error;
  }
}

async function readUsers(path: string): Promise<Users> {
  const text = await Deno.readTextFile(path);
  try {
    return parseHtpasswd(text);
  } catch (error) {
    throw new Error(`Cannot use ${path}: ${messageOf(error)}`, { cause: error });
  }
}

export class BasicAuth implements AsyncDisposable {
  readonly #file: UserFile;
  readonly #checker: Shared<Passwords>;
  readonly #challenge: string;

  constructor(file: UserFile, checker: Shared<Passwords>, realm: string) {
    this.#file = file;
    this.#checker = checker;
    this.#challenge = basicChallenge(realm);
  }

  /** The request, with what is now known of it. @throws {GatewayError} 401, 429 or 503. */
  async admit(exchange: Exchange): Promise<Exchange> {
    const credentials = parseBasic(exchange.headers.get("authorization"));
    if (credentials === undefined) throw this.#refusal("no-credentials", "There is no password");
    const { user } = credentials;
    const { checker } = this.#checker.value;
    const users = await this.#file.users();
    if (!await checker.admits(users, credentials, exchange.client.address)) {
      throw this.#refusal("wrong-password", "The name or the password is wrong");
    }
    const variables: HeaderPair[] = [["AUTH_TYPE", "Basic"], ["REMOTE_USER", user]];
    return derived(exchange, {
      variables: [...variables, ...exchange.variables ?? []],
      withholds: withoutPassword(exchange.withholds),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#checker[Symbol.asyncDispose]();
  }

  #refusal(failure: string, message: string): GatewayError {
    const headers = [["www-authenticate", this.#challenge]] as const;
    return new GatewayError(401, failure, message, { headers });
  }
}

const withoutPassword = withholding("authorization");

/** The thread and what it found out, for all routes that ask for passwords. */
class Passwords implements AsyncDisposable {
  readonly #thread = new PasswordThread();
  readonly checker = new PasswordChecker(this.#thread);

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]();
  }
}

/** Reads the file. Rejects if it cannot be used, and says why. */
export async function openBasicAuth(
  { file, realm }: BasicAuthOptions,
  { place, log, share }: Context,
): Promise<BasicAuth> {
  const users = await UserFile.open(resolvePath(file, place.folder), log);
  const passwords = await share("passwords", () => Promise.resolve(new Passwords()));
  return new BasicAuth(users, passwords, realm);
}

/** The service, for those who know a password. Owns both. */
export function withBasicAuth(service: Service, auth: BasicAuth): Service {
  return {
    timeoutMs: service.timeoutMs,
    async serve(exchange, mount) {
      return await service.serve(await auth.admit(exchange), mount);
    },
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await auth[Symbol.asyncDispose]();
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
