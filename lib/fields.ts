/**
 * The value grammar of routes.yaml: durations, sizes, addresses, names. Each is a schema, so that one
 * source yields the check, the typed option and the JSON Schema for editors. Pure.
 *
 * A message says what was read and what would be right: `Cannot read "soon" as a duration: write 500ms,
 * 30s, 2m or 1h`. A scalar's pattern and examples come before its conversion, where JSON Schema sees them.
 */
import * as v from "valibot";
import { dictionary } from "./maps.ts";
import {
  cannotRead,
  cannotReadText,
  CONNECT_ADDRESS,
  DURATION,
  LISTEN_ADDRESS,
  MAX_SOCKET_PATH,
  parseAddress,
  parseDuration,
  parseListenAddress,
  parseSize,
  SIZE,
} from "./values.ts";
import type { Address, ListenAddress } from "./values.ts";

export { dictionary, fields } from "./maps.ts";
export {
  cannotRead,
  formatAddress,
  parseAddress,
  parseDuration,
  parseListenAddress,
  parseSize,
  quote,
} from "./values.ts";
export type { Address, ListenAddress } from "./values.ts";

interface Grammar<T> {
  readonly what: string;
  readonly right: string;
  readonly pattern: RegExp;
  readonly examples: readonly string[];
  parse(text: string): T | undefined;
  /** Why a value that was read can still not be used. */
  refuse?(value: T): string | undefined;
}

/** The step from text to option, for what the pattern let through. */
function conversion<Input extends string | number, T>(grammar: Grammar<T>) {
  const { what, right, parse, refuse } = grammar;
  return v.rawTransform<Input, T>(({ dataset, addIssue, NEVER }) => {
    const value = parse(String(dataset.value));
    if (value === undefined) {
      addIssue({ message: cannotRead(what, right) });
      return NEVER;
    }
    const message = refuse?.(value);
    if (message === undefined) return value;
    addIssue({ message });
    return NEVER;
  });
}

/** Text that becomes an option. */
function scalar<T>(grammar: Grammar<T>) {
  const message = cannotRead(grammar.what, grammar.right);
  return v.pipe(
    v.string(message),
    v.regex(grammar.pattern, message),
    v.examples([...grammar.examples]),
    conversion(grammar),
  );
}

/** The longest time that a timer keeps; past it, `setTimeout` fires at once. */
const MAX_TIMER = 2 ** 31 - 1;

/** A duration; milliseconds in the options. */
export const duration = scalar({
  what: "a duration",
  right: "500ms, 30s, 2m or 1h",
  pattern: DURATION,
  examples: ["500ms", "30s", "2m"],
  parse: parseDuration,
  refuse: (ms) => ms > MAX_TIMER ? "Cannot wait that long: write 596h or less" : undefined,
});

const SIZE_GRAMMAR: Grammar<number> = {
  what: "a size",
  right: "a number of bytes, 64KiB, 16MiB or 1GiB",
  pattern: SIZE,
  examples: ["64KiB", "16MiB", "1GiB"],
  parse: parseSize,
};
const notASize = cannotRead(SIZE_GRAMMAR.what, SIZE_GRAMMAR.right);

/** A size; bytes in the options. */
export const size = v.pipe(
  v.union([
    v.pipe(v.string(notASize), v.regex(SIZE, notASize), v.examples([...SIZE_GRAMMAR.examples])),
    v.pipe(v.number(notASize), v.integer(notASize), v.minValue(0, notASize)),
  ], notASize),
  conversion(SIZE_GRAMMAR),
);

function socketFault(address: Address): string | undefined {
  if (address.transport === "tcp") return undefined;
  const bytes = new TextEncoder().encode(address.path).length;
  if (bytes <= MAX_SOCKET_PATH) return undefined;
  return `Cannot use a socket's path of ${bytes} bytes: write one of ${MAX_SOCKET_PATH} or fewer`;
}

