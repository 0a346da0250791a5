/**
 * `uwsgi`: an application behind a uWSGI server, by its own protocol. One connection a request; the body
 * follows by its length, so it is collected first unless the route streams it and the client said how
 * long it is.
 */
import * as v from "valibot";
import { described, fields, optional } from "../fields.ts";
import { defineKind } from "../handler.ts";
import {
  closingFields,
  closingPermissions,
  type ClosingProtocol,
  describeClosing,
  explainClosing,
  openClosing,
} from "../io/closing_service.ts";
import { UwsgiDecoder, UwsgiEncoder } from "../protocol/uwsgi.ts";

const notAByte = "Cannot read this as a modifier: write a whole number from 0 to 255";
const modifier = v.pipe(
  v.number(notAByte),
  v.integer(notAByte),
  v.minValue(0, notAByte),
  v.maxValue(255, notAByte),
);

const schema = fields({
  ...closingFields(["CONTENT_LENGTH"]),
  modifier1: described(
    optional(modifier),
    "Which of the server's plugins answers: 0 Python, 5 Perl, 7 Ruby, 9 CGI, 14 PHP; default 0.",
  ),
  modifier2: described(optional(modifier), "What that plugin makes of it; default 0."),
});

type Options = v.InferOutput<typeof schema>;

/** uWSGI's own default for `buffer-size`. */
const DEFAULT_BUFFER = 4096;

const protocol: ClosingProtocol<Options> = {
  name: "uwsgi",
  encoderOf: ({ modifier1 = 0, modifier2 = 0, env = {} }) =>
    new UwsgiEncoder({ modifier1, modifier2, namesScheme: !("UWSGI_SCHEME" in env) }),
  decode: (head) => new UwsgiDecoder().push(head)?.variables,
  suspicion: (headLength) =>
    headLength <= DEFAULT_BUFFER
      ? ""
      : `the variables take ${
        headLength - 4
      } bytes, and uWSGI takes ${DEFAULT_BUFFER} unless its ` +
        "buffer-size says otherwise",
};

export const uwsgi = defineKind({
  summary: "Passes requests to a uWSGI server by the uwsgi protocol.",
  schema,
  requestBody: "spool",
  short: "connect",
  describe: describeClosing,
  permissions: closingPermissions,
  explain: (options, question) => explainClosing(protocol, options, question),
  open: (options, context) => openClosing(protocol, options, context),
});
