/** The `tls` of the server: certificate and key, who is sent to https, and for how long browsers keep to it. */
import * as v from "valibot";
import { described, fields, flag, listenAddress, optional, text } from "../fields.ts";
import { cannotRead, formatAddress, type ListenAddress, resolvePath } from "../values.ts";
import type { Report } from "./position.ts";
import { shortOrLong } from "./short_or_long.ts";
import type { TlsOptions } from "./table.ts";
import { itemsOf, type Slot, valueOf } from "./tree.ts";

const AGE = /^\d{1,9}[smhd]$/;
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const notAnAge = cannotRead("an age", "365d, 24h, 10m or 30s");

/** RFC 6797 §6.1.1 counts seconds. */
const age = v.pipe(
  v.string(notAnAge),
  v.regex(AGE, notAnAge),
  v.examples(["365d", "24h"]),
  v.transform((text) => Number(text.slice(0, -1)) * (SECONDS[text.slice(-1)] ?? 1)),
);

/** What browsers ask of sites on their preload lists (hstspreload.org). */
const PRELOAD_SECONDS = 31_536_000;

const hstsFields = v.pipe(
  fields({
    maxAge: described(age, "How long browsers shall use https alone: 365d."),
    includeSubDomains: described(v.optional(flag, false), "Whether all names below are meant too."),
    preload: described(v.optional(flag, false), "Whether browsers may ship with this knowledge."),
  }),
  v.check(
    ({ maxAge, includeSubDomains, preload }) =>
      !preload || (includeSubDomains && maxAge >= PRELOAD_SECONDS),
    "Cannot preload without includeSubDomains: true and a maxAge of 365d or more",
  ),
  v.transform(({ maxAge, includeSubDomains, preload }) =>
    `max-age=${maxAge}${includeSubDomains ? "; includeSubDomains" : ""}${
      preload ? "; preload" : ""
    }`
  ),
);

export const tls = fields({
  cert: described(text, "The certificate and the chain above it: a PEM file."),
  key: described(text, "Its private key, not encrypted: a PEM file."),
  redirect: described(
    optional(v.pipe(
      listenAddress,
      v.check(
        ({ transport, scheme }) => transport === "tcp" && scheme !== "https",
        "Cannot redirect from there to https: write an address such as :80",
      ),
    )),
    "Where to listen for plain HTTP, to send everybody to https: an address such as :80.",
  ),
  hsts: described(
    optional(
      shortOrLong(v.pipe(age, v.transform((seconds) => `max-age=${seconds}`)), hstsFields),
    ),
    "Tells browsers to use https alone (Strict-Transport-Security): an age, or a map of fields.",
  ),
});

/** What the sections of a server say of its listeners, together. */
interface Written {
  readonly listen: readonly ListenAddress[];
  readonly tls: v.InferOutput<typeof tls> | undefined;
}

/** The listeners with what each speaks, and the certificate for those of https. */
export function readListeners(
  { listen, tls }: Written,
  { slot, folder, report }: { slot: Slot | undefined; folder: string; report: Report },
): { readonly listen: readonly ListenAddress[]; readonly tls?: TlsOptions } {
  const written = slot && valueOf(slot.node, "listen");
  if (tls === undefined) {
    listen.forEach(({ scheme }, index) => {
      if (scheme !== "https" || written === undefined) return;
      const place = itemsOf(written.node)[index] ?? written;
      report(place.node.start, 'Cannot speak https without a certificate: write "tls" too');
    });
    return { listen };
  }
  const place = slot && valueOf(slot.node, "tls");
  if (!listen.some(({ transport, scheme }) => transport === "tcp" && scheme !== "http")) {
    if (place !== undefined) {
      report(
        place.key,
        "Cannot use a certificate where no address speaks https: add one to listen",
      );
    }
  }
  const { cert, key, redirect, hsts } = tls;
  const options: TlsOptions = {
    cert: resolvePath(cert, folder),
    key: resolvePath(key, folder),
    ...(hsts === undefined ? {} : { hsts }),
  };
  if (redirect === undefined) return { listen, tls: options };
  const taken = redirect.transport === "unix" || redirect.port !== 0;
  const where = place && valueOf(place.node, "redirect");
  if (taken && listen.map(formatAddress).includes(formatAddress(redirect)) && where !== undefined) {
    report(where.node.start, "Cannot listen there twice: it stands in listen too");
  }
  return { listen: [...listen, { ...redirect, scheme: "http", redirects: true }], tls: options };
}
