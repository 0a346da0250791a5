/** What a command line word is given, and what the words share: reading the table, printing. */
import type { Registry } from "../config/kinds.ts";
import { parseTableBy } from "../config/load.ts";
import type { Table } from "../config/table.ts";
import { ConfigError } from "../errors.ts";
import type { ListenAddress } from "../fields.ts";
import { resolvePath } from "../values.ts";
import type { Source } from "../workers/messages.ts";

/** Exit statuses of the command line. */
export const FINE = 0;
export const FAULTY = 1;
export const MISUSED = 2;

/** The command line, parsed. */
export interface Invocation {
  readonly configFile: string;
  /** Overrides the file's listeners if not empty. */
  readonly listen: readonly ListenAddress[];
  readonly watch: boolean;
  readonly json: boolean;
  /** Replaces what is there. */
  readonly force: boolean;
  /** `-H 'Name: value'`. */
  readonly headers: readonly string[];
  /** What follows the command. */
  readonly operands: readonly string[];
  readonly registry: Registry;
}

export type Command = (invocation: Invocation) => Promise<number>;

/** The command line is wrong: says how, exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The configuration file's absolute name. */
export function configPath({ configFile }: Invocation): string {
  return resolvePath(configFile, Deno.cwd());
}

/** A table as it was read, and what it was read from. */
export interface Loaded {
  readonly table: Table;
  readonly source: Source;
}

/**
 * Reads and checks the table.
 * @throws {ConfigError} with every fault, also when the file cannot be read.
 */
export async function loadTable(invocation: Invocation): Promise<Table> {
  return (await loadSource(invocation)).table;
}

/** As {@link loadTable}, for who hands the text on. */
export async function loadSource(invocation: Invocation): Promise<Loaded> {
  const path = configPath(invocation);
  const folder = path.slice(0, path.lastIndexOf("/")) || "/";
  const file = invocation.configFile;
  const source = { file, path, folder, text: await readSource(path, file) };
  return { source, table: await parseTableBy(invocation.registry, source.text, source) };
}

async function readSource(path: string, file: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const message = error instanceof Deno.errors.NotFound
      ? "Cannot find this file: write one, or name another with --config FILE"
      : `Cannot read this file: ${error instanceof Error ? error.message : String(error)}`;
    throw new ConfigError([{ file, line: 1, column: 1, message }]);
  }
}

/** Where this invocation listens. */
export function listenOf(invocation: Invocation, table: Table): readonly ListenAddress[] {
  return invocation.listen.length > 0 ? invocation.listen : table.server.listen;
}

const UTF8 = new TextEncoder();

/** Writes a line to standard output. */
export function print(line: string): void {
  writeAll(Deno.stdout, line);
}

/** Writes a line to standard error. */
export function complain(line: string): void {
  writeAll(Deno.stderr, line);
}

function writeAll(target: { writeSync(bytes: Uint8Array): number }, line: string): void {
  const bytes = UTF8.encode(line + "\n");
  try {
    for (let at = 0; at < bytes.length;) at += target.writeSync(bytes.subarray(at));
  } catch (error) {
    // Whoever read has seen enough, as `| head` does.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Text in a terminal style, plain where colour is unwanted or nobody sees it. */
export function styled(style: "bold" | "dim" | "red" | "yellow" | "green", text: string): string {
  if (Deno.noColor || !Deno.stdout.isTerminal()) return text;
  const codes = { bold: 1, dim: 2, red: 31, yellow: 33, green: 32 };
  return `\x1b[${codes[style]}m${text}\x1b[0m`;
}
