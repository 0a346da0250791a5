/** The `auth` of a route: who may use it, by name and password. */
import * as v from "valibot";
import { described, fields, text } from "../fields.ts";
import { cannotRead } from "../values.ts";
import { shortOrLong } from "./short_or_long.ts";

const notARealm = cannotRead("a realm", "a few words in ASCII");

export const auth = fields({
  basic: described(
    shortOrLong(
      v.pipe(text, v.transform((file) => ({ file, realm: "Restricted" }))),
      fields({
        file: described(text, "The users: a file as htpasswd -B writes it (bcrypt or Argon2)."),
        realm: described(
          v.optional(
            v.pipe(v.string(notARealm), v.regex(/^[\x20-\x7e]{1,200}$/, notARealm)),
            "Restricted",
          ),
          "What browsers show who ask for the password. Default: Restricted.",
        ),
      }),
    ),
    "A file of users, or a map of fields: they log in by name and password (RFC 7617).",
  ),
});