/** Where an upstream is reached. */
export const address = scalar({
  what: "an address",
  right: '"host:port", "[::1]:9000" or "unix:/path"',
  pattern: CONNECT_ADDRESS,
  examples: ["127.0.0.1:9000", "[::1]:9000", "unix:/run/app.sock"],
  parse: parseAddress,
  refuse: socketFault,
});

/** Where the server listens; port 0 picks a free one. */
export const listenAddress = scalar<ListenAddress>({
  what: "an address to listen on",
  right: '"127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  pattern: LISTEN_ADDRESS,
  examples: ["127.0.0.1:8080", "[::1]:8080", ":8080", "https://:443", "unix:/run/portico.sock"],
  parse: parseListenAddress,
  refuse: socketFault,
});

const NO_NUL = "Cannot hold a NUL character: remove it";
const noNul = v.check<string, string>((value) => !value.includes("\0"), NO_NUL);

/** Text that is not empty. */
export const text = v.pipe(
  v.string(cannotReadText),
  v.nonEmpty("Cannot be empty: write some text"),
  noNul,
);

/** Text, or a number or a switch that stands for its own spelling. */
export const literal = v.pipe(
  v.union([v.string(), v.number(), v.boolean()], cannotReadText),
  v.transform(String),
);

/** A whole number from `least` up. */
export function count(least: number) {
  const message = cannotRead("a count", `a whole number, ${least} or more`);
  return v.pipe(v.number(message), v.integer(message), v.minValue(least, message));
}

export const flag = v.boolean(cannotRead("a switch", "true or false"));

/** One of a few words. */
export function word<const Words extends readonly string[]>(...words: Words) {
  return v.picklist(words, cannotRead("a choice", words.join(" or ")));
}

/** A list of `item`. */
export function list<Item extends v.GenericSchema>(item: Item) {
  return v.array(item, cannotRead("a list", "[first, second] or one item a line after a dash"));
}

/** One item or a list of them; always a list in the options. */
export function oneOrMore<Item extends v.GenericSchema>(item: Item) {
  return v.union(
    [v.array(item), v.pipe(item, v.transform((one) => [one]))],
    // A list was either right or is faulty inside; what remains is about one item.
    (issue) => issue.issues?.at(-1)?.message ?? cannotRead("an item", "one, or a list")(issue),
  );
}

/** The message of a union of a text and a map: about the one that was meant. */
export function textOrMap(issue: v.UnionIssue<v.BaseIssue<unknown>>): string {
  const { input, issues = [] } = issue;
  const meant = typeof input === "object" ? issues.at(-1) : issues[0];
  return meant?.message ?? cannotRead("an item", "text or a map")(issue);
}

const variableName = v.pipe(
  v.string(),
  v.regex(
    /^[A-Za-z_][A-Za-z0-9_]*$/,
    cannotRead("the name of a variable", "letters, digits and _"),
  ),
);

/** Names and values added to what the program receives. */
export const environment = dictionary(variableName, v.pipe(literal, noNul));

/** Names of variables of the gateway's own environment. */
export const variableNames = list(variableName);

const line = v.pipe(
  v.string(),
  v.transform((words) => words.split(/\s+/).filter((word) => word !== "")),
);

/** A command: words, the first being the program. A string is split at spaces. */
export const command = v.pipe(
  v.union([line, v.array(literal)], cannotRead("a command", "[program, argument] or one string")),
  v.check((words) => words.length > 0 && words[0] !== "", "Cannot be empty: name a program"),
  v.check((words) => !words.some((word) => word.includes("\0")), NO_NUL),
);

/** A field that may be left out; `undefined` in the options then. */
export function optional<Schema extends v.GenericSchema>(schema: Schema) {
  return v.optional(schema);
}

/** Adds the one line that documents a field to editors (JSON Schema) and to people. */
export function described<Schema extends v.GenericSchema>(schema: Schema, description: string) {
  return v.pipe(schema, v.description(description));
}
