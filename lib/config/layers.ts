/** The `conditional`, `compress` and `cache` of a route: what is done to replies of any kind. */
import * as v from "valibot";
import {
  cannotRead,
  described,
  duration,
  fields,
  flag,
  list,
  optional,
  size,
  text,
  word,
} from "../fields.ts";
import type { CacheOptions, CacheStoreOptions, ConditionalOptions } from "../handler.ts";
import { type Coding, CODINGS } from "../protocol/content_coding.ts";
import { distinct } from "./distinct.ts";
import { shortOrLong } from "./short_or_long.ts";

/** A switch, or the long form; `off` becomes undefined. */
function switched<T>(long: v.GenericSchema<unknown, T>, form: string, on: () => T) {
  const either = cannotRead("this option", `true, false or ${form}`);
  return v.union([
    v.pipe(flag, v.transform((isOn): T | undefined => isOn ? on() : undefined)),
    long,
  ], (issue) => {
    const isLong = typeof issue.input === "object" && issue.input !== null;
    return (isLong ? issue.issues?.at(-1)?.message : undefined) ?? either(issue);
  });
}

const conditionalFields: v.GenericSchema<unknown, ConditionalOptions> = v.pipe(
  fields({
    etag: described(
      v.optional(word("own", "auto"), "own"),
      "auto: replies of up to 64 KiB that bear no ETag get one, made from their bytes.",
    ),
  }),
  v.transform((options): ConditionalOptions => options),
);

export const conditional = switched(
  conditionalFields,
  "a map",
  () => v.parse(conditionalFields, {}),
);

const codings: v.GenericSchema<unknown, Coding[]> = v.pipe(
  list(word(...CODINGS)),
  v.minLength(1, "Cannot be empty: write a coding, or false"),
  distinct((name) => name),
);

export const compress = switched(codings, "a list", () => [...CODINGS]);

const storeFields: v.GenericSchema<unknown, CacheStoreOptions> = v.pipe(
  fields({
    dir: described(text, "The folder; it is made if it does not exist."),
    maxSize: described(v.optional(size, "1GiB"), "All copies in it together; default 1GiB."),
    maxEntry: described(v.optional(size, "64MiB"), "The longest body; default 64MiB."),
  }),
  v.check(
    ({ maxSize, maxEntry }) => maxEntry <= maxSize,
    "Cannot keep a body longer than all copies together: write maxEntry up to maxSize",
  ),
  v.transform((options): CacheStoreOptions => options),
);

const store = shortOrLong(
  v.pipe(text, v.transform((dir) => v.parse(storeFields, { dir }))),
  storeFields,
);

const cacheFields: v.GenericSchema<unknown, CacheOptions> = v.pipe(
  fields({
    maxSize: described(v.optional(size, "64MiB"), "All copies together; default 64MiB."),
    maxEntry: described(v.optional(size, "2MiB"), "The longest body that is kept; default 2MiB."),
    defaultTtl: described(
      v.optional(duration, "0s"),
      "How long replies are fresh that say nothing of it; by default they are not kept.",
    ),
    staleWhileRevalidate: described(
      v.optional(duration, "0s"),
      "How long a stale copy is sent while a new one is fetched, where the reply does not say.",
    ),
    staleIfError: described(
      v.optional(duration, "0s"),
      "How long a stale copy is sent while the program fails, where the reply does not say.",
    ),
    storeCookies: described(
      v.optional(flag, false),
      "Whether replies that set cookies may be kept: each client then gets the same ones.",
    ),
    clientDirectives: described(
      v.optional(flag, false),
      "Whether a client's own Cache-Control counts: any client can then make the program work.",
    ),
    store: described(
      optional(store),
      "A folder where copies are kept too, and outlive a restart, or a map of fields.",
    ),
  }),
  v.check(
    ({ maxSize, maxEntry }) => maxEntry <= maxSize,
    "Cannot keep a body longer than all copies together: write maxEntry up to maxSize",
  ),
  v.transform(({ maxSize, maxEntry, storeCookies, clientDirectives, ...rest }): CacheOptions => ({
    maxSize,
    maxEntry,
    defaultTtlMs: rest.defaultTtl,
    staleWhileRevalidateMs: rest.staleWhileRevalidate,
    staleIfErrorMs: rest.staleIfError,
    storeCookies,
    clientDirectives,
    ...(rest.store && { store: rest.store }),
  })),
);

export const cache = switched(cacheFields, "a map", () => v.parse(cacheFields, {}));
