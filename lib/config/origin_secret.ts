/** The `originSecret` of the server: what shows that a request came by way of the CDN. */
import * as v from "valibot";
import { described, fields, list } from "../fields.ts";
import { isToken } from "../protocol/http_fields.ts";
import { cannotRead } from "../values.ts";
import { range } from "./range.ts";

const notAField = cannotRead("the name of a field", "one such as X-Origin-Secret");

/** A request field by name. */
export const fieldName = v.pipe(
  v.string(notAField),
  v.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, notAField),
  v.check(isToken, notAField),
);

const notAVariable = cannotRead("the name of a variable", "letters, digits and _");

export const originSecret = fields({
  header: described(fieldName, "The field that the CDN adds to each request: X-Origin-Secret."),
  env: described(
    v.pipe(v.string(notAVariable), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, notAVariable)),
    "The variable of the gateway's environment that holds the secret, or several between spaces.",
  ),
  except: described(
    v.optional(list(range), []),
    "Peers that need not know it, such as a load balancer's health checks; as in trustedProxies.",
  ),
});
