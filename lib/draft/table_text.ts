/**
 * Writes routes.yaml: a table as plain values with comments beside them becomes text for people to go on
 * with. Short collections stand on one line, long ones are spread out; whatever YAML might read as
 * something else is quoted. Pure.
 */

/** What a table is made of. */
export type Plain = string | number | boolean | readonly Plain[] | PlainMap;
export interface PlainMap {
  readonly [key: string]: Plain;
}

/** A route, and what is said above it. */
export interface DraftRoute {
  readonly comments: readonly string[];
  readonly fields: PlainMap;
}

export interface DraftTable {
  /** Said at the top of the file. */
  readonly comments: readonly string[];
  readonly server: PlainMap;
  readonly routes: readonly DraftRoute[];
}

const WIDTH = 90;

/** The file's text. */
export function writeTable({ comments, server, routes }: DraftTable): string {
  const lines = comments.map(comment);
  if (lines.length > 0) lines.push("");
  if (Object.keys(server).length > 0) lines.push("server:", ...writeMap(server, "  "), "");
  lines.push("routes:");
  routes.forEach((route, at) => {
    if (at > 0) lines.push("");
    lines.push(...route.comments.map((text) => `  ${comment(text)}`));
    const [first = "", ...rest] = writeMap(route.fields, "    ");
    lines.push(`  - ${first.trimStart()}`, ...rest);
  });
  return `${lines.join("\n")}\n`;
}

/** A comment ends with its line, whatever stands in it. */
function comment(text: string): string {
  // deno-lint-ignore no-control-regex
  return `# ${text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, " ")}`.trimEnd();
}

function writeMap(map: PlainMap, indent: string): string[] {
  return Object.entries(map).flatMap(([key, value]) => writeEntry(writeScalar(key), value, indent));
}

function writeEntry(key: string, value: Plain, indent: string): string[] {
  const line = `${indent}${key}: ${writeFlow(value)}`;
  if (typeof value !== "object" || line.length <= WIDTH || isEmpty(value)) return [line];
  if (isList(value)) {
    return [`${indent}${key}:`, ...value.map((item) => `${indent}  - ${writeFlow(item)}`)];
  }
  return [`${indent}${key}:`, ...writeMap(value, `${indent}  `)];
}

/** A value on one line. */
function writeFlow(value: Plain): string {
  if (typeof value !== "object") return writeScalar(value);
  if (isList(value)) return `[${value.map(writeFlow).join(", ")}]`;
  const entries = Object.entries(value).map(([key, item]) =>
    `${writeScalar(key)}: ${writeFlow(item)}`
  );
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

function isList(value: readonly Plain[] | PlainMap): value is readonly Plain[] {
  return Array.isArray(value);
}

function isEmpty(value: readonly Plain[] | PlainMap): boolean {
  return Object.keys(value).length === 0;
}

/** Words that no YAML reader takes for anything but text, also between brackets. */
const PLAIN_TEXT =
  /^(?:[A-Za-z/.][\w./@+-]*(?::[\w./@+-]+)*|\d+(?:ms|s|m|h|B|KiB|MiB|GiB)|[\w.-]+:\d+|\/[\w./-]*\*)$/;
const NOT_TEXT = /^(?:true|false|null|yes|no|on|off|y|n|\.inf|\.nan|[\d.:_+-]+)$/i;

function writeScalar(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  if (PLAIN_TEXT.test(value) && !NOT_TEXT.test(value)) return value;
  // Between single quotes a backslash is one.
  if (/^[\x20-\x7e]*$/.test(value) && value.includes("\\") && !value.includes("'")) {
    return `'${value}'`;
  }
  // JSON's strings are YAML's, but for what YAML does not allow to stand unescaped.
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
