/**
 * The value grammar of routes.yaml: durations, sizes, addresses, names. Each is a schema, so that one
 * source yields the check, the typed option and the JSON Schema for editors. Pure.
 *
 * A message says what was read and what would be right: `Cannot read "soon" as a duration: write 500ms,
 * 30s, 2m or 1h`.
 */
import * as v from "valibot";

export type Address =
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const SIZE = /^(\d+)(B|KiB|MiB|GiB)?$/;
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const HOST_PORT = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})$/;

/** Milliseconds, or undefined if the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  const unit = MILLISECONDS[match?.[2] ?? ""];
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit);
}

/** Bytes, or undefined if the text is no size. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (BYTES[match[2] ?? "B"] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * Reads `host:port`, `[::1]:port`, `:port` (every interface) or `unix:/path`. IPv6 brackets are
 * dropped, as the runtime wants it. Undefined if the text is none of them.
 */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    return path === "" || path.includes("\0") ? undefined : { transport: "unix", path };
  }
  const match = HOST_PORT.exec(text);
  const port = Number(match?.[2] ?? NaN);
  if (match === null || port > 65_535) return undefined;
  const host = match[1] ?? "";
  return { transport: "tcp", hostname: host.replace(/^\[|\]$/g, "") || "0.0.0.0", port };
}

/** An address as people write it; the inverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  if (address.transport === "unix") return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}

/** How a value looks in a message: text in quotes, the rest as JSON. */
export function quote(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function cannotRead(what: string, right: string) {
  return (issue: { readonly input: unknown }) =>
    `Cannot read ${quote(issue.input)} as ${what}: write ${right}`;
}

/** A scalar that `parse` turns into an option; strings and, for sizes and ports, numbers. */
function scalar<T>(parse: (text: string) => T | undefined, what: string, right: string) {
  const message = cannotRead(what, right);
  return v.pipe(
    v.union([v.string(), v.number()], message),
    v.check((input) => parse(String(input)) !== undefined, message),
    v.transform((input) => parse(String(input)) as T),
  );
}

/** A duration; milliseconds in the options. */
export const duration = scalar(parseDuration, "a duration", "500ms, 30s, 2m or 1h");

/** A size; bytes in the options. */
export const size = scalar(parseSize, "a size", "a number of bytes, 64KiB, 16MiB or 1GiB");

/** Where an upstream is reached. */
export const address = scalar(
  (text) => {
    const found = parseAddress(text);
    const nowhere = found?.transport === "tcp" && (found.port === 0 || text.startsWith(":"));
    return nowhere ? undefined : found;
  },
  "an address",
  '"host:port", "[::1]:9000" or "unix:/path"',
);

/** Where the server listens; port 0 picks a free one. */
export const listenAddress = scalar(
  parseAddress,
  "an address to listen on",
  '"127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
);

/** Text that is not empty. */
export const text = v.pipe(
  v.string(cannotRead("text", "a string")),
  v.nonEmpty("Cannot be empty: write some text"),
);

/** A whole number from `least` up. */
export function count(least: number) {
  const message = cannotRead("a count", `a whole number, ${least} or more`);
  return v.pipe(v.number(message), v.integer(message), v.minValue(least, message));
}

export const flag = v.boolean(cannotRead("a switch", "true or false"));

/** One of a few words. */
export function word<const Words extends readonly string[]>(...words: Words) {
  return v.picklist(words, cannotRead("one of the choices", words.join(", ")));
}

/** A list of `item`. */
export function list<Item extends v.GenericSchema>(item: Item) {
  return v.array(item, cannotRead("a list", "[first, second] or one item a line after a dash"));
}

/** One item or a list of them; always a list in the options. */
export function oneOrMore<Item extends v.GenericSchema>(item: Item) {
  return v.pipe(
    v.union([v.array(item), item]),
    v.transform((input) => (Array.isArray(input) ? input : [input]) as v.InferOutput<Item>[]),
  );
}

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const variableName = v.pipe(
  v.string(),
  v.regex(VARIABLE_NAME, cannotRead("the name of a variable", "letters, digits and _")),
);
const variableValue = v.pipe(
  v.union(
    [v.string(), v.number(), v.boolean()],
    cannotRead("the value of a variable", "a string"),
  ),
  v.transform(String),
  v.check((value) => !value.includes("\0"), "Cannot hold a NUL character: remove it"),
);

/** Names and values added to what the program receives. */
export const environment = v.record(
  variableName,
  variableValue,
  cannotRead("a map", "NAME: value"),
);

/** Names of variables of the gateway's own environment. */
export const variableNames = list(variableName);

/** A command: words, the first being the program. A string is split at spaces. */
export const command = v.pipe(
  v.union(
    [v.string(), v.array(v.union([v.string(), v.number()]))],
    cannotRead(
      "a command",
      "[program, argument, …] or one string",
    ),
  ),
  v.transform((input) =>
    typeof input === "string" ? input.split(/\s+/).filter((w) => w !== "") : input.map(String)
  ),
  v.check((words) => words.length > 0 && words[0] !== "", "Cannot be empty: name a program"),
  v.check(
    (words) => !words.some((w) => w.includes("\0")),
    "Cannot hold a NUL character: remove it",
  ),
);

/** A strict map: unknown keys are faults. Missing keys say so by name. */
export function fields<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.strictObject(entries, cannotRead("a map of fields", "field: value"));
}

/** A field that may be left out; `undefined` in the options then. */
export function optional<Schema extends v.GenericSchema>(schema: Schema) {
  return v.optional(schema);
}

/** Adds the one line that documents a field to editors (JSON Schema) and to people. */
export function described<Schema extends v.GenericSchema>(schema: Schema, description: string) {
  return v.pipe(schema, v.description(description));
}
