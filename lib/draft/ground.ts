/** What `init` looks at: a folder, and the sockets of programs that run. Whoever asks reads the disk. */

import type { DraftRoute } from "./table_text.ts";

export interface Entry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  /** Whether anybody may execute it. */
  readonly isExecutable: boolean;
}

export interface Ground {
  /** What lies in a folder below the one that is looked at (`""` for itself); empty if there is none. */
  entries(folder: string): readonly Entry[];
  /** The beginning of a file; undefined if there is none. */
  read(file: string): string | undefined;
  /** Absolute names of listening Unix sockets. */
  readonly sockets: readonly string[];
}

export function hasFile(ground: Ground, path: string): boolean {
  return entryOf(ground, path)?.isFile ?? false;
}

export function hasFolder(ground: Ground, path: string): boolean {
  return entryOf(ground, path)?.isDirectory ?? false;
}

function entryOf(ground: Ground, path: string): Entry | undefined {
  const at = path.lastIndexOf("/");
  const folder = at < 0 ? "" : path.slice(0, at);
  return ground.entries(folder).find(({ name }) => name === path.slice(at + 1));
}

/** A name below the folder as routes.yaml writes it. */
export function relative(path: string): string {
  return path === "" ? "." : `./${path}`;
}

/** What was found, in a line for people, and the routes for it. */
export interface Finding {
  readonly what: string;
  readonly routes: readonly DraftRoute[];
}
