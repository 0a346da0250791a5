/**
 * The scalars of routes.yaml as plain conversions: durations, sizes, addresses; and how a message speaks
 * of a value. Pure, without a library; fields.ts makes schemas of them.
 *
 * A parser takes nothing but what its pattern describes, since editors check by the pattern alone. What
 * no pattern can say (a port above 65535, an IP address that does not exist) the parser adds.
 */

export type Address =
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

/** Where a server listens, and what is spoken there. */
export type ListenAddress = Address & {
  /** Undefined: https where there is a certificate. A Unix socket's is always http. */
  readonly scheme?: "http" | "https";
  /** Sends everybody to https. */
  readonly redirects?: true;
};

export const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
export const SIZE = /^(\d+)(B|KiB|MiB|GiB)?$/;
/** Where an upstream is: the host is named. */
export const CONNECT_ADDRESS =
  /^(?:unix:.+|(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?!0+$)\d{1,5})$/;
/** Any address: without a host every interface, at port 0 a free port. */
const ANY_ADDRESS = /^(?:unix:.+|(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):\d{1,5})$/;
/** Where a server listens: any address, perhaps with what is spoken there. */
export const LISTEN_ADDRESS =
  /^(?:unix:.+|(?:https?:\/\/)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):\d{1,5})$/;

/** Bytes that the path of a Unix socket may take: `sun_path` of unix(7) less its final NUL. */
export const MAX_SOCKET_PATH = 107;

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

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
  if (!ANY_ADDRESS.test(text) || text.includes("\0")) return undefined;
  if (text.startsWith("unix:")) return { transport: "unix", path: text.slice("unix:".length) };
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, colon);
  const port = Number(text.slice(colon + 1));
  // The URL parser knows which IP addresses exist: neither [1::2::3] nor 300.1.1.1 does.
  if (port > 65_535 || (host !== "" && !URL.canParse(`http://${host}/`))) return undefined;
  return { transport: "tcp", hostname: host.replace(/^\[|\]$/g, "") || "0.0.0.0", port };
}

/** Reads an address that may begin with `http://` or `https://`, unless it is a Unix socket's. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (!LISTEN_ADDRESS.test(text)) return undefined;
  const [, scheme, rest = ""] = /^(?:(https?):\/\/)?(.*)$/s.exec(text) ?? [];
  const address = parseAddress(rest);
  if (address === undefined || scheme === undefined) return address;
  return { ...address, scheme: scheme === "https" ? "https" : "http" };
}

/** An address as people write it; the inverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  if (address.transport === "unix") return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}

/** A file name of the configuration as an absolute one, with dot segments resolved. */
export function resolvePath(path: string, folder: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${folder}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** How a value looks in a message: text in quotes (cut if long), a collection by its kind. */
export function quote(value: unknown): string {
  if (value === null || value === undefined) return "an empty value";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value !== "string") return String(value);
  const text = JSON.stringify(value.length > 80 ? `${value.slice(0, 79)}…` : value);
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeInvisible);
}

/** JSON lets characters through that would steer a terminal or hide. */
function escapeInvisible(char: string): string {
  return `\\u{${char.codePointAt(0)?.toString(16)}}`;
}

/** The message for a value that does not fit: what was read, and what would be right. */
export function cannotRead(what: string, right: string) {
  return (issue: { readonly input: unknown }): string =>
    `Cannot read ${quote(issue.input)} as ${what}: write ${right}`;
}

/** The message for what is no text; says how to write as text a number or a switch. */
export function cannotReadText(issue: { readonly input: unknown }): string {
  const { input } = issue;
  const literal = typeof input === "number" || typeof input === "boolean";
  return cannotRead("text", literal ? `"${input}", in quotes` : "a string")(issue);
}

/** The known name that was probably meant: at most a third of its letters differ, case aside. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const steps = distance(wanted, plain(candidate));
    if (steps >= least || steps > candidate.length / 3) continue;
    best = candidate;
    least = steps;
  }
  return best;
}

/** Case and separators are matters of style: `max_request_body` is close to `maxRequestBody`. */
function plain(word: string): string {
  return word.slice(0, 64).toLowerCase().replace(/[-_ ]/g, "");
}

/** Edits between two words (optimal string alignment): a swap of neighbours counts as one. */
function distance(a: string, b: string): number {
  let two: number[] = [];
  let one = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (one[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const edit = Math.min(change, (one[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(swapped ? Math.min(edit, (two[j - 2] ?? 0) + 1) : edit);
    }
    [two, one] = [one, row];
  }
  return one[b.length] ?? 0;
}
