/**
 * The form of an access line of one's own: text with names in braces, such as `{client} {status} {target}`.
 * Pure; the configuration reads it, the log fills it in.
 */

/** What a line may tell of a request. Times are in milliseconds, sizes in bytes. */
export const LOG_FIELDS = [
  "time",
  "id",
  "client",
  "method",
  "host",
  "target",
  "path",
  "status",
  "bytes",
  "bytesIn",
  "durationMs",
  "ttfbMs",
  "queueMs",
  "connectMs",
  "exit",
  "route",
  "referer",
  "userAgent",
] as const;

export type LogField = typeof LOG_FIELDS[number];

/** Text as it is, and names that stand for something. */
export type LogTemplate = readonly (string | { readonly field: LogField })[];

/** Undefined: a name is unknown, or a brace stands alone. */
export function parseLogTemplate(text: string): LogTemplate | undefined {
  const parts: (string | { readonly field: LogField })[] = [];
  for (const part of text.split(/(\{[^{}]*\})/)) {
    if (!/[{}]/.test(part)) {
      if (part !== "") parts.push(part);
      continue;
    }
    const field = LOG_FIELDS.find((name) => part === `{${name}}`);
    if (field === undefined) return undefined;
    parts.push({ field });
  }
  return parts;
}
