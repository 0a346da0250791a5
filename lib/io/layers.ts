/**
 * What a route wants done to the replies of its service, whatever its kind, in one order.
 *
 * From the client inwards: cache, compress, conditional. The cache keeps what is compressed, so that a hit
 * costs nothing; what is compressed is known to be sent, for a condition has already been met; and
 * conditions are weighed against the program's own validators. Who may ask at all is settled before.
 */
import type { Context, Service } from "../handler.ts";
import { chooseCoding } from "../protocol/accept_encoding.ts";
import type { Coding } from "../protocol/content_coding.ts";
import { withCache } from "./cache.ts";
import { withConditional } from "./conditional.ts";
import { ResponseCache } from "./response_cache.ts";

/** A renewal without a client has no client's time limits. */
const RENEWAL_MS = 60_000;

/** The service within the route's layers, which owns it. A cache is added to `caches`. */
export async function withLayers(
  service: Service,
  context: Context,
  caches: Set<ResponseCache>,
): Promise<Service> {
  const { conditional, compress, cache, timeoutMs, firstByteTimeoutMs } = context.options;
  const cut = conditional === undefined ? service : withConditional(service, conditional);
  const packed = compress === undefined ? cut : await compressed(cut, compress);
  if (cache === undefined) return packed;
  const key = `cache ${JSON.stringify(cache)}`;
  const shared = await context.share(key, () => Promise.resolve(new ResponseCache(cache)));
  caches.add(shared.value);
  return withCache(packed, shared, {
    log: context.log,
    timeoutMs: timeoutMs ?? firstByteTimeoutMs ?? RENEWAL_MS,
    codingOf: compress && ((field) => chooseCoding(field, compress) ?? ""),
  });
}

/** What compresses takes its time to load, and few routes need it. */
async function compressed(service: Service, codings: readonly Coding[]): Promise<Service> {
  const { withCompression } = await import("./compression.ts");
  return withCompression(service, codings);
}
