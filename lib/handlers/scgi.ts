/**
 * `scgi`: an application that listens for SCGI requests. One connection a request; the body's length comes
 * first, so a body is collected before anything is sent unless the route streams it and the client said
 * how long it is.
 */
import type * as v from "valibot";
import { fields } from "../fields.ts";
import { defineKind } from "../handler.ts";
import {
  closingFields,
  closingPermissions,
  type ClosingProtocol,
  describeClosing,
  explainClosing,
  openClosing,
} from "../io/closing_service.ts";
import { SCGI_OWN, ScgiDecoder, ScgiEncoder } from "../protocol/scgi.ts";

const schema = fields(closingFields(SCGI_OWN));

const protocol: ClosingProtocol<v.InferOutput<typeof schema>> = {
  name: "scgi",
  encoderOf: () => new ScgiEncoder(),
  decode: (head) => new ScgiDecoder().push(head)?.variables,
  suspicion: () => "",
};

export const scgi = defineKind({
  summary: "Passes requests to an application that speaks SCGI.",
  schema,
  requestBody: "spool",
  short: "connect",
  describe: describeClosing,
  permissions: closingPermissions,
  explain: (options, question) => explainClosing(protocol, options, question),
  open: (options, context) => openClosing(protocol, options, context),
});
