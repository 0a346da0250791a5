/** Programs by name: how a word of the configuration becomes something that can be run. */

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
export function lookUpId(list: "/etc/passwd" | "/etc/group", name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  for (const line of Deno.readTextFileSync(list).split("\n")) {
    const [entry, , id] = line.split(":");
    if (entry === name && id !== undefined) return Number(id);
  }
  throw new Error(`Cannot find "${name}" in ${list}`);
}
