/** The `accessLog` of the server: a known form by its name, or one of one's own. */
import * as v from "valibot";
import { word } from "../fields.ts";
import { LOG_FIELDS, parseLogTemplate } from "../log_template.ts";
import { quote } from "../values.ts";

const known = word("combined", "json", "off");

const template = v.pipe(
  v.string(),
  v.regex(/[{}]/),
  // deno-lint-ignore no-control-regex
  v.regex(/^[^\x00-\x1f\x7f]*$/, "Cannot write several lines a request: remove control characters"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const read = parseLogTemplate(dataset.value);
    if (read !== undefined) return read;
    const names = LOG_FIELDS.map((name) => `{${name}}`).join(" ");
    addIssue({
      message: `Cannot read ${quote(dataset.value)} as a line of a log: the names are ${names}`,
    });
    return NEVER;
  }),
);

export const accessLog = v.union([known, template], ({ input, issues = [] }) => {
  const isTemplate = typeof input === "string" && /[{}]/.test(input);
  const meant = isTemplate ? issues.at(-1) : issues[0];
  return meant?.message ?? "Cannot read this: write combined or json or off";
});
