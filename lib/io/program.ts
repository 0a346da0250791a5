/** Programs by name: how a word of the configuration becomes something that can be run, and as whom. */

import type { Permission } from "../handler.ts";
import { resolvePath } from "../values.ts";

/** What a program finds other programs by, unless the configuration says otherwise. */
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * A bare word is looked up along PATH by the runtime; anything with a slash is a file relative to
 * `folder`; `deno` is the very runtime that runs the gateway, wherever it is installed.
 */
export function resolveProgram(word: string, folder: string): string {
  if (word === "deno") return Deno.execPath();
  return word.includes("/") ? resolvePath(word, folder) : word;
}

/** The numeric ids of a user or group by name, as the system's own lists have them. */
function lookUpId(list: "/etc/passwd" | "/etc/group", name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  for (const line of Deno.readTextFileSync(list).split("\n")) {
    const [entry, , id] = line.split(":");
    if (entry === name && id !== undefined) return Number(id);
  }
  throw new Error(`Cannot find "${name}" in ${list}`);
}

/** As whom a program shall run: names or numbers, as the configuration has them. */
export interface AccountNames {
  readonly user?: string | number | undefined;
  readonly group?: string | number | undefined;
}

export interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

const PASSWD = "/etc/passwd";
const GROUP = "/etc/group";

/** What finding the account takes. */
export function accountPermissions({ user, group }: AccountNames): readonly Permission[] {
  const needs: Permission[] = [];
  if (user !== undefined && (group === undefined || !isNumber(user))) {
    needs.push({ name: "read", value: PASSWD, reason: "to find the user" });
  }
  if (group !== undefined && !isNumber(group)) {
    needs.push({ name: "read", value: GROUP, reason: "to find the group" });
  }
  return needs;
}

/**
 * The numbers of an account. A user without a group brings the one that the system's list has for it: a
 * program that changed its user alone would keep the gateway's group, and its rights with it.
 */
export function lookUpAccount({ user, group }: AccountNames): Account {
  if (user === undefined && group === undefined) return {};
  if (group !== undefined) {
    const gid = lookUpId(GROUP, String(group));
    return user === undefined ? { gid } : { uid: lookUpId(PASSWD, String(user)), gid };
  }
  for (const line of Deno.readTextFileSync(PASSWD).split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (gid !== undefined && (name === String(user) || uid === String(user))) {
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  throw new Error(`Cannot find "${user}" in ${PASSWD}, nor its group: write group too`);
}

function isNumber(value: string | number): boolean {
  return /^\d+$/.test(String(value));
}
