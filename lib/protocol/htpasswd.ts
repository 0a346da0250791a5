/**
 * A file of users and the hashes of their passwords, as Apache's htpasswd writes it: `name:hash` a line.
 * Only hashes that are slow to guess are taken, bcrypt and Argon2; every other line is a fault that says
 * what it is and how to make a better one. Names are bytes, as in a request.
 */
import type { ByteString } from "../exchange.ts";
import { byteString } from "./latin1.ts";

/** Hashes by name. */
export type Users = ReadonlyMap<ByteString, string>;

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const ARGON2 =
  /^\$argon2(?:id|i|d)\$v=19\$m=(\d{1,7}),t=(\d{1,4}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/;

/** A second or two of work; one slower would let few users block all others. */
const MAX_BCRYPT_COST = 14;
const MAX_ARGON2_KIB = 2 ** 19;
const MAX_ARGON2_PASSES = 64;
const MAX_ARGON2_LANES = 64;

const REMEDY = "make another with: htpasswd -B";

/** Reads the file. @throws {Error} with every fault, by line. */
export function parseHtpasswd(text: string): Users {
  const users = new Map<ByteString, string>();
  const faults: string[] = [];
  text.replace(/^\ufeff/, "").split(/\r?\n/).forEach((line, index) => {
    if (/^\s*(?:#|$)/.test(line)) return;
    const fault = readLine(line, users);
    if (fault !== undefined) faults.push(`line ${index + 1}: ${fault}`);
  });
  if (faults.length === 0 && users.size === 0) faults.push("it names no user");
  if (faults.length > 0) throw new Error(faults.join("; "));
  return users;
}

/** Adds a user, or says why not. Never the hash: faults stand in logs. */
function readLine(line: string, users: Map<ByteString, string>): string | undefined {
  const colon = line.indexOf(":");
  if (colon < 1) return "there is no name before a colon";
  const name = line.slice(0, colon);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(name)) return "the name holds a control character";
  // Other tools add fields of their own after the hash.
  const hash = line.slice(colon + 1).split(":", 1)[0]?.trim() ?? "";
  const user = byteString(name);
  if (users.has(user)) return `the user ${JSON.stringify(name)} stands there already`;
  const fault = judge(hash);
  if (fault === undefined) users.set(user, hash);
  return fault;
}

function judge(hash: string): string | undefined {
  const bcrypt = BCRYPT.exec(hash);
  if (bcrypt !== null) {
    const cost = Number(bcrypt[1]);
    if (cost >= 4 && cost <= MAX_BCRYPT_COST) return undefined;
    return `the cost of the bcrypt hash is ${cost}: write one of 4 to ${MAX_BCRYPT_COST}`;
  }
  const argon2 = ARGON2.exec(hash);
  if (argon2 !== null) {
    const [memory = 0, passes = 0, lanes = 0] = argon2.slice(1).map(Number);
    if (memory > MAX_ARGON2_KIB) return `the Argon2 hash takes more than ${MAX_ARGON2_KIB} KiB`;
    if (passes < 1 || passes > MAX_ARGON2_PASSES) {
      return `the Argon2 hash takes ${passes} passes: write 1 to ${MAX_ARGON2_PASSES}`;
    }
    if (lanes >= 1 && lanes <= MAX_ARGON2_LANES && memory >= 8 * lanes) return undefined;
    return "the Argon2 hash has an impossible number of lanes";
  }
  return `${nameOf(hash)} cannot be used: ${REMEDY}`;
}

function nameOf(hash: string): string {
  if (hash === "") return "an empty hash";
  if (hash.startsWith("$apr1$") || hash.startsWith("$1$")) return "an MD5 hash";
  if (hash.startsWith("{SHA}") || hash.startsWith("{SSHA}")) return "a SHA-1 hash";
  if (hash.startsWith("$5$") || hash.startsWith("$6$")) return "a SHA-2 crypt hash";
  if (hash.startsWith("$2")) return "a malformed bcrypt hash";
  if (hash.startsWith("$argon2")) return "a malformed Argon2 hash, or one of another version,";
  return "a password in the clear, or a hash of another kind,";
}
