/** The `traces` of the server: where spans go, how many, and whose trace is taken up. */
import * as v from "valibot";
import { described, fields, optional, text, word } from "../fields.ts";
import { cannotRead } from "../values.ts";
import { shortOrLong } from "./short_or_long.ts";
import type { TracesOptions } from "./table.ts";

const ENDPOINT =
  /^https?:\/\/(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?!0+(?:\/|$))\d{1,5})?(?:\/[\x21-\x7e]*)?$/;
const notAnEndpoint = cannotRead("a collector", '"http://127.0.0.1:4318", perhaps with a path');

const endpoint = v.pipe(
  v.string(notAnEndpoint),
  v.regex(ENDPOINT, notAnEndpoint),
  v.check((text) => URL.canParse(text), notAnEndpoint),
  v.examples(["http://127.0.0.1:4318", "https://otlp.example.org/v1/traces"]),
);

const notARatio = cannotRead("a share", "a number from 0 to 1");
const notAVariable = cannotRead("the name of a variable", "letters, digits and _");

const long = fields({
  endpoint: described(
    endpoint,
    "The collector, which takes OTLP over HTTP; without a path its /v1/traces.",
  ),
  sampleRatio: described(
    v.optional(
      v.pipe(v.number(notARatio), v.minValue(0, notARatio), v.maxValue(1, notARatio)),
      1,
    ),
    "The share of the traces that begin here of which spans are sent; default 1.",
  ),
  acceptFrom: described(
    v.optional(word("trustedProxies", "everybody", "nobody"), "trustedProxies"),
    "Whose traceparent is taken up; to others' requests a trace of their own begins.",
  ),
  serviceName: described(
    v.optional(text, "portico"),
    "What the gateway is called in traces (service.name).",
  ),
  headers: described(
    optional(fields({
      env: described(
        v.pipe(v.string(notAVariable), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, notAVariable)),
        "The variable of the gateway's environment that holds them: name=value,name=value.",
      ),
    })),
    "Fields that the collector asks for, such as a key.",
  ),
});

export const traces = shortOrLong(
  v.pipe(endpoint, v.transform((text) => v.parse(long, { endpoint: text }))),
  long,
);

/** The options of what was read. */
export function tracesOptions(
  { headers, endpoint, ...rest }: v.InferOutput<typeof traces>,
): TracesOptions {
  const url = new URL(endpoint);
  if (url.pathname === "/" && url.search === "") url.pathname = "/v1/traces";
  return { ...rest, endpoint: url.href, ...(headers && { headersEnv: headers.env }) };
}
