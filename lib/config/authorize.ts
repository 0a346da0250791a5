/** The `authorize` of a route: the FastCGI application that says who may use it (FastCGI 1.0 §6.3). */
import * as v from "valibot";
import {
  address,
  described,
  duration,
  environment,
  fields,
  formatAddress,
  oneOrMore,
  optional,
  text,
  textOrMap,
} from "../fields.ts";
import type { AuthorizeOptions } from "../handler.ts";

const long = fields({
  connect: described(
    v.pipe(oneOrMore(address), v.nonEmpty("Cannot be empty: write an address")),
    'Where the authorizer listens: "host:port" or "unix:/path", or a list of them.',
  ),
  script: described(optional(text), "Its SCRIPT_FILENAME, for applications that run scripts."),
  env: described(optional(environment), "Variables added to what it is told; they win."),
  timeout: described(
    v.optional(v.pipe(duration, v.minValue(1, "Cannot be 0: write how long it may take")), "10s"),
    "How long it may take to decide; 504 past it. Default 10s.",
  ),
  connectTimeout: described(optional(duration), "How long connecting may take; default 5s."),
});

const short = v.pipe(
  address,
  v.transform((where) => v.parse(long, { connect: formatAddress(where) })),
);

export const authorize = v.pipe(
  v.union([short, long], textOrMap),
  v.transform(({ connect, script, env = {}, timeout, connectTimeout }): AuthorizeOptions => {
    return { connect, script, env, timeoutMs: timeout, connectTimeoutMs: connectTimeout };
  }),
);
