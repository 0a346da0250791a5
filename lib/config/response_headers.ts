/** The `headers` of a route: which fields its responses get and lose (RFC 9110 §5). */
import * as v from "valibot";
import type { HeaderPair } from "../exchange.ts";
import { described, dictionary, fields, list, literal, oneOrMore, optional } from "../fields.ts";
import { isFieldValue, isHopByHop } from "../protocol/http_fields.ts";
import { cannotRead, quote } from "../values.ts";

const notAName = cannotRead(
  "the name of a header field",
  "letters, digits and -, such as X-Frame-Options",
);

/** Fields that frame the message on each connection; whoever sets them breaks it. */
function isFraming(name: string): boolean {
  return isHopByHop(name.toLowerCase()) || name.toLowerCase() === "content-length";
}

const fieldName = v.pipe(
  v.string(notAName),
  v.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, notAName),
  v.check(
    (name) => !isFraming(name),
    ({ input }) => `Cannot change ${quote(input)}: the server frames its answers itself; remove it`,
  ),
);

const fieldValue = v.pipe(
  literal,
  v.check(
    isFieldValue,
    cannotRead("a header field's value", "text without control characters, up to U+00FF"),
  ),
);

const unique = v.rawCheck<Record<string, string[]>>(({ dataset, addIssue }) => {
  if (!dataset.typed) return;
  const input = dataset.value;
  const seen = new Set<string>();
  for (const [key, value] of Object.entries(input)) {
    const name = key.toLowerCase();
    if (seen.has(name)) {
      const message = `Cannot set ${quote(key)} twice: give one of them a list of values`;
      addIssue({ message, path: [{ type: "object", origin: "key", input, key, value }] });
    }
    seen.add(name);
  }
});

export const responseHeaders = fields({
  set: described(
    optional(v.pipe(
      dictionary(fieldName, oneOrMore(fieldValue)),
      unique,
      v.transform((set) =>
        Object.entries(set).flatMap(([name, values]) =>
          values.map((value): HeaderPair => [name, value])
        )
      ),
    )),
    "Fields to add, in place of those that the program sent under the same names.",
  ),
  remove: described(optional(list(fieldName)), "Names of fields to leave out."),
});
