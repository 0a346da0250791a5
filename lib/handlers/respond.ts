/** `respond`: a fixed answer. */
import * as v from "valibot";
import type { HeaderPair, Reply } from "../exchange.ts";
import { count, described, dictionary, fields, optional, quote } from "../fields.ts";
import { defineKind, type Explanation } from "../handler.ts";
import { forbidsBody, isFieldValue, isToken } from "../protocol/http_fields.ts";

const headerMap = dictionary(
  v.pipe(v.string(), v.check(isToken, (issue) => `${quote(issue.input)} is no field name`)),
  v.pipe(
    v.string(),
    v.check(isFieldValue, (issue) => `${quote(issue.input)} cannot stand in a header field`),
  ),
);

const schema = fields({
  body: described(optional(v.string()), "The text to answer with."),
  status: described(
    optional(v.pipe(count(200), v.maxValue(599, "Cannot be more than 599"))),
    "The status, 200 to 599; default 200.",
  ),
  headers: described(
    optional(headerMap),
    "Response fields; Content-Type is text/plain unless set.",
  ),
});

type Options = v.InferOutput<typeof schema>;

export const respond = defineKind({
  summary: "Answers with a fixed text.",
  schema,
  requestBody: undefined,
  short: "body",
  describe: (options) => String(options.status ?? 200),
  permissions: () => [],
  explain: (options, { mount }): Promise<Explanation> =>
    Promise.resolve({
      target: `status ${options.status ?? 200}`,
      ...mount,
      environ: {},
      notes: [],
    }),
  open(options) {
    const reply = fixedReply(options);
    return Promise.resolve({ serve: () => reply, async [Symbol.asyncDispose]() {} });
  },
});

/** The answer is the same for all: made once. */
function fixedReply({ body = "", status = 200, headers = {} }: Options): Reply {
  const pairs: HeaderPair[] = Object.entries(headers);
  const typed = pairs.some(([name]) => name.toLowerCase() === "content-type");
  if (!typed && body !== "") pairs.unshift(["content-type", "text/plain; charset=utf-8"]);
  const bytes = forbidsBody(status) ? null : new TextEncoder().encode(body);
  return { type: "reply", status, headers: pairs, body: bytes, again: {} };
}
