/** Peers by their address, as `trustedProxies` and others name them. */
import * as v from "valibot";
import { parseRange } from "../protocol/ip.ts";
import { cannotRead } from "../values.ts";

const notARange = cannotRead(
  "a trusted proxy",
  "an IP address, a network such as 10.0.0.0/8 or fd00::/8, or unix",
);

export const range = v.pipe(
  v.string(notARange),
  v.regex(/^(?:unix|[0-9A-Fa-f:.]+(?:\/\d{1,3})?)$/, notARange),
  v.examples(["127.0.0.1", "10.0.0.0/8", "fd00::/8", "unix"]),
  v.check((input) => parseRange(input) !== undefined, notARange),
);
