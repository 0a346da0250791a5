/** How the configuration says in what way files are sent; the same words for every kind that sends any. */
import * as v from "valibot";
import type { ByteString } from "../exchange.ts";
import { cannotRead, described, dictionary, flag, optional } from "../fields.ts";
import { byteString } from "../protocol/latin1.ts";
import { isFieldValue } from "../protocol/http_fields.ts";

const notAValue = cannotRead("a Cache-Control field", 'text such as "public, max-age=3600"');

const cacheValue = v.pipe(
  v.string(notAValue),
  v.nonEmpty(notAValue),
  v.check(isFieldValue, notAValue),
);

const pathGlob = v.pipe(
  v.string(),
  v.regex(
    /^[/*][^?#]*$/,
    cannotRead("a pattern of paths", '"/assets/*" or "*.css", where * stands for any characters'),
  ),
);

const cacheControl = v.union(
  [cacheValue, dictionary(pathGlob, cacheValue)],
  (issue) => {
    const isMap = typeof issue.input === "object" && issue.input !== null;
    const inside = isMap ? issue.issues?.at(-1)?.message : undefined;
    return inside ?? cannotRead("Cache-Control", "a value, or a map of patterns and values")(issue);
  },
);

/** The fields that say how files are sent. */
export const fileFields = {
  cacheControl: described(
    optional(cacheControl),
    "Cache-Control of the files: a value, or a map of patterns of their paths and values; the first " +
      'pattern that fits counts, such as {"/assets/*": "public, max-age=31536000, immutable"}.',
  ),
  precompressed: described(
    optional(flag),
    "Whether FILE.br, FILE.zst or FILE.gz is sent in FILE's place to whoever takes it; default false.",
  ),
};

/** What {@link fileFields} come to. */
export interface FileOptions {
  readonly cacheControl?: string | Readonly<Record<string, string>> | undefined;
  readonly precompressed?: boolean | undefined;
}

/** The Cache-Control of a file by its path in the folder (decoded, `/…`). */
export type CacheRule = (path: ByteString) => ByteString | undefined;

/** Compiles `cacheControl`. */
export function cacheRule(option: FileOptions["cacheControl"]): CacheRule {
  if (option === undefined || typeof option === "string") return () => option;
  const rules = Object.entries(option).map(([glob, value]) => ({ fits: globPattern(glob), value }));
  return (path) => rules.find(({ fits }) => fits.test(path))?.value;
}

/** A pattern of a whole path: `*` stands for any characters, slashes too. */
function globPattern(glob: string): RegExp {
  // Of two stars in a row one says it all, and backtracking between them would not end.
  const parts = byteString(glob).split(/\*+/).map((part) => part.replace(/[^\w/]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}
