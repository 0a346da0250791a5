/**
 * Asks for a name and a password (RFC 7617), and tells the application who it is in AUTH_TYPE and
 * REMOTE_USER (RFC 3875 §4.1.1, §4.1.11) in place of what the client sent.
 *
 * Passwords are compared in a time that depends on the client's own input alone. To keep them as hashes,
 * give `verify`.
 */
import type { Middleware } from "../protocol/wsgi.ts";
import { answer, byteString } from "./text.ts";

/** Whether these are the name and the password of a user. */
export type Verify = (user: string, password: string) => boolean | Promise<boolean>;

export interface BasicAuthOptions {
  /** Passwords by name. */
  readonly users?: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
  /** Decides in their stead. */
  readonly verify?: Verify;
  /** What the client is shown; default `Restricted`. */
  readonly realm?: string;
}

/** Admits users who know their password; 401 to everybody else. */
export function basicAuth(options: BasicAuthOptions): Middleware {
  const verify = options.verify ?? verifyBy(options.users);
  const challenge = challengeOf(options.realm ?? "Restricted");
  return (application) => (environ, startResponse) => {
    const refuse = () =>
      answer(startResponse, "401 Unauthorized", [
        ["WWW-Authenticate", challenge],
        ["Cache-Control", "no-store"],
      ]);
    const credentials = parseCredentials(environ.HTTP_AUTHORIZATION);
    if (credentials === undefined) return refuse();
    const { user, password } = credentials;
    const admit = () => {
      delete environ.HTTP_AUTHORIZATION;
      environ.AUTH_TYPE = "Basic";
      environ.REMOTE_USER = byteString(user);
      return application(environ, startResponse);
    };
    const verdict = verify(user, password);
    if (verdict instanceof Promise) {
      return verdict.then((fits) => fits === true ? admit() : refuse());
    }
    return verdict === true ? admit() : refuse();
  };
}

const UTF8 = new TextEncoder();

function verifyBy(users: BasicAuthOptions["users"]): Verify {
  const pairs = users instanceof Map ? [...users] : Object.entries(users ?? {});
  if (pairs.length === 0) throw new TypeError("Cannot admit anybody: give users, or verify");
  const passwords = new Map(pairs.map(([user, password]) => [user, UTF8.encode(password)]));
  return (user, password) => {
    const given = UTF8.encode(password);
    const expected = passwords.get(user);
    // Somebody unknown takes as long, and never fits.
    return isEqual(given, expected ?? given) && expected !== undefined;
  };
}

/** Compares all of what was given, wherever the first difference is. */
function isEqual(given: Uint8Array, expected: Uint8Array): boolean {
  let difference = given.length ^ expected.length;
  for (let at = 0; at < given.length; at++) {
    difference |= (given[at] ?? 0) ^ (expected[at % expected.length] ?? 0);
  }
  return difference === 0;
}

interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** RFC 7617 §2: what stands before the first colon is the name; the charset is the one asked for. */
function parseCredentials(field: unknown): Credentials | undefined {
  const [, token = ""] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(String(field ?? "")) ?? [];
  const text = decodeBase64(token);
  const colon = text.indexOf(":");
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function decodeBase64(token: string): string {
  try {
    const bytes = Uint8Array.from(atob(token), (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return "";
  }
}

function challengeOf(realm: string): string {
  if (!/^[\x20-\x7e]*$/.test(realm)) throw new TypeError("Cannot show a realm beyond ASCII");
  return `Basic realm="${realm.replace(/["\\]/g, "\\$&")}", charset="UTF-8"`;
}
