/**
 * The words of a command line, sorted into options and operands as getopt_long(3) does: options may stand
 * anywhere before `--`, values behind a blank or `=`, letters together. Node's parser of them takes longer
 * to load than the table to read.
 */
import { UsageError } from "./command.ts";

/** By name: the options that take a value, and those that are switches. */
const WITH_VALUE = ["config", "listen", "header"] as const;
const SWITCHES = ["watch", "json", "force", "help", "version"] as const;
const LETTERS: Readonly<Record<string, string>> = {
  c: "config",
  l: "listen",
  H: "header",
  h: "help",
  V: "version",
};

type Value = typeof WITH_VALUE[number];
type Switch = typeof SWITCHES[number];

export interface CommandLine {
  /** The values of each option that takes one, in their order. */
  readonly values: Readonly<Record<Value, string[]>>;
  readonly switches: Set<Switch>;
  readonly operands: string[];
}

/** @throws {UsageError} */
export function readOptions(args: readonly string[]): CommandLine {
  const line: CommandLine = {
    values: { config: [], listen: [], header: [] },
    switches: new Set(),
    operands: [],
  };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") line.operands.push(...rest.splice(0));
    else if (arg.startsWith("--")) readLong(arg, rest, line);
    else if (arg.startsWith("-") && arg !== "-") readLetters(arg, rest, line);
    else line.operands.push(arg);
  }
  return line;
}

/** `--name`, `--name value` or `--name=value`. */
function readLong(arg: string, rest: string[], { values, switches }: CommandLine): void {
  const [written = "", ...parts] = arg.split("=");
  const joined = parts.length === 0 ? undefined : parts.join("=");
  const name = written.slice(2);
  const option = WITH_VALUE.find((known) => known === name);
  if (option !== undefined) {
    values[option].push(joined ?? nextValue(written, rest));
    return;
  }
  if (joined !== undefined && SWITCHES.some((known) => known === name)) {
    throw new UsageError(`${written} takes no value`);
  }
  switches.add(switchOf(name, written));
}

/** `-x`, `-xy`, `-x value` or `-xvalue`. */
function readLetters(arg: string, rest: string[], { values, switches }: CommandLine): void {
  for (let at = 1; at < arg.length; at++) {
    const letter = `-${arg[at]}`;
    const name = LETTERS[arg[at] ?? ""] ?? "";
    const option = WITH_VALUE.find((known) => known === name);
    if (option !== undefined) {
      values[option].push(arg.slice(at + 1) || nextValue(letter, rest));
      return;
    }
    switches.add(switchOf(name, letter));
  }
}

function switchOf(name: string, written: string): Switch {
  const known = SWITCHES.find((option) => option === name);
  if (known !== undefined) return known;
  throw new UsageError(`Unknown option ${written}`);
}

/** The next word, unless it is an option by the look of it: that would be a value forgotten. */
function nextValue(written: string, rest: string[]): string {
  const value = rest.shift();
  if (value !== undefined && (!value.startsWith("-") || value === "-")) return value;
  throw new UsageError(`${written} takes a value: write ${written} VALUE`);
}
