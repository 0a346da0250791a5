/** The `sendfile` of a route: which folders its programs may have files sent from, by prefix. */
import * as v from "valibot";
import { dictionary, text } from "../fields.ts";
import { cannotRead } from "../values.ts";

/** Decoded, by whole segments: a prefix without its last slash would take `/protected-not/` too. */
const pathPrefix = v.pipe(
  v.string(),
  v.regex(
    /^\/(?:(?!\.\.?\/)[^/%?#]+\/)*$/,
    cannotRead("a prefix of paths", '"/protected/", not encoded, with a slash at both ends'),
  ),
);

export const sendfile = v.pipe(
  dictionary(pathPrefix, text),
  v.minEntries(1, "Cannot be empty: write a prefix and its folder, such as /protected/: ./files"),
);
